/* Asymmetric integer grid: codes 0 … 2^b - 1 and an integer zero-point (spec signround 2.2).
 *
 * The zero-point z = rne(-(m alpha)/s) lies in 0 … 2^b - 1 except where a tiny scale's half-precision rounding pushes
 * it one past the end; there it is held at the end, so that what is tuned is what can be stored. */
#include "core/grid/int_rows.h"

#include "core/grid/rows.h"

#include <math.h>

static float low_end(const struct srq_grid_args *a, int64_t group)
{
    return a->lo[group] * (a->alpha != NULL ? a->alpha[group] : 1.0f);
}

static void asym_unit(const struct srq_grid_args *a, int64_t group, struct int_unit *u)
{
    float most = (float)((1 << a->scheme->bits) - 1), floor = int_scale_floor();
    float ma = low_end(a, group), mb = a->hi[group] * (a->beta != NULL ? a->beta[group] : 1.0f);
    float s = srq_round_f16((mb - ma) / most), z;

    u->floored = s < floor;
    if (u->floored)
        s = floor;
    z = nearest_whole(-ma / s);
    z = z < 0 ? 0 : z > most ? most : z;
    u->s = s;
    u->lo = -z;
    u->hi = most - z;
}

/* With h = e - k W/s - (1-k) (m alpha)/s:  g_alpha = sum G [h (-m/Q) + (1-k) m],  g_beta = sum G h (M/Q). */
static void asym_fold(const struct srq_grid_args *a, int64_t group, const struct int_unit *u,
                      const struct int_sums *sums, float *galpha, float *gbeta)
{
    float most = (float)((1 << a->scheme->bits) - 1), m = a->lo[group], h;

    *galpha = sums->clamped * m;
    if (u->floored)
        return;
    h = sums->inner - sums->clamped * (low_end(a, group) / u->s);
    *galpha += h * (-m / most);
    *gbeta = h * (a->hi[group] / most);
}

static const struct int_kind asym_kind = { asym_unit, asym_fold };

static void asym_fake(const struct srq_grid_args *a, int64_t row, int64_t rows, void *dst, enum srq_dtype dtype,
                      int64_t ld)
{
    int_rows_fake(a, row, rows, dst, dtype, ld, &asym_kind);
}

static void asym_grad(const struct srq_grid_args *a, int64_t row, int64_t rows, float *grad, float *galpha,
                      float *gbeta)
{
    int_rows_grad(a, row, rows, grad, galpha, gbeta, &asym_kind);
}

static void asym_encode(const struct srq_grid_args *a, int64_t row, int64_t rows, struct srq_result *out)
{
    int_rows_encode(a, row, rows, out, &asym_kind);
}

const struct srq_grid_ops int_asym_ops = {
    .size = sizeof(struct srq_grid_ops),
    .extrema = int_rows_extrema,
    .fake = asym_fake,
    .grad = asym_grad,
    .encode = asym_encode,
};
