/* Scales of an equivalent transformation, found by a plugin: by statistics of the full-precision inputs alone, or
 * trained through the rounded model (spec teq 5, 6).
 *
 * The stored model is never changed here. While scales are trained, every quantized layer computes with the effective
 * weight W_eff = Q(W diag(a)) diag(1/a) in place, Q being plain rounding under the layer's own scheme: producers stay
 * as stored, since what 1/a does to them is undone in their consumers. With E = W - W_eff in F32 and G = dL/dW_eff,
 *     dL/da_j = (1/a_j) sum over consumers and their rows o of E_oj G_oj,
 * which is the closed form of spec teq 5, summed over the copies of a channel where consumers read it more than once.
 * That takes ranges as constants, and most of what it says is then that all scales of a group should grow, which
 * changes nothing; where the schedule has `ranges`, what scales do to the ends of their group's range is added
 * (elements that are cut off count as if they were not).
 *
 * Memory is one block's parameters and activations, one hidden state a block and sample of the batch, and what the rows
 * of srq_transform_footprint say. For the same samples and the same number of threads the scales are the same. */
#ifndef SRQ_TUNE_TRANSFORM_H
#define SRQ_TUNE_TRANSFORM_H

#include "core/grid/grid.h"
#include "core/text/samples.h"
#include "core/tune/block_tuner.h"
#include "core/tune/scales.h"

struct srq_transformer;

struct srq_transform_config {
    const struct srq_model *model; /* not folded */
    const struct srq_plugin *plugin;
    void *self;                       /* its instance */
    const struct srq_scheme *schemes; /* one a layer of the model */
    int64_t nsamples, seq; /* samples at hand; 0: there are none, and the plugin asks for nothing that takes some */
    int64_t batch;         /* that go through a block together */
    enum srq_dtype compute;
    uint64_t seed;
};

/* What it tells; any member may be NULL. */
struct srq_transform_events {
    void *ctx;
    /* Between batches of the statistics (blocks) and between steps of training (steps). `at_step`: srq_transform_save
     * may be called. Non-zero ends the run with that code; a positive one ends the training there, with what was found
     * so far. */
    int (*tick)(void *ctx, double done, double total, const char *unit, bool at_step);
    void (*point)(void *ctx, int64_t step, double loss, double lr);
    void (*probe)(void *ctx, int64_t step, double loss, double best, const struct srq_scales_spread *spread);
};

/* The schedule as the plugin gives it, checked: -SRQ_EINVAL naming what cannot be. */
int srq_transform_schedule_of(const struct srq_plugin *p, void *self, struct srq_transform_schedule *out,
                              struct srq_error *err);
/* Whether the plugin wants samples at all: for statistics or for training. */
bool srq_transform_wants_samples(const struct srq_plugin *p, void *self, const struct srq_transform_schedule *s);
/* Which pairs of the model the plugin scales: wanted[pairs]. A kind that is none: -SRQ_EINVAL. */
int srq_transform_pairs(const struct srq_model *m, const struct srq_plugin *p, void *self, bool *wanted,
                        struct srq_error *err);

/* Adds memory by purpose. */
int srq_transform_footprint(const struct srq_transform_config *cfg, struct srq_memory_rows *rows,
                            struct srq_error *err);
/* samples (NULL: none) and what the configuration points to stay. */
int srq_transform_create(const struct srq_transform_config *cfg, const struct srq_samples *samples,
                         struct srq_transformer **out, struct srq_error *err);
void srq_transform_free(struct srq_transformer *t);
/* On which it computes, to be timed; NULL where nothing is computed. */
struct srq_tape *srq_transform_tape(const struct srq_transformer *t);

/* begin() of every group in the order of blocks, then training where the schedule asks for it, T steps exactly.
 * `resume`: a file that srq_transform_save wrote, or NULL; then begin() runs too, and the stored state replaces what it
 * set. */
int srq_transform_run(struct srq_transformer *t, const char *resume, const struct srq_transform_events *events,
                      struct srq_error *err);
/* Between steps: scales, best scales, states of the plugin, where the training is. DIR/BASE.safetensors. */
int srq_transform_save(const struct srq_transformer *t, const char *dir, const char *base, struct srq_error *err);
int64_t srq_transform_step(const struct srq_transformer *t); /* steps done */
/* What was found; the transformer's. */
const struct srq_scales *srq_transform_scales(const struct srq_transformer *t);
int srq_transform_groups(const struct srq_transformer *t);

#endif
