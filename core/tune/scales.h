/* Scales of an equivalent transformation, in memory and in a file: one tensor "PRODUCER.scale" F32 [channels] for each
 * pair that has them, and "srq.outcome" F64 [4] that says how they were found. */
#ifndef SRQ_TUNE_SCALES_H
#define SRQ_TUNE_SCALES_H

#include "core/model/scale_pairs.h"

#define SRQ_SCALE_LEAST 1e-5f /* what folding takes */

/* How scales were found; losses are those of probes on held-out samples, loss_best that of the scales that were kept,
 * after step best_step: the best, or with keep_best off the last. NaN, -1: nothing was trained. */
struct srq_scales_outcome {
    double loss_first, loss_best;
    int64_t steps, best_step;
};

struct srq_scales {
    int pairs;     /* of the model */
    float **alpha; /* [pairs] [channels] each; NULL: left alone */
    float *memory;
    struct srq_scales_outcome outcome;
};

#define SRQ_SCALES_KINDS 5 /* of pairs, A to E */

/* All ones for the pairs that are wanted [pairs of m]. */
int srq_scales_alloc(const struct srq_model *m, const bool *wanted, struct srq_scales *out, struct srq_error *err);
void srq_scales_fini(struct srq_scales *s); /* may be called again */
uint64_t srq_scales_bytes(const struct srq_model *m, const bool *wanted);
/* Each finite and at least SRQ_SCALE_LEAST: 0, or -SRQ_ENUMERIC naming pair and channel. */
int srq_scales_check(const char *name, const float *alpha, int64_t channels, struct srq_error *err);

/* DIR/BASE.safetensors, complete or absent. */
int srq_scales_write(const struct srq_scales *s, const struct srq_model *m, const char *dir, const char *base,
                     struct srq_error *err);
/* Fills what srq_scales_alloc made. A file that lacks a pair, has a scale of another shape, or of a module that the
 * model has no pair for: -SRQ_EINVAL naming tensor, shapes and file. Pairs of the file that are not wanted are refused
 * likewise. */
int srq_scales_read(struct srq_scales *s, const struct srq_model *m, const char *path, struct srq_error *err);

/* min, max and mean of |log alpha| over all channels of all pairs, and of the pairs of each kind; NaN: there are
 * none. */
struct srq_scales_spread {
    double min, max, mean;
    struct {
        double max, mean;
    } kind[SRQ_SCALES_KINDS]; /* 'A' first */
};
struct srq_scales_spread srq_scales_spread(const struct srq_scales *s, const struct srq_model *m);
/* Smallest and largest alpha. */
void srq_scales_range(const struct srq_scales *s, const struct srq_model *m, double *least, double *most);

#endif
