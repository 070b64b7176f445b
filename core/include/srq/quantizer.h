/* Quantizers: one-shot ones get a layer and give its codes, tunable ones are tuned with their block. */
#ifndef SRQ_QUANTIZER_H
#define SRQ_QUANTIZER_H

#include <srq/error.h>
#include <srq/layer.h>
#include <srq/step.h>

struct srq_host;

/* ---- one-shot quantizers ----------------------------------------------------------------------------------------- */

struct srq_oneshot {
    uint32_t size;
    int (*quantize)(const struct srq_host *h, void *self, struct srq_layer *layer, struct srq_result *out,
                    struct srq_error *err);
    /* SRQ_NEED_… for this job, by its options; NULL: nothing. */
    uint32_t (*needs)(const struct srq_host *h, void *self);
};

/* ---- tunable quantizers ------------------------------------------------------------------------------------------ */

enum {
    SRQ_PARAM_TUNED = 1,   /* part of the best-iterate snapshot and of checkpoints */
    SRQ_PARAM_STATE = 2,   /* part of checkpoints only (momentum) */
    SRQ_PARAM_SCRATCH = 3, /* neither: made again by begin(), or valid only within an iteration */
};

#define SRQ_MAX_PARAMS 16 /* arrays of a layer, at most */

/* One array of floats that a plugin wants for a layer. The host allocates it inside the planned memory, filled with
 * `init` before begin(). */
struct srq_param {
    uint32_t size;
    int kind; /* SRQ_PARAM_… */
    float init;
    const char *name; /* lives as long as the plugin */
    int64_t count;
};

struct srq_params; /* opaque: what was declared for one layer */

/* How the host shall run the loop of one block. */
struct srq_schedule {
    uint32_t size;
    bool keep_best;   /* restore the iterate with the lowest probe loss at the end (else the last one) */
    int decay;        /* SRQ_DECAY_…, how srq_step.schedule falls */
    int64_t iters;    /* 0: no tuning, finish() is called at once */
    int64_t accum;    /* micro-batches per step, at least 1 */
    int64_t patience; /* stop after so many iterations without a better probe; 0: never */
    double lr;        /* learning rate at the first step, for display only; 0: unknown */
};

/* What holds for one block alone. The host fills it with zeros first. */
struct srq_block_rules {
    uint32_t size;
    double drop_largest; /* share of the elements of a micro-batch's block output whose errors are largest that is left
                            out of the loss, rounded down but at least one (spec signround 8.3); 0: none is */
};

struct srq_tunable {
    uint32_t size;
    /* How to run the loop. */
    int (*schedule)(const struct srq_host *h, void *self, struct srq_schedule *out, struct srq_error *err);
    /* Which arrays `layer` needs: h->declare(to, …) for each, in the order of layer->param. Called with shapes and
     * scheme only, also for the memory plan. */
    int (*declare)(const struct srq_host *h, void *self, const struct srq_layer *layer, struct srq_params *to,
                   struct srq_error *err);
    /* Once per layer and block, also after a resume (then followed by the restored TUNED and STATE arrays). */
    int (*begin)(const struct srq_host *h, void *self, struct srq_layer *layer, struct srq_error *err);
    /* Writes the fake-quantized weight [out, in] for the present parameters. `dst` is F32 or BF16. May use
     * h->parallel. */
    int (*weight)(const struct srq_host *h, void *self, struct srq_layer *layer, struct srq_tensor *dst,
                  struct srq_error *err);
    /* Receives rows [row, row+rows) of dL/dŴ, `grad` [rows, in] F32, which it may overwrite. Every row comes exactly
     * once per micro-batch, after weight(). Called from several threads, for different rows of the same layer. */
    void (*sink)(const struct srq_host *h, void *self, struct srq_layer *layer, const struct srq_step *step,
                 int64_t row, int64_t rows, float *grad);
    /* After the last micro-batch of a step, once per layer. */
    int (*step)(const struct srq_host *h, void *self, struct srq_layer *layer, const struct srq_step *step,
                struct srq_error *err);
    /* Codes for the present parameters (the host has restored the best ones). */
    int (*finish)(const struct srq_host *h, void *self, struct srq_layer *layer, struct srq_result *out,
                  struct srq_error *err);
    /* SRQ_NEED_… for this job; NULL: nothing. Importance is that of the full-precision inputs. */
    uint32_t (*needs)(const struct srq_host *h, void *self);
    /* Before begin(), once per block, and for the memory plan with shapes and schemes only; NULL: no special rules.
     * `layers`: those that are quantized. */
    int (*rules)(const struct srq_host *h, void *self, const struct srq_layer *const *layers, int count,
                 struct srq_block_rules *out, struct srq_error *err);
};

#endif
