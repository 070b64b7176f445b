/* Eight floats at a time, in the C that gcc and clang share: vectors are passed by address, so that no calling
 * convention is involved, and every operation is exact f32 arithmetic in a fixed order on every instruction set. */
#ifndef SRQ_GRID_LANES_H
#define SRQ_GRID_LANES_H

#include "core/tensor/dtype.h"

#define LANES 8
#define LANES_INLINE static inline __attribute__((always_inline))

typedef float lanes_f __attribute__((vector_size(4 * LANES)));
typedef int32_t lanes_i __attribute__((vector_size(4 * LANES)));
typedef uint16_t lanes_h __attribute__((vector_size(2 * LANES)));

LANES_INLINE void lanes_load(const float *p, lanes_f *out)
{
    memcpy(out, p, sizeof(*out));
}

/* m ? a : b, lane by lane; m is all ones or all zeros. */
LANES_INLINE void lanes_pick(const lanes_i *m, const lanes_f *a, const lanes_f *b, lanes_f *out)
{
    *out = (lanes_f)((*m & (lanes_i)*a) | (~*m & (lanes_i)*b));
}

LANES_INLINE void lanes_clamp(lanes_f *x, float lo, float hi)
{
    lanes_f l = { lo, lo, lo, lo, lo, lo, lo, lo }, h = { hi, hi, hi, hi, hi, hi, hi, hi };
    lanes_i m = *x < l;

    lanes_pick(&m, &l, x, x);
    m = *x > h;
    lanes_pick(&m, &h, x, x);
}

/* Loads eight weights of any float dtype as f32. Half precision: the exponent is shifted by a product; subnormals are
 * made from their whole-number mantissa, so that nothing passes through a denormal float, which a thread may flush. */
LANES_INLINE void lanes_load_weight(const void *p, enum srq_dtype dtype, lanes_f *out)
{
    lanes_h h;
    lanes_i u, sign, subnormal;
    lanes_f f, tiny;

    if (dtype == SRQ_F32) {
        memcpy(out, p, sizeof(*out));
        return;
    }
    memcpy(&h, p, sizeof(h));
    u = __builtin_convertvector(h, lanes_i);
    if (dtype == SRQ_BF16) {
        *out = (lanes_f)(u << 16);
        return;
    }
    sign = (u & 0x8000) << 16;
    subnormal = (u & 0x7c00) == 0;
    tiny = __builtin_convertvector(u & 0x3ff, lanes_f) * 0x1p-24f;
    f = (lanes_f)((u & 0x7fff) << 13 & ~subnormal) * 0x1p112f;
    lanes_pick(&subnormal, &tiny, &f, &f);
    *out = (lanes_f)((lanes_i)f | sign);
}

/* Stores eight finite numbers as F32 or BF16 (round to nearest even). */
LANES_INLINE void lanes_store(void *p, enum srq_dtype dtype, const lanes_f *x)
{
    lanes_i u = (lanes_i)*x;
    lanes_h h;

    if (dtype == SRQ_F32) {
        memcpy(p, x, sizeof(*x));
        return;
    }
    u = ((u + 0x7fff + ((u >> 16) & 1)) >> 16) & 0xffff;
    h = __builtin_convertvector(u, lanes_h);
    memcpy(p, &h, sizeof(h));
}

LANES_INLINE float lanes_sum(const lanes_f *x)
{
    float f[LANES];

    memcpy(f, x, sizeof(f));
    return ((f[0] + f[4]) + (f[2] + f[6])) + ((f[1] + f[5]) + (f[3] + f[7]));
}

#endif
