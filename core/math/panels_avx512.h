/* What the kernels for AVX-512 read BF16 by. */
#ifndef SRQ_MATH_PANELS_AVX512_H
#define SRQ_MATH_PANELS_AVX512_H

#include <immintrin.h>
#include <stdint.h>

#define INLINE static inline __attribute__((always_inline))

/* The first `n` of 32 elements; the rest 0. */
INLINE __m512i some(const uint16_t *p, int64_t n)
{
    return n >= 32 ? _mm512_loadu_si512(p)
           : n > 0 ? _mm512_maskz_loadu_epi16((__mmask32)(((uint64_t)1 << n) - 1), p)
                   : _mm512_setzero_si512();
}

#endif
