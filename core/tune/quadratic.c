/* Output error of a layer from the second moment of its inputs, in panels of rows. */
#include "core/tune/quadratic.h"

#include "core/base/alloc.h"
#include "core/math/gemm.h"
#include "core/math/team.h"

#include <math.h>

#define PANEL_ROWS 256 /* of d H that exist together */

struct dots {
    const float *d, *panel; /* [rows, n] */
    int64_t n;
    double *sums;
};

static void dot_rows(void *ctx, int64_t begin, int64_t end)
{
    const struct dots *x = ctx;

    for (int64_t i = begin; i < end; i++) {
        double row = 0;

        for (int64_t j = 0; j < x->n; j++)
            row += (double)x->panel[i * x->n + j] * (double)x->d[i * x->n + j];
        x->sums[i] = row;
    }
}

double srq_quadratic(const float *d, int64_t rows, const float *h, int64_t n)
{
    int64_t most = rows < PANEL_ROWS ? rows : PANEL_ROWS;
    float *panel = srq_calloc((size_t)(most > 0 ? most : 1), (size_t)n * sizeof(float));
    const struct srq_mat b = { h, SRQ_F32, n, false };
    double sum = 0, sums[PANEL_ROWS];

    if (panel == NULL)
        return NAN;
    for (int64_t r = 0; r < rows; r += most) {
        int64_t count = rows - r < most ? rows - r : most;
        const struct srq_mat a = { d + r * n, SRQ_F32, n, false };
        struct dots x = { d + r * n, panel, n, sums };

        srq_gemm(&(struct srq_product){ count, n, n, a, b, .c = { panel, SRQ_F32, n } });
        srq_parallel(count, 1, dot_rows, &x);
        for (int64_t i = 0; i < count; i++)
            sum += sums[i];
    }
    srq_free(panel);
    return sum;
}
