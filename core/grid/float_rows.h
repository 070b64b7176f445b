/* The passes over the elements of a layer that all floating-point grids share. A grid says, for one group, its scale s;
 * then with round() to the nearest element, ties to the even one,
 *     t = clamp(W/s + V, ±max),   y = round(t),   Ŵ = s y,   k = 1 if |W/s + V| <= max, else 0
 * and, as rounding is differentiated straight through,
 *     dŴ/dV = s d k,   dŴ/ds = y - d k W/s,   ds/dbeta = slope
 * where d = y/t above the subnormal elements for the mx grids, whose element exponent follows t, else 1
 * (spec signround 9.1 to 9.3).
 *
 * Each grid's file makes its operations with FLOAT_GRID_OPS from a constant description, so that everything is inlined.
 */
#ifndef SRQ_GRID_FLOAT_ROWS_H
#define SRQ_GRID_FLOAT_ROWS_H

#include "core/base/simd.h"
#include "core/grid/int_rows.h"
#include "core/grid/ops.h"
#include "core/grid/rows.h"
#include "core/grid/weights_of_error.h"

struct float_unit {
    float s;      /* what elements are multiplied by */
    float inv;    /* 1/s where the grid's scales are powers of two */
    float stored; /* the scale as it is stored */
    float slope;  /* ds/dbeta; 0 where the scale is held at an end of its range */
};

struct float_grid {
    float max;   /* greatest element */
    float least; /* below it elements are evenly spaced */
    float magic; /* 1.5 * 2^(23 - mantissa bits) */
    bool mx;     /* scales are powers of two; d = y/t */
    int len;     /* elements of a group that the compiler shall know, or 0 */
    /* start: factor on the group's largest magnitude, from a search */
    void (*unit)(const struct srq_grid_args *a, int64_t group, float start, struct float_unit *u);
    uint8_t (*code)(float y);
};

INLINE float largest_of(const struct srq_grid_args *a, int64_t group)
{
    return a->hi[group] < -a->lo[group] ? -a->lo[group] : a->hi[group];
}

INLINE float beta_of(const struct srq_grid_args *a, int64_t group)
{
    return a->beta != NULL ? a->beta[group] : 1.0f;
}

INLINE void unit_at(const struct float_grid *f, const struct srq_grid_args *a, int64_t group, struct float_unit *u)
{
    const float *start = a->start;

    f->unit(a, group, start != NULL ? start[group] : 1.0f, u);
}

/* ---- elements ---------------------------------------------------------------------------------------------------- */

/* E2M1: 0 0.5 1 1.5 2 3 4 6, the sign in bit 3. */
INLINE uint8_t code_e2m1(float y)
{
    float size = y < 0 ? -y : y;
    uint32_t u;

    memcpy(&u, &size, sizeof(u));
    u = size < 1 ? (uint32_t)(int32_t)(size * 2) : (u >> 22) - 252u;
    return (uint8_t)(u | (y < 0 ? 8u : 0u));
}

/* E4M3: bias 7, subnormals are multiples of 2^-9, the sign in bit 7. */
INLINE uint8_t code_e4m3(float y)
{
    float size = y < 0 ? -y : y;
    uint32_t u;

    memcpy(&u, &size, sizeof(u));
    u = size < 0x1p-6f ? (uint32_t)(int32_t)(size * 512) : (u >> 20) - 960u;
    return (uint8_t)(u | (y < 0 ? 128u : 0u));
}

INLINE float shrunk(const struct float_grid *f, const struct float_unit *u, float w)
{
    return f->mx ? w * u->inv : w / u->s;
}

INLINE float clamped(const struct float_grid *f, float t)
{
    t = t > f->max ? f->max : t;
    return t < -f->max ? -f->max : t;
}

INLINE float rounded_element(const struct float_grid *f, float t)
{
    return round_in_binade(t, f->least, f->magic);
}

/* ---- runs inside a group ----------------------------------------------------------------------------------------- */

INLINE void float_fake_run(const struct float_grid *f, const struct float_unit *unit, const float *restrict v,
                           int64_t n, float *restrict w)
{
    const struct float_unit u = *unit;

    for (int64_t i = 0; i < n; i++)
        w[i] = u.s * rounded_element(f, clamped(f, shrunk(f, &u, w[i]) + v[i]));
}

/* grad: G on entry, G s d k on return. Returns the sum of G dŴ/ds. */
INLINE float float_grad_run(const struct float_grid *f, const struct float_unit *unit, const float *restrict v,
                            const float *restrict w, int64_t n, float *restrict grad)
{
    const struct float_unit u = *unit;
    float sum[SEGMENT];

    for (int64_t i = 0; i < n; i++) {
        float x = shrunk(f, &u, w[i]), r = x + v[i], t = clamped(f, r), y = rounded_element(f, t), g = grad[i];
        float size = t < 0 ? -t : t, d = f->mx && size >= f->least ? y / t : 1.0f, k = r == t ? d : 0.0f;

        sum[i] = g * (y - k * x);
        grad[i] = g * u.s * k;
    }
    return total(sum, n);
}

INLINE void float_encode_run(const struct float_grid *f, const struct float_unit *unit, const float *restrict v,
                             const float *restrict w, int64_t n, uint8_t *restrict codes)
{
    const struct float_unit u = *unit;

    for (int64_t i = 0; i < n; i++)
        codes[i] = f->code(rounded_element(f, clamped(f, shrunk(f, &u, w[i]) + v[i])));
}

INLINE float float_error_run(const struct float_grid *f, const struct float_unit *unit, const float *restrict h,
                             const float *restrict w, int64_t n)
{
    const struct float_unit u = *unit;
    float sum[SEGMENT];

    for (int64_t i = 0; i < n; i++) {
        float d = u.s * rounded_element(f, clamped(f, shrunk(f, &u, w[i]))) - w[i];

        sum[i] = h[i] * (d * d);
    }
    return total(sum, n);
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static const float float_no_offset[SEGMENT];

INLINE const float *offsets(const struct srq_grid_args *a, int64_t from)
{
    return a->v != NULL ? a->v + from : float_no_offset;
}

/* Columns [i, return value) of row r lie in one group and in one segment, which begins at `base`. */
INLINE int64_t run_end(const struct srq_groups *g, int64_t i, int64_t base)
{
    int64_t stop = end_of(g, i / g->len);

    return stop < base + SEGMENT ? stop : base + SEGMENT;
}

INLINE void float_fake(const struct float_grid *f, const struct srq_grid_args *a, int64_t row, int64_t rows, void *dst,
                       enum srq_dtype dtype, int64_t ld)
{
    const struct srq_groups *g = a->groups;
    struct float_unit u;
    float part[SEGMENT];

    for (int64_t r = row; r < row + rows; r++) {
        for (int64_t base = 0; base < g->in; base += SEGMENT) {
            int64_t n = g->in - base < SEGMENT ? g->in - base : SEGMENT, from = r * g->in + base;
            int64_t to = (r - row) * ld + base;
            const float *v = offsets(a, from);

            load_run(a->weight, from, part, n);
            for (int64_t i = 0, stop; i < n; i = stop) {
                stop = run_end(g, base + i, base) - base;
                unit_at(f, a, group_of(g, r, (base + i) / g->len), &u);
                if (stop - i == f->len)
                    float_fake_run(f, &u, v + i, f->len, part + i);
                else
                    float_fake_run(f, &u, v + i, stop - i, part + i);
            }
            if (dtype == SRQ_F32)
                memcpy((float *)dst + to, part, (size_t)n * sizeof(*part));
            else
                for (int64_t i = 0; i < n; i++)
                    ((uint16_t *)dst)[to + i] = to_bf16(part[i]);
        }
    }
}

INLINE void float_grad(const struct float_grid *f, const struct srq_grid_args *a, int64_t row, int64_t rows,
                       float *grad, float *gbeta)
{
    const struct srq_groups *g = a->groups;
    struct float_unit u;
    float part[SEGMENT];

    for (int64_t r = row; r < row + rows; r++) {
        for (int64_t base = 0; base < g->in; base += SEGMENT) {
            int64_t n = g->in - base < SEGMENT ? g->in - base : SEGMENT, from = r * g->in + base;
            float *to = grad + (r - row) * g->in + base;
            const float *v = offsets(a, from);

            load_run(a->weight, from, part, n);
            for (int64_t i = 0, stop; i < n; i = stop) {
                int64_t group = group_of(g, r, (base + i) / g->len);
                float inner;

                stop = run_end(g, base + i, base) - base;
                unit_at(f, a, group, &u);
                if (stop - i == f->len)
                    inner = float_grad_run(f, &u, v + i, part + i, f->len, to + i);
                else
                    inner = float_grad_run(f, &u, v + i, part + i, stop - i, to + i);
                if (gbeta != NULL)
                    gbeta[group] += inner * u.slope;
            }
        }
    }
}

INLINE void float_encode(const struct float_grid *f, const struct srq_grid_args *a, int64_t row, int64_t rows,
                         struct srq_result *out)
{
    const struct srq_groups *g = a->groups;
    struct float_unit u;
    float part[SEGMENT];

    for (int64_t r = row; r < row + rows; r++) {
        for (int64_t base = 0; base < g->in; base += SEGMENT) {
            int64_t n = g->in - base < SEGMENT ? g->in - base : SEGMENT, from = r * g->in + base;
            const float *v = offsets(a, from);

            load_run(a->weight, from, part, n);
            for (int64_t i = 0, stop; i < n; i = stop) {
                int64_t group = group_of(g, r, (base + i) / g->len);

                stop = run_end(g, base + i, base) - base;
                unit_at(f, a, group, &u);
                float_encode_run(f, &u, v + i, part + i, stop - i, out->codes + from + i);
                if (a->scheme->group != 0 ||
                    r == 0) { /* one group for all: its entry is written by one row's thread only */
                    out->scale[group] = u.stored;
                    out->zero[group] = 0;
                }
            }
        }
    }
}

/* The candidate first + step * i, i < count, whose error is least; 1 unless one is strictly better. */
INLINE void float_search(const struct float_grid *f, const struct srq_grid_args *a, const float *importance,
                         int64_t row, int64_t rows, const float *candidate, int count, float *start)
{
    struct srq_grid_args nominal = *a;
    const struct srq_groups *g = a->groups;
    float w[SEGMENT], h[SEGMENT];

    nominal.beta = NULL;

    for (int64_t r = row; r < row + rows; r++) {
        for (int64_t j = 0; j < g->per_row; j++) {
            int64_t from = j * g->len, n = end_of(g, j) - from, group = group_of(g, r, j);
            struct error_weights e = error_weights_of(a, importance, r, from, from + n);
            struct float_unit u;
            float least, error;

            load_run(a->weight, r * g->in + from, w, n);
            error_weights_run(&e, w, from, n, h);
            f->unit(&nominal, group, 1.0f, &u);
            least = float_error_run(f, &u, h, w, n);
            start[group] = 1;
            for (int c = 0; c < count; c++) {
                f->unit(&nominal, group, candidate[c], &u);
                error = n == f->len ? float_error_run(f, &u, h, w, f->len) : float_error_run(f, &u, h, w, n);
                if (error < least) {
                    least = error;
                    start[group] = candidate[c];
                }
            }
        }
    }
}

/* The operations of the grid that `grid` describes, but for its search, as NAME_fake and so on. */
#define FLOAT_GRID_OPS(name, grid)                                                                          \
    SRQ_SIMD static void name##_fake(const struct srq_grid_args *a, int64_t row, int64_t rows, void *dst,   \
                                     enum srq_dtype dtype, int64_t ld)                                      \
    {                                                                                                       \
        float_fake(&grid, a, row, rows, dst, dtype, ld);                                                    \
    }                                                                                                       \
    SRQ_SIMD static void name##_grad(const struct srq_grid_args *a, int64_t row, int64_t rows, float *grad, \
                                     float *galpha, float *gbeta)                                           \
    {                                                                                                       \
        (void)galpha; /* these grids have no lower end of their own */                                      \
        float_grad(&grid, a, row, rows, grad, gbeta);                                                       \
    }                                                                                                       \
    SRQ_SIMD static void name##_encode(const struct srq_grid_args *a, int64_t row, int64_t rows,            \
                                       struct srq_result *out)                                              \
    {                                                                                                       \
        float_encode(&grid, a, row, rows, out);                                                             \
    }

#endif
