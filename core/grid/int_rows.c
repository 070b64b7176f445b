/* Element passes of the integer grids: one read of the weight, the offset and the gradient each.
 *
 * The loops are written for the vectorizer: no branches, no calls, at most SEGMENT elements of one group at a time.
 * Sums have LANES partial sums in a fixed order, so that they are the same with every instruction set. */
#include "core/grid/int_rows.h"

#include "core/base/alloc.h"
#include "core/base/simd.h"
#include "core/grid/rows.h"
#include "core/math/team.h"

static const float no_offset[SEGMENT];

float int_scale_floor(void)
{
    return 0x1.5p-17f; /* srq_round_f16(1e-5f) */
}

/* ---- extrema ----------------------------------------------------------------------------------------------------- */

SRQ_SIMD static void widen(const float *w, int64_t n, float *lo, float *hi)
{
    float l[LANES] = { 0 }, h[LANES] = { 0 };
    int64_t i = 0;

    for (; i + LANES <= n; i += LANES) {
        for (int k = 0; k < LANES; k++) {
            l[k] = w[i + k] < l[k] ? w[i + k] : l[k];
            h[k] = w[i + k] > h[k] ? w[i + k] : h[k];
        }
    }
    for (; i < n; i++) {
        *lo = w[i] < *lo ? w[i] : *lo;
        *hi = w[i] > *hi ? w[i] : *hi;
    }
    for (int k = 0; k < LANES; k++) {
        *lo = l[k] < *lo ? l[k] : *lo;
        *hi = h[k] > *hi ? h[k] : *hi;
    }
}

struct extrema {
    const struct srq_grid_args *a;
    float *lo, *hi; /* one entry a group, or a row with group 0 */
};

static void extrema_rows(void *ctx, int64_t begin, int64_t end)
{
    const struct extrema *x = ctx;
    const struct srq_groups *g = x->a->groups;
    const struct srq_tensor *w = x->a->weight;
    size_t size = srq_dtype_size(w->dtype);
    float part[SEGMENT];

    for (int64_t r = begin; r < end; r++) {
        for (int64_t i = 0; i < g->in;) {
            int64_t group = r * g->per_row + i / g->len;
            int64_t stop = (i / g->len + 1) * g->len;
            int64_t n = (stop < g->in ? stop : g->in) - i;

            n = n < SEGMENT ? n : SEGMENT;
            if (i % g->len == 0)
                x->lo[group] = x->hi[group] = 0;
            srq_convert((const char *)w->data + (size_t)(r * g->in + i) * size, w->dtype, part, SRQ_F32, n);
            widen(part, n, &x->lo[group], &x->hi[group]);
            i += n;
        }
    }
}

int int_rows_extrema(const struct srq_grid_args *a, float *lo, float *hi)
{
    struct extrema x = { .a = a, .lo = lo, .hi = hi };
    int64_t out = a->groups->out;
    bool whole = a->groups->count == 1 && out > 1;
    float *rows = NULL;

    if (whole) {
        rows = srq_calloc((size_t)out, 2 * sizeof(*rows));
        if (rows == NULL)
            return -SRQ_ENOMEM;
        x.lo = rows;
        x.hi = rows + out;
    }
    srq_parallel(out, 16, extrema_rows, &x);
    if (whole) {
        *lo = *hi = 0;
        for (int64_t r = 0; r < out; r++) {
            *lo = x.lo[r] < *lo ? x.lo[r] : *lo;
            *hi = x.hi[r] > *hi ? x.hi[r] : *hi;
        }
        srq_free(rows);
    }
    return 0;
}

/* ---- one run of elements inside a group -------------------------------------------------------------------------- */

/* What is read at the elements of a run, at most SEGMENT of them. */
struct run {
    const void *w;
    const float *v;
    int64_t n;
};

/* r = rne(W/s + V), held to one step outside [lo, hi]: that changes neither e nor k, and lets the sum with 1.5 * 2^23
 * round to the nearest even whole number. */
INLINE float rounded(float x, float v, const struct int_unit *u)
{
    float r = x + v, lo = u->lo - 1, hi = u->hi + 1;

    r = r < lo ? lo : r;
    r = r > hi ? hi : r;
    return nearest_whole(r);
}

INLINE float clamped_to(float r, const struct int_unit *u)
{
    r = r < u->lo ? u->lo : r;
    return r > u->hi ? u->hi : r;
}

INLINE void fake_run(const struct run *run, enum srq_dtype wtype, const struct int_unit *unit, void *restrict dst,
                     enum srq_dtype dtype)
{
    const struct int_unit u = *unit;
    const float *restrict v = run->v;
    const void *restrict w = run->w;

    for (int64_t i = 0; i < run->n; i++) {
        float f = u.s * clamped_to(rounded(weight_at(w, wtype, i) / u.s, v[i], &u), &u);

        if (dtype == SRQ_F32)
            ((float *)dst)[i] = f;
        else
            ((uint16_t *)dst)[i] = to_bf16(f);
    }
}

/* grad: G on entry, G s k on return. */
INLINE void grad_run(const struct run *run, enum srq_dtype wtype, const struct int_unit *unit, float *restrict grad,
                     struct int_sums *sums)
{
    const struct int_unit u = *unit;
    const float *restrict v = run->v;
    const void *restrict w = run->w;
    float in[SEGMENT], out[SEGMENT];

    for (int64_t i = 0; i < run->n; i++) {
        float x = weight_at(w, wtype, i) / u.s, r = rounded(x, v[i], &u), e = clamped_to(r, &u), g = grad[i];
        float k = e == r ? 1.0f : 0.0f;

        in[i] = g * (e - k * x);
        out[i] = g * (1 - k);
        grad[i] = g * u.s * k;
    }
    sums->inner += total(in, run->n);
    sums->clamped += total(out, run->n);
}

INLINE void encode_run(const struct run *run, enum srq_dtype wtype, const struct int_unit *unit,
                       uint8_t *restrict codes)
{
    const struct int_unit u = *unit;
    const float *restrict v = run->v;
    const void *restrict w = run->w;

    for (int64_t i = 0; i < run->n; i++) {
        float e = clamped_to(rounded(weight_at(w, wtype, i) / u.s, v[i], &u), &u);

        codes[i] = (uint8_t)(int32_t)(e - u.lo);
    }
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

/* The run of row `r` from column `i` on, in a group that ends before column `stop`. */
INLINE struct run run_at(const struct srq_grid_args *a, int64_t r, int64_t i, int64_t stop, enum srq_dtype wtype)
{
    int64_t from = r * a->groups->in + i;
    struct run run;

    run.n = stop - i < SEGMENT ? stop - i : SEGMENT;
    run.w = (const char *)a->weight->data + (size_t)from * (wtype == SRQ_F32 ? 4 : 2);
    run.v = a->v != NULL ? a->v + from : no_offset;
    return run;
}

INLINE void fake_rows(const struct srq_grid_args *a, int64_t row, int64_t rows, char *dst, enum srq_dtype dtype,
                      int64_t ld, const struct int_kind *kind, enum srq_dtype wtype)
{
    const struct srq_groups *g = a->groups;
    size_t size = dtype == SRQ_F32 ? 4 : 2;
    struct int_unit u;

    for (int64_t r = row; r < row + rows; r++) {
        for (int64_t j = 0; j < g->per_row; j++) {
            int64_t stop = end_of(g, j);

            kind->unit(a, group_of(g, r, j), &u);
            for (int64_t i = j * g->len; i < stop; i += SEGMENT) {
                struct run run = run_at(a, r, i, stop, wtype);

                fake_run(&run, wtype, &u, dst + (size_t)((r - row) * ld + i) * size, dtype);
            }
        }
    }
}

SRQ_SIMD void int_rows_fake(const struct srq_grid_args *a, int64_t row, int64_t rows, void *dst, enum srq_dtype dtype,
                            int64_t ld, const struct int_kind *kind)
{
    enum srq_dtype wtype = a->weight->dtype;

    if (dtype == SRQ_F32 && wtype == SRQ_BF16)
        fake_rows(a, row, rows, dst, SRQ_F32, ld, kind, SRQ_BF16);
    else if (dtype == SRQ_F32 && wtype == SRQ_F32)
        fake_rows(a, row, rows, dst, SRQ_F32, ld, kind, SRQ_F32);
    else if (dtype == SRQ_F32)
        fake_rows(a, row, rows, dst, SRQ_F32, ld, kind, SRQ_F16);
    else if (wtype == SRQ_BF16)
        fake_rows(a, row, rows, dst, SRQ_BF16, ld, kind, SRQ_BF16);
    else if (wtype == SRQ_F32)
        fake_rows(a, row, rows, dst, SRQ_BF16, ld, kind, SRQ_F32);
    else
        fake_rows(a, row, rows, dst, SRQ_BF16, ld, kind, SRQ_F16);
}

INLINE void grad_rows(const struct srq_grid_args *a, int64_t row, int64_t rows, float *grad, float *galpha,
                      float *gbeta, const struct int_kind *kind, enum srq_dtype wtype)
{
    const struct srq_groups *g = a->groups;
    struct int_unit u;

    for (int64_t r = row; r < row + rows; r++) {
        for (int64_t j = 0; j < g->per_row; j++) {
            int64_t stop = end_of(g, j), group = group_of(g, r, j);
            struct int_sums sums = { 0 };
            float ga = 0, gb = 0;

            kind->unit(a, group, &u);
            for (int64_t i = j * g->len; i < stop; i += SEGMENT) {
                struct run run = run_at(a, r, i, stop, wtype);

                grad_run(&run, wtype, &u, grad + (r - row) * g->in + i, &sums);
            }
            if (galpha == NULL)
                continue;
            kind->fold(a, group, &u, &sums, &ga, &gb);
            galpha[group] += ga;
            gbeta[group] += gb;
        }
    }
}

SRQ_SIMD void int_rows_grad(const struct srq_grid_args *a, int64_t row, int64_t rows, float *grad, float *galpha,
                            float *gbeta, const struct int_kind *kind)
{
    if (a->weight->dtype == SRQ_BF16)
        grad_rows(a, row, rows, grad, galpha, gbeta, kind, SRQ_BF16);
    else if (a->weight->dtype == SRQ_F32)
        grad_rows(a, row, rows, grad, galpha, gbeta, kind, SRQ_F32);
    else
        grad_rows(a, row, rows, grad, galpha, gbeta, kind, SRQ_F16);
}

INLINE void encode_rows(const struct srq_grid_args *a, int64_t row, int64_t rows, struct srq_result *out,
                        const struct int_kind *kind, enum srq_dtype wtype)
{
    const struct srq_groups *g = a->groups;
    struct int_unit u;

    for (int64_t r = row; r < row + rows; r++) {
        for (int64_t j = 0; j < g->per_row; j++) {
            int64_t stop = end_of(g, j), group = group_of(g, r, j);

            kind->unit(a, group, &u);
            for (int64_t i = j * g->len; i < stop; i += SEGMENT) {
                struct run run = run_at(a, r, i, stop, wtype);

                encode_run(&run, wtype, &u, out->codes + r * g->in + i);
            }
            if (g->count > 1 || r == 0) { /* one group for all: its entry is written by one row's thread only */
                out->scale[group] = u.s;
                out->zero[group] = (uint8_t)-u.lo;
            }
        }
    }
}

SRQ_SIMD void int_rows_encode(const struct srq_grid_args *a, int64_t row, int64_t rows, struct srq_result *out,
                              const struct int_kind *kind)
{
    if (a->weight->dtype == SRQ_BF16)
        encode_rows(a, row, rows, out, kind, SRQ_BF16);
    else if (a->weight->dtype == SRQ_F32)
        encode_rows(a, row, rows, out, kind, SRQ_F32);
    else
        encode_rows(a, row, rows, out, kind, SRQ_F16);
}
