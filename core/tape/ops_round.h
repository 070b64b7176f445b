/* Fake quantization of values (activations), with the masked straight-through estimator. */
#ifndef SRQ_TAPE_OPS_ROUND_H
#define SRQ_TAPE_OPS_ROUND_H

#include "core/tape/tape.h"

/* A grid of integer codes: a value x stands for code round(x / scale) + zero, kept within [low, high]. */
struct srq_rounding {
    float scale;     /* 0: values pass unchanged */
    float low, high; /* codes, as zero is: whole numbers below 2^22 in magnitude */
    float zero;
    /* When set, called with each x before it is rounded; may change scale and zero (calibration, dynamic ranges). */
    void (*observe)(void *ctx, struct srq_rounding *r, const struct srq_tensor *x);
    void *ctx;
};

static inline bool srq_rounding_off(const struct srq_rounding *r)
{
    return r->scale == 0.0f;
}

/* Whether codes of the grid, counted from the lowest, are bytes, and 0 is one of them. */
static inline bool srq_rounding_fits_bytes(const struct srq_rounding *r)
{
    return !srq_rounding_off(r) && r->high - r->low <= 255 && r->low <= r->zero && r->zero <= r->high;
}

/* y = (clamp(round(x/scale) + zero, low, high) - zero) scale, ties to even. dx = dy where the code was within [low,
 * high] before it was clamped, else 0; one bit an element is kept for that. With neither scale nor observe, y is x
 * itself. A measuring tape observes nothing, and expects rounding wherever there is an `observe`. */
struct srq_var *srq_op_round(struct srq_tape *t, struct srq_var *x, struct srq_rounding *r);

#endif
