/* Tests of the thread team, the products, and the scalar functions. */
#include "test.h"

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/base/rng.h"
#include "core/math/gemm.h"
#include "core/math/kernels.h"
#include "core/math/team.h"
#include "core/math/vec.h"
#include "tests/unit/skip.h"

#include <math.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

#define THREADS 3

/* ---- team ---- */

struct visits {
    _Atomic int count[1000];
    _Atomic int calls;
    _Atomic int64_t least;
};

static void visit_range(void *ctx, int64_t begin, int64_t end)
{
    struct visits *v = ctx;

    atomic_fetch_add(&v->calls, 1);
    for (int64_t least = v->least;
         end - begin < least && !atomic_compare_exchange_weak(&v->least, &least, end - begin);)
        continue;
    for (int64_t i = begin; i < end; i++)
        atomic_fetch_add(&v->count[i], 1);
}

static void visit_item(void *ctx, int64_t item, int thread)
{
    struct visits *v = ctx;

    if (thread >= 0 && thread < srq_team_size())
        atomic_fetch_add(&v->count[item], 1);
}

static void every_index_is_visited_once(void **state)
{
    static const int64_t sizes[] = { 0, 1, 2, 3, 7, 100, 999, 1000 };

    (void)state;
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        struct visits a = { .least = INT64_MAX }, b = { .least = 0 };

        srq_parallel(sizes[s], 1, visit_range, &a);
        srq_parallel_items(sizes[s], visit_item, &b);
        for (int i = 0; i < 1000; i++) {
            assert_int_equal(a.count[i], i < sizes[s] ? 1 : 0);
            assert_int_equal(b.count[i], i < sizes[s] ? 1 : 0);
        }
    }
}

static void shares_are_not_smaller_than_the_grain(void **state)
{
    struct visits v = { .least = INT64_MAX };

    (void)state;
    srq_parallel(100, 40, visit_range, &v);
    assert_int_equal(v.calls, 2);
    assert_true(v.least >= 40);
    v.calls = 0;
    srq_parallel(30, 40, visit_range, &v);
    assert_int_equal(v.calls, 1);
}

static void nested(void *ctx, int64_t begin, int64_t end)
{
    (void)begin;
    (void)end;
    srq_parallel(1000, 1, visit_range, ctx);
}

static void a_loop_inside_a_loop_runs_on_its_caller(void **state)
{
    struct visits v = { .least = INT64_MAX };

    (void)state;
    srq_parallel(THREADS, 1, nested, &v);
    assert_int_equal(v.calls, THREADS);
    assert_int_equal(v.count[999], THREADS);
}

static void halve(void *ctx, int64_t begin, int64_t end)
{
    volatile float *x = ctx;

    for (int64_t i = begin; i < end; i++)
        x[i] = x[i] * 0.5f;
}

static void denormals_count_as_zero(void **state)
{
    float x[64];

    (void)state;
    for (int i = 0; i < 64; i++)
        x[i] = 1.2e-38f;
    srq_parallel(64, 1, halve, x);
    for (int i = 0; i < 64; i++)
        assert_true(x[i] == 0.0f);
}

static void one_openmp_runtime_is_mapped(void **state)
{
    char names[2048];

    (void)state;
    srq_team_runtimes(names, sizeof(names));
    if (strstr(names, "libgomp") == NULL || strchr(names, ' ') != NULL)
        fail_msg("mapped: %s", names);
}

static void thread_counts_out_of_range_are_refused(void **state)
{
    struct srq_error err;

    (void)state;
    assert_refused(srq_team_start(-1, &err), -SRQ_EINVAL, &err, "-1");
    assert_refused(srq_team_start(SRQ_TEAM_MAX + 1, &err), -SRQ_EINVAL, &err, "1025");
    assert_int_equal(srq_team_size(), THREADS);
    assert_in_range(srq_team_default(), 1, SRQ_TEAM_MAX);
}

/* ---- products ---- */

struct product {
    int64_t m, n, k;
    enum srq_dtype dtype, c_dtype;
    bool ta, tb;
    float alpha, beta;
};

/* Element i of operand `stream`: in [-1, 1), exact in bf16. */
REFERENCE_LOOP static double value(int stream, int64_t i)
{
    static float table[8192];

    if (table[0] == 0)
        for (int j = 0; j < 8192; j++)
            table[j] = srq_bf16_to_f32(srq_f32_to_bf16((float)(2 * srq_rng_uniform(5, 1, (uint64_t)j) - 1)));
    return table[(i * 7 + stream * 1009) & 8191];
}

static void *make(enum srq_dtype dtype, int64_t n)
{
    void *p = malloc((size_t)n * srq_dtype_size(dtype) + 1);

    assert_non_null(p);
    return p;
}

static void set(void *p, enum srq_dtype dtype, int64_t i, double v)
{
    if (dtype == SRQ_F32)
        ((float *)p)[i] = (float)v;
    else
        ((uint16_t *)p)[i] = srq_f32_to_bf16((float)v);
}

static double get(const void *p, enum srq_dtype dtype, int64_t i)
{
    return dtype == SRQ_F32 ? ((const float *)p)[i] : srq_bf16_to_f32(((const uint16_t *)p)[i]);
}

/* Element (i, j) before alpha and beta; `size`: the sum of magnitudes. */
REFERENCE_LOOP static double sum_of(const struct product *q, int64_t i, int64_t j, double *size)
{
    double sum = 0;

    *size = 0;
    for (int64_t p = 0; p < q->k; p++) {
        double t = value(1, i * q->k + p) * value(2, p * q->n + j);

        sum += t;
        *size += fabs(t);
    }
    return sum;
}

/* As a share of the magnitudes' sum. */
static double most_error(enum srq_dtype dtype)
{
    return strcmp(srq_gemm_backend(dtype), "avx512_fp16") == 0 ? 2e-3 : 2e-6;
}

static void check_product(const struct product *q)
{
    int64_t lda = (q->ta ? q->m : q->k) + 1, ldb = (q->tb ? q->k : q->n) + 2, ldc = q->n + 1;
    void *a = make(q->dtype, lda * (q->ta ? q->k : q->m) + 1), *b = make(q->dtype, ldb * (q->tb ? q->n : q->k) + 1);
    void *c = make(q->c_dtype, ldc * q->m + 1);
    struct srq_mat ma = { a, q->dtype, lda, q->ta }, mb = { b, q->dtype, ldb, q->tb };

    for (int64_t i = 0; i < q->m; i++)
        for (int64_t p = 0; p < q->k; p++)
            set(a, q->dtype, q->ta ? p * lda + i : i * lda + p, value(1, i * q->k + p));
    for (int64_t p = 0; p < q->k; p++)
        for (int64_t j = 0; j < q->n; j++)
            set(b, q->dtype, q->tb ? j * ldb + p : p * ldb + j, value(2, p * q->n + j));
    for (int64_t i = 0; i < q->m; i++)
        for (int64_t j = 0; j < q->n; j++)
            set(c, q->c_dtype, i * ldc + j, q->beta != 0 ? value(3, i * q->n + j) : NAN);
    srq_gemm(&(struct srq_product){ q->m, q->n, q->k, ma, mb, .c = { c, q->c_dtype, ldc }, .alpha = q->alpha,
                                    .add = q->beta != 0 });
    for (int64_t i = 0; i < q->m; i++) {
        for (int64_t j = 0; j < q->n; j++) {
            double size, want = sum_of(q, i, j, &size), got = get(c, q->c_dtype, i * ldc + j);

            want = q->alpha * want + (q->beta != 0 ? value(3, i * q->n + j) : 0);
            if (!(fabs(got - want) <=
                  most_error(q->dtype) * (size + 1) + (q->c_dtype == SRQ_BF16 ? 0x1p-8 * fabs(want) : 0)))
                fail_msg("%s [%d,%d,%d] %s->%s trans %d%d beta %g at (%d,%d): %g, not %g", srq_gemm_backend(q->dtype),
                         (int)q->m, (int)q->n, (int)q->k, srq_dtype_name(q->dtype), srq_dtype_name(q->c_dtype), q->ta,
                         q->tb, (double)q->beta, (int)i, (int)j, got, want);
        }
    }
    free(a);
    free(b);
    free(c);
}

struct taken {
    float *c;
    int64_t n;
    int calls[300]; /* of each row */
    bool multiplies;
};

static void take_rows(void *ctx, int64_t row, int64_t rows, float *c)
{
    struct taken *t = ctx;
    float one = 1, two = 2, product = 0;

    memcpy(t->c + row * t->n, c, (size_t)(rows * t->n) * sizeof(*c));
    for (int64_t i = row; i < row + rows; i++)
        t->calls[i]++;
    if (!t->multiplies)
        return;
    srq_gemm(&(struct srq_product){
        1, 1, 1, { &one, SRQ_F32, 1, false }, { &two, SRQ_F32, 1, false }, .c = { &product, SRQ_F32, 1 } });
    if (product != 2)
        t->calls[row] = -1;
}

/* Rows that go to a taker are those of the product in memory, each once; the taker may multiply itself. */
static void check_taker(enum srq_dtype dtype, int64_t m, int64_t n, int64_t k, bool ta)
{
    int64_t lda = ta ? m : k;
    void *a = make(dtype, m * k), *b = make(dtype, n * k);
    float *want = make(SRQ_F32, m * n), *room = make(SRQ_F32, 64 * n);
    struct taken t = { make(SRQ_F32, m * n), n, { 0 }, dtype == SRQ_F32 };
    const struct srq_row_taker taker = { take_rows, &t, m < 64 ? m : 64 };
    struct srq_product p = {
        m, n, k, { a, dtype, lda, ta }, { b, dtype, n, false }, .c = { want, SRQ_F32, n }, .alpha = 0.5f
    };

    for (int64_t i = 0; i < m * k; i++)
        set(a, dtype, i, value(1, i));
    for (int64_t i = 0; i < n * k; i++)
        set(b, dtype, i, value(2, i));
    srq_gemm(&p);
    p.c.data = room;
    p.taker = &taker;
    srq_gemm(&p);
    for (int64_t i = 0; i < m; i++)
        assert_int_equal(t.calls[i], 1);
    for (int64_t i = 0; i < m * n; i++)
        assert_true(fabsf(t.c[i] - want[i]) <= 2e-6f * (float)k);
    free(a);
    free(b);
    free(want);
    free(room);
    free(t.c);
}

static void check_takers(void)
{
    static const int64_t shapes[][3] = {
        { 1, 1, 1 }, { 5, 33, 40 }, { 130, 70, 9 }, { 300, 64, 65 }, { 40, 96, 2100 }
    };

    for (size_t s = 0; s < sizeof(shapes) / sizeof(shapes[0]); s++)
        for (int v = 0; v < 4; v++)
            check_taker(v & 1 ? SRQ_BF16 : SRQ_F32, shapes[s][0], shapes[s][1], shapes[s][2], (v & 2) != 0);
}

static void check_backend(const char *name)
{
    static const int64_t shapes[][3] = { { 0, 5, 5 },  { 5, 0, 5 },     { 5, 5, 0 },      { 1, 1, 1 },     { 1, 9, 40 },
                                         { 31, 1, 3 }, { 97, 33, 129 }, { 200, 270, 65 }, { 16, 64, 2100 } };
    static const bool layouts[4][2] = { { false, true }, { false, false }, { true, false }, { true, true } };
    struct srq_error err;

    assert_ok(srq_gemm_start(name, &err), &err);
    for (size_t s = 0; s < sizeof(shapes) / sizeof(shapes[0]); s++) {
        for (int v = 0; v < 4 * 4; v++) {
            struct product q = { shapes[s][0],
                                 shapes[s][1],
                                 shapes[s][2],
                                 v & 4 ? SRQ_BF16 : SRQ_F32,
                                 v & 8 ? SRQ_BF16 : SRQ_F32,
                                 layouts[v & 3][0],
                                 layouts[v & 3][1],
                                 1,
                                 0 };

            check_product(&q);
            q.beta = 1;
            q.alpha = v & 1 ? 0.5f : 1;
            check_product(&q);
        }
    }
    check_takers();
    srq_gemm_stop();
}

static void openblas_products_agree_with_sums_in_double(void **state)
{
    (void)state;
    check_backend("openblas");
}

static void plain_products_agree_with_sums_in_double(void **state)
{
    (void)state;
    check_backend("plain");
}

static void panels_in_plain_c_agree_with_sums_in_double(void **state)
{
    (void)state;
    check_backend("panels");
}

static bool runs_here(const char *name)
{
    struct srq_error err;
    bool runs = srq_gemm_start(name, &err) == 0;

    srq_gemm_stop();
    return runs;
}

/* A kernel that only some processors run, by its engine's name. */
#define OWN_KERNEL(engine)                                                                         \
    SKIPPABLE(engine##_products_agree_with_sums_in_double);                                        \
    static void engine##_products_agree_with_sums_in_double(void **state)                          \
    {                                                                                              \
        (void)state;                                                                               \
        if (runs_here(#engine))                                                                    \
            check_backend(#engine);                                                                \
        else                                                                                       \
            skip_because(engine##_products_agree_with_sums_in_double, "no such kernel runs here"); \
    }
OWN_KERNEL(amx)
OWN_KERNEL(avx512_fp16)
OWN_KERNEL(avx512_bf16)
OWN_KERNEL(avx512)
OWN_KERNEL(avx2)

SKIPPABLE(onednn_products_agree_with_sums_in_double);

static void onednn_products_agree_with_sums_in_double(void **state)
{
    (void)state;
#ifdef HAVE_DNNL
    check_backend("onednn");
#else
    skip_because(onednn_products_agree_with_sums_in_double, "this build has no oneDNN");
#endif
}

static void product_in_item(void *ctx, int64_t item, int thread)
{
    float *c = (float *)ctx + item * 64 * 64;
    struct srq_mat a = { (float *)ctx + 16 * 64 * 64, SRQ_F32, 64, false }, b = a;

    (void)thread;
    b.trans = true;
    srq_gemm(&(struct srq_product){ 64, 64, 64, a, b, .c = { c, SRQ_F32, 64 } });
}

static void products_inside_a_parallel_region_agree(void **state)
{
    static const char *const names[] = { "openblas", "plain", "auto" };
    float *x = malloc(17 * 64 * 64 * sizeof(float));
    struct srq_error err;

    (void)state;
    assert_non_null(x);
    for (int i = 0; i < 64 * 64; i++)
        x[16 * 64 * 64 + i] = (float)value(1, i);
    for (size_t n = 0; n < 3; n++) {
        assert_ok(srq_gemm_start(names[n], &err), &err);
        memset(x, 0, 16 * 64 * 64 * sizeof(float));
        srq_parallel_items(16, product_in_item, x);
        for (int i = 1; i < 16; i++)
            assert_memory_equal(x, x + i * 64 * 64, 64 * 64 * sizeof(float));
        assert_true(x[0] > 1.0f);
        srq_gemm_stop();
    }
    free(x);
}

static void a_product_repeats_bit_by_bit(void **state)
{
    static const char *const names[] = { "openblas", "plain", "auto" };
    enum { M = 301, N = 200, K = 517 };
    float *a = malloc(M * K * sizeof(float)), *b = malloc(N * K * sizeof(float));
    float *c = malloc(M * N * sizeof(float)), *d = malloc(M * N * sizeof(float));
    struct srq_mat ma = { a, SRQ_F32, K, false }, mb = { b, SRQ_F32, K, true };
    struct srq_error err;

    (void)state;
    for (int i = 0; i < M * K; i++)
        a[i] = (float)value(1, i);
    for (int i = 0; i < N * K; i++)
        b[i] = (float)value(2, i);
    for (size_t n = 0; n < 3; n++) {
        assert_ok(srq_gemm_start(names[n], &err), &err);
        srq_gemm(&(struct srq_product){ M, N, K, ma, mb, .c = { c, SRQ_F32, N } });
        srq_gemm(&(struct srq_product){ M, N, K, ma, mb, .c = { d, SRQ_F32, N } });
        assert_memory_equal(c, d, M * N * sizeof(float));
        srq_gemm_stop();
    }
    free(a);
    free(b);
    free(c);
    free(d);
}

static void unknown_backend_is_refused_with_the_choices(void **state)
{
    struct srq_error err;

    (void)state;
    assert_refused(srq_gemm_start("mkl", &err), -SRQ_EINVAL, &err, "openblas");
    assert_string_equal(err.field, "gemm");
}

static void bf16_is_preferred_only_where_the_processor_has_it(void **state)
{
    struct srq_error err;

    (void)state;
    assert_ok(srq_gemm_start("openblas", &err), &err);
    assert_int_equal(srq_gemm_preferred(), SRQ_F32);
    assert_non_null(strstr(srq_gemm_describe(), "OpenBLAS"));
    assert_ok(srq_gemm_start("auto", &err), &err);
#if defined(__x86_64__)
    if (!__builtin_cpu_supports("avx512bf16"))
        assert_int_equal(srq_gemm_preferred(), SRQ_F32);
#endif
    srq_gemm_stop();
}

static const char *own_kernels(void)
{
    const char *most = srq_kernels()->name;

    if (strcmp(most, "avx512") == 0 && runs_here("avx512"))
        return "avx512";
    return strcmp(most, "base") != 0 && runs_here("avx2") ? "avx2" : "openblas";
}

static void f32_products_are_by_our_own_kernels_where_they_run(void **state)
{
    const char *own = own_kernels();
    struct srq_error err;

    (void)state;
    assert_ok(srq_gemm_start("auto", &err), &err);
    assert_string_equal(srq_gemm_backend(SRQ_F32), own);
    srq_gemm_stop();
}

/* ---- scalar functions ---- */

static void exp_is_within_2e7_of_the_exact_value(void **state)
{
    double worst = 0;

    (void)state;
    for (double x = -87.2; x < 88.7; x += 0.000371) {
        float f = (float)x;
        double e = fabs(srq_expf(f) / exp((double)f) - 1);

        if (e > worst)
            worst = e;
    }
    if (!(worst < 2e-7))
        fail_msg("worst relative error %g", worst);
    assert_true(srq_expf(-100.0f) == 0.0f && srq_expf(-INFINITY) == 0.0f);
    assert_true(isinf(srq_expf(100.0f)) && isnan(srq_expf(NAN)));
    assert_true(srq_expf(0.0f) == 1.0f);
}

static void silu_and_its_slope_agree_with_double(void **state)
{
    (void)state;
    for (double x = -80; x < 80; x += 0.0317) {
        float f = (float)x;
        double s = 1 / (1 + exp(-(double)f)), d = s + f * s * (1 - s);

        assert_true(fabs(srq_siluf(f) - f * s) <= 4e-7 * fabs(f * s) + 1e-30);
        assert_true(fabs(srq_silu_slope(f) - d) <= 1e-6 * (1 + fabs(d)));
    }
}

/* ---- kernels ---- */

enum { ROW = 77 };

/* What each row kernel of a set makes of the same rows, one after the other. */
static int64_t run_rows(const struct srq_kernels *k, enum srq_dtype dtype, float *out)
{
    _Alignas(64) char a[ROW * 4], b[ROW * 4], y[ROW * 4], z[ROW * 4];
    uint32_t inside[SRQ_MASK_BLOCK / 32];
    float w[ROW], *at = out;
    uint8_t codes[ROW];
    int32_t sums[64];

    memset(y, 0, sizeof(y));
    for (int i = 0; i < 64; i++)
        sums[i] = (i * 7919 - 250000) * 3;
    for (int i = 0; i < ROW; i++) {
        set(a, dtype, i, 3 * value(1, i));
        set(b, dtype, i, 2 * value(2, i));
        w[i] = (float)value(3, i);
    }
#define KEEP(n) (k->load(dtype, y, at, (n)), at += (n))
    *at++ = k->rms_forward(dtype, a, w, 1e-5f, y, ROW);
    KEEP(ROW);
    k->rms_backward(dtype, a, w, 0.7f, b, y, ROW, true);
    KEEP(ROW);
    k->rope(dtype, a, &(struct srq_turn){ w, w + 20, 38, 71, true }, y, false);
    KEEP(71);
    for (int act = SRQ_GATE_SILU; act <= SRQ_GATE_GELU_TANH; act++) {
        k->gated(dtype, act, a, b, y, ROW);
        KEEP(ROW);
        memcpy(z, b, sizeof(z));
        k->gated_backward(dtype, act, a, b, a, (struct srq_grad_to){ y, true }, (struct srq_grad_to){ z, false }, ROW);
        KEEP(ROW);
    }
    k->add(dtype, a, z, y, ROW);
    KEEP(ROW);
    k->silu(dtype, a, y, ROW);
    KEEP(ROW);
    k->silu_backward(dtype, a, b, y, ROW, true);
    KEEP(ROW);
    k->affine(dtype, a, b, &(struct srq_affine){ w, w + 1, w + 2 }, y, ROW - 2, false);
    k->affine(dtype, a, NULL, &(struct srq_affine){ NULL, NULL, w }, y, ROW - 2, true);
    KEEP(ROW);
    k->scale(dtype, a, -0.3f, y, ROW, true);
    KEEP(ROW);
    k->column_sums(dtype, a, 19, 4, 18, at);
    k->column_dots(dtype, a, b, w, 19, 4, 18, at + 18);
    k->column_squares(dtype, a, w, 19, 4, 18, at + 36);
    at += 54;
    k->round(dtype, a, &(struct srq_code_range){ 0.1f, 2, -3, 9 }, y, inside, ROW);
    KEEP(ROW);
    k->keep_inside(dtype, inside, b, y, ROW, true);
    KEEP(ROW);
    k->code(dtype, a, &(struct srq_code_range){ 0.1f, 20, 3, 30 }, codes, ROW);
    for (int i = 0; i < ROW; i++)
        *at++ = codes[i];
    k->scale_sums(dtype, &(struct srq_sum_block){ sums, 2, 19, 32, w, w + 32 }, y, 20);
    KEEP(39);
    *at++ = k->square_error(dtype, a, dtype, b, 0.3f, y, ROW);
    KEEP(ROW);
    *at++ = k->largest_error(dtype, a, dtype, b, ROW);
    *at++ = k->dot(dtype, a, b, ROW);
    *at++ = k->row_max(w, -2.0f, ROW);
    *at++ = k->row_exp(w, 3.0f, 1.0f, ROW);
    memcpy(at, w, sizeof(w));
    return at + ROW - out;
#undef KEEP
}

static void every_instruction_set_gives_the_same_rows(void **state)
{
    static const char *const names[] = { "avx2", "avx512" };
    float want[26 * ROW], got[26 * ROW];

    (void)state;
    for (int d = 0; d < 2; d++) {
        enum srq_dtype dtype = d == 0 ? SRQ_F32 : SRQ_BF16;
        int64_t n = run_rows(srq_kernels_named("base"), dtype, want);

        for (int s = 0; s < 2; s++) {
            const struct srq_kernels *k = srq_kernels_named(names[s]);

            if (k == NULL)
                continue;
            assert_int_equal(run_rows(k, dtype, got), n);
            for (int64_t i = 0; i < n; i++) /* contraction and the order of sums may differ; bf16 then by one step */
                if (!(fabs((double)got[i] - want[i]) <= (d == 0 ? 1e-6 : 1.0 / 128) * (1 + fabs((double)want[i]))))
                    fail_msg("%s %s: %d is %g, base gives %g", names[s], srq_dtype_name(dtype), (int)i, (double)got[i],
                             (double)want[i]);
        }
    }
}

/* Resident anonymous memory, bytes. */
static int64_t resident(void)
{
    char line[128];
    long long kib = -1;
    FILE *f = fopen("/proc/self/smaps_rollup", "r");

    while (f != NULL && kib < 0 && fgets(line, sizeof(line), f) != NULL)
        (void)sscanf(line, "Anonymous: %lld kB", &kib);
    if (f != NULL)
        fclose(f);
    return kib * 1024;
}

/* What a library takes for a product, it has taken once the product's shape was rehearsed, but for `slack` bytes. */
static void check_rehearsal(enum srq_dtype dtype, bool transposed, int64_t slack)
{
    const int64_t m = 1024, n = 768, k = 512;
    size_t size = dtype == SRQ_F32 ? 4 : 2;
    char *a = srq_calloc((size_t)(m * k), size), *b = srq_calloc((size_t)(n * k), size);
    float *c = srq_malloc((size_t)(m * n) * sizeof(*c));
    struct srq_mat x = { a, dtype, transposed ? m : k, transposed }, w = { b, dtype, k, true };
    int64_t before, taken;

    memset(a, 0x3f, (size_t)(m * k) * size);
    memset(b, 0x3f, (size_t)(n * k) * size);
    memset(c, 0, (size_t)(m * n) * sizeof(*c));
    srq_gemm_expect(&(struct srq_product){ m, n, k, x, w, .c = { NULL, SRQ_F32, n } });
    before = resident();
    srq_gemm_rehearse();
    taken = resident() - before;
    srq_gemm(&(struct srq_product){ m, n, k, x, w, .c = { c, SRQ_F32, n } });
    if (resident() - before > taken + slack)
        fail_msg("%s: %lld bytes taken while it was rehearsed, %lld with the product", srq_dtype_name(dtype),
                 (long long)taken, (long long)(resident() - before));
    srq_free(a);
    srq_free(b);
    srq_free(c);
}

SKIPPABLE(a_product_that_was_rehearsed_takes_no_more_memory);

static void a_product_that_was_rehearsed_takes_no_more_memory(void **state)
{
    static const char *const backends[] = { "openblas", "onednn" };

    const char *reason = resident() < 0 ? "/proc does not say what memory is in use" : NULL;

    (void)state;
#ifdef SRQ_TSAN
    reason = "libraries compute alone in a build with ThreadSanitizer";
#endif
    if (reason != NULL) {
        skip_because(a_product_that_was_rehearsed_takes_no_more_memory, reason);
        return;
    }
    for (int i = 0; i < 2; i++) {
        struct srq_error err = { 0 };

        srq_gemm_stop();
        if (srq_gemm_start(backends[i], &err) != 0)
            continue; /* not in this build */
        /* Without AVX-512 oneDNN packs F32 into memory that it takes and gives back with every product. */
        check_rehearsal(SRQ_F32, false, i == 0 ? 256 << 10 : 2 << 20);
        check_rehearsal(SRQ_BF16, false, 256 << 10);
        check_rehearsal(SRQ_BF16, true, 256 << 10);
    }
    srq_gemm_stop();
}

/* However large: its time is that of making code, not of computing. */
static void a_rehearsal_is_quick_for_products_of_any_size(void **state)
{
    const int64_t m = 32768, n = 151936, k = 8192;
    struct srq_error err = { 0 };
    double since;

    (void)state;
    srq_gemm_stop();
    assert_ok(srq_gemm_start(NULL, &err), &err);
    for (int d = 0; d < 2; d++) {
        enum srq_dtype dtype = d == 0 ? SRQ_F32 : SRQ_BF16;
        const struct srq_mat a = { NULL, dtype, k, false }, b = { NULL, dtype, k, true };

        srq_gemm_expect(&(struct srq_product){ m, n, k, a, b, .c = { NULL, dtype, n } });
    }
    since = srq_clock_s();
    srq_gemm_rehearse();
    assert_true(srq_clock_s() - since < 5); /* the product itself takes minutes */
    srq_gemm_stop();
}

static void note_processor(void *ctx, int64_t begin, int64_t end)
{
    int *at = ctx;
    cpu_set_t set;

    for (int64_t i = begin; i < end; i++) {
        at[i] = -1;
        if (sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) == 1)
            while (!CPU_ISSET(++at[i], &set))
                continue;
    }
}

/* For good, so this is the last test. */
static void bound_threads_have_a_processor_each(void **state)
{
    int at[THREADS], threads;
    struct srq_error err = { 0 };
    cpu_set_t all, one;

    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
    threads = CPU_COUNT(&all) < THREADS ? CPU_COUNT(&all) : THREADS;
    one = all;
    for (int cpu = 0; CPU_COUNT(&one) > 1; cpu++)
        CPU_CLR(cpu, &one);
    assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
    assert_ok(srq_team_start(THREADS, &err), &err);
    assert_refused(srq_team_bind(&err), -SRQ_EINVAL, &err, "the job may use 1");
    assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
    assert_ok(srq_team_start(threads, &err), &err);
    assert_ok(srq_team_bind(&err), &err);
    for (int round = 0; round < 2; round++) {
        srq_parallel(threads, 1, note_processor, at);
        for (int i = 0; i < threads; i++) {
            assert_true(at[i] >= 0 && CPU_ISSET(at[i], &all));
            for (int k = 0; k < i; k++)
                assert_int_not_equal(at[i], at[k]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_index_is_visited_once),
        cmocka_unit_test(shares_are_not_smaller_than_the_grain),
        cmocka_unit_test(a_loop_inside_a_loop_runs_on_its_caller),
        cmocka_unit_test(denormals_count_as_zero),
        cmocka_unit_test(one_openmp_runtime_is_mapped),
        cmocka_unit_test(thread_counts_out_of_range_are_refused),
        cmocka_unit_test(openblas_products_agree_with_sums_in_double),
        cmocka_unit_test(plain_products_agree_with_sums_in_double),
        cmocka_unit_test(panels_in_plain_c_agree_with_sums_in_double),
        skippable_unit_test(amx_products_agree_with_sums_in_double),
        skippable_unit_test(avx512_fp16_products_agree_with_sums_in_double),
        skippable_unit_test(avx512_bf16_products_agree_with_sums_in_double),
        skippable_unit_test(avx512_products_agree_with_sums_in_double),
        skippable_unit_test(avx2_products_agree_with_sums_in_double),
        skippable_unit_test(onednn_products_agree_with_sums_in_double),
        cmocka_unit_test(products_inside_a_parallel_region_agree),
        cmocka_unit_test(a_product_repeats_bit_by_bit),
        cmocka_unit_test(unknown_backend_is_refused_with_the_choices),
        skippable_unit_test(a_product_that_was_rehearsed_takes_no_more_memory),
        cmocka_unit_test(a_rehearsal_is_quick_for_products_of_any_size),
        cmocka_unit_test(bf16_is_preferred_only_where_the_processor_has_it),
        cmocka_unit_test(f32_products_are_by_our_own_kernels_where_they_run),
        cmocka_unit_test(every_instruction_set_gives_the_same_rows),
        cmocka_unit_test(exp_is_within_2e7_of_the_exact_value),
        cmocka_unit_test(silu_and_its_slope_agree_with_double),
        cmocka_unit_test(bound_threads_have_a_processor_each),
    };
    struct srq_error err;

    if (srq_team_start(THREADS, &err) != 0)
        return 1;
    return cmocka_run_group_tests_name("math", tests, NULL, NULL);
}
