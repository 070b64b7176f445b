/* Element passes of the integer grids: one read of the weight, the offset and the gradient each. */
#include "core/grid/int_rows.h"

#include "core/base/alloc.h"
#include "core/base/simd.h"
#include "core/grid/lanes.h"
#include "core/math/team.h"

#define SEGMENT 512

float int_scale_floor(void)
{
    return 0x1.5p-17f; /* srq_round_f16(1e-5f) */
}

/* ---- extrema ------------------------------------------------------------------------------------------------- */

SRQ_SIMD static void widen(const float *w, int64_t n, float *lo, float *hi)
{
    lanes_f least = { 0 }, most = { 0 }, x;
    lanes_i m;
    float part[LANES] = { 0 }, l[LANES], h[LANES];

    for (int64_t i = 0; i < n; i += LANES) {
        if (i + LANES > n) {
            memcpy(part, w + i, (size_t)(n - i) * sizeof(*w));
            lanes_load(part, &x);
        } else {
            lanes_load(w + i, &x);
        }
        m = x < least;
        lanes_pick(&m, &x, &least, &least);
        m = x > most;
        lanes_pick(&m, &x, &most, &most);
    }
    memcpy(l, &least, sizeof(l));
    memcpy(h, &most, sizeof(h));
    for (int i = 0; i < LANES; i++) {
        *lo = l[i] < *lo ? l[i] : *lo;
        *hi = h[i] > *hi ? h[i] : *hi;
    }
}

struct extrema {
    const struct srq_grid_args *a;
    float *lo, *hi; /* one entry a group, or a row with group 0 */
};

static void extrema_rows(void *ctx, int64_t begin, int64_t end)
{
    const struct extrema *x = ctx;
    const struct srq_groups *g = &x->a->groups;
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
    int64_t out = a->groups.out;
    bool whole = a->groups.count == 1 && out > 1;
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

/* ---- one run of elements inside a group ---------------------------------------------------------------------- */

/* What is read and written at element i of a run. */
struct run {
    const char *w;
    const float *v; /* or NULL */
    int64_t n;
};

/* x = W/s; e and k as in the header. Clamping to one step outside the interval before rounding changes neither e nor
 * k, and lets the sum with 1.5 * 2^23 round to the nearest even whole number. */
LANES_INLINE void quantize(const lanes_f *w, const lanes_f *v, const struct int_unit *u, lanes_f *x, lanes_f *e,
                           lanes_i *k)
{
    lanes_f r;

    *x = *w / u->s;
    r = *x + *v;
    lanes_clamp(&r, u->lo - 1, u->hi + 1);
    r = (r + 0x1.8p23f) - 0x1.8p23f;
    *k = (r >= u->lo) & (r <= u->hi);
    *e = r;
    lanes_clamp(e, u->lo, u->hi);
}

/* Loads up to eight elements; absent ones are zero, which adds nothing to any sum. */
LANES_INLINE void load(const struct run *run, int64_t i, enum srq_dtype wtype, lanes_f *w, lanes_f *v)
{
    size_t size = wtype == SRQ_F32 ? 4 : 2;
    int64_t left = run->n - i;

    if (left >= LANES) {
        lanes_load_weight(run->w + (size_t)i * size, wtype, w);
        if (run->v != NULL)
            lanes_load(run->v + i, v);
    } else {
        float wide[LANES] = { 0 }, off[LANES] = { 0 };

        memcpy(wide, run->w + (size_t)i * size, (size_t)left * size);
        lanes_load_weight(wide, wtype, w);
        if (run->v != NULL) {
            memcpy(off, run->v + i, (size_t)left * sizeof(float));
            lanes_load(off, v);
        }
    }
}

LANES_INLINE void fake_run(const struct run *run, enum srq_dtype wtype, const struct int_unit *u, char *dst,
                           enum srq_dtype dtype)
{
    size_t size = dtype == SRQ_F32 ? 4 : 2;
    lanes_f w, v = { 0 }, x, e;
    lanes_i k;
    float part[LANES];

    for (int64_t i = 0; i < run->n; i += LANES) {
        load(run, i, wtype, &w, &v);
        quantize(&w, &v, u, &x, &e, &k);
        e *= u->s;
        if (run->n - i >= LANES) {
            lanes_store(dst + (size_t)i * size, dtype, &e);
        } else {
            lanes_store(part, dtype, &e);
            memcpy(dst + (size_t)i * size, part, (size_t)(run->n - i) * size);
        }
    }
}

/* grad: G on entry, G s k on return. */
LANES_INLINE void grad_run(const struct run *run, enum srq_dtype wtype, const struct int_unit *u, float *grad,
                           lanes_f *inner, lanes_f *clamped)
{
    lanes_f w, v = { 0 }, x, e, g;
    lanes_i k;

    for (int64_t i = 0; i < run->n; i += LANES) {
        float part[LANES] = { 0 }, *p = grad + i;
        int64_t left = run->n - i;

        load(run, i, wtype, &w, &v);
        if (left < LANES) {
            memcpy(part, p, (size_t)left * sizeof(float));
            p = part;
        }
        lanes_load(p, &g);
        quantize(&w, &v, u, &x, &e, &k);
        *inner += g * (e - (lanes_f)(k & (lanes_i)x));
        *clamped += (lanes_f)(~k & (lanes_i)g);
        g = (lanes_f)(k & (lanes_i)(g * u->s));
        lanes_store(p, SRQ_F32, &g);
        if (left < LANES)
            memcpy(grad + i, part, (size_t)left * sizeof(float));
    }
}

LANES_INLINE void encode_run(const struct run *run, enum srq_dtype wtype, const struct int_unit *u, uint8_t *codes)
{
    lanes_f w, v = { 0 }, x, e;
    lanes_i k;
    float part[LANES];

    for (int64_t i = 0; i < run->n; i += LANES) {
        load(run, i, wtype, &w, &v);
        quantize(&w, &v, u, &x, &e, &k);
        memcpy(part, &e, sizeof(part));
        for (int64_t j = 0; j < LANES && i + j < run->n; j++)
            codes[i + j] = (uint8_t)(part[j] - u->lo);
    }
}

/* ---- rows ---------------------------------------------------------------------------------------------------- */

/* The run of group `j` of row `r`. */
LANES_INLINE struct run run_of(const struct srq_grid_args *a, int64_t r, int64_t j, enum srq_dtype wtype)
{
    const struct srq_groups *g = &a->groups;
    int64_t from = r * g->in + j * g->len, left = g->in - j * g->len;
    struct run run;

    run.w = (const char *)a->weight->data + (size_t)from * (wtype == SRQ_F32 ? 4 : 2);
    run.v = a->v != NULL ? a->v + from : NULL;
    run.n = left < g->len ? left : g->len;
    return run;
}

LANES_INLINE int64_t group_of(const struct srq_groups *g, int64_t r, int64_t j)
{
    return g->count == 1 ? 0 : r * g->per_row + j;
}

LANES_INLINE void fake_rows(const struct srq_grid_args *a, int64_t row, int64_t rows, char *dst, enum srq_dtype dtype,
                            int64_t ld, int_unit_fn unit, enum srq_dtype wtype)
{
    size_t size = dtype == SRQ_F32 ? 4 : 2;
    struct int_unit u;

    for (int64_t r = row; r < row + rows; r++) {
        char *to = dst + (size_t)((r - row) * ld) * size;

        for (int64_t j = 0; j < a->groups.per_row; j++) {
            struct run run = run_of(a, r, j, wtype);

            unit(a, group_of(&a->groups, r, j), &u);
            fake_run(&run, wtype, &u, to + (size_t)(j * a->groups.len) * size, dtype);
        }
    }
}

SRQ_SIMD void int_rows_fake(const struct srq_grid_args *a, int64_t row, int64_t rows, void *dst, enum srq_dtype dtype,
                            int64_t ld, int_unit_fn unit)
{
    enum srq_dtype wtype = a->weight->dtype;

    if (wtype == SRQ_BF16 && dtype == SRQ_F32)
        fake_rows(a, row, rows, dst, SRQ_F32, ld, unit, SRQ_BF16);
    else if (wtype == SRQ_BF16)
        fake_rows(a, row, rows, dst, SRQ_BF16, ld, unit, SRQ_BF16);
    else if (wtype == SRQ_F32)
        fake_rows(a, row, rows, dst, dtype, ld, unit, SRQ_F32);
    else
        fake_rows(a, row, rows, dst, dtype, ld, unit, SRQ_F16);
}

LANES_INLINE void grad_rows(const struct srq_grid_args *a, int64_t row, int64_t rows, float *grad, float *galpha,
                            float *gbeta, int_unit_fn unit, int_fold_fn fold, enum srq_dtype wtype)
{
    struct int_unit u;
    struct int_sums sums;

    for (int64_t r = row; r < row + rows; r++) {
        for (int64_t j = 0; j < a->groups.per_row; j++) {
            struct run run = run_of(a, r, j, wtype);
            int64_t group = group_of(&a->groups, r, j);
            lanes_f inner = { 0 }, clamped = { 0 };
            float ga = 0, gb = 0;

            unit(a, group, &u);
            grad_run(&run, wtype, &u, grad + (r - row) * a->groups.in + j * a->groups.len, &inner, &clamped);
            if (galpha == NULL && gbeta == NULL)
                continue;
            sums.inner = lanes_sum(&inner);
            sums.clamped = lanes_sum(&clamped);
            fold(a, group, &u, &sums, &ga, &gb);
            if (galpha != NULL)
                galpha[group] += ga;
            if (gbeta != NULL)
                gbeta[group] += gb;
        }
    }
}

SRQ_SIMD void int_rows_grad(const struct srq_grid_args *a, int64_t row, int64_t rows, float *grad, float *galpha,
                            float *gbeta, int_unit_fn unit, int_fold_fn fold)
{
    if (a->weight->dtype == SRQ_BF16)
        grad_rows(a, row, rows, grad, galpha, gbeta, unit, fold, SRQ_BF16);
    else if (a->weight->dtype == SRQ_F32)
        grad_rows(a, row, rows, grad, galpha, gbeta, unit, fold, SRQ_F32);
    else
        grad_rows(a, row, rows, grad, galpha, gbeta, unit, fold, SRQ_F16);
}

LANES_INLINE void encode_rows(const struct srq_grid_args *a, int64_t row, int64_t rows, struct srq_result *out,
                              int_unit_fn unit, enum srq_dtype wtype)
{
    const struct srq_groups *g = &a->groups;
    struct int_unit u;

    for (int64_t r = row; r < row + rows; r++) {
        for (int64_t j = 0; j < g->per_row; j++) {
            struct run run = run_of(a, r, j, wtype);
            int64_t group = group_of(g, r, j);

            unit(a, group, &u);
            encode_run(&run, wtype, &u, out->codes + r * g->in + j * g->len);
            if (g->count > 1 || r == 0) { /* with one group for all, its entry is written by one row's thread only */
                out->scale[group] = u.s;
                out->zero[group] = (uint8_t)-u.lo;
            }
        }
    }
}

SRQ_SIMD void int_rows_encode(const struct srq_grid_args *a, int64_t row, int64_t rows, struct srq_result *out,
                              int_unit_fn unit)
{
    if (a->weight->dtype == SRQ_BF16)
        encode_rows(a, row, rows, out, unit, SRQ_BF16);
    else if (a->weight->dtype == SRQ_F32)
        encode_rows(a, row, rows, out, unit, SRQ_F32);
    else
        encode_rows(a, row, rows, out, unit, SRQ_F16);
}
