/* The kernels themselves. Compiled several times, with SRQ_KERNELS naming the table and SRQ_LANES the floats that a
 * vector register holds; the compiler's vector types keep one source for all. */
#include "core/math/kernels.h"

#include "core/math/vec.h"

typedef float vec __attribute__((vector_size(4 * SRQ_LANES), aligned(4), may_alias));

#if SRQ_LANES == 16
#define ISA_NAME "avx512"
#define TILE_M 12
#elif SRQ_LANES == 8
#define ISA_NAME "avx2"
#define TILE_M 6
#else
#define ISA_NAME "base"
#define TILE_M 4
#endif
#define TILE_N (2 * SRQ_LANES)

_Static_assert(TILE_M <= SRQ_TILE_M_MAX && TILE_N <= SRQ_TILE_N_MAX, "a buffer of the caller would be too small");

extern const struct srq_kernels SRQ_KERNELS;

static void tile(int64_t k, const float *restrict a, const float *restrict b, float *restrict acc)
{
    vec sum[TILE_M][2] = { { { 0 } } };

    for (int64_t p = 0; p < k; p++) {
        vec b0 = *(const vec *)(b + p * TILE_N), b1 = *(const vec *)(b + p * TILE_N + SRQ_LANES);

#pragma GCC unroll 16
        for (int i = 0; i < TILE_M; i++) {
            float x = a[p * TILE_M + i];

            sum[i][0] += x * b0;
            sum[i][1] += x * b1;
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < TILE_M; i++) {
        *(vec *)(acc + i * TILE_N) = sum[i][0];
        *(vec *)(acc + i * TILE_N + SRQ_LANES) = sum[i][1];
    }
}

const struct srq_kernels SRQ_KERNELS = {
    .name = ISA_NAME,
    .tile_m = TILE_M,
    .tile_n = TILE_N,
    .tile = tile,
};
