/* Run-time dispatch of plain loops: a function marked SRQ_SIMD is compiled for several instruction sets and the loader
 * picks the widest that the processor has. Results may differ between machines in the last bit where the compiler
 * contracts products and sums; the instruction set is part of a job's fingerprint (srq_simd_name). */
#ifndef SRQ_BASE_SIMD_H
#define SRQ_BASE_SIMD_H

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
/* Names of features, not of processors: a clone for "haswell" would run on that one model and on no later one. */
#if __GNUC__ >= 12
#define SRQ_SIMD_LEVELS 1
#define SRQ_SIMD __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define SRQ_SIMD_AVX2 1
#define SRQ_SIMD __attribute__((target_clones("avx2", "default")))
#endif
#else
#define SRQ_SIMD
#endif

/* "avx512", "avx2" or "base": which of the variants runs on this machine. */
const char *srq_simd_name(void);

#endif
