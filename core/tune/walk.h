/* One block over a batch of samples: forwards without a record, and backwards with its activations computed again, so
 * that never more than one block's are held. */
#ifndef SRQ_TUNE_WALK_H
#define SRQ_TUNE_WALK_H

#include "core/model/model.h"

struct srq_walk {
    struct srq_block *block; /* loaded */
    struct srq_tape *tape;
    enum srq_dtype compute;
    int64_t seq, hidden;
};

/* States from [n, seq, hidden] through the block to `to`, which may be `from`. */
int srq_walk_forward(const struct srq_walk *w, uint8_t *from, uint8_t *to, int64_t n, struct srq_error *err);
/* Tokens of n samples, `batch` of them at a time, through all blocks as the model has them: their final states [n, seq,
 * hidden]. The walk's block is loaded with each in turn. tick (may be NULL) before every block; a non-zero return ends
 * with that code. */
int srq_walk_model(const struct srq_walk *w, const struct srq_model *m, const int32_t *ids, int64_t n, int64_t batch,
                   uint8_t *states, int (*tick)(void *ctx, int block), void *ctx, struct srq_error *err);
/* As srq_walk_forward, and backwards from dL/dy `grad` [n, seq, hidden] to the sinks of the block's linears. With
 * `inwards` dL/dx takes the place of the states x [n, seq, hidden]. */
int srq_walk_backward(const struct srq_walk *w, uint8_t *x, uint8_t *grad, int64_t n, bool inwards,
                      struct srq_error *err);
/* Bytes that both take on the tape for n samples, with sinks on all linears of a block. */
int srq_walk_measure(const struct srq_model *m, enum srq_dtype compute, int64_t n, int64_t seq, size_t *bytes,
                     struct srq_error *err);
/* A sink that hears nothing, for measuring. */
void srq_walk_ignore_gradient(void *ctx, int64_t row, int64_t rows, float *grad);

#endif
