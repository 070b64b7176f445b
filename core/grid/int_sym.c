/* Symmetric integer grid: full range, signed scale.
 *
 * Codes lie in [-2^(b-1), 2^(b-1)-1]; the side with the larger magnitude lands on the lowest code, so a scale may be
 * negative. Reference: Cheng et al. 2024 (arXiv 2309.05516), with the range of spec signround 2.1. */
#include "core/grid/int_rows.h"

#include <math.h>

/* p = -(m alpha), n = M beta: how far the group reaches to either side. */
static void reach(const struct srq_grid_args *a, int64_t group, float *p, float *n)
{
    *p = -(a->lo[group] * (a->alpha != NULL ? a->alpha[group] : 1.0f));
    *n = a->hi[group] * (a->beta != NULL ? a->beta[group] : 1.0f);
}

static void sym_unit(const struct srq_grid_args *a, int64_t group, struct int_unit *u)
{
    float half = (float)(1 << (a->scheme.bits - 1)), floor = int_scale_floor(), p, n, s;

    reach(a, group, &p, &n);
    s = srq_round_f16((n < p ? p : -n) / half);
    u->floored = fabsf(s) < floor;
    if (u->floored)
        s = s < 0 ? -floor : floor;
    u->s = s;
    u->lo = -half;
    u->hi = half - 1;
}

/* Only the side that dominates is tuned; a tie gives half to each (spec signround 3). */
static void sym_fold(const struct srq_grid_args *a, int64_t group, const struct int_unit *u,
                     const struct int_sums *sums, float *galpha, float *gbeta)
{
    float half = -u->lo, m = a->lo[group], top = a->hi[group], p, n;

    if (u->floored)
        return;
    reach(a, group, &p, &n);
    if (n < p) {
        *galpha = sums->inner * (-m / half);
    } else if (n > p) {
        *gbeta = sums->inner * (-top / half);
    } else {
        *galpha = sums->inner * (m / (2 * half));
        *gbeta = sums->inner * (-top / (2 * half));
    }
}

static void sym_fake(const struct srq_grid_args *a, int64_t row, int64_t rows, void *dst, enum srq_dtype dtype,
                     int64_t ld)
{
    int_rows_fake(a, row, rows, dst, dtype, ld, sym_unit);
}

static void sym_grad(const struct srq_grid_args *a, int64_t row, int64_t rows, float *grad, float *galpha,
                     float *gbeta)
{
    int_rows_grad(a, row, rows, grad, galpha, gbeta, sym_unit, sym_fold);
}

static void sym_encode(const struct srq_grid_args *a, int64_t row, int64_t rows, struct srq_result *out)
{
    int_rows_encode(a, row, rows, out, sym_unit);
}

const struct srq_grid_ops int_sym_ops = {
    .size = sizeof(struct srq_grid_ops),
    .extrema = int_rows_extrema,
    .fake = sym_fake,
    .grad = sym_grad,
    .encode = sym_encode,
};
