/* The innermost loops, compiled once for each instruction set and chosen at run time.
 *
 * All work on one thread. Rows are contiguous; `dtype` is SRQ_F32 or SRQ_BF16 and holds for every `void *` of the call;
 * arithmetic and `float *` are F32. */
#ifndef SRQ_MATH_KERNELS_H
#define SRQ_MATH_KERNELS_H

#include "core/tensor/tensor.h"

/* Largest tile of the product kernel in any instruction set. */
#define SRQ_TILE_M_MAX 16
#define SRQ_TILE_N_MAX 32

struct srq_kernels {
    const char *name; /* "base", "avx2", "avx512" */

    /* Product kernel: acc[tile_m][tile_n] = sum_p a[p][tile_m] * b[p][tile_n] over p < k, packed operands. */
    int tile_m, tile_n;
    void (*tile)(int64_t k, const float *a, const float *b, float *acc);
};

/* The best set that this processor has; $SRQ_KERNELS names a lesser one (tests). */
const struct srq_kernels *srq_kernels(void);
/* By name; NULL when not built or not usable on this processor. */
const struct srq_kernels *srq_kernels_named(const char *name);

#endif
