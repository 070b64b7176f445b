/* Tunes one block with a plugin: the loop, the schedule, best-iterate choice, checkpoints inside the block
 * (spec signround 5; design 6 and 7). */
#ifndef SRQ_TUNE_BLOCK_TUNER_H
#define SRQ_TUNE_BLOCK_TUNER_H

#include "core/base/part.h"
#include "core/grid/grid.h"
#include "core/model/model.h"
#include "core/tune/memory.h"
#include "core/tune/plugin_host.h"

struct srq_tuner; /* works on one block after the other, in memory planned once for the largest */

/* The data of one block: values of its ports for all samples, [nsamples, rows, cols] in `dtype` each. For a layer
 * outside the blocks, one of either, [nsamples, seq, in]. Of a diffusion model, whose ports have rows of their own,
 * `seq` is 1. */
struct srq_block_io {
    enum srq_dtype dtype; /* F32 or BF16 */
    int64_t nsamples, seq;
    const void *input[SRQ_UNIT_PORTS];  /* by input port, from the quantized chain: what the block gets */
    const void *target[SRQ_UNIT_PORTS]; /* by output port, from the full-precision chain */
    const uint8_t *mask;                /* [nsamples, seq], 0 leaves a token out; or NULL */
    const float *const *importance;     /* [layers of the block], [in] each: srq_importance_sums of the full-precision
                                           inputs, where the plugin needs them (srq_plugin_needs); else NULL */
};

struct srq_tune_config {
    const struct srq_model *model;
    const struct srq_plugin *plugin;
    void *self;                       /* its instance */
    const struct srq_scheme *schemes; /* one per model layer: what memory is planned for */
    int64_t batch;                    /* samples a micro-batch */
    int64_t seq, nsamples;
    uint64_t seed;
    int64_t probe_every;    /* iterations between probes; the probe set is fixed for the job */
    int64_t probe_samples;  /* samples in the probe set, evenly spaced among all; at most nsamples are used */
    enum srq_dtype compute; /* of blocks */
    enum srq_dtype cache;   /* of srq_block_io; F32 (the default) leaves room for either */
    bool roundings;         /* blocks may come with static grids for what layers get and give (srq_walk_round), */
    bool split;             /* those of two parts with one for each */
};

/* What the loop tells; any member may be NULL. A non-zero return of `tick` stops the loop with that code
 * (-SRQ_ECANCELED for pause and cancel), at an iteration boundary where srq_tuner_save may be called. */
struct srq_tune_events {
    void *ctx;
    void (*point)(void *ctx, int64_t iter, double loss, double lr);           /* every iteration: batch loss, without
                                                                                 what the block's rules leave out */
    void (*probe)(void *ctx, int64_t iter, double loss, bool best);           /* every probe */
    void (*layer_error)(void *ctx, int layer, int64_t iter, double relative); /* every probe, every tuned layer */
    int (*tick)(void *ctx, int64_t iter);                                     /* before every iteration */
};

#define SRQ_TUNE_ENOUGH 1 /* of tick: the iterations done so far are all there will be */

/* The probe loss is the mean squared error over the valid elements of the probe samples, without what the block's rules
 * leave out of each batch's loss: where a few outliers decide the plain error, it falls or rises with them alone, and
 * chooses iterates that are worse for everything else. So it is comparable between plans with the same rules only. It
 * is taken before the first
 * iteration, every probe_every iterations, and once more after the last step, so that the final parameters are a
 * candidate too, and so is iterate 0: with a plugin that starts from plain rounding, the result is never worse than
 * that on the probe. Layer errors are ||X(W-Ŵ)ᵀ||² / ||XWᵀ||² over 128 tokens evenly spaced in the probe set; of a
 * diffusion model over as many rows of each strip of a layer's input (core/tape/patches.h), which are pixels, patches
 * or samples.
 */
struct srq_tune_outcome {
    double loss_first, loss_best; /* probe losses: before tuning, of the iterate kept */
    int64_t best_iter, iters_done;
    double *error_first, *error_best; /* per layer of the block (NaN: not quantized), owned by the tuner until the next
                                         block */
};

/* Adds bytes by purpose, from shapes alone (measuring tape, declare() of the plugin). They are the tuner's arenas. */
int srq_tuner_footprint(const struct srq_tune_config *cfg, struct srq_memory_rows *rows, struct srq_error *err);
int srq_tuner_create(const struct srq_tune_config *cfg, struct srq_tuner **out, struct srq_error *err);
void srq_tuner_free(struct srq_tuner *t);
struct srq_tape *srq_tuner_tape(const struct srq_tuner *t); /* on which it computes, to be timed */

/* One unit to tune: a block, or a head that is not the embedding. */
struct srq_tune_task {
    int unit;
    struct srq_block *block;          /* that it is loaded in; not used for a head */
    const struct srq_scheme *schemes; /* one per model layer; may have changed since create */
    const struct srq_block_io *io;
    struct srq_part resume;               /* bytes of an earlier srq_tuner_save of this unit; NULL: from the start */
    const struct srq_tune_events *events; /* or NULL */
};

/* With `resume` it goes on from there and gives the bytes of an undisturbed run; bytes that are not of this unit, plan
 * and options are -SRQ_EFORMAT or -SRQ_EDRIFT. Where schemes need more than was planned (smaller groups, errors left
 * out of the loss), -SRQ_ELIMIT names the row, and a new tuner has to be planned. The weights in `block` are
 * overwritten by fake-quantized ones; after success they are what the codes decode to. After success, srq_tuner_codes
 * gives the layers' codes until the next unit.
 *
 * A head is one layer, tuned in F32: io->input[0] is what it gets in the quantized chain, io->target[0] what it gets in
 * the full-precision chain (after the final norm); the loss is the mean squared error of its output against the
 * original weight's on the latter (spec signround 5.1). */
int srq_tuner_run(struct srq_tuner *t, const struct srq_tune_task *task, struct srq_tune_outcome *out,
                  struct srq_error *err);
/* The state of the running block at the iteration boundary where `tick` was called: TUNED and STATE arrays, best
 * snapshot, losses, iteration. The parts point into the tuner, so that keeping them takes no copy, and hold until the
 * loop goes on; one after the other they are what a resume takes. Damage to them is for their keeper to notice.
 * Callable in `tick` and after a run that `tick` stopped. */
#define SRQ_TUNER_PARTS 7
struct srq_tuner_state {
    struct srq_part parts[SRQ_TUNER_PARTS];
    size_t count, len; /* len: bytes of all parts */
    char head[128];    /* the first part; the struct must not be moved */
};
int srq_tuner_save(const struct srq_tuner *t, struct srq_tuner_state *out, struct srq_error *err);
/* NULL: the layer is not quantized. */
const struct srq_codes *srq_tuner_codes(const struct srq_tuner *t, int layer_in_block);

#endif
