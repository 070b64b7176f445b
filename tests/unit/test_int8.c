/* Tests of products of integer codes: every backend of this machine against sums in 64 bits. */
#include "test.h"

#include "core/base/alloc.h"
#include "core/base/rng.h"
#include "core/math/int8_backend.h"
#include "core/math/team.h"

#include <math.h>

static const char *const backends[] = { "vnni", "avx2", "onednn", "plain" };
#define BACKENDS 4

/* ---- operands ---- */

struct data {
    uint8_t *a;
    int8_t *b;
    float *scales, *bias;
    int64_t m, n, k;
};

enum codes { RANDOM, LOWEST, HIGHEST };

static struct data make(int64_t m, int64_t n, int64_t k, enum codes codes)
{
    struct data d = {
        malloc((size_t)(m * k)), malloc((size_t)(n * k)), calloc((size_t)n, 4), calloc((size_t)n, 4), m, n, k
    };

    for (int64_t i = 0; i < m * k; i++)
        d.a[i] = codes == RANDOM ? (uint8_t)(srq_rng_uniform(3, 1, (uint64_t)i) * 256) : 255;
    for (int64_t i = 0; i < n * k; i++)
        d.b[i] = codes == RANDOM   ? (int8_t)(srq_rng_uniform(3, 2, (uint64_t)i) * 256 - 128)
                 : codes == LOWEST ? -128
                                   : 127;
    for (int64_t j = 0; j < n; j++) {
        d.scales[j] = 0.01f * (float)(j % 7 + 1);
        d.bias[j] = (float)(j % 5) - 2;
    }
    return d;
}

static void unmake(struct data *d)
{
    free(d->a);
    free(d->b);
    free(d->scales);
    free(d->bias);
}

static struct srq_int8_weight *weight_of(const struct data *d, int kernel)
{
    const struct srq_int8_codes c = { d->n, d->k, d->b, d->scales, kernel };
    struct srq_error err = { 0 };
    struct srq_int8_weight *w = NULL;

    assert_ok(srq_int8_weight_create(&c, &w, &err), &err);
    return w;
}

static struct srq_int8_product product_of(const struct data *d, const struct srq_int8_weight *w, int32_t zero, void *y,
                                          enum srq_dtype dtype)
{
    return (struct srq_int8_product){ .m = d->m,
                                      .a = { .codes = d->a, .step = d->k },
                                      .zero_a = zero,
                                      .scale_a = 0.5f,
                                      .b = w,
                                      .bias = d->bias,
                                      .c = { y, dtype, d->n } };
}

static double exact(const struct data *d, int32_t zero, int64_t i, int64_t j)
{
    int64_t sum = 0;

    for (int64_t p = 0; p < d->k; p++)
        sum += (int64_t)(d->a[i * d->k + p] - zero) * d->b[j * d->k + p];
    return (double)sum * 0.5 * (double)d->scales[j];
}

/* F32 gives the exact sum rounded once, scaled in two steps and added to. */
static void check(const struct data *d, int32_t zero)
{
    float *y = malloc((size_t)(d->m * d->n) * sizeof(float));
    uint16_t *half = malloc((size_t)(d->m * d->n) * sizeof(uint16_t));
    struct srq_int8_weight *w = weight_of(d, 0);
    struct srq_int8_product p = product_of(d, w, zero, y, SRQ_F32), q = product_of(d, w, zero, half, SRQ_BF16);

    srq_int8_multiply(&p);
    srq_int8_multiply(&q);
    for (int64_t i = 0; i < d->m; i++) {
        for (int64_t j = 0; j < d->n; j++) {
            double sum = exact(d, zero, i, j), want = sum + (double)d->bias[j], slack = fabs(sum) + fabs(want);
            int64_t at = i * d->n + j;

            if (!(fabs((double)y[at] - want) <= 3e-7 * slack))
                fail_msg("%s [%d, %d, %d], zero %d: %.9g at %d,%d, not %.9g", srq_int8_backend(), (int)d->m, (int)d->n,
                         (int)d->k, zero, (double)y[at], (int)i, (int)j, want);
            assert_true(half[at] == srq_f32_to_bf16(y[at]));
        }
    }
    srq_int8_weight_free(w);
    free(y);
    free(half);
}

/* Runs `body` with every backend that there is; plain is always. */
static void with_backends(void (*body)(void))
{
    int ran = 0;

    for (int i = 0; i < BACKENDS; i++) {
        struct srq_error err = { 0 };

        if (srq_int8_start(backends[i], &err) != 0)
            continue;
        assert_string_equal(srq_int8_backend(), backends[i]);
        body();
        ran++;
        srq_int8_stop();
    }
    assert_true(ran > 0);
    assert_string_equal(srq_int8_backend(), "plain");
}

/* ---- sums ---- */

static void random_codes(void)
{
    static const int64_t shapes[][3] = { { 1, 1, 1 },    { 1, 64, 256 },   { 3, 5, 2 },
                                         { 16, 32, 7 },  { 49, 64, 65 },   { 100, 63, 31 },
                                         { 12, 129, 3 }, { 205, 17, 130 }, { 97, 200, 577 } };

    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        struct data d = make(shapes[i][0], shapes[i][1], shapes[i][2], RANDOM);

        check(&d, 0);
        check(&d, 128);
        check(&d, 255);
        unmake(&d);
    }
}

static void every_backend_gives_the_exact_sums(void **state)
{
    (void)state;
    with_backends(random_codes);
}

static void extreme_codes(void)
{
    static const int64_t longs[] = { 2, 3, 64, 1001, 4096 };

    for (size_t i = 0; i < sizeof(longs) / sizeof(longs[0]); i++) {
        for (int c = LOWEST; c <= HIGHEST; c++) {
            struct data d = make(13, 33, longs[i], (enum codes)c);

            check(&d, 0);
            check(&d, 254);
            unmake(&d);
        }
    }
}

static void the_largest_codes_do_not_saturate(void **state)
{
    (void)state;
    with_backends(extreme_codes);
}

/* The longest that 32 bits are used for, one more, and the longest of all. */
static void long_rows(void)
{
    static const int64_t longs[] = { SRQ_INT8_NARROW, SRQ_INT8_NARROW + 1, SRQ_INT8_K_MAX };

    for (size_t i = 0; i < sizeof(longs) / sizeof(longs[0]); i++) {
        struct data d = make(2, 3, longs[i], LOWEST);

        check(&d, 0);
        check(&d, 1);
        check(&d, 255);
        unmake(&d);
    }
}

static void rows_of_any_length_are_added_up_exactly(void **state)
{
    (void)state;
    with_backends(long_rows);
}

static void nothing_is_computed_of_no_rows(void **state)
{
    struct data d = make(1, 2, 3, RANDOM);
    struct srq_int8_weight *w = weight_of(&d, 0);
    float y[2] = { 7, 7 };
    struct srq_int8_product p = product_of(&d, w, 0, y, SRQ_F32);

    (void)state;
    p.m = 0;
    srq_int8_multiply(&p);
    assert_true(y[0] == 7 && y[1] == 7);
    srq_int8_weight_free(w);
    unmake(&d);
}

/* ---- patches ---- */

enum { PICTURES = 3, HIGH = 5, WIDE = 6, CHANNELS = 5, OUT = 18, KERNEL = 3 };

/* A convolution by its definition: y[picture, oy, ox, o], stride 2, no padding. */
static double convolved(const struct data *d, int picture, int oy, int ox, int o)
{
    int64_t sum = 0;

    for (int c = 0; c < CHANNELS; c++)
        for (int ky = 0; ky < KERNEL; ky++)
            for (int kx = 0; kx < KERNEL; kx++)
                sum += (int64_t)(d->a[((picture * HIGH + 2 * oy + ky) * WIDE + 2 * ox + kx) * CHANNELS + c] - 9) *
                       d->b[((o * CHANNELS + c) * KERNEL + ky) * KERNEL + kx];
    return (double)sum * 0.5 * (double)d->scales[o] + (double)d->bias[o];
}

static void patches(void)
{
    enum { OH = 2, OW = 2, ROWS = PICTURES * OH * OW };
    struct data d = make(PICTURES * HIGH * WIDE, OUT, CHANNELS * KERNEL * KERNEL, RANDOM);
    struct srq_int8_weight *w = weight_of(&d, KERNEL);
    float y[ROWS * OUT];
    struct srq_int8_product p = product_of(&d, w, 9, y, SRQ_F32);

    p.m = ROWS;
    p.a = (struct srq_int8_rows){
        d.a, 2 * CHANNELS, OW, 2 * WIDE * CHANNELS, OH, HIGH * WIDE * CHANNELS, WIDE * CHANNELS
    };
    srq_int8_multiply(&p);
    for (int i = 0; i < ROWS; i++)
        for (int o = 0; o < OUT; o++)
            assert_true(fabs((double)y[i * OUT + o] - convolved(&d, i / 4, i / 2 % 2, i % 2, o)) < 2e-3);
    srq_int8_weight_free(w);
    unmake(&d);
}

static void patches_where_they_lie_give_the_convolution(void **state)
{
    (void)state;
    with_backends(patches);
}

/* ---- what is done with sums ---- */

static void a_result_is_rounded_as_rows_are(void **state)
{
    const struct srq_code_range to = { 0.37f, 4, 0, 15 };
    struct data d = make(31, 70, 50, RANDOM);
    struct srq_int8_weight *w = weight_of(&d, 0);
    float *y = calloc(31 * 70, 4), *want = calloc(31 * 70, 4);
    struct srq_int8_product p = product_of(&d, w, 100, want, SRQ_F32);

    (void)state;
    srq_int8_multiply(&p);
    srq_kernels()->round(SRQ_F32, want, &to, want, NULL, 31 * 70);
    p.c.data = y;
    p.round = to;
    srq_int8_multiply(&p);
    assert_memory_equal(y, want, 31 * 70 * 4);
    srq_int8_weight_free(w);
    unmake(&d);
    free(y);
    free(want);
}

static void same_bytes(void)
{
    struct data d = make(513, 96, 300, RANDOM);
    float *y[2] = { calloc(513 * 96, 4), calloc(513 * 96, 4) };
    struct srq_int8_weight *w = weight_of(&d, 0);

    for (int i = 0; i < 2; i++) {
        struct srq_int8_product p = product_of(&d, w, 31, y[i], SRQ_F32);
        struct srq_error err = { 0 };

        assert_ok(srq_team_start(1 + i, &err), &err);
        srq_int8_multiply(&p);
    }
    assert_memory_equal(y[0], y[1], 513 * 96 * 4);
    srq_int8_weight_free(w);
    unmake(&d);
    free(y[0]);
    free(y[1]);
}

static void any_number_of_threads_gives_the_same_bytes(void **state)
{
    (void)state;
    with_backends(same_bytes);
}

/* ---- choice ---- */

/* Pairs of products kept within 16 bits, as the instruction does that older processors have. */
static void saturating_block(const struct srq_int8_product *p, const struct srq_int8_block *b)
{
    for (int64_t i = 0; i < b->rows; i++) {
        const uint8_t *a = srq_int8_row(&p->a, b->first + i);

        for (int64_t j = 0; j < b->cols; j++) {
            int32_t sum = b->begin[j];

            for (int64_t s = 0; s < p->b->k; s += 2) {
                const int8_t *w = p->b->codes + (b->col + j) * p->b->k;
                int32_t pair = 0;

                for (int64_t k = s; k < s + 2 && k < p->b->k; k++)
                    pair += a[k / p->b->piece * p->a.piece + k % p->b->piece] * w[k];
                sum += pair < -32768 ? -32768 : pair > 32767 ? 32767 : pair;
            }
            b->sums[i * SRQ_INT8_BLOCK_COLS + j] = sum;
        }
    }
}

static void a_backend_that_saturates_is_found_out(void **state)
{
    struct srq_int8_engine wrong = srq_int8_plain;
    struct srq_error err = { 0 };

    (void)state;
    assert_ok(srq_int8_check(&wrong, &err), &err);
    wrong.block = saturating_block;
    assert_refused(srq_int8_check(&wrong, &err), -SRQ_ENUMERIC, &err, "is right");
}

static void an_unknown_backend_is_refused_with_the_choices(void **state)
{
    struct srq_error err = { 0 };

    (void)state;
    assert_refused(srq_int8_start("abacus", &err), -SRQ_EINVAL, &err, "auto, vnni, avx2, onednn, plain");
    assert_string_equal(srq_int8_backend(), "plain");
}

static void what_is_no_weight_is_refused(void **state)
{
    const int8_t code = 1;
    const float scale = 1;
    const struct srq_int8_codes wrong[] = { { 0, 1, &code, &scale, 0 },
                                            { 1, 0, &code, &scale, 0 },
                                            { 1, SRQ_INT8_K_MAX + 1, &code, &scale, 0 },
                                            { 1, 10, &code, &scale, 3 } };

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct srq_int8_weight *w = NULL;
        struct srq_error err = { 0 };

        assert_refused(srq_int8_weight_create(&wrong[i], &w, &err), -SRQ_EINVAL, &err, "no weight");
        assert_null(w);
    }
}

static uint64_t fail_after;

static bool fail_allocation(size_t size, void *ctx)
{
    (void)size;
    (void)ctx;
    return fail_after-- != 0;
}

/* Whichever allocation fails, there is no weight, and nothing is left of it. */
static void want_of_memory_is_reported(void **state)
{
    struct data d = make(3, 5, 7, RANDOM);
    const struct srq_int8_codes c = { d.n, d.k, d.b, d.scales, 0 };
    struct srq_int8_weight *w;
    struct srq_error err = { 0 };
    int failed = 0, rc = -SRQ_ENOMEM;

    (void)state;
    for (; rc == -SRQ_ENOMEM && failed < 10; failed++) {
        fail_after = (uint64_t)failed;
        srq_set_alloc_hook(fail_allocation, NULL);
        rc = srq_int8_weight_create(&c, &w, &err);
        srq_set_alloc_hook(NULL, NULL);
        assert_true(rc == 0 || w == NULL);
    }
    assert_int_equal(rc, 0);
    assert_true(failed > 4 && srq_int8_weight_bytes(w) >= 35 + 5 * 8);
    srq_int8_weight_free(w);
    unmake(&d);
}

/* A weight is read as whoever made it laid it out, whoever is chosen since. */
static void a_weight_outlives_the_choice_of_a_backend(void **state)
{
    struct data d = make(40, 40, 40, RANDOM);
    float y[40 * 40], want[40 * 40];
    struct srq_error err = { 0 };
    struct srq_int8_weight *w = weight_of(&d, 0);
    struct srq_int8_product p = product_of(&d, w, 17, want, SRQ_F32);

    (void)state;
    srq_int8_multiply(&p);
    srq_int8_weight_free(w);
    for (int i = 0; i < BACKENDS; i++) {
        if (srq_int8_start(backends[i], &err) != 0)
            continue;
        w = weight_of(&d, 0);
        srq_int8_stop();
        p = product_of(&d, w, 17, y, SRQ_F32);
        srq_int8_multiply(&p);
        for (int j = 0; j < 40 * 40; j++)
            assert_true(fabsf(y[j] - want[j]) <= 1e-6f * (1 + fabsf(want[j])));
        srq_int8_weight_free(w);
    }
    unmake(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_backend_gives_the_exact_sums),
        cmocka_unit_test(the_largest_codes_do_not_saturate),
        cmocka_unit_test(rows_of_any_length_are_added_up_exactly),
        cmocka_unit_test(nothing_is_computed_of_no_rows),
        cmocka_unit_test(patches_where_they_lie_give_the_convolution),
        cmocka_unit_test(a_result_is_rounded_as_rows_are),
        cmocka_unit_test(any_number_of_threads_gives_the_same_bytes),
        cmocka_unit_test(a_backend_that_saturates_is_found_out),
        cmocka_unit_test(an_unknown_backend_is_refused_with_the_choices),
        cmocka_unit_test(what_is_no_weight_is_refused),
        cmocka_unit_test(want_of_memory_is_reported),
        cmocka_unit_test(a_weight_outlives_the_choice_of_a_backend),
    };
    struct srq_error err;

    if (srq_team_start(2, &err) != 0)
        return 1;
    return cmocka_run_group_tests_name("int8", tests, NULL, NULL);
}
