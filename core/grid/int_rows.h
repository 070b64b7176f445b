/* The passes over the elements of a layer that both integer grids share. A grid says, for one group, its scale and the
 * interval of whole numbers e = q - z that its codes stand for; then Ŵ = s e with
 *     r = rne(W/s + V),   e = clamp(r, lo, hi),   k = 1 if lo <= r <= hi, else 0     (spec signround 2 and 3). */
#ifndef SRQ_GRID_INT_ROWS_H
#define SRQ_GRID_INT_ROWS_H

#include "core/grid/ops.h"

struct int_unit {
    float s;      /* scale as stored */
    float lo, hi; /* least and greatest e */
    bool floored; /* the scale is the floor, and no gradient reaches the range */
};

/* What one group's elements add to the gradients of its range. */
struct int_sums {
    float inner;   /* sum of G (e - k W/s) */
    float clamped; /* sum of G (1 - k) */
};

/* What the two grids do each in its way, for one group. */
struct int_kind {
    void (*unit)(const struct srq_grid_args *a, int64_t group, struct int_unit *u);
    /* Gradients of the range, zeros before, from the sums. */
    void (*fold)(const struct srq_grid_args *a, int64_t group, const struct int_unit *u, const struct int_sums *sums,
                 float *galpha, float *gbeta);
};

/* The least magnitude of a scale: 1e-5, itself rounded to half precision (spec signround 0). */
float int_scale_floor(void);

int int_rows_extrema(const struct srq_grid_args *a, float *lo, float *hi);
void int_rows_fake(const struct srq_grid_args *a, int64_t row, int64_t rows, void *dst, enum srq_dtype dtype,
                   int64_t ld, const struct int_kind *kind);
void int_rows_grad(const struct srq_grid_args *a, int64_t row, int64_t rows, float *grad, float *galpha, float *gbeta,
                   const struct int_kind *kind);
void int_rows_encode(const struct srq_grid_args *a, int64_t row, int64_t rows, struct srq_result *out,
                     const struct int_kind *kind);

#endif
