/* Sensitivity of layers, measured: the whole model forward and backward with every layer rounded plainly under one
 * candidate scheme, integers to SRQ_SCORING_BITS at least, one block in memory at a time (after spec signround 7.1,
 * which takes the candidate's own bits).
 *
 * Forward: each block's input is kept. The loss is the mean next-token cross-entropy of a batch. Backward: the blocks
 * in reverse, each computed again from its input; its layers' gradients go to the scorer tile by tile. What a scorer
 * returns is kept a row at a time and added up in the order of rows, batches and nothing else. */
#ifndef SRQ_TUNE_SCORING_H
#define SRQ_TUNE_SCORING_H

#include "core/grid/grid.h"
#include "core/model/model.h"
#include "core/text/samples.h"
#include "core/tune/block_tuner.h"

#define SRQ_SCORING_BITS 4

struct srq_scoring;

/* The scheme that all layers have where a candidate's scores are taken. */
struct srq_scheme srq_scoring_point(const struct srq_scheme *candidate);

struct srq_scoring_config {
    const struct srq_model *model;
    const struct srq_plugin *plugin;
    void *self;                          /* its instance */
    const struct srq_scheme *candidates; /* that will be scored */
    int candidate_count;
    int64_t nsamples, seq, batch;
    int64_t
        sweep; /* samples that go through the model together, a multiple of batch: block inputs are kept for these */
    enum srq_dtype compute;
};

/* Adds memory by purpose. */
int srq_scoring_footprint(const struct srq_scoring_config *cfg, struct srq_memory_rows *rows, struct srq_error *err);
int srq_scoring_create(const struct srq_scoring_config *cfg, struct srq_scoring **out, struct srq_error *err);
void srq_scoring_free(struct srq_scoring *s);

/* One pass with the layers under schemes[] (one per model layer; those without a grid are left alone). score[i] of the
 * others is set. *loss: mean cross-entropy at that point. tick (or NULL) is called between batches with steps done and
 * steps in all; a non-zero return ends with that code. */
int srq_scoring_run(struct srq_scoring *s, const struct srq_scheme *schemes, const struct srq_samples *samples,
                    int (*tick)(void *ctx, int64_t done, int64_t total), void *ctx, double *score, double *loss,
                    struct srq_error *err);

#endif
