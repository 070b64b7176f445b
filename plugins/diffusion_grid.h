/* Integer grids of a diffusion model (spec diffusion-qat 2): weights a group, activations a tensor. */
#ifndef DIFFUSION_GRID_H
#define DIFFUSION_GRID_H

#include <srq/plugin.h>

#include <float.h>
#include <math.h>

/* The nearest F16, which scales are stored in; at least the step of F32 at 1. */
static inline float as_f16(float s)
{
    float c;

    if (!(s > FLT_EPSILON))
        return FLT_EPSILON;
    if (s < 0x1p-14f) /* below its normal numbers steps are of one size */
        return rintf(s * 0x1p24f) * 0x1p-24f;
    c = s * 8193; /* keeps the leading 11 bits (Veltkamp's split) */
    return c - (c - s);
}

/* One group of a row. Codes are rint(w / scale) + zero in 0 … 2^bits-1. */
struct group_grid {
    float scale, zero;
};

/* Symmetric: the extremes of both sides are codes, as neither is cut off; asymmetric: from the least (at most 0) to the
 * greatest (at least 0). */
static inline struct group_grid grid_of(const float *w, int64_t n, const struct srq_scheme *s)
{
    float low = 0, high = 0, half = (float)(1 << (s->bits - 1)), last = (float)((1 << s->bits) - 1);
    struct group_grid g;

    for (int64_t i = 0; i < n; i++) {
        low = w[i] < low ? w[i] : low;
        high = w[i] > high ? w[i] : high;
    }
    if (s->grid == SRQ_GRID_INT_SYM) {
        g.scale = as_f16(fmaxf(-low / half, high / (half - 1)));
        g.zero = half;
    } else {
        g.scale = as_f16((high - low) / last);
        g.zero = fminf(fmaxf(-rintf(low / g.scale), 0), last);
    }
    return g;
}

static inline float code_of(float w, const struct group_grid *g, const struct srq_scheme *s)
{
    float q = rintf(w / g->scale) + g->zero;

    return fminf(fmaxf(q, 0), (float)((1 << s->bits) - 1));
}

/* Codes, scales and zero-points of a whole layer. */
static inline int encode_layer(const struct srq_host *h, const struct srq_layer *l, struct srq_result *out,
                               struct srq_error *err)
{
    const struct srq_groups *g = l->groups;
    float *row = h->alloc((size_t)g->in * sizeof(*row));

    if (row == NULL)
        return srq_fail_field(err, -SRQ_ENOMEM, l->name, "no memory for a row of %s", l->name);
    for (int64_t r = 0; r < g->out; r++) {
        h->widen((const char *)l->weight->data + (size_t)(r * g->in) * (l->weight->dtype == SRQ_F32 ? 4 : 2),
                 l->weight->dtype, row, g->in);
        for (int64_t k = 0; k < g->per_row; k++) {
            int64_t at = k * g->len, n = g->in - at < g->len ? g->in - at : g->len;
            struct group_grid grid = grid_of(row + at, n, l->scheme);

            out->scale[r * g->per_row + k] = grid.scale;
            out->zero[r * g->per_row + k] = (uint8_t)grid.zero;
            for (int64_t i = 0; i < n; i++)
                out->codes[r * g->in + at + i] = (uint8_t)code_of(row[at + i], &grid, l->scheme);
        }
    }
    h->free(row);
    return 0;
}

/* Rows of F32 weights as they come back from their codes. */
static inline void round_rows(const struct srq_trained *w, int64_t row, int64_t rows, float *dst)
{
    const struct srq_groups *g = w->layer->groups;

    for (int64_t r = row; r < row + rows; r++) {
        for (int64_t k = 0; k < g->per_row; k++) {
            int64_t at = k * g->len, n = g->in - at < g->len ? g->in - at : g->len;
            const float *from = w->value + r * g->in + at;
            struct group_grid grid = grid_of(from, n, w->layer->scheme);

            for (int64_t i = 0; i < n; i++)
                dst[(r - row) * g->in + at + i] = (code_of(from[i], &grid, w->layer->scheme) - grid.zero) * grid.scale;
        }
    }
}

static inline int accept_layer(const struct srq_layer *l, struct srq_error *err)
{
    const struct srq_scheme *s = l->scheme;

    if ((s->grid == SRQ_GRID_INT_SYM || s->grid == SRQ_GRID_INT_ASYM) && s->group != 0)
        return 0;
    return srq_fail_field(err, -SRQ_EUNSUPPORTED, l->name,
                          "%s: weights of diffusion models are rounded to integers with a scale a row or a group of it "
                          "(w8, w4g64)",
                          l->name);
}

/* ---- activations ------------------------------------------------------------------------------------------------- */

/* The range moves by `momentum` of the way to a batch's own, or (0) takes it in; the first batch sets it. */
static inline void observe_range(struct srq_activation *a, float low, float high, float momentum)
{
    float last = (float)((1 << a->bits) - 1), lo, hi;

    if (!a->seen) {
        a->low = low;
        a->high = high;
    } else if (momentum > 0) {
        a->low += momentum * (low - a->low);
        a->high += momentum * (high - a->high);
    } else {
        a->low = fminf(a->low, low);
        a->high = fmaxf(a->high, high);
    }
    lo = fminf(a->low, 0);
    hi = fmaxf(a->high, 0);
    a->scale = fmaxf((hi - lo) / last, FLT_EPSILON);
    a->zero = fminf(fmaxf(-rintf(lo / a->scale), 0), last);
}

/* ---- options that both plugins have ------------------------------------------------------------------------------ */

#define OPTION_CALIB                                                                                               \
    SRQ_OPTION(.name = "calib", .type = SRQ_OPT_CHOICE, .choices = "auto,uniform_t,trajectory", .value = "auto",   \
               .help = "Where noisy pictures come from: given pictures with noise of a random time, or what the "  \
                       "full-precision model passes through while it samples; auto: the first where pictures are " \
                       "given.")
#define OPTION_SPLIT                                                                                                \
    SRQ_OPTION(.name = "split_skip", .type = SRQ_OPT_BOOL, .value = "false",                                        \
               .help =                                                                                              \
                   "Inputs that are two values side by side, what came up and a skip, have a range for each. Such " \
                   "layers compute in floating point.")
#define OPTIONS_OBSERVER                                                                                            \
    SRQ_OPTION(.name = "observer", .type = SRQ_OPT_CHOICE, .choices = "ema,minmax", .value = "ema",                 \
               .help = "Range of an activation: moving average of the batches' extremes, or the extremes of all."), \
        SRQ_OPTION(.name = "momentum", .type = SRQ_OPT_FLOAT, .min = 1e-6, .max = 1, .value = "0.01",               \
                   .help = "How far a batch moves that average.")

#endif
