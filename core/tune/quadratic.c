/* Output error of a layer from the second moment of its inputs, in panels of rows. */
#include "core/tune/quadratic.h"

#include "core/base/alloc.h"
#include "core/base/simd.h"
#include "core/math/gemm.h"
#include "core/math/team.h"

#include <math.h>

#define PANEL_ROWS 512 /* of d H that exist together */
#define STRETCH 192    /* columns of H at a time */
#define LANES 16       /* sums side by side */

struct dots {
    const float *d, *panel; /* [rows, n] */
    int64_t n;
    double *sums;
};

SRQ_SIMD static double dot(const float *a, const float *b, int64_t n)
{
    double sums[LANES] = { 0 }, sum = 0;
    int64_t i = 0;

    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++)
            sums[k] += (double)a[i + k] * (double)b[i + k];
    for (; i < n; i++)
        sum += (double)a[i] * (double)b[i];
    for (int k = 0; k < LANES; k++)
        sum += sums[k];
    return sum;
}

static void dot_rows(void *ctx, int64_t begin, int64_t end)
{
    const struct dots *x = ctx;

    for (int64_t i = begin; i < end; i++)
        x->sums[i] = dot(x->panel + i * x->n, x->d + i * x->n, x->n);
}

/* d H, as far as it takes to sum up d H dᵀ: H being symmetric, what lies below its diagonal is what lies above. Of a
 * stretch of columns the rows above it count twice, and its own ones once. */
static void half_of_product(const float *d, int64_t rows, const float *h, int64_t n, float *panel)
{
    for (int64_t at = 0; at < n; at += STRETCH) {
        const int64_t cols = n - at < STRETCH ? n - at : STRETCH;
        const struct srq_mat before = { d, SRQ_F32, n, false }, own = { d + at, SRQ_F32, n, false };
        const struct srq_mat above = { h + at, SRQ_F32, n, false }, square = { h + at * n + at, SRQ_F32, n, false };
        const struct srq_mat_out c = { panel + at, SRQ_F32, n };

        srq_gemm(&(struct srq_product){ rows, cols, at, before, above, .c = c, .alpha = 2 });
        srq_gemm(&(struct srq_product){ rows, cols, cols, own, square, .c = c, .add = true });
    }
}

double srq_quadratic(const float *d, int64_t rows, const float *h, int64_t n)
{
    int64_t most = rows < PANEL_ROWS ? rows : PANEL_ROWS;
    float *panel = srq_calloc((size_t)(most > 0 ? most : 1), (size_t)n * sizeof(float));
    double sum = 0, sums[PANEL_ROWS];

    if (panel == NULL)
        return NAN;
    for (int64_t r = 0; r < rows; r += most) {
        int64_t count = rows - r < most ? rows - r : most;
        struct dots x = { d + r * n, panel, n, sums };

        half_of_product(d + r * n, count, h, n, panel);
        srq_parallel(count, 1, dot_rows, &x);
        for (int64_t i = 0; i < count; i++)
            sum += sums[i];
    }
    srq_free(panel);
    return sum;
}
