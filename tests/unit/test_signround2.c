/* SignRound version 2 and rounding with searched scales, through the plugin interface alone: against layers tuned with
 * torch step by step, the search vector of the specification, and sums taken in a plain way. */
#include "tests/unit/test.h"
#include "tests/unit/block_through.h"
#include "tests/unit/math_start.h"

#include "tests/unit/plugin_bench.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "core/base/rng.h"
#include "core/grid/grid.h"
#include "core/tune/importance.h"
#include "core/tune/plugin_host.h"

#include <math.h>

#define MOST 4096 /* elements of a layer here */

/* Steps against the gradient of sum (Ŵ - target)². */
static void bench_tune(struct bench *b, const float *target, int64_t iters)
{
    const struct srq_tunable *t = b->plugin.plugin->tunable;
    const struct srq_host *host = srq_host_services();
    int64_t out = b->layer.groups->out, in = b->layer.groups->in;
    float fake[MOST], grad[MOST];
    struct srq_tensor dst = srq_tensor_2d(fake, SRQ_F32, out, in);
    struct srq_error err = { 0 };

    for (int64_t i = 0; i < iters; i++) {
        struct srq_step s = {
            .size = sizeof(s), .iter = i, .iters = iters, .accum = 1, .schedule = 1 - (double)i / (double)iters
        };

        assert_ok(t->weight(host, b->self, &b->layer, &dst, &err), &err);
        for (int64_t j = 0; j < out * in; j++)
            grad[j] = 2 * (fake[j] - target[j]);
        t->sink(host, b->self, &b->layer, &s, 0, out, grad);
        assert_ok(t->step(host, b->self, &b->layer, &s, &err), &err);
    }
}

/* ---- the torch dump ---------------------------------------------------------------------------------------------- */

enum { OUT = 4, IN = 32, GROUPS = 8, STEPS = 30 };

static char *word(char **at)
{
    char *w;

    *at += strspn(*at, " \n");
    w = *at;
    *at += strcspn(*at, " \n");
    if (**at != '\0')
        *(*at)++ = '\0';
    return w;
}

static void numbers(char **at, const char *name, float *out, int n)
{
    assert_string_equal(word(at), name);
    assert_int_equal(strtol(word(at), NULL, 10), n);
    for (int i = 0; i < n; i++)
        out[i] = strtof(word(at), NULL);
}

static void assert_near(const char *what, const float *got, const float *want, int n, double tolerance)
{
    assert_non_null(got);
    for (int i = 0; i < n; i++) {
        if (!(fabs((double)got[i] - (double)want[i]) <= tolerance))
            fail_msg("%s[%d] is %.9g, torch gave %.9g", what, i, (double)got[i], (double)want[i]);
    }
}

static void check_case(char **at, float *w, const float *importance)
{
    float target[OUT * IN], start[GROUPS], v[OUT * IN], beta[GROUPS], scale[GROUPS], codes[OUT * IN];
    char scheme[16];
    struct bench b;
    int bits;

    assert_string_equal(word(at), "case");
    bits = (int)strtol(word(at), NULL, 10);
    numbers(at, "target", target, OUT * IN);
    numbers(at, "start", start, GROUPS);
    numbers(at, "v", v, OUT * IN);
    numbers(at, "beta", beta, GROUPS);
    numbers(at, "scale", scale, GROUPS);
    numbers(at, "codes", codes, OUT * IN);
    snprintf(scheme, sizeof(scheme), "w%dg16", bits);
    bench_load(&b, "signround", (const char *const[]){ "alg_ext", "true", "iters", "30", NULL });
    bench_layer(&b, scheme, w, OUT, IN, importance);
    bench_begin(&b);
    assert_near("start", bench_array(&b, "start"), start, GROUPS, 1e-7);
    bench_tune(&b, target, STEPS);
    bench_finish(&b);
    assert_near("v", bench_array(&b, "v"), v, OUT * IN, 1e-5);
    assert_near("beta", bench_array(&b, "beta"), beta, GROUPS, 1e-5);
    assert_near("scale", b.codes.scale, scale, GROUPS, 0);
    for (int i = 0; i < OUT * IN; i++)
        assert_int_equal(b.codes.codes[i], (int)codes[i]);
    assert_null(bench_array(&b, "alpha"));
    bench_close(&b);
}

static void layers_tuned_step_by_step_agree_with_torch(void **state)
{
    const char *top = getenv("top_srcdir");
    char *path = srq_asprintf("%s/tests/reference/signround2_reference.txt", top != NULL ? top : "."), *text, *at;
    float w[OUT * IN], importance[IN];
    struct srq_error err = { 0 };
    size_t len;

    (void)state;
    assert_ok(srq_read_file(path, 1 << 20, &text, &len, &err), &err);
    at = strchr(text, '\n');
    numbers(&at, "weight", w, OUT * IN);
    numbers(&at, "importance", importance, IN);
    for (int i = 0; i < 3; i++)
        check_case(&at, w, importance);
    srq_free(text);
    srq_free(path);
}

/* ---- where scales start ------------------------------------------------------------------------------------------ */

static float vector_w[8] = { .12f, -.53f, .31f, .08f, -.22f, .47f, -.05f, .02f };

static void the_published_search_is_reproduced_through_the_plugin(void **state)
{
    float ones[8] = { 1, 1, 1, 1, 1, 1, 1, 1 };
    struct bench b;

    (void)state;
    bench_load(&b, "signround", (const char *const[]){ "alg_ext", "true", NULL });
    bench_layer(&b, "w2g8", vector_w, 1, 8, ones);
    bench_begin(&b);
    assert_float_equal(bench_array(&b, "start")[0], .294444f, 1e-6);
    bench_finish(&b);
    assert_true(b.codes.scale[0] == 0.29443359375f); /* in half precision */
    bench_close(&b);
}

static void importance_decides_which_errors_the_search_avoids(void **state)
{
    float w[16], h[16];
    double error[2];

    (void)state;
    for (int i = 0; i < 16; i++) {
        w[i] = (float)(srq_rng_uniform(5, 1, (uint64_t)i) - 0.5);
        h[i] = i == 6 ? 1000 : 1;
    }
    w[0] = 0.9f; /* a range that does not suit w[6] */
    for (int k = 0; k < 2; k++) {
        float ones[16], fake[16];
        struct srq_error err = { 0 };
        struct bench b;

        for (int i = 0; i < 16; i++)
            ones[i] = 1;
        bench_load(&b, "signround", (const char *const[]){ "alg_ext", "true", NULL });
        bench_layer(&b, "w2g16", w, 1, 16, k == 0 ? ones : h);
        bench_begin(&b);
        bench_finish(&b);
        assert_ok(srq_codes_decode(&b.codes, fake, SRQ_F32, &err), &err);
        error[k] = fabs((double)fake[6] - (double)w[6]);
        bench_close(&b);
    }
    assert_true(error[1] < 0.5 * error[0]);
}

/* Grids without a search: the option changes nothing. */
static void asymmetric_layers_are_tuned_as_without_the_option(void **state)
{
    static float w[32 * 64], target[32 * 64], importance[64];
    struct bench b[2];

    (void)state;
    for (int i = 0; i < 32 * 64; i++) {
        w[i] = (float)(srq_rng_uniform(5, 2, (uint64_t)i) - 0.5);
        target[i] = w[i] + 0.1f * (float)(srq_rng_uniform(5, 3, (uint64_t)i) - 0.5);
        importance[i % 64] = (float)(1 + i % 7);
    }
    for (int k = 0; k < 2; k++) {
        bench_load(&b[k], "signround", (const char *const[]){ "iters", "20", "alg_ext", k == 0 ? "no" : "yes", NULL });
        bench_layer(&b[k], "w2g32z", w, 32, 64, importance);
        bench_begin(&b[k]);
        bench_tune(&b[k], target, 20);
        bench_finish(&b[k]);
        assert_null(bench_array(&b[k], "start"));
    }
    assert_int_equal(b[0].declared.count, b[1].declared.count);
    assert_memory_equal(b[0].codes.codes, b[1].codes.codes, 32 * 64);
    assert_memory_equal(b[0].codes.scale, b[1].codes.scale, 64 * sizeof(float));
    assert_memory_equal(b[0].codes.zero, b[1].codes.zero, 64);
    bench_close(&b[0]);
    bench_close(&b[1]);
}

/* ---- rules ------------------------------------------------------------------------------------------------------- */

static double dropped(const struct bench *b, const char *const *schemes, int count)
{
    struct srq_block_rules rules = { .size = sizeof(rules) };
    const struct srq_layer *at[4];
    struct srq_layer layers[4];
    struct srq_scheme parsed[4];
    struct srq_error err = { 0 };

    for (int i = 0; i < count; i++) {
        layers[i] = (struct srq_layer){ .size = sizeof(layers[i]), .name = "layer", .scheme = &parsed[i] };
        assert_ok(srq_scheme_parse(schemes[i], &parsed[i], &err), &err);
        at[i] = &layers[i];
    }
    assert_ok(b->plugin.plugin->tunable->rules(srq_host_services(), b->self, at, count, &rules, &err), &err);
    return rules.drop_largest;
}

static void a_thousandth_is_left_out_where_a_searched_layer_has_less_than_four_bits(void **state)
{
    struct bench b;

    (void)state;
    bench_load(&b, "signround", (const char *const[]){ "alg_ext", "true", NULL });
    assert_int_equal(b.plugin.plugin->tunable->needs(srq_host_services(), b.self), SRQ_NEED_IMPORTANCE);
    assert_true(dropped(&b, (const char *const[]){ "w4g64", "w2g64" }, 2) == 0.001);
    assert_true(dropped(&b, (const char *const[]){ "w3g64" }, 1) == 0.001);
    assert_true(dropped(&b, (const char *const[]){ "w4g64", "w8" }, 2) == 0);
    assert_true(dropped(&b, (const char *const[]){ "w2g64z" }, 1) == 0);
    assert_true(dropped(&b, (const char *const[]){ "mxfp4", "nvfp4" }, 2) == 0);
    bench_close(&b);
    bench_load(&b, "signround", (const char *const[]){ NULL });
    assert_int_equal(b.plugin.plugin->tunable->needs(srq_host_services(), b.self), 0);
    assert_true(dropped(&b, (const char *const[]){ "w2g64" }, 1) == 0);
    bench_close(&b);
}

/* ---- rounding with searched scales ------------------------------------------------------------------------------- */

static float rtn_w[32 * 64], rtn_h[64];

static void rtn_data(void)
{
    for (int i = 0; i < 32 * 64; i++) {
        double u = srq_rng_uniform(6, 1, (uint64_t)i) - 0.5;

        rtn_w[i] = (float)(u * u * u);
        rtn_h[i % 64] = (float)(0.1 + 10 * srq_rng_uniform(6, 2, (uint64_t)(i % 64)));
    }
}

/* Sum of h (Ŵ - W)² of the layer rounded with `opt`; codes into `codes`. */
static double rounded(const char *opt, const char *scheme, bool weighted, uint8_t *codes)
{
    static float fake[32 * 64];
    struct srq_error err = { 0 };
    struct srq_result r;
    struct bench b;
    double sum = 0;

    bench_load(&b, "rtn", (const char *const[]){ "opt", opt, NULL });
    bench_layer(&b, scheme, rtn_w, 32, 64, rtn_h);
    r = bench_result(&b);
    assert_ok(b.plugin.plugin->oneshot->quantize(srq_host_services(), b.self, &b.layer, &r, &err), &err);
    assert_ok(srq_codes_check(&b.codes, "layer", &err), &err);
    assert_ok(srq_codes_decode(&b.codes, fake, SRQ_F32, &err), &err);
    for (int i = 0; i < 32 * 64; i++) {
        double d = (double)fake[i] - (double)rtn_w[i];

        sum += (weighted ? (double)rtn_h[i % 64] : 1) * d * d;
    }
    memcpy(codes, b.codes.codes, 32 * 64);
    bench_close(&b);
    return sum;
}

static void a_search_lowers_the_error_that_it_is_about(void **state)
{
    static const char *const schemes[] = { "w2g32", "w3g64", "w4g32", "w4", "w4gt", "mxfp4" };
    uint8_t codes[32 * 64];

    (void)state;
    rtn_data();
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        bool mx = strncmp(schemes[i], "mx", 2) == 0; /* searched without weights either way */
        double plain = rounded("off", schemes[i], false, codes), by_all = rounded("free", schemes[i], false, codes);
        double heavy = rounded("off", schemes[i], !mx, codes), on = rounded("on", schemes[i], !mx, codes);

        if (!(by_all < plain && on < heavy))
            fail_msg("%s: %g from %g without weights, %g from %g with", schemes[i], by_all, plain, on, heavy);
        assert_true(mx || on < rounded("free", schemes[i], true, codes));
    }
}

static void eight_bits_and_zero_points_are_rounded_plainly(void **state)
{
    static const char *const schemes[] = { "w8g32", "w4g32z", "fp8" };
    uint8_t plain[32 * 64], on[32 * 64];

    (void)state;
    rtn_data();
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        rounded("off", schemes[i], true, plain);
        rounded("on", schemes[i], true, on);
        assert_memory_equal(plain, on, sizeof(plain));
    }
}

static void only_the_weighted_search_needs_data(void **state)
{
    static const struct {
        const char *option, *value;
        uint32_t needs;
    } rows[] = {
        { "recipe", "rtn", 0 }, { "recipe", "opt_rtn", SRQ_NEED_IMPORTANCE }, { "opt", "off", 0 },
        { "opt", "free", 0 },   { "opt", "on", SRQ_NEED_IMPORTANCE },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct bench b;

        bench_load(&b, "rtn", (const char *const[]){ rows[i].option, rows[i].value, NULL });
        assert_int_equal(srq_plugin_needs(b.plugin.plugin, b.self), rows[i].needs);
        bench_close(&b);
    }
}

/* ---- importance -------------------------------------------------------------------------------------------------- */

enum { SEQ = 40, BATCH = 3, LAYERS = 7 };

struct plain_sums {
    struct srq_block *block;
    double *sum[LAYERS];
};

static void add_plainly(void *ctx, const struct srq_linear *linear, const struct srq_tensor *x)
{
    struct plain_sums *p = ctx;

    for (int i = 0; i < LAYERS; i++) {
        for (int64_t k = 0; srq_block_linear(p->block, i) == linear && k < x->shape[0] * x->shape[1]; k++) {
            float v;

            (void)srq_convert((const char *)x->data + (size_t)k * srq_dtype_size(x->dtype), x->dtype, &v, SRQ_F32, 1);
            p->sum[i][k % linear->in] += (double)v * (double)v;
        }
    }
}

static void run_block(struct srq_block *block, enum srq_dtype dtype, const void *x, int64_t hidden)
{
    struct srq_tensor in = srq_tensor_2d((void *)(uintptr_t)x, dtype, BATCH * SEQ, hidden);
    struct srq_error err = { 0 };
    struct srq_tape *t;

    assert_ok(srq_tape_create((size_t)64 << 20, dtype, false, &t, &err), &err);
    srq_tape_record(t, false);
    assert_non_null(block_through(block, t, srq_tape_input(t, &in, false), BATCH, SEQ));
    assert_ok(srq_tape_error(t, &err), &err);
    srq_tape_free(t);
}

static void check_importance(struct srq_model *model, enum srq_dtype dtype)
{
    int64_t hidden = srq_model_info(model)->hidden;
    struct plain_sums plain = { 0 };
    struct srq_importance *im;
    struct srq_error err = { 0 };
    int32_t ids[BATCH * SEQ];
    const float *const *got;
    void *x = srq_calloc((size_t)(BATCH * SEQ * hidden), sizeof(float));

    for (int i = 0; i < BATCH * SEQ; i++)
        ids[i] = i * 7 % 1000;
    assert_ok(srq_model_embed(model, ids, BATCH * SEQ, x, dtype, &err), &err);
    assert_ok(srq_block_create(model, dtype, &plain.block, &err), &err);
    assert_ok(srq_block_load(plain.block, 0, &err), &err);
    for (int i = 0; i < LAYERS; i++) {
        struct srq_linear *l = srq_block_linear(plain.block, i);

        plain.sum[i] = srq_calloc((size_t)l->in, sizeof(double));
        l->tap = add_plainly;
        l->tap_ctx = &plain;
    }
    for (int pass = 0; pass < 2; pass++)
        run_block(plain.block, dtype, x, hidden);

    assert_ok(srq_importance_create(model, &im, &err), &err);
    srq_importance_begin(im, plain.block); /* once in vain: begin forgets */
    run_block(plain.block, dtype, x, hidden);
    srq_importance_begin(im, plain.block);
    for (int pass = 0; pass < 2; pass++)
        run_block(plain.block, dtype, x, hidden);
    srq_importance_end(im);
    run_block(plain.block, dtype, x, hidden); /* nobody listens any more */
    got = srq_importance_sums(im);
    for (int i = 0; i < LAYERS; i++) {
        for (int64_t k = 0; k < srq_block_linear(plain.block, i)->in; k++)
            assert_true(fabs((double)got[i][k] - plain.sum[i][k]) <= 2e-6 * plain.sum[i][k]);
        srq_free(plain.sum[i]);
    }
    srq_importance_free(im);
    srq_block_free(plain.block);
    srq_free(x);
}

static void importance_is_the_sum_of_squares_of_each_input(void **state)
{
    const char *top = getenv("top_srcdir");
    char *folder = srq_asprintf("%s/share/models/demo-lm", top != NULL ? top : ".");
    struct srq_model *model;
    struct srq_error err = { 0 };

    (void)state;
    assert_ok(srq_model_open(folder, true, &model, &err), &err);
    check_importance(model, SRQ_F32);
    check_importance(model, SRQ_BF16);
    srq_model_close(model);
    srq_free(folder);
}

static void a_layer_that_no_data_reached_has_ones(void **state)
{
    const char *top = getenv("top_srcdir");
    char *folder = srq_asprintf("%s/share/models/demo-lm", top != NULL ? top : ".");
    float x[2 * 16] = { 0 };
    struct srq_tensor in = srq_tensor_2d(x, SRQ_F32, 2, 16);
    struct srq_importance *im;
    struct srq_model *model;
    struct srq_error err = { 0 };

    (void)state;
    assert_ok(srq_model_open(folder, true, &model, &err), &err);
    assert_ok(srq_importance_create(model, &im, &err), &err);
    srq_importance_of_input(im, &in);
    for (int i = 0; i < 16; i++)
        assert_true(srq_importance_sums(im)[0][i] == 1);
    x[3] = 2;
    x[19] = 1;
    srq_importance_of_input(im, &in);
    for (int i = 0; i < 16; i++)
        assert_true(srq_importance_sums(im)[0][i] == (i == 3 ? 5 : 0));
    srq_importance_free(im);
    srq_model_close(model);
    srq_free(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layers_tuned_step_by_step_agree_with_torch),
        cmocka_unit_test(the_published_search_is_reproduced_through_the_plugin),
        cmocka_unit_test(importance_decides_which_errors_the_search_avoids),
        cmocka_unit_test(asymmetric_layers_are_tuned_as_without_the_option),
        cmocka_unit_test(a_thousandth_is_left_out_where_a_searched_layer_has_less_than_four_bits),
        cmocka_unit_test(a_search_lowers_the_error_that_it_is_about),
        cmocka_unit_test(eight_bits_and_zero_points_are_rounded_plainly),
        cmocka_unit_test(only_the_weighted_search_needs_data),
        cmocka_unit_test(importance_is_the_sum_of_squares_of_each_input),
        cmocka_unit_test(a_layer_that_no_data_reached_has_ones),
    };

    return cmocka_run_group_tests_name("signround2", tests, math_start, math_stop);
}
