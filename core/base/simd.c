/* Which instruction set the SRQ_SIMD variants use here. */
#include "core/base/simd.h"

const char *srq_simd_name(void)
{
#if defined(SRQ_SIMD_LEVELS)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("x86-64-v4"))
        return "avx512";
    if (__builtin_cpu_supports("x86-64-v3"))
        return "avx2";
#elif defined(SRQ_SIMD_AVX2)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2"))
        return "avx2";
#endif
    return "base";
}
