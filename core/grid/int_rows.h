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

typedef void (*int_unit_fn)(const struct srq_grid_args *a, int64_t group, struct int_unit *u);
typedef void (*int_fold_fn)(const struct srq_grid_args *a, int64_t group, const struct int_unit *u,
                            const struct int_sums *sums, float *galpha, float *gbeta);

/* The least magnitude of a scale: 1e-5, itself rounded to half precision (spec signround 0). */
float int_scale_floor(void);

int int_rows_extrema(const struct srq_grid_args *a, float *lo, float *hi);
void int_rows_fake(const struct srq_grid_args *a, int64_t row, int64_t rows, void *dst, enum srq_dtype dtype,
                   int64_t ld, int_unit_fn unit);
void int_rows_grad(const struct srq_grid_args *a, int64_t row, int64_t rows, float *grad, float *galpha, float *gbeta,
                   int_unit_fn unit, int_fold_fn fold);
void int_rows_encode(const struct srq_grid_args *a, int64_t row, int64_t rows, struct srq_result *out,
                     int_unit_fn unit);

#endif
