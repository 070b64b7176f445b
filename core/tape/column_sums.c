/* Sums down columns, a stretch of rows at a time. */
#include "core/tape/column_sums.h"

#include "core/math/kernels.h"

#define STRETCH 128 /* rows summed in F32 at a time */

static const void *at(const struct srq_columns *c, const void *p, int64_t row, int64_t col)
{
    return (const char *)p + (size_t)(row * c->ld + col) * srq_dtype_size(c->dtype);
}

void srq_column_sums(const struct srq_columns *c, int64_t col, int64_t n, double *sum)
{
    const struct srq_kernels *kern = srq_kernels();
    const float *center = c->center != NULL ? c->center + col : NULL;
    float part[SRQ_COLUMNS];

    memset(sum, 0, (size_t)n * sizeof(*sum));
    for (int64_t row = 0; row < c->rows; row += STRETCH) {
        int64_t rows = c->rows - row < STRETCH ? c->rows - row : STRETCH;
        const void *x = at(c, c->x, row, col);

        if (c->with != NULL)
            kern->column_dots(c->dtype, x, at(c, c->with, row, col), center, c->ld, rows, n, part);
        else if (center != NULL)
            kern->column_squares(c->dtype, x, center, c->ld, rows, n, part);
        else
            kern->column_sums(c->dtype, x, c->ld, rows, n, part);
        for (int64_t k = 0; k < n; k++)
            sum[k] += (double)part[k];
    }
}
