/* Scalar functions written so that a loop over them is vectorized: no branches, no calls, no tables.
 * Errors are relative to the exact value, over the whole range; tests/unit/test_math.c measures them. */
#ifndef SRQ_MATH_VEC_H
#define SRQ_MATH_VEC_H

#include "core/tensor/dtype.h"

/* e^x, relative error below 2e-7. Below -87.3 the result is 0 (no denormals), above 88.7 infinity. NaN gives NaN.
 * x = k ln 2 + r with |r| <= ln 2 / 2 (Cody and Waite: ln 2 in two parts), then a polynomial for e^r. */
static inline float srq_expf(float x)
{
    float in = x < -87.3f ? -87.3f : x > 88.8f ? 88.8f : x;
    float k = in * 1.44269504f + 12582912.0f; /* 1.5 * 2^23: the sum is rounded to a whole number */
    int32_t ki;
    float r, p, s1, s2;
    uint32_t b1, b2;

    memcpy(&ki, &k, sizeof(ki));
    ki -= 0x4b400000;
    k -= 12582912.0f;
    r = in - k * 0.693145752f;
    r = r - k * 1.42860677e-6f;
    p = 1.9841270e-4f;
    p = p * r + 1.3888889e-3f;
    p = p * r + 8.3333333e-3f;
    p = p * r + 4.1666667e-2f;
    p = p * r + 1.6666667e-1f;
    p = p * r + 5.0000000e-1f;
    p = p * r * r + r + 1.0f;
    /* 2^k in two factors: k reaches 128, one beyond the largest exponent. */
    b1 = (uint32_t)(ki / 2 + 127) << 23;
    b2 = (uint32_t)(ki - ki / 2 + 127) << 23;
    memcpy(&s1, &b1, sizeof(s1));
    memcpy(&s2, &b2, sizeof(s2));
    p = p * s1 * s2;
    p = x < -87.3f ? 0.0f : p;
    return x == x ? p : x;
}

/* 1 / (1 + e^-x) */
static inline float srq_sigmoidf(float x)
{
    return 1.0f / (1.0f + srq_expf(-x));
}

/* x * sigmoid(x), also called swish */
static inline float srq_siluf(float x)
{
    return x / (1.0f + srq_expf(-x));
}

/* Its derivative: s + x s (1 - s). */
static inline float srq_silu_slope(float x)
{
    float s = srq_sigmoidf(x);

    return s + x * s * (1.0f - s);
}

#endif
