/* Training a whole model of pictures with its grids in the loop (srq/trainer.h; spec diffusion-qat 2, 3): the student
 * computes with rounded weights, inputs and (where asked for) outputs of layers, the teacher is the stored model.
 *
 * All arithmetic is F32: a grid of 8 bits is finer than BF16. Memory stays at one batch's values of all ports with
 * their gradients and one unit's activations, which are computed again on the way back; beside them are the values,
 * gradients and states of all tensors that are trained. */
#ifndef SRQ_TUNE_TRAINER_H
#define SRQ_TUNE_TRAINER_H

#include "core/flow/walk.h"
#include "core/model/pictures.h"
#include "core/tune/memory.h"
#include "core/tune/plugin_host.h"

struct srq_train;

/* Noisy pictures to learn from. */
struct srq_noisy_batch {
    int64_t n;
    float *x;              /* [n, height*width*channels], as the model is asked */
    struct srq_moment *at; /* [n] */
    float *target;         /* [n, height*width*out_channels], what the model should say; where task_weight is above 0 */
};

struct srq_train_config {
    const struct srq_model *model;
    const struct srq_plugin *plugin;
    void *self;
    const struct srq_scheme *schemes; /* [layers] with their activations; looked at anew in every step */
    struct srq_trainer_schedule schedule;
    /* Fills a batch: the same for the same step; warm-up comes before step 0, as -warmup … -1. */
    int (*batch)(void *ctx, int64_t step, const struct srq_noisy_batch *out, struct srq_error *err);
    void *batch_ctx;
};

/* One step of training; NaN: the loss has no such part. */
struct srq_train_point {
    int64_t step;
    double loss, task, kd, layers, norm; /* layers: of what blocks give; norm: of the gradient, before it was clipped */
    const struct srq_moment *at;         /* [n] times of the batch, with kd of each picture */
    const double *each;
    int64_t n;
};

struct srq_train_events {
    void *ctx;
    /* Between steps: non-zero ends the run with that code, above 0 as if all steps had been done. */
    int (*tick)(void *ctx, int64_t done, int64_t all);
    void (*point)(void *ctx, const struct srq_train_point *p);
};

/* The plugin's schedule, checked. `out->pictures` is the caller's word on whether pictures are given. */
int srq_train_schedule_of(const struct srq_plugin *p, void *self, struct srq_trainer_schedule *out,
                          struct srq_error *err);
int srq_train_footprint(const struct srq_train_config *c, struct srq_memory_rows *out, struct srq_error *err);
int srq_train_create(const struct srq_train_config *c, struct srq_train **out, struct srq_error *err);
void srq_train_free(struct srq_train *t);
struct srq_tape *srq_train_tape(const struct srq_train *t); /* on which it computes, to be timed */
/* `from`: the file of a run that was cut short, or NULL. */
int srq_train_run(struct srq_train *t, const char *from, const struct srq_train_events *events, struct srq_error *err);
int64_t srq_train_step(const struct srq_train *t); /* steps done */

/* All learning rates are those of the plugin times this from now on; 1 at first. */
void srq_train_set_rate(struct srq_train *t, double factor);

/* What the student says now, or (`taught`) the stored model, about n pictures x [n, height*width*channels] of
 * which it is told `when` [n], any n: y [n, height*width*out_channels]. Between steps only, as from a tick, and after
 * the run: the training goes on as if nothing had been asked. */
int srq_train_denoise(struct srq_train *t, bool taught, const float *x, const struct srq_moment *when, int64_t n,
                      float *y, struct srq_error *err);

/* The state between two steps, DIR/NAME.safetensors for `from`; durable. */
int srq_train_save(const struct srq_train *t, const char *dir, const char *name, struct srq_error *err);
/* What came out: DIR/NAME.safetensors with all tensors of the model that were trained, F32, and the ranges of
 * activations, for srq_model_replace and srq_train_read_roundings. */
int srq_train_write(const struct srq_train *t, const char *dir, const char *name, struct srq_error *err);
/* From what came out, with bits as the schemes say now: [layers] of the model. */
int srq_train_read_roundings(const char *path, const struct srq_train_config *c, struct srq_layer_roundings *out,
                             struct srq_error *err);

#endif
