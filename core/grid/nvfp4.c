/* NVFP4: elements E2M1, groups of 16 with a scale of E4M3, and one F32 scale gs = 448*6 / largest magnitude for the
 * whole tensor and those fused with it: Ŵ = (scale / gs) y (spec signround 9.2).
 *
 * The scale of a group ends at 2^-9, the least positive E4M3, where it would round to zero: a group of weights more
 * than half a million times smaller than the tensor's largest keeps what that scale can hold. */
#include "core/grid/float_rows.h"

INLINE void nvfp4_unit(const struct srq_grid_args *a, int64_t group, float start, struct float_unit *u)
{
    float gs = grid_tensor_scale(a), top = largest_of(a, group), want = gs * (top * beta_of(a, group) * start / 6);
    float scale = want < 448 ? round_in_binade(want, 0x1p-6f, 0x1.8p20f) : 448;

    scale = scale < 0x1p-9f ? 0x1p-9f : scale;
    u->stored = scale;
    u->s = scale / gs;
    u->inv = 0;
    u->slope = want > 448 || want <= 0x1p-10f ? 0 : top * start / 6;
}

static const struct float_grid nvfp4 = {
    .max = 6, .least = 1, .magic = 0x1.8p22f, .mx = false, .len = 16, .unit = nvfp4_unit, .code = code_e2m1
};

FLOAT_GRID_OPS(nvfp4, nvfp4)

SRQ_SIMD static void nvfp4_search(const struct srq_grid_args *a, const float *importance, int64_t row, int64_t rows,
                                  float *start)
{
    float factor[102]; /* 0.50 to 1.51 */

    for (int i = 0; i < 102; i++)
        factor[i] = 0.5f + 0.01f * (float)i;
    float_search(&nvfp4, a, importance, row, rows, factor, 102, start);
}

const struct srq_grid_ops nvfp4_ops = {
    .size = sizeof(struct srq_grid_ops),
    .extrema = int_rows_extrema,
    .fake = nvfp4_fake,
    .grad = nvfp4_grad,
    .encode = nvfp4_encode,
    .search = nvfp4_search,
};
