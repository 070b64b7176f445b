/* What every pass over the elements of a layer needs: runs of a row, the group they lie in, weights and results in
 * their element types, sums in a fixed order. All of it is inlined into loops that the compiler vectorizes. */
#ifndef SRQ_GRID_ROWS_H
#define SRQ_GRID_ROWS_H

#include "core/grid/grid.h"

#define SEGMENT 512 /* elements taken at a time */
#define LANES 16
#define INLINE static inline __attribute__((always_inline))

INLINE int64_t group_of(const struct srq_groups *g, int64_t r, int64_t j)
{
    return g->count == 1 ? 0 : r * g->per_row + j;
}

/* First column after group j. */
INLINE int64_t end_of(const struct srq_groups *g, int64_t j)
{
    int64_t stop = (j + 1) * g->len;

    return stop < g->in ? stop : g->in;
}

/* 1 where none is given. */
INLINE float grid_tensor_scale(const struct srq_grid_args *a)
{
    return a->tensor_scale > 0 ? a->tensor_scale : 1.0f;
}

/* ---- element types ----------------------------------------------------------------------------------------------- */

/* Half precision without a branch: the exponent is shifted by a product; subnormals are made from their whole-number
 * mantissa, so that nothing passes through a denormal float, which a thread may flush. */
INLINE float half_to_float(uint16_t h)
{
    uint32_t u = (uint32_t)(h & 0x7fff) << 13, sign = (uint32_t)(h & 0x8000) << 16;
    float normal, tiny = (float)(int32_t)(h & 0x3ff) * 0x1p-24f, f;

    memcpy(&normal, &u, sizeof(normal));
    f = (h & 0x7c00) != 0 ? normal * 0x1p112f : tiny;
    memcpy(&u, &f, sizeof(u));
    u |= sign;
    memcpy(&f, &u, sizeof(f));
    return f;
}

INLINE float weight_at(const void *w, enum srq_dtype dtype, int64_t i)
{
    if (dtype == SRQ_F32)
        return ((const float *)w)[i];
    if (dtype == SRQ_BF16)
        return srq_bf16_to_f32(((const uint16_t *)w)[i]);
    return half_to_float(((const uint16_t *)w)[i]);
}

/* Finite numbers only, to nearest even. */
INLINE uint16_t to_bf16(float f)
{
    uint32_t u;

    memcpy(&u, &f, sizeof(u));
    return (uint16_t)((u + 0x7fff + ((u >> 16) & 1)) >> 16);
}

INLINE void load_as(const void *restrict w, enum srq_dtype dtype, float *restrict dst, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        dst[i] = weight_at(w, dtype, i);
}

/* n weights from element `from` on, as F32. */
INLINE void load_run(const struct srq_tensor *w, int64_t from, float *dst, int64_t n)
{
    if (w->dtype == SRQ_F32)
        load_as((const float *)w->data + from, SRQ_F32, dst, n);
    else if (w->dtype == SRQ_BF16)
        load_as((const uint16_t *)w->data + from, SRQ_BF16, dst, n);
    else
        load_as((const uint16_t *)w->data + from, SRQ_F16, dst, n);
}

/* ---- sums -------------------------------------------------------------------------------------------------------- */

INLINE void add_to(float *restrict a, const float *restrict b, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        a[i] += b[i];
}

/* Sum of n numbers, which are overwritten: the second half onto the first, until one vector is left. */
INLINE float total(float *x, int64_t n)
{
    float t[LANES] = { 0 };

    while (n > LANES) {
        int64_t half = (n / 2 + LANES - 1) / LANES * LANES;

        add_to(x, x + half, n - half);
        n = half;
    }
    memcpy(t, x, (size_t)n * sizeof(*x));
    for (int h = LANES / 2; h > 0; h /= 2) {
        for (int k = 0; k < h; k++)
            t[k] += t[k + h];
    }
    return t[0];
}

/* ---- rounding ---------------------------------------------------------------------------------------------------- */

/* The nearest whole number, ties to even: the sum with 1.5 * 2^23 has just that unit in its last place. |x| < 2^22. */
INLINE float nearest_whole(float x)
{
    return (x + 0x1.8p23f) - 0x1.8p23f;
}

/* 2^floor(log2 |t|), not below `least`: from the bits, so that it is exact. */
INLINE float binade(float t, float least)
{
    uint32_t u;
    float p;

    memcpy(&u, &t, sizeof(u));
    u &= 0x7f800000u;
    memcpy(&p, &u, sizeof(p));
    return p < least ? least : p;
}

/* To the nearest multiple of binade(t) * 2^-m, ties to even, with `magic` = 1.5 * 2^(23-m): the sum with it has just
 * that unit in its last place. |t| < 2^(127-22). */
INLINE float round_in_binade(float t, float least, float magic)
{
    float p = binade(t, least) * magic;

    return (t + p) - p;
}

/* A scale of half precision (finite ones only; beyond 65504 the result is no such number). */
INLINE float round_half(float s)
{
    return round_in_binade(s, 0x1p-14f, 0x1.8p13f);
}

#endif
