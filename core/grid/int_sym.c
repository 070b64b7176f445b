/* Symmetric integer grid: full range, signed scale.
 *
 * Codes lie in [-2^(b-1), 2^(b-1)-1]; the side with the larger magnitude lands on the lowest code, so a scale may be
 * negative. Reference: Cheng et al. 2024 (arXiv 2309.05516), with the range of spec signround 2.1. With a searched
 * scale s0 (spec signround 8.1) the scale is s0 beta, and alpha has no part in it. */
#include "core/grid/int_rows.h"

#include "core/base/simd.h"
#include "core/grid/rows.h"
#include "core/grid/weights_of_error.h"

#include <math.h>

/* p = -(m alpha), n = M beta: how far the group reaches to either side. */
static void reach(const struct srq_grid_args *a, int64_t group, float *p, float *n)
{
    *p = -(a->lo[group] * (a->alpha != NULL ? a->alpha[group] : 1.0f));
    *n = a->hi[group] * (a->beta != NULL ? a->beta[group] : 1.0f);
}

static void sym_unit(const struct srq_grid_args *a, int64_t group, struct int_unit *u)
{
    float half = (float)(1 << (a->scheme->bits - 1)), floor = int_scale_floor(), p, n, s;
    const float *start = a->start;

    if (start != NULL) {
        s = start[group] * (a->beta != NULL ? a->beta[group] : 1.0f);
    } else {
        reach(a, group, &p, &n);
        s = (n < p ? p : -n) / half;
    }
    s = srq_round_f16(s);
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
    if (a->start != NULL) {
        *gbeta = sums->inner * a->start[group];
        return;
    }
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

static const struct int_kind sym_kind = { sym_unit, sym_fold };

static void sym_fake(const struct srq_grid_args *a, int64_t row, int64_t rows, void *dst, enum srq_dtype dtype,
                     int64_t ld)
{
    int_rows_fake(a, row, rows, dst, dtype, ld, &sym_kind);
}

static void sym_grad(const struct srq_grid_args *a, int64_t row, int64_t rows, float *grad, float *galpha, float *gbeta)
{
    int_rows_grad(a, row, rows, grad, galpha, gbeta, &sym_kind);
}

static void sym_encode(const struct srq_grid_args *a, int64_t row, int64_t rows, struct srq_result *out)
{
    int_rows_encode(a, row, rows, out, &sym_kind);
}

/* ---- search (spec signround 8.1) --------------------------------------------------------------------------------- */

#define CANDIDATES 208 /* the nominal scale and at most 201 others, filled up to whole vectors */

struct candidates {
    float start[CANDIDATES]; /* the scale before it is rounded */
    float s[CANDIDATES];     /* as it would be stored */
    float inv[CANDIDATES];
    float error[CANDIDATES]; /* sum of h (s q - w)^2 */
};

/* The scales that the extrema (lo, hi) of a group allow, the nominal one first: w_max / -(half - step i). */
SRQ_SIMD static void list_candidates(float lo, float hi, float half, struct candidates *c)
{
    bool narrow = half == 2;
    float top = hi < -lo ? lo : hi, step = narrow ? 0.01f : half * 0.0075f, floor = int_scale_floor();
    int reach = narrow ? 90 : 100;

    for (int k = 0; k < CANDIDATES; k++) {
        int i = k == 0 || k > 2 * reach + 1 ? 0 : k - 1 - reach;

        c->start[k] = -top / (half - step * (float)i);
    }
    for (int k = 0; k < CANDIDATES; k++) {
        float s = round_half(c->start[k]), size = s < 0 ? -s : s;

        s = size < floor ? (s < 0 ? -floor : floor) : s;
        c->s[k] = s;
        c->inv[k] = 1 / s;
        c->error[k] = size > 65504 ? INFINITY : 0;
    }
}

/* Adds a run of weights to the errors of all candidates: the loop over these is the one that is vectorized. */
SRQ_SIMD static void add_errors(const float *w, const float *h, int64_t n, float half, struct candidates *restrict c)
{
    float least = -half, most = half - 1;

    for (int64_t i = 0; i < n; i++) {
        float x = w[i], weight = h[i];

        for (int k = 0; k < CANDIDATES; k++) {
            float q = x * c->inv[k], d;

            q = q < least ? least : q;
            q = q > most ? most : q;
            q = nearest_whole(q);
            d = c->s[k] * q - x;
            c->error[k] += weight * (d * d);
        }
    }
}

static float best_start(const struct candidates *c)
{
    int best = 0;

    for (int k = 1; k < CANDIDATES; k++)
        best = c->error[k] < c->error[best] ? k : best;
    return c->start[best];
}

/* One group: columns [from, stop) of rows [row, row + rows). */
static void search_group(const struct srq_grid_args *a, const float *importance, int64_t group, int64_t row,
                         int64_t rows, int64_t from, int64_t stop, float *start)
{
    float half = (float)(1 << (a->scheme->bits - 1)), w[SEGMENT], h[SEGMENT];
    struct candidates c;

    list_candidates(a->lo[group], a->hi[group], half, &c);
    for (int64_t r = row; r < row + rows; r++) {
        struct error_weights e = error_weights_of(a, importance, r, from, stop);

        for (int64_t i = from; i < stop; i += SEGMENT) {
            int64_t n = stop - i < SEGMENT ? stop - i : SEGMENT;

            load_run(a->weight, r * a->groups->in + i, w, n);
            error_weights_run(&e, w, i, n, h);
            add_errors(w, h, n, half, &c);
        }
    }
    start[group] = best_start(&c);
    if (!(fabsf(start[group]) >= int_scale_floor()))
        start[group] = start[group] < 0 ? -int_scale_floor() : int_scale_floor();
}

static void sym_search(const struct srq_grid_args *a, const float *importance, int64_t row, int64_t rows, float *start)
{
    const struct srq_groups *g = a->groups;

    if (a->scheme->group == 0) {
        search_group(a, importance, 0, row, rows, 0, g->in, start);
        return;
    }
    for (int64_t r = row; r < row + rows; r++)
        for (int64_t j = 0; j < g->per_row; j++)
            search_group(a, importance, group_of(g, r, j), r, 1, j * g->len, end_of(g, j), start);
}

const struct srq_grid_ops int_sym_ops = {
    .size = sizeof(struct srq_grid_ops),
    .extrema = int_rows_extrema,
    .fake = sym_fake,
    .grad = sym_grad,
    .encode = sym_encode,
    .search = sym_search,
};
