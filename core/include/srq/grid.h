/* The operations of a grid, which a plugin asks h->grid for: it never hard-codes one. */
#ifndef SRQ_GRID_H
#define SRQ_GRID_H

#include <srq/layer.h>

/* The parameters of a grid for rows of one layer. Arrays are indexed by group: row * per_row + g (group 0: index 0).
 * NULL alpha, beta: all ones. NULL v: all zeros. */
struct srq_grid_args {
    uint32_t size;
    float tensor_scale; /* of srq_layer, nvfp4 */
    const struct srq_tensor *weight;
    const struct srq_scheme *scheme;
    const struct srq_groups *groups;
    const float *lo, *hi;      /* [count] m = min(min W,0), M = max(max W,0), made by extrema() */
    const float *v;            /* [out, in] rounding offset */
    const float *alpha, *beta; /* [count] range coefficients */
    const float *start; /* [count] of search(): integers: the scale before beta, alpha is then unused; mx, nvfp4: factor
                           on the group's largest magnitude; k-quants: the scale before beta and before it is made a
                           multiple. NULL: none */
    float *start_min; /* [count] k-quants with minima, since minor version 4: beside `start`, what is subtracted from a
                         group's values (at least 0), before alpha; search() fills it. NULL: -lo */
};

struct srq_grid_ops {
    uint32_t size;
    /* Fills lo[count], hi[count] from the weight. Parallel inside. */
    int (*extrema)(const struct srq_grid_args *a, float *lo, float *hi);
    /* Ŵ of rows [row, row+rows) into `dst`, row stride `ld` elements, F32 or BF16. One thread. */
    void (*fake)(const struct srq_grid_args *a, int64_t row, int64_t rows, void *dst, enum srq_dtype dtype, int64_t ld);
    /* Straight-through gradients (spec signround 3). `grad` [rows, in] holds dL/dŴ on entry and dL/dV on return; dL/dα
     * and dL/dβ are added into galpha[count], gbeta[count] (both or neither may be NULL). One thread; with group 0 the
     * caller gives arrays of its own per thread or per row, each with the one entry that is added to. */
    void (*grad)(const struct srq_grid_args *a, int64_t row, int64_t rows, float *grad, float *galpha, float *gbeta);
    /* Codes, scales and zero-points of rows [row, row+rows), into the whole layer's arrays. One thread. */
    void (*encode)(const struct srq_grid_args *a, int64_t row, int64_t rows, struct srq_result *out);
    /* The start of every group of rows [row, row+rows) that gives the least sum of importance * (Ŵ - W)², importance
     * [in] or NULL for all ones, among the candidates of spec signround 8.1, V = 0 and beta = 1. Channels without
     * importance are filled in as spec signround 6 says; integer scales are rounded as they will be stored. With group
     * 0 give all rows in one call. One thread; NULL where the grid has no search. */
    void (*search)(const struct srq_grid_args *a, const float *importance, int64_t row, int64_t rows, float *start);
};

#endif
