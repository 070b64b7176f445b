/* Sums down the columns of some rows, as normalizations and what acts on whole samples need them: in F32 over short
 * stretches and in double from there, in an order that depends on nothing but the shape. */
#ifndef SRQ_TAPE_COLUMN_SUMS_H
#define SRQ_TAPE_COLUMN_SUMS_H

#include "core/tensor/tensor.h"

/* Columns that one call sums: what its caller keeps on the stack. */
#define SRQ_COLUMNS 64

/* Rows of stride ld, from the first one's first column on. */
struct srq_columns {
    enum srq_dtype dtype;
    const void *x;       /* [rows, ld] */
    const void *with;    /* NULL, or its like: sum x (with - center) instead of x */
    const float *center; /* [ld], or NULL: 0. Without `with`: sum (x - center)² */
    int64_t rows, ld;
};

/* The sums of columns [col, col+n), n <= SRQ_COLUMNS. */
void srq_column_sums(const struct srq_columns *c, int64_t col, int64_t n, double *sum);

#endif
