/* Statistics of the inputs of a block's layers, taken while samples run through the block (their taps): largest and
 * mean magnitude of every channel, and the second moment of all pairs of channels. Layers that read the same input
 * (those of one tie) share theirs. For the same batches in the same order and the same number of threads they are the
 * same. */
#ifndef SRQ_TUNE_STATISTICS_H
#define SRQ_TUNE_STATISTICS_H

#include "core/model/model.h"

struct srq_statistics; /* of one block after the other, in memory for the largest */

struct srq_input_statistics {
    const float *max;     /* [in] largest |x|; NULL unless SRQ_NEED_RANGES */
    const float *mean;    /* [in] mean |x|; the same */
    const float *hessian; /* [in, in] mean of x xᵀ, symmetric, both halves; NULL unless SRQ_NEED_HESSIAN */
    int64_t tokens;       /* that were seen */
};

/* For the plan. needs: SRQ_NEED_HESSIAN, SRQ_NEED_RANGES of the plugin interface; others are ignored. outside: also for
 * the input of a layer outside the blocks (an untied lm_head). */
uint64_t srq_statistics_bytes(const struct srq_model *m, uint32_t needs, bool outside);
int srq_statistics_create(const struct srq_model *m, uint32_t needs, bool outside, struct srq_statistics **out,
                          struct srq_error *err);
void srq_statistics_free(struct srq_statistics *s);

/* Forgets everything and listens to layers of a loaded block until srq_statistics_end: to all of them, or (wanted not
 * NULL, [layers of the block]) to those that are set. */
void srq_statistics_begin(struct srq_statistics *s, struct srq_block *b, const bool *wanted);
void srq_statistics_end(struct srq_statistics *s);
/* Without a block: forgets everything and adds inputs x [tokens, in] (F32 or BF16) of a layer outside the blocks, whose
 * statistics are then those of layer 0. */
void srq_statistics_of_input(struct srq_statistics *s, const struct srq_tensor *x);
/* Of layer i of the block; false: no data reached it. Valid until the next begin. */
bool srq_statistics_get(struct srq_statistics *s, int i, struct srq_input_statistics *out);

#endif
