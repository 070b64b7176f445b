/* How good a language model is on a text, and how far it is from another one: perplexity, KL divergence, top-1
 * agreement.
 *
 * Convention: the text is cut into windows that do not overlap, each scored alone. Position t of a window predicts
 * token t+1, so a window of seqlen tokens has seqlen-1 scored positions and its last logits are not used. Perplexity is
 * exp(mean loss over all scored positions); KL(reference‖model), in nats, and top-1 agreement are means over the same
 * positions. With a mask, a position counts where it and the token that it predicts are not padding.
 *
 * Where a layer's scheme quantizes activations, its inputs are rounded as core/flow/round_inputs.h says; those of the
 * reference never are, unless it is a folder that says so itself.
 *
 * All arithmetic is F32 on the stored weights, sums are in double and in a fixed order. Blocks are streamed: one block
 * is loaded, all windows go through it, then the next; logits exist for a few hundred tokens at a time. */
#ifndef SRQ_EVAL_EVALUATOR_H
#define SRQ_EVAL_EVALUATOR_H

#include "core/grid/grid.h"
#include "core/model/model.h"
#include "core/text/samples.h"

struct srq_eval;

struct srq_eval_config {
    int64_t windows;    /* use the first so many windows; 0: all */
    int64_t batch;      /* windows that go through a block together; 0: as srq_walk_samples has it */
    int64_t logit_rows; /* tokens whose logits exist at once; 0: about 96 MiB of logits, at most 1024 */
    bool inputs;        /* layers may have schemes that round their inputs; otherwise none is rounded */
};

/* NaN: not known. */
struct srq_eval_result {
    double perplexity, loss; /* loss: mean over tokens, nats */
    double kl, top1;         /* against the reference; top1 as a share 0 … 1 */
    int64_t tokens;          /* scored positions */
    double elapsed_s;
};

/* Where the weights of layers come from, where not from the model's folder. */
struct srq_eval_weights {
    void *ctx;
    /* Codes of a layer, valid until the next call, with the scheme that also says how its inputs are rounded; NULL in
     * `*out`: the layer's own weight. */
    int (*codes)(void *ctx, int layer, const struct srq_codes **out, struct srq_error *err);
};

struct srq_eval_events {
    void *ctx;
    /* Between batches, in window-blocks (the head counts as one block more); non-zero ends the run with that code. */
    int (*tick)(void *ctx, int64_t done, int64_t total);
};

/* What an evaluation takes, in bytes; from shapes alone. */
struct srq_eval_memory {
    uint64_t hidden;    /* states of all windows, kept between blocks */
    uint64_t reference; /* the reference's final states, where it is used */
    uint64_t block, tape, head, logits;
    uint64_t total;
};
int srq_eval_footprint(const struct srq_model *m, const struct srq_eval_config *cfg, int64_t windows, int64_t seqlen,
                       bool reference, struct srq_eval_memory *out, struct srq_error *err);

/* `reference`: the model that KL and agreement are measured against; NULL: `m` as it is stored. Models and samples must
 * stay. -SRQ_EINVAL for windows of fewer than 2 tokens, or vocabularies that differ. */
int srq_eval_create(const struct srq_model *m, const struct srq_model *reference, const struct srq_samples *samples,
                    const struct srq_eval_config *cfg, struct srq_eval **out, struct srq_error *err);
void srq_eval_free(struct srq_eval *e);

/* Runs the reference and keeps its final hidden states for later comparisons. Its own kl is 0 and top1 1 by definition
 * and not computed: they are NaN in `*out`. */
int srq_eval_reference(struct srq_eval *e, const struct srq_eval_events *events, struct srq_eval_result *out,
                       struct srq_error *err);
/* The states kept, F32 [windows*seqlen, hidden], for a checkpoint; NULL when there are none. */
const void *srq_eval_kept(const struct srq_eval *e, size_t *bytes);
/* Takes states that srq_eval_kept gave earlier, instead of running the reference; they are copied. */
int srq_eval_keep(struct srq_eval *e, const void *states, size_t bytes, struct srq_error *err);

/* Runs the model; `weights` NULL: as stored. With `logits_path`, writes all logits [windows*seqlen, vocab] F32 there in
 * NumPy's format, complete or not at all. */
int srq_eval_run(struct srq_eval *e, const struct srq_eval_weights *weights, const char *logits_path,
                 const struct srq_eval_events *events, struct srq_eval_result *out, struct srq_error *err);

/* Mean loss of each window in the last run, [*count]; NaN for one of which nothing is scored. The evaluation's own. */
const double *srq_eval_window_losses(const struct srq_eval *e, int64_t *count);

#endif
