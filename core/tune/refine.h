/* End-to-end tuning of scales: with all codes fixed, the scales of all groups are moved so that the whole quantized
 * model gives the words of the original (the second phase of Chen et al. 2024, arXiv 2407.11062, with the divergence
 * from the original's words in the place of the text's own).
 *
 * Ŵ = s e^δ (q - z), one δ a group, 0 at first. The loss is KL(original ‖ quantized), the mean over the tokens of a
 * batch; dL/dδ is the sum of dL/dŴ · Ŵ over a group. Adam, its step shrinking by a cosine from
 * 0.1 / (2^bits sqrt(blocks)) after a few shorter ones. Blocks are computed again on the way back, so that one block's
 * activations are held, and the inputs of all for one batch.
 *
 * Some samples are held out: where their loss is not smaller in the end (with scales as they are stored, in F16) than
 * it was at first, all scales stay as they were.
 *
 * Tuned are integer layers of blocks that have more than one group; others keep what they have. */
#ifndef SRQ_TUNE_REFINE_H
#define SRQ_TUNE_REFINE_H

#include "core/base/part.h"
#include "core/grid/grid.h"
#include "core/model/model.h"
#include "core/text/samples.h"
#include "core/tune/block_tuner.h"

struct srq_refine;

struct srq_refine_config {
    const struct srq_model *model;
    const struct srq_scheme *schemes; /* one a layer of the model */
    int64_t nsamples, seq, batch;
    int64_t epochs; /* over the samples that are not held out */
    uint64_t seed;
    enum srq_dtype compute;
};

/* What a run asks its caller. */
struct srq_refine_caller {
    void *ctx;
    /* The codes of a layer that is quantized: valid until those of another block are asked for. */
    int (*codes)(void *ctx, int layer, const struct srq_codes **out, struct srq_error *err);
    /* Before every step; srq_refine_save may be called. A negative return ends with that code; a positive one ends the
     * steps, and what they found is weighed as after the last. Or NULL. */
    int (*tick)(void *ctx, int64_t step, int64_t steps);
};

struct srq_refine_outcome {
    int64_t steps;
    double loss_first, loss_last; /* of the samples held out, nats a token: before; after, as stored */
    bool kept;                    /* the new scales are better */
};

/* Whether a layer's scales are tuned. */
bool srq_refine_tunes(const struct srq_layer_info *layer, const struct srq_scheme *scheme);
/* Adds memory by purpose. */
int srq_refine_footprint(const struct srq_refine_config *cfg, struct srq_memory_rows *rows, struct srq_error *err);
int srq_refine_create(const struct srq_refine_config *cfg, struct srq_refine **out, struct srq_error *err);
void srq_refine_free(struct srq_refine *r);
/* resume (or NULL): bytes of an earlier srq_refine_save of the same job, from which it goes on to the same result. */
int srq_refine_run(struct srq_refine *r, const struct srq_samples *samples, const struct srq_refine_caller *caller,
                   const struct srq_part *resume, struct srq_refine_outcome *out, struct srq_error *err);
/* Parts that hold until the run goes on; one after the other they are what a resume takes. */
#define SRQ_REFINE_PARTS 2
struct srq_refine_state {
    struct srq_part parts[SRQ_REFINE_PARTS];
    size_t count;
    struct {
        int64_t step;
        double loss_first;
    } head;
};
void srq_refine_save(const struct srq_refine *r, struct srq_refine_state *out);
/* After a run: all scales [*count], layer by layer in the model's order, those that are tuned. A layer's begin at
 * srq_refine_offset; -1: it is not tuned. */
const float *srq_refine_scales(const struct srq_refine *r, size_t *count);
int64_t srq_refine_offset(const struct srq_model *m, const struct srq_scheme *schemes, int layer);

#endif
