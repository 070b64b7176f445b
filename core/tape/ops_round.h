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
    /* Columns from here on, those of what was put beside others, have a grid of their own (spec diffusion-qat 11); 0:
     * all have the one above, as they have where that is off. */
    int64_t split;
    struct {
        float scale, low, high, zero;
    } rest;
};

static inline bool srq_rounding_off(const struct srq_rounding *r)
{
    return r->scale == 0.0f;
}

/* Whether codes of the grid, which is one, are bytes, counted from the lowest, and 0 is one of them. */
static inline bool srq_rounding_fits_bytes(const struct srq_rounding *r)
{
    return !srq_rounding_off(r) && r->split == 0 && r->high - r->low <= 255 && r->low <= r->zero && r->zero <= r->high;
}

/* On a tape that measures: any grid, or two. */
static inline void srq_rounding_measure(struct srq_rounding *r, int64_t split)
{
    *r = (struct srq_rounding){ .scale = 1, .split = split };
}

/* y = (clamp(round(x/scale) + zero, low, high) - zero) scale, ties to even. dx = dy where the code was within [low,
 * high] before it was clamped, else 0; one bit an element is kept for that. With neither scale nor observe, y is x
 * itself. A measuring tape observes nothing, and expects rounding wherever there is an `observe`. */
struct srq_var *srq_op_round(struct srq_tape *t, struct srq_var *x, struct srq_rounding *r);

#endif
