/* MXFP4: elements E2M1, groups of 32 that share a power of two (spec signround 9.1). */
#include "core/grid/mx_scale.h"

INLINE void mxfp4_unit(const struct srq_grid_args *a, int64_t group, float start, struct float_unit *u)
{
    mx_scale(a, group, start, 2, u);
}

static const struct float_grid mxfp4 = {
    .max = 6, .least = 1, .magic = 0x1.8p22f, .mx = true, .len = 32, .unit = mxfp4_unit, .code = code_e2m1
};

FLOAT_GRID_OPS(mxfp4, mxfp4)

SRQ_SIMD static void mxfp4_search(const struct srq_grid_args *a, const float *importance, int64_t row, int64_t rows,
                                  float *start)
{
    float_search(&mxfp4, a, importance, row, rows, mx_factors, 2, start);
}

const struct srq_grid_ops mxfp4_ops = {
    .size = sizeof(struct srq_grid_ops),
    .extrema = int_rows_extrema,
    .fake = mxfp4_fake,
    .grad = mxfp4_grad,
    .encode = mxfp4_encode,
    .search = mxfp4_search,
};
