/* A block of one input and one output on a tape. */
#ifndef TESTS_BLOCK_THROUGH_H
#define TESTS_BLOCK_THROUGH_H

#include "core/model/model.h"

static inline struct srq_var *block_through(struct srq_block *b, struct srq_tape *t, struct srq_var *x, int64_t batch,
                                            int64_t seq)
{
    struct srq_var *out[SRQ_UNIT_PORTS];

    srq_block_forward(b, t, &x, out, batch, seq);
    return out[0];
}

#endif
