/* MXFP8: elements E4M3, groups of 32 that share a power of two (spec signround 9.1). */
#include "core/grid/mx_scale.h"

INLINE void mxfp8_unit(const struct srq_grid_args *a, int64_t group, float start, struct float_unit *u)
{
    mx_scale(a, group, start, 8, u);
}

static const struct float_grid mxfp8 = {
    .max = 448, .least = 0x1p-6f, .magic = 0x1.8p20f, .mx = true, .len = 32, .unit = mxfp8_unit, .code = code_e4m3
};

FLOAT_GRID_OPS(mxfp8, mxfp8)

SRQ_SIMD static void mxfp8_search(const struct srq_grid_args *a, const float *importance, int64_t row, int64_t rows,
                                  float *start)
{
    float_search(&mxfp8, a, importance, row, rows, mx_factors, 2, start);
}

const struct srq_grid_ops mxfp8_ops = {
    .size = sizeof(struct srq_grid_ops),
    .extrema = int_rows_extrema,
    .fake = mxfp8_fake,
    .grad = mxfp8_grad,
    .encode = mxfp8_encode,
    .search = mxfp8_search,
};
