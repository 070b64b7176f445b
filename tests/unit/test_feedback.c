/* The factor of an inverse and rounding with feedback, against plain arithmetic in double. */
#include "tests/unit/test.h"
#include "tests/unit/math_start.h"

#include "core/base/alloc.h"
#include "core/base/rng.h"
#include "core/tune/feedback.h"

#include <math.h>

#define MOST 300

/* A well-conditioned second moment: of n + 40 random vectors. */
static float *moment(int64_t n)
{
    float *h = srq_calloc((size_t)(n * n), sizeof(*h)), *x = srq_malloc((size_t)n * sizeof(*x));

    for (int64_t t = 0; t < n + 40; t++) {
        for (int64_t i = 0; i < n; i++)
            x[i] = (float)(srq_rng_uniform(1, 2, (uint64_t)(t * MOST + i)) - 0.5);
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < n; j++)
                h[i * n + j] += x[i] * x[j] / (float)n;
    }
    srq_free(x);
    return h;
}

/* Uᵀ U (H + damp I) = I, U upper. */
static void test_factor(void **state)
{
    const int64_t sizes[] = { 1, 2, 7, 63, 64, 65, 128, 200, MOST };

    (void)state;
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        int64_t n = sizes[s];
        float *h = moment(n), *u = srq_malloc((size_t)(n * n) * sizeof(*u));
        double *p = srq_calloc((size_t)(n * n), sizeof(*p));
        double damp = 0.01, worst = 0;

        assert_int_equal(srq_inverse_factor(h, n, damp, u), 0);
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < i; j++)
                assert_true(u[i * n + j] == 0);
        for (int64_t k = 0; k < n; k++)
            for (int64_t i = k; i < n; i++)
                for (int64_t j = k; j < n; j++)
                    p[i * n + j] += (double)u[k * n + i] * (double)u[k * n + j];
        for (int64_t i = 0; i < n; i++) {
            for (int64_t j = 0; j < n; j++) {
                double sum = damp * p[i * n + j];

                for (int64_t k = 0; k < n; k++)
                    sum += p[i * n + k] * (double)h[k * n + j];
                worst = fmax(worst, fabs(sum - (i == j)));
            }
        }
        if (worst > 1e-3)
            fail_msg("n = %lld: UᵀU (H + damp I) is off the identity by %g", (long long)n, worst);
        srq_free(h);
        srq_free(u);
        srq_free(p);
    }
}

static void test_not_positive(void **state)
{
    float h[4] = { 1, 2, 2, 1 }, u[4], bad[1] = { NAN };

    (void)state;
    assert_int_equal(srq_inverse_factor(h, 2, 0, u), -SRQ_ENUMERIC);
    assert_int_equal(srq_inverse_factor(h, 2, 1.5, u), 0); /* eigenvalues 3 and -1 */
    assert_int_equal(srq_inverse_factor(bad, 1, 0, u), -SRQ_ENUMERIC);
}

static float to_quarter(void *ctx, int64_t row, int64_t col, const float *w)
{
    (void)ctx;
    (void)row;
    return rintf(w[col] * 4) / 4;
}

static void draw(float *w, int64_t rows, int64_t n)
{
    for (int64_t i = 0; i < rows * n; i++)
        w[i] = (float)(4 * srq_rng_uniform(3, 4, (uint64_t)i) - 2);
}

/* Against the definition in double, column by column; and the same whatever the block. */
static void test_feedback(void **state)
{
    const int64_t n = 96, rows = 5, blocks[] = { 1, 8, 32, 50, 96, 1000 };
    float *h = moment(n), *u = srq_malloc((size_t)(n * n) * sizeof(*u)),
          *w = srq_malloc((size_t)(rows * n) * sizeof(*w));
    double *want = srq_malloc((size_t)(rows * n) * sizeof(*want));

    (void)state;
    assert_int_equal(srq_inverse_factor(h, n, 0.01, u), 0);
    draw(w, rows, n);
    for (int64_t i = 0; i < rows * n; i++)
        want[i] = (double)w[i];
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t j = 0; j < n; j++) {
            double value = rint(want[r * n + j] * 4) / 4, e = (want[r * n + j] - value) / (double)u[j * n + j];

            for (int64_t t = j + 1; t < n; t++)
                want[r * n + t] -= e * (double)u[j * n + t];
            want[r * n + j] = value;
        }
    }
    for (size_t b = 0; b < sizeof(blocks) / sizeof(blocks[0]); b++) {
        int64_t other = 0;

        draw(w, rows, n);
        assert_int_equal(srq_column_feedback(w, rows, n, u, blocks[b], to_quarter, NULL), 0);
        for (int64_t i = 0; i < rows * n; i++)
            other += fabs((double)w[i] - want[i]) > 1e-6;
        if (other > 0)
            fail_msg("%lld of %lld values differ with blocks of %lld", (long long)other, (long long)(rows * n),
                     (long long)blocks[b]);
    }
    srq_free(h);
    srq_free(u);
    srq_free(w);
    srq_free(want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_factor),
        cmocka_unit_test(test_not_positive),
        cmocka_unit_test(test_feedback),
    };

    return cmocka_run_group_tests(tests, math_start, math_stop);
}
