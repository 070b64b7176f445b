/* k-quants: the passes over the elements of a layer.
 *
 * Ranges are as those of integers: with minima s = (M beta - m alpha)/(2^b - 1) and the minimum -m alpha, which is not
 * rounded to a whole code; without, the full-range scale of spec signround 2.1. Both then become multiples; gradients
 * pass straight through that. With a searched start the scale is start beta. */
#include "core/grid/k_quants.h"

#include "core/base/simd.h"
#include "core/grid/int_rows.h"
#include "core/grid/rows.h"

#include <math.h>

static const struct k_type types[] = {
    { 2, 16, 16, true, 0, 3, 1, 15, 10 },        { 3, 16, 16, false, -4, 3, -32, 31, 7 },
    { 4, 32, 8, true, 0, 15, 1, 63, 16 },        { 5, 32, 8, true, 0, 31, 1, 63, 16 },
    { 6, 16, 16, false, -32, 31, -128, 127, 9 }, { 0 },
};

const struct k_type *k_type_of(int bits)
{
    for (const struct k_type *t = types; t->bits > 0; t++)
        if (t->bits == bits)
            return t;
    return NULL;
}

/* ---- scales and minima ------------------------------------------------------------------------------------------- */

static float whole_multiple(const struct k_type *t, float s, float d)
{
    float least = (float)t->least, most = (float)t->most, x = s / d;
    float whole = nearest_whole(x < least ? least : x > most ? most : x);

    return whole == 0 ? (x < 0 ? -1.0f : 1.0f) : whole;
}

static void round_minima(const struct k_type *t, const float *m, struct k_super *out)
{
    float top = 0, most = (float)t->most;

    for (int j = 0; j < t->groups; j++)
        top = m[j] > top ? m[j] : top;
    out->dmin = round_half(top / most);
    for (int j = 0; j < t->groups; j++) {
        float whole = out->dmin > 0 ? nearest_whole(m[j] / out->dmin) : 0;

        whole = whole > most ? most : whole;
        out->minimum[j] = (int)whole;
        out->m[j] = out->dmin * whole;
    }
}

void k_super_round(const struct k_type *t, const float *s, const float *m, struct k_super *out)
{
    float top = 0;

    for (int j = 0; j < t->groups; j++)
        top = fabsf(s[j]) > fabsf(top) ? s[j] : top;
    out->d = round_half(top / (float)(t->minima ? t->most : t->least));
    if (fabsf(out->d) < K_LEAST)
        out->d = K_LEAST;
    for (int j = 0; j < t->groups; j++)
        out->s[j] = out->d * whole_multiple(t, s[j], out->d);
    if (m != NULL) {
        round_minima(t, m, out);
        return;
    }
    out->dmin = 0;
    memset(out->m, 0, sizeof(out->m));
    memset(out->minimum, 0, sizeof(out->minimum));
}

static float factor(const float *of, int64_t group)
{
    return of != NULL ? of[group] : 1.0f;
}

/* Scale and minimum of a group before they become multiples. */
static float wanted(const struct k_type *t, const struct srq_grid_args *a, int64_t group, float *m)
{
    float low = a->lo[group] * factor(a->alpha, group), high = a->hi[group] * factor(a->beta, group);

    *m = a->start != NULL && a->start_min != NULL ? a->start_min[group] * factor(a->alpha, group) : -low;
    if (a->start != NULL)
        return a->start[group] * factor(a->beta, group);
    if (t->minima)
        return (high - low) / (float)t->hi;
    return (high < -low ? -low : -high) / (float)-t->lo;
}

/* Super-block `b` of row r. */
static void super_of(const struct k_type *t, const struct srq_grid_args *a, int64_t r, int64_t b, struct k_super *out)
{
    float s[K_GROUPS_MOST], m[K_GROUPS_MOST];

    for (int j = 0; j < t->groups; j++)
        s[j] = wanted(t, a, r * a->groups->per_row + b * t->groups + j, &m[j]);
    k_super_round(t, s, t->minima ? m : NULL, out);
}

/* ---- runs -------------------------------------------------------------------------------------------------------- */

static const float no_offset[K_SUPER];

struct unit {
    float s, inv, m, shift; /* shift = m / s */
    float lo, hi;           /* least and greatest e */
};

INLINE struct unit unit_of(const struct k_type *t, const struct k_super *k, int j)
{
    struct unit u = { k->s[j], 1 / k->s[j], k->m[j], .lo = (float)t->lo, .hi = (float)t->hi };

    u.shift = u.m * u.inv;
    return u;
}

INLINE float steps(float w, const struct unit *u)
{
    return w * u->inv + u->shift;
}

/* Held to one step outside [lo, hi] before it is rounded: that changes neither e nor k. */
INLINE float rounded(float x, const struct unit *u)
{
    x = x < u->lo - 1 ? u->lo - 1 : x;
    x = x > u->hi + 1 ? u->hi + 1 : x;
    return nearest_whole(x);
}

INLINE float clamped_to(float r, const struct unit *u)
{
    r = r < u->lo ? u->lo : r;
    return r > u->hi ? u->hi : r;
}

INLINE void fake_run(const struct unit *unit, const float *restrict v, int n, float *restrict w)
{
    const struct unit u = *unit;

    for (int i = 0; i < n; i++)
        w[i] = u.s * clamped_to(rounded(steps(w[i], &u) + v[i], &u), &u) - u.m;
}

INLINE void encode_run(const struct unit *unit, const float *restrict v, int n, const float *restrict w,
                       uint8_t *restrict codes)
{
    const struct unit u = *unit;

    for (int i = 0; i < n; i++)
        codes[i] = (uint8_t)(int32_t)(clamped_to(rounded(steps(w[i], &u) + v[i], &u), &u) - u.lo);
}

/* grad: G on entry, G s k on return. */
INLINE struct int_sums grad_run(const struct unit *unit, const float *restrict v, int n, const float *restrict w,
                                float *restrict grad)
{
    const struct unit u = *unit;
    float in[32], out[32];

    for (int i = 0; i < n; i++) {
        float x = steps(w[i], &u), r = rounded(x + v[i], &u), e = clamped_to(r, &u), g = grad[i];
        float k = e == r ? 1.0f : 0.0f;

        in[i] = g * (e - k * x);
        out[i] = g * (1 - k);
        grad[i] = g * u.s * k;
    }
    return (struct int_sums){ total(in, n), total(out, n) };
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

INLINE const float *offsets(const struct srq_grid_args *a, int64_t from)
{
    return a->v != NULL ? a->v + from : no_offset;
}

/* The passes with `len`, the length of a group, as a number that the compiler knows. */
INLINE void fake_rows(const struct k_type *t, const struct srq_grid_args *a, int64_t row, int64_t rows, void *dst,
                      enum srq_dtype dtype, int64_t ld, int len)
{
    int64_t in = a->groups->in;
    struct k_super k;

    for (int64_t r = row; r < row + rows; r++) {
        for (int64_t i = 0; i < in; i += K_SUPER) {
            const float *v = offsets(a, r * in + i);
            int64_t at = (r - row) * ld + i;
            float w[K_SUPER];

            super_of(t, a, r, i / K_SUPER, &k);
            load_run(a->weight, r * in + i, w, K_SUPER);
            for (int j = 0; j < K_SUPER / len; j++) {
                struct unit u = unit_of(t, &k, j);

                fake_run(&u, v + j * len, len, w + j * len);
            }
            if (dtype == SRQ_F32)
                memcpy((float *)dst + at, w, sizeof(w));
            else
                for (int e = 0; e < K_SUPER; e++)
                    ((uint16_t *)dst)[at + e] = to_bf16(w[e]);
        }
    }
}

SRQ_SIMD static void k_fake(const struct srq_grid_args *a, int64_t row, int64_t rows, void *dst, enum srq_dtype dtype,
                            int64_t ld)
{
    const struct k_type *t = k_type_of(a->scheme->bits);

    if (t->len == 16)
        fake_rows(t, a, row, rows, dst, dtype, ld, 16);
    else
        fake_rows(t, a, row, rows, dst, dtype, ld, 32);
}

/* What a group's sums say of the factors on its range. */
static void fold(const struct k_type *t, const struct srq_grid_args *a, int64_t group, const struct int_sums *sums,
                 float *galpha, float *gbeta)
{
    float m = a->lo[group], top = a->hi[group], p = -m * factor(a->alpha, group), n = top * factor(a->beta, group);

    if (a->start != NULL) {
        *gbeta = sums->inner * a->start[group];
        *galpha = a->start_min != NULL ? -sums->clamped * a->start_min[group] : 0;
    } else if (t->minima) {
        float most = (float)t->hi;

        *galpha = sums->inner * (-m / most) + sums->clamped * m;
        *gbeta = sums->inner * (top / most);
    } else { /* only the side that dominates is tuned; a tie gives half to each */
        float half = (float)-t->lo;

        *galpha = n < p ? sums->inner * (-m / half) : n > p ? 0 : sums->inner * (m / (2 * half));
        *gbeta = n < p ? 0 : n > p ? sums->inner * (-top / half) : sums->inner * (-top / (2 * half));
    }
}

INLINE void grad_rows(const struct k_type *t, const struct srq_grid_args *a, int64_t row, int64_t rows, float *grad,
                      float *galpha, float *gbeta, int len)
{
    int64_t in = a->groups->in;
    struct k_super k;

    for (int64_t r = row; r < row + rows; r++) {
        for (int64_t i = 0; i < in; i += K_SUPER) {
            int64_t group = r * a->groups->per_row + i / len;
            const float *v = offsets(a, r * in + i);
            float w[K_SUPER], *g = grad + (r - row) * in + i;

            super_of(t, a, r, i / K_SUPER, &k);
            load_run(a->weight, r * in + i, w, K_SUPER);
            for (int j = 0; j < K_SUPER / len; j++) {
                struct unit u = unit_of(t, &k, j);
                struct int_sums sums = grad_run(&u, v + j * len, len, w + j * len, g + j * len);
                float ga, gb;

                if (galpha == NULL && gbeta == NULL)
                    continue;
                fold(t, a, group + j, &sums, &ga, &gb);
                if (galpha != NULL)
                    galpha[group + j] += ga;
                if (gbeta != NULL)
                    gbeta[group + j] += gb;
            }
        }
    }
}

SRQ_SIMD static void k_grad(const struct srq_grid_args *a, int64_t row, int64_t rows, float *grad, float *galpha,
                            float *gbeta)
{
    const struct k_type *t = k_type_of(a->scheme->bits);

    if (t->len == 16)
        grad_rows(t, a, row, rows, grad, galpha, gbeta, 16);
    else
        grad_rows(t, a, row, rows, grad, galpha, gbeta, 32);
}

INLINE void encode_rows(const struct k_type *t, const struct srq_grid_args *a, int64_t row, int64_t rows,
                        struct srq_result *out, int len)
{
    int64_t in = a->groups->in;
    struct k_super k;

    for (int64_t r = row; r < row + rows; r++) {
        for (int64_t i = 0; i < in; i += K_SUPER) {
            int64_t group = r * a->groups->per_row + i / len, super = (r * in + i) / K_SUPER;
            const float *v = offsets(a, r * in + i);
            float w[K_SUPER];

            super_of(t, a, r, i / K_SUPER, &k);
            load_run(a->weight, r * in + i, w, K_SUPER);
            for (int j = 0; j < K_SUPER / len; j++) {
                struct unit u = unit_of(t, &k, j);

                encode_run(&u, v + j * len, len, w + j * len, out->codes + r * in + i + j * len);
                out->scale[group + j] = u.s;
                out->zero[group + j] = (uint8_t)(t->minima ? k.minimum[j] : -t->lo);
            }
            if (out->super == NULL) /* somebody who knows of no k-quants */
                continue;
            out->super[2 * super] = k.d;
            out->super[2 * super + 1] = k.dmin;
        }
    }
}

SRQ_SIMD static void k_encode(const struct srq_grid_args *a, int64_t row, int64_t rows, struct srq_result *out)
{
    const struct k_type *t = k_type_of(a->scheme->bits);

    if (t->len == 16)
        encode_rows(t, a, row, rows, out, 16);
    else
        encode_rows(t, a, row, rows, out, 32);
}

const struct srq_grid_ops k_ops = {
    .size = sizeof(struct srq_grid_ops),
    .extrema = int_rows_extrema,
    .fake = k_fake,
    .grad = k_grad,
    .encode = k_encode,
    .search = k_search,
};
