/* Vectors of SRQ_LANES floats, for files that are compiled once for each width, and how they come from memory of F32 or
 * BF16 and go back. get() fills what lies beyond `len` elements with zeros, put() leaves it. */
#ifndef SRQ_MATH_LANES_H
#define SRQ_MATH_LANES_H

#include <srq/types.h>

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define LANES SRQ_LANES
#define INLINE static inline __attribute__((always_inline))

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef float vec_any __attribute__((vector_size(4 * LANES), aligned(4), may_alias)); /* in memory */
typedef int32_t ivec __attribute__((vector_size(4 * LANES)));
typedef uint32_t uvec __attribute__((vector_size(4 * LANES)));
typedef int32_t ivec_any __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef uint8_t bvec __attribute__((vector_size(LANES)));
typedef uint16_t hvec __attribute__((vector_size(2 * LANES)));
typedef uint16_t hvec_any __attribute__((vector_size(2 * LANES), aligned(2), may_alias));

INLINE vec from_bf16(hvec h)
{
    return (vec)(__builtin_convertvector(h, uvec) << 16);
}

/* Ties to even; NaN stays a quiet NaN. */
INLINE hvec to_bf16(vec v)
{
    uvec u = (uvec)v, nan = (uvec)(v != v), up = (u >> 16 & 1u) + 0x7fffu;

    return __builtin_convertvector(((u + (up & ~nan)) | (nan & 0x400000u)) >> 16, hvec);
}

INLINE vec get(enum srq_dtype dtype, const void *p, int64_t i, int64_t len)
{
    if (dtype == SRQ_F32) {
        const float *x = (const float *)p + i;
        vec v = { 0 };

        if (len == LANES)
            return *(const vec_any *)x;
        for (int64_t j = 0; j < len; j++)
            v[j] = x[j];
        return v;
    } else {
        const uint16_t *x = (const uint16_t *)p + i;
        hvec v = { 0 };

        if (len == LANES)
            return from_bf16(*(const hvec_any *)x);
        for (int64_t j = 0; j < len; j++)
            v[j] = x[j];
        return from_bf16(v);
    }
}

INLINE void put(enum srq_dtype dtype, void *p, int64_t i, int64_t len, vec v)
{
    if (dtype == SRQ_F32) {
        float *x = (float *)p + i;

        if (len == LANES)
            *(vec_any *)x = v;
        else
            memcpy(x, &v, (size_t)len * sizeof(float));
    } else {
        uint16_t *x = (uint16_t *)p + i;
        hvec h = to_bf16(v);

        if (len == LANES)
            *(hvec_any *)x = h;
        else
            memcpy(x, &h, (size_t)len * sizeof(uint16_t));
    }
}

INLINE vec put_add(enum srq_dtype dtype, void *p, int64_t i, int64_t len, vec v, bool add)
{
    if (add)
        v += get(dtype, p, i, len);
    put(dtype, p, i, len, v);
    return v;
}

#endif
