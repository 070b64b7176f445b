/* Equivalent transformations: where a model can take per-channel scales without changing what it computes, and the
 * model as it is with them folded in (spec teq 3.2, 3.3).
 *
 * A pair is a producer and all that read what it makes. With scales alpha [channels] the producer gives 1/alpha of what
 * it gave and every consumer's weight [out, in] is multiplied by alpha along `in`. Kinds:
 *   A  norm before attention -> q, k, v
 *   B  norm before the MLP -> gate, up (every reader, quantized or not)
 *   C  rows and bias of v -> o (grouped queries: one channel of v is read by `repeat` heads of o)
 *   D  rows and bias of up -> down
 *   E  final norm -> lm_head, where that is not the embedding
 * What lies between must commute with positive scales; a family says what does (enum srq_between), and a pair across
 * something that does not is refused by name. */
#ifndef SRQ_MODEL_SCALE_PAIRS_H
#define SRQ_MODEL_SCALE_PAIRS_H

#include "core/model/model.h"

/* What a producer's output goes through, channel by channel, before its consumers read it. */
enum srq_between {
    SRQ_BETWEEN_NOTHING,
    SRQ_BETWEEN_ATTENTION, /* a weighted mean over positions: linear in v */
    SRQ_BETWEEN_PRODUCT,   /* times something that the producer has no part in (act(gate) * up) */
    SRQ_BETWEEN_RELU,      /* positively homogeneous */
    SRQ_BETWEEN_SILU,      /* not homogeneous: refused */
    SRQ_BETWEEN_GELU,      /* the same */
};

/* 0, or -SRQ_EUNSUPPORTED naming producer, consumer and what lies between. */
int srq_between_check(enum srq_between between, const char *producer, const char *consumer, struct srq_error *err);

#define SRQ_PAIR_CONSUMERS 8

struct srq_pair_info {
    const char *name;      /* the producer's module, "model.layers.3.input_layernorm" */
    char kind;             /* 'A' … 'E' */
    int block;             /* -1: E */
    int64_t channels;      /* of alpha */
    int64_t in;            /* input channels of the consumers: channels * repeat */
    int64_t width, repeat; /* input channel c uses alpha[c / width / repeat * width + c % width] (spec teq 3.3); repeat
                              1, width `in` where every channel has its own */
    int producer;          /* place in the model's table of layers; -1: a norm */
    int consumers[SRQ_PAIR_CONSUMERS]; /* places in that table */
    int consumer_count;
};

/* All pairs of the model, block by block, A B C D in each, E last. They live as long as the model. A quantized folder
 * has none: its weights are not to be changed. */
int srq_model_pair_count(const struct srq_model *m);
const struct srq_pair_info *srq_model_pair(const struct srq_model *m, int i);
/* The entry of alpha that input channel c of the consumers uses. */
int64_t srq_pair_channel(const struct srq_pair_info *p, int64_t c);

/* ---- folding ----------------------------------------------------------------------------------------------------- */

/* From here on the model is the one with alpha[i] [channels of pair i] folded in; alpha[i] NULL: pair i is left alone.
 * The values are copied. Everything that reads weights sees the folded ones: blocks, embeddings (never changed), final
 * norm, head, srq_model_weight (F32 then), exports. A scale is finite and at least 1e-5, else -SRQ_ENUMERIC naming pair
 * and channel. Norm weights are stored in the checkpoint's dtype, so gamma/alpha is rounded to it first and the
 * consumers get alpha' = gamma / rounded(gamma/alpha), which makes the fold exact; where that quotient is not finite
 * and positive, alpha is halved or doubled towards 1 until it is, and where gamma is 0, for which every alpha is exact,
 * alpha' is alpha. Where the tensor holds gamma - 1 (gemma), gamma/alpha - 1 is what is rounded. Rows of linear
 * producers and their biases are divided in F32.
 * A second fold replaces the first (both start from the stored weights). Nobody may be reading the model meanwhile, and
 * blocks that were loaded before have to be loaded again. */
int srq_model_fold(struct srq_model *m, const float *const *alpha, struct srq_error *err);
/* The stored model again. */
void srq_model_unfold(struct srq_model *m);
bool srq_model_folded(const struct srq_model *m);
/* alpha' of a pair as it was folded in, [channels]; NULL: left alone. */
const float *srq_model_folded_scale(const struct srq_model *m, int pair);
/* Bytes that a folded model keeps beside the mapped file: scales, norms, and F32 weights of the largest block. */
uint64_t srq_model_fold_bytes(const struct srq_model *m);

/* Lays the fold aside, so that the model is the stored one for the time being, or takes it up again. */
void srq_model_lay_aside(struct srq_model *m, bool aside);

#endif
