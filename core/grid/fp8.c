/* FP8: elements E4M3 with one F32 scale a row or a tensor, amax/448 but at least 1/(448*512) (spec signround 9.3). */
#include "core/grid/float_rows.h"

INLINE void fp8_unit(const struct srq_grid_args *a, int64_t group, float start, struct float_unit *u)
{
    const float floor = 1.0f / (448 * 512);
    float top = largest_of(a, group), s = top * beta_of(a, group) / 448;

    (void)start; /* there is no search for this grid */
    u->s = s > floor ? s : floor;
    u->stored = u->s;
    u->inv = 0;
    u->slope = s > floor ? top / 448 : 0;
}

static const struct float_grid fp8 = {
    .max = 448, .least = 0x1p-6f, .magic = 0x1.8p20f, .mx = false, .len = 0, .unit = fp8_unit, .code = code_e4m3
};

FLOAT_GRID_OPS(fp8, fp8)

const struct srq_grid_ops fp8_ops = {
    .size = sizeof(struct srq_grid_ops),
    .extrema = int_rows_extrema,
    .fake = fp8_fake,
    .grad = fp8_grad,
    .encode = fp8_encode,
};
