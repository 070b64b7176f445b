/* Rotary position embedding: every scaling of spec formats 2.3, from both spellings of the configuration. */
#ifndef SRQ_MODEL_ROPE_H
#define SRQ_MODEL_ROPE_H

#include "core/model/fields.h"

enum srq_rope_kind {
    SRQ_ROPE_DEFAULT,
    SRQ_ROPE_LINEAR,
    SRQ_ROPE_DYNAMIC,
    SRQ_ROPE_LLAMA3,
    SRQ_ROPE_YARN,
    SRQ_ROPE_LONGROPE
};

#define SRQ_ROPE_DIM_MAX 1024 /* as of head_dim */

struct srq_rope {
    enum srq_rope_kind kind;
    int64_t dim;           /* rotated dims of each head, even; the rest pass through */
    int64_t max_positions; /* max_position_embeddings */
    int64_t original;      /* positions of pre-training: original_max_position_embeddings */
    double theta, factor;
    double low, high;                  /* llama3 */
    double beta_fast, beta_slow;       /* yarn */
    bool truncate;                     /* yarn */
    double amplitude;                  /* on cos and sin: yarn's and longrope's attention factor, else 1 */
    float *short_factor, *long_factor; /* longrope, [dim/2] */
};

/* Reads `rope_parameters`, or `rope_theta` and `rope_scaling`. `partial`: the family knows partial_rotary_factor. */
int srq_rope_read(const struct srq_fields *config, int64_t head_dim, int64_t max_positions, bool partial,
                  struct srq_rope *out, struct srq_error *err);
void srq_rope_fini(struct srq_rope *r);
/* Frequencies [dim/2] for sequences of `seq` positions (dynamic and longrope depend on it). */
void srq_rope_frequencies(const struct srq_rope *r, int64_t seq, float *freq);
/* What each of them [dim/2] was divided by for the positions of pre-training. */
void srq_rope_divisors(const struct srq_rope *r, float *divisor);
/* cos and sin of positions 0 … seq-1, [seq, dim/2] each, amplitude included. */
void srq_rope_tables(const struct srq_rope *r, int64_t seq, float *cosines, float *sines);

#endif
