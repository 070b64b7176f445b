/* One-shot methods on the synthetic layer of spec seed-methods 2.2: the error of a layer's output as a share of plain
 * rounding's is no worse than the table's by more than a quarter. */
#include "tests/unit/test.h"
#include "tests/unit/math_start.h"

#include "tests/unit/synthetic_layer.h"

#include "core/base/alloc.h"
#include "core/base/log.h"
#include "core/flow/round_inputs.h"
#include "core/math/gemm.h"

#include <math.h>

static struct synthetic layer;

static double share(const char *plugin, const char *const *settings, const char *scheme)
{
    static const char *const none[] = { NULL };

    return synthetic_run(&layer, plugin, settings != NULL ? settings : none, scheme) /
           synthetic_run(&layer, "rtn", none, scheme);
}

static void assert_share(const char *plugin, const char *const *settings, const char *scheme, double table)
{
    double got = share(plugin, settings, scheme);

    print_message("%s %s: %.3f of plain rounding, table %.3f\n", plugin, scheme, got, table);
    if (!(got <= 1.25 * table))
        fail_msg("%s %s is at %.3f of plain rounding, the table at %.3f", plugin, scheme, got, table);
}

/* The layer itself: plain rounding's error as a share of the output's energy, which the table gives too. */
static void test_layer(void **state)
{
    static const char *const none[] = { NULL };
    static const struct {
        const char *scheme;
        double share;
    } rows[] = { { "w2g128z", 0.329 }, { "w3g128z", 0.0795 }, { "w4g128z", 0.0173 } };
    float *zero = srq_calloc(SYNTHETIC_OUT * SYNTHETIC_IN, sizeof(*zero));
    double all = synthetic_loss(&layer, zero);

    (void)state;
    for (int i = 0; i < 3; i++) {
        double got = synthetic_run(&layer, "rtn", none, rows[i].scheme) / all;

        print_message("rtn %s: %.4f of the output's energy, table %.4f\n", rows[i].scheme, got, rows[i].share);
        assert_true(got > rows[i].share / 2 && got < rows[i].share * 2);
    }
    srq_free(zero);
}

static void test_gptq(void **state)
{
    static const char *const order[] = { "act_order", "true", NULL };
    static const char *const both[] = { "act_order", "true", "range_search", "true", NULL };

    (void)state;
    assert_share("gptq", NULL, "w2g128z", 0.25);
    assert_share("gptq", NULL, "w3g128z", 0.20);
    assert_share("gptq", NULL, "w4g128z", 0.19);
    assert_share("gptq", order, "w2g128z", 0.16);
    assert_share("gptq", order, "w3g128z", 0.13);
    assert_share("gptq", order, "w4g128z", 0.12);
    assert_share("gptq", both, "w2g128z", 0.13);
    assert_share("gptq", both, "w3g128z", 0.11);
    assert_share("gptq", both, "w4g128z", 0.115);
    assert_true(share("gptq", NULL, "w3g128") < 0.4); /* symmetric, a group a row and one a tensor too */
    assert_true(share("gptq", NULL, "w3") < 0.4);
    assert_true(share("gptq", NULL, "w3gtz") < 0.4);
}

/* Blocks are a matter of speed: groups smaller, equal and larger than they are, and ones that do not divide the row. */
static void test_gptq_blocks(void **state)
{
    static const char *const schemes[] = { "w3g32z", "w3g128", "w3g96z", "w3g192", "w3z" };

    (void)state;
    for (size_t s = 0; s < sizeof(schemes) / sizeof(schemes[0]); s++) {
        static const char *const blocks[] = { "1", "17", "64", "128", "4096" };
        double first = 0;

        for (size_t b = 0; b < sizeof(blocks) / sizeof(blocks[0]); b++) {
            const char *const settings[] = { "block", blocks[b], NULL };
            double loss = synthetic_run(&layer, "gptq", settings, schemes[s]);

            first = b == 0 ? loss : first;
            if (fabs(loss / first - 1) > 0.02) /* ties of rounding fall otherwise now and then */
                fail_msg("%s: blocks of %s give %g, of 1 %g", schemes[s], blocks[b], loss, first);
        }
    }
}

static char said[4096]; /* what plugins warned of */

static void hear(enum srq_log_level level, const char *line, void *ctx)
{
    size_t n = strlen(said);

    (void)level;
    (void)ctx;
    snprintf(said + n, sizeof(said) - n, "%s\n", line);
}

/* A channel that nothing reached is rounded plainly, and a second moment of rank 1, of one token for all columns, is
 * damped until it can be used. */
static void test_gptq_dead(void **state)
{
    static const char *const none[] = { NULL };
    struct synthetic dead = layer;
    struct srq_error err = { 0 };
    struct srq_result r;
    struct bench b;

    (void)state;
    dead.hessian = srq_calloc(SYNTHETIC_IN * SYNTHETIC_IN, sizeof(float));
    for (int64_t i = 0; i < SYNTHETIC_IN; i++)
        for (int64_t j = 0; j < SYNTHETIC_IN; j++)
            dead.hessian[i * SYNTHETIC_IN + j] = i != 9 && j != 9 ? layer.x[i] * layer.x[j] : 0;
    bench_load(&b, "gptq", none);
    synthetic_give(&dead, &b, "w4z");
    r = bench_result(&b);
    assert_ok(b.plugin.plugin->oneshot->quantize(srq_host_services(), b.self, &b.layer, &r, &err), &err);
    assert_ok(srq_codes_check(&b.codes, "layer", &err), &err);
    for (int64_t row = 0; row < SYNTHETIC_OUT; row++) {
        float s = b.codes.scale[row], z = (float)b.codes.zero[row];
        float q = fminf(fmaxf(rintf(layer.w[row * SYNTHETIC_IN + 9] / s) + z, 0), 15);

        assert_int_equal(b.codes.codes[row * SYNTHETIC_IN + 9], (int)q);
    }
    bench_close(&b);
    srq_free(dead.hessian);
}

/* Not even the most damping helps: every attempt is told, and the codes are plain rounding's. */
static void test_gptq_gives_up(void **state)
{
    static const char *const none[] = { NULL };
    static const char *const plugins[] = { "gptq", "rtn" };
    uint8_t *codes[2];
    struct synthetic bad = layer;

    (void)state;
    said[0] = '\0';
    srq_log_sink_set(hear, NULL);
    bad.hessian = srq_calloc(SYNTHETIC_IN * SYNTHETIC_IN, sizeof(float));
    for (int64_t i = 0; i < SYNTHETIC_IN; i++)
        for (int64_t j = 0; j < SYNTHETIC_IN; j++)
            bad.hessian[i * SYNTHETIC_IN + j] = i == j ? 1 : 100;
    for (int k = 0; k < 2; k++) {
        struct srq_error err = { 0 };
        struct srq_result r;
        struct bench b;

        bench_load(&b, plugins[k], none);
        synthetic_give(&bad, &b, "w4g64");
        r = bench_result(&b);
        assert_ok(b.plugin.plugin->oneshot->quantize(srq_host_services(), b.self, &b.layer, &r, &err), &err);
        codes[k] = srq_malloc(SYNTHETIC_OUT * SYNTHETIC_IN);
        memcpy(codes[k], b.codes.codes, SYNTHETIC_OUT * SYNTHETIC_IN);
        bench_close(&b);
    }
    srq_log_sink_set(NULL, NULL);
    assert_memory_equal(codes[0], codes[1], SYNTHETIC_OUT * SYNTHETIC_IN);
    assert_non_null(strstr(said, "is not positive definite with damping 0.01; trying 0.1"));
    assert_non_null(strstr(said, "is not positive definite with damping 1; trying 10"));
    assert_non_null(strstr(said, "is rounded plainly: no damping up to 10"));
    srq_free(codes[0]);
    srq_free(codes[1]);
    srq_free(bad.hessian);
}

static void assert_not_accepted(const char *plugin, const char *scheme, const char *part)
{
    static const char *const none[] = { NULL };
    struct srq_error err = { 0 };
    struct bench b;

    bench_load(&b, plugin, none);
    synthetic_give(&layer, &b, scheme);
    assert_refused(b.plugin.plugin->accepts(srq_host_services(), b.self, &b.layer, &err), -SRQ_EUNSUPPORTED, &err,
                   part);
    bench_close(&b);
}

static void test_refusals(void **state)
{
    (void)state;
    assert_not_accepted("gptq", "mxfp4", "gptq rounds to integers");
    assert_not_accepted("hqq", "w4g64", "asymmetric schemes");
}

static void test_hqq(void **state)
{
    (void)state;
    assert_share("hqq", NULL, "w2g128z", 0.98);
    assert_share("hqq", NULL, "w3g128z", 0.92);
    assert_share("hqq", NULL, "w4g128z", 0.89);
}

/* Never a larger sum of |D|^p than plain rounding's: zero-points are taken only where they lessen it. */
static void test_hqq_norm(void **state)
{
    static const char *const none[] = { NULL };
    double sum[2] = { 0 };

    (void)state;
    for (int k = 0; k < 2; k++) {
        struct srq_error err = { 0 };
        struct srq_result r;
        struct bench b;
        float *decoded = srq_malloc(SYNTHETIC_OUT * SYNTHETIC_IN * sizeof(*decoded));

        bench_load(&b, k == 0 ? "rtn" : "hqq", none);
        synthetic_give(&layer, &b, "w3g64z");
        r = bench_result(&b);
        assert_ok(b.plugin.plugin->oneshot->quantize(srq_host_services(), b.self, &b.layer, &r, &err), &err);
        assert_ok(srq_codes_decode(&b.codes, decoded, SRQ_F32, &err), &err);
        for (int64_t i = 0; i < SYNTHETIC_OUT * SYNTHETIC_IN; i++)
            sum[k] += pow(fabs((double)decoded[i] - (double)layer.w[i]), 0.7);
        bench_close(&b);
        srq_free(decoded);
    }
    assert_true(sum[1] < sum[0]);
}

/* ---- transforms: a group whose one consumer is the layer --------------------------------------------------------- */

/* Scales [IN / repeat] of a transform for a layer whose input channels come in runs of `width`, each `repeat` times,
 * as those of a group of heads do; the caller frees them. */
static float *scales_of_heads(const struct synthetic *l, const char *plugin, const char *const *settings,
                              const char *scheme, int width, int repeat)
{
    struct srq_error err = { 0 };
    struct bench b;
    const struct srq_layer *consumer = &b.layer;
    float *scale = srq_malloc(SYNTHETIC_IN * sizeof(*scale));
    struct srq_scale_group g = { .size = sizeof(g),
                                 .name = "norm",
                                 .kind = 'A',
                                 .channels = SYNTHETIC_IN / repeat,
                                 .in = SYNTHETIC_IN,
                                 .width = width,
                                 .repeat = repeat,
                                 .consumers = &consumer,
                                 .count = 1,
                                 .scale = scale };

    for (int i = 0; i < SYNTHETIC_IN; i++)
        scale[i] = 1;
    bench_load(&b, plugin, settings);
    synthetic_give(l, &b, scheme);
    assert_ok(b.plugin.plugin->transform->begin(srq_host_services(), b.self, &g, &err), &err);
    bench_close(&b);
    return scale;
}

/* A channel of its own for every input. */
static float *scales_of_layer(const struct synthetic *l, const char *plugin, const char *const *settings,
                              const char *scheme)
{
    return scales_of_heads(l, plugin, settings, scheme, SYNTHETIC_IN, 1);
}

static float *scales_of(const char *plugin, const char *const *settings, const char *scheme)
{
    return scales_of_layer(&layer, plugin, settings, scheme);
}

/* Loss of plain rounding with scales, seen through their inverse. */
static double scaled_loss(const float *scale, const char *scheme)
{
    static const char *const none[] = { NULL };
    struct synthetic scaled = layer;
    struct srq_error err = { 0 };
    struct srq_result r;
    struct bench b;
    double loss;

    scaled.w = srq_malloc(SYNTHETIC_OUT * SYNTHETIC_IN * sizeof(float));
    for (int i = 0; i < SYNTHETIC_OUT * SYNTHETIC_IN; i++)
        scaled.w[i] = layer.w[i] * scale[i % SYNTHETIC_IN];
    bench_load(&b, "rtn", none);
    synthetic_give(&scaled, &b, scheme);
    r = bench_result(&b);
    assert_ok(b.plugin.plugin->oneshot->quantize(srq_host_services(), b.self, &b.layer, &r, &err), &err);
    assert_ok(srq_codes_decode(&b.codes, scaled.w, SRQ_F32, &err), &err);
    for (int i = 0; i < SYNTHETIC_OUT * SYNTHETIC_IN; i++)
        scaled.w[i] /= scale[i % SYNTHETIC_IN];
    loss = synthetic_loss(&layer, scaled.w);
    bench_close(&b);
    srq_free(scaled.w);
    return loss;
}

static void test_awq_scales(void **state)
{
    static const char *const none[] = { NULL };
    static const struct {
        const char *scheme;
        double table;
    } rows[] = { { "w2g128z", 0.58 }, { "w3g128z", 0.53 }, { "w4g128z", 0.57 } };

    (void)state;
    for (int i = 0; i < 3; i++) {
        float *scale = scales_of("awq", none, rows[i].scheme);
        double got = scaled_loss(scale, rows[i].scheme) / synthetic_run(&layer, "rtn", none, rows[i].scheme);

        print_message("awq %s: %.3f of plain rounding, table %.3f\n", rows[i].scheme, got, rows[i].table);
        assert_true(got <= 1.25 * rows[i].table);
        srq_free(scale);
    }
}

/* Clipping is judged by a group's own columns; on the whole it must still help. */
static void test_awq_clip(void **state)
{
    static const char *const off[] = { "clip", "off", NULL };

    (void)state;
    assert_true(fabs(share("awq", off, "w3g128z") - 1) < 1e-9);
    assert_true(share("awq", NULL, "w2g128z") < 0.9);
    assert_true(share("awq", NULL, "w3g64") < 1);
    assert_not_accepted("awq", "mxfp4", "awq,rtn");
}

/* s = max|x|^a / max|w|^(1-a), by hand. */
static void test_smoothquant(void **state)
{
    static const char *const settings[] = { "alpha", "0.7", NULL };
    float *scale = scales_of("smoothquant", settings, "w8");

    (void)state;
    for (int c = 0; c < SYNTHETIC_IN; c += 61) {
        float most = 0;

        for (int r = 0; r < SYNTHETIC_OUT; r++)
            most = fmaxf(most, fabsf(layer.w[r * SYNTHETIC_IN + c]));
        assert_true(fabs((double)scale[c] / (pow((double)layer.max[c], 0.7) / pow((double)most, 0.3)) - 1) < 1e-5);
    }
    srq_free(scale);
}

/* Heads that share a value head share its scales: of the largest input and weight over all copies. */
static void test_smoothquant_heads(void **state)
{
    enum { WIDTH = 32, REPEAT = 4 };
    static const char *const none[] = { NULL };
    float *scale = scales_of_heads(&layer, "smoothquant", none, "w8", WIDTH, REPEAT);

    (void)state;
    for (int j = 0; j < SYNTHETIC_IN / REPEAT; j += 7) {
        float x = 0, w = 0;

        for (int copy = 0; copy < REPEAT; copy++) {
            int c = (j / WIDTH * REPEAT + copy) * WIDTH + j % WIDTH;

            x = fmaxf(x, layer.max[c]);
            for (int r = 0; r < SYNTHETIC_OUT; r++)
                w = fmaxf(w, fabsf(layer.w[r * SYNTHETIC_IN + c]));
        }
        assert_true(fabs((double)scale[j] / sqrt((double)x / (double)w) - 1) < 1e-5);
    }
    srq_free(scale);
}

/* AWQ's are a power of the inputs' means over the copies, the channels' common factor left out, with or without what
 * the weights say: here of inputs alone, since all weights have one magnitude. */
static void test_awq_heads(void **state)
{
    enum { WIDTH = 32, REPEAT = 4, CHANNELS = SYNTHETIC_IN / REPEAT };
    static const char *const none[] = { NULL };
    struct synthetic even = layer;
    double mean[CHANNELS] = { 0 }, power, shift;
    float *scale;

    (void)state;
    even.w = srq_malloc(SYNTHETIC_OUT * SYNTHETIC_IN * sizeof(float));
    for (int i = 0; i < SYNTHETIC_OUT * SYNTHETIC_IN; i++)
        even.w[i] = layer.w[i] < 0 ? -1 : 1;
    for (int i = 0; i < SYNTHETIC_OUT * SYNTHETIC_IN; i += 3)
        even.w[i] *= 0.7f; /* not all lie on the grid */
    scale = scales_of_heads(&even, "awq", none, "w3g64z", WIDTH, REPEAT);
    for (int c = 0; c < SYNTHETIC_IN; c++)
        mean[c / WIDTH / REPEAT * WIDTH + c % WIDTH] += (double)layer.mean[c] / REPEAT;
    power = log((double)scale[1] / (double)scale[0]) / log(mean[1] / mean[0]);
    shift = log((double)scale[0]) - power * log(mean[0]);
    for (int j = 0; j < CHANNELS; j++)
        if (fabs(log((double)scale[j]) - power * log(mean[j]) - shift) > 0.05)
            fail_msg("channel %d has scale %g, which is no power of its mean %g", j, (double)scale[j], mean[j]);
    print_message("awq for heads that share: mean to the power of %.2f\n", power);
    assert_true(power > 0.02);
    srq_free(scale);
    srq_free(even.w);
}

/* Of scales that a rule gives: two without inputs, one without weights. */
static void check_dead(const float *scale, const char *plugin, const char *init, const int silent[2], int column)
{
    bool search = strcmp(plugin, "awq") == 0 || (init != NULL && strcmp(init, "awq") == 0);
    bool smooth = strcmp(plugin, "smoothquant") == 0 || (init != NULL && strcmp(init, "smooth") == 0);
    float most = 0, least = INFINITY;

    for (int c = 0; c < SYNTHETIC_IN; c++) {
        if (c == silent[0] || c == silent[1] || c == column)
            continue;
        most = fmaxf(most, scale[c]);
        least = fminf(least, scale[c]);
    }
    if (smooth)
        assert_true(scale[silent[0]] == least && scale[silent[1]] == least);
    if (search) {
        assert_true(scale[column] == 1 && scale[silent[1]] == 1 && scale[silent[0]] <= 1);
        assert_float_equal(sqrtf(most * least), 1, 1e-4f);
    }
}

/* Inputs that are always 0, a column of zeros, and both: every rule gives scales that can be used. */
static void test_dead_channels(void **state)
{
    static const struct {
        const char *plugin, *settings[5];
    } rules[] = { { "awq", { NULL } },
                  { "smoothquant", { NULL } },
                  { "teq", { "init", "sqrtw", NULL } },
                  { "teq", { "init", "awq", NULL } },
                  { "teq", { "init", "smooth", NULL } } };
    enum { INPUT = 9, COLUMN = 70, BOTH = 300 };
    struct synthetic dead = layer;
    float mean[SYNTHETIC_IN], most[SYNTHETIC_IN];

    (void)state;
    dead.w = srq_malloc(SYNTHETIC_OUT * SYNTHETIC_IN * sizeof(float));
    dead.hessian = srq_malloc(SYNTHETIC_IN * SYNTHETIC_IN * sizeof(float));
    for (int c = 0; c < SYNTHETIC_IN; c++) {
        bool silent = c == INPUT || c == BOTH;

        mean[c] = silent ? 0 : layer.mean[c];
        most[c] = silent ? 0 : layer.max[c];
        for (int r = 0; r < SYNTHETIC_OUT; r++)
            dead.w[r * SYNTHETIC_IN + c] = c == COLUMN || c == BOTH ? 0 : layer.w[r * SYNTHETIC_IN + c];
        for (int k = 0; k < SYNTHETIC_IN; k++)
            dead.hessian[c * SYNTHETIC_IN + k] =
                silent || k == INPUT || k == BOTH ? 0 : layer.hessian[c * SYNTHETIC_IN + k];
    }
    dead.mean = mean;
    dead.max = most;
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        float *scale = scales_of_layer(&dead, rules[i].plugin, rules[i].settings, "w3g64z");

        for (int c = 0; c < SYNTHETIC_IN; c++)
            if (!isfinite(scale[c]) || scale[c] < 1e-5f)
                fail_msg("%s %s: channel %d has scale %g", rules[i].plugin,
                         rules[i].settings[0] != NULL ? rules[i].settings[1] : "", c, (double)scale[c]);
        /* Weights that no input reaches stay within the range of their group, and do not shift it. */
        check_dead(scale, rules[i].plugin, rules[i].settings[1], (const int[]){ INPUT, BOTH }, COLUMN);
        srq_free(scale);
    }
    srq_free(dead.w);
    srq_free(dead.hessian);
}

/* Error of the layer's output as a share of its energy where weights are rounded plainly and inputs token by token,
 * both with scales between them (NULL: none). */
static double rounded_output_error(const struct synthetic *l, const float *scale, const char *scheme)
{
    enum { OUT = SYNTHETIC_OUT, IN = SYNTHETIC_IN, TOKENS = SYNTHETIC_TOKENS };
    static const char *const none[] = { NULL };
    float *x = srq_malloc(TOKENS * IN * sizeof(*x)), *y = srq_malloc(2 * TOKENS * OUT * sizeof(*y)),
          *w = srq_malloc(OUT * IN * sizeof(*w));
    const struct srq_tensor tokens = srq_tensor_2d(x, SRQ_F32, TOKENS, IN);
    struct srq_linear linear = { .name = "layer", .out = OUT, .in = IN };
    struct synthetic scaled = *l;
    struct srq_error err = { 0 };
    double off = 0, all = 0;
    struct srq_result r;
    struct bench b;

    for (int i = 0; i < OUT * IN; i++)
        w[i] = l->w[i] * (scale != NULL ? scale[i % IN] : 1);
    for (int i = 0; i < TOKENS * IN; i++)
        x[i] = l->x[i] / (scale != NULL ? scale[i % IN] : 1);
    scaled.w = w;
    bench_load(&b, "rtn", none);
    synthetic_give(&scaled, &b, scheme);
    r = bench_result(&b);
    assert_ok(b.plugin.plugin->oneshot->quantize(srq_host_services(), b.self, &b.layer, &r, &err), &err);
    assert_ok(srq_codes_decode(&b.codes, w, SRQ_F32, &err), &err);
    srq_round_inputs(&linear, &b.codes.scheme);
    linear.feed(linear.feed_ctx, &tokens, 0, TOKENS, x); /* in place */
    bench_close(&b);
    for (int k = 0; k < 2; k++) {
        const struct srq_mat in = { k == 0 ? l->x : x, SRQ_F32, IN, false };
        const struct srq_mat weight = { k == 0 ? l->w : w, SRQ_F32, IN, true };

        srq_gemm(&(struct srq_product){ TOKENS, OUT, IN, in, weight, .c = { y + k * TOKENS * OUT, SRQ_F32, OUT },
                                        .alpha = 1 });
    }
    for (int i = 0; i < TOKENS * OUT; i++) {
        off += pow((double)y[i] - (double)y[TOKENS * OUT + i], 2);
        all += pow((double)y[i], 2);
    }
    srq_free(x);
    srq_free(y);
    srq_free(w);
    return off / all;
}

/* With outliers in a few channels, which are all that a token's range has room for, the error falls to less than a
 * fifth (spec seed-methods 4). */
static void test_smoothquant_w8a8(void **state)
{
    static const char *const none[] = { NULL };
    struct synthetic outliers = layer;
    float *scale, most[SYNTHETIC_IN] = { 0 };
    double before, after;

    (void)state;
    outliers.x = srq_malloc(SYNTHETIC_TOKENS * SYNTHETIC_IN * sizeof(float));
    outliers.max = most;
    for (int i = 0; i < SYNTHETIC_TOKENS * SYNTHETIC_IN; i++) {
        outliers.x[i] = (float)synthetic_normal(70, 0, (uint64_t)i) * (i % SYNTHETIC_IN % 128 == 37 ? 60 : 1);
        most[i % SYNTHETIC_IN] = fmaxf(most[i % SYNTHETIC_IN], fabsf(outliers.x[i]));
    }
    scale = scales_of_layer(&outliers, "smoothquant", none, "w8a8");
    before = rounded_output_error(&outliers, NULL, "w8a8");
    after = rounded_output_error(&outliers, scale, "w8a8");
    print_message("smoothquant w8a8: %.2e of the output's energy, without it %.2e\n", after, before);
    assert_true(after < before / 5);
    srq_free(scale);
    srq_free(outliers.x);
}

/* ---- clipping that is learned ------------------------------------------------------------------------------------ */

/* Adam against the layer's own output error, whose gradient is 2 (Ŵ - W) H; the loss after so many steps. */
static double clipped_loss(const char *scheme, int steps)
{
    static const char *const none[] = { NULL };
    size_t n = SYNTHETIC_OUT * SYNTHETIC_IN;
    float *fake = srq_malloc(n * sizeof(*fake)), *grad = srq_malloc(n * sizeof(*grad)), *d = srq_malloc(n * sizeof(*d));
    struct srq_tensor dst = srq_tensor_2d(fake, SRQ_F32, SYNTHETIC_OUT, SYNTHETIC_IN);
    const struct srq_tunable *t;
    struct srq_error err = { 0 };
    struct bench b;
    double loss;

    bench_load(&b, "omniquant", none);
    t = b.plugin.plugin->tunable;
    synthetic_give(&layer, &b, scheme);
    bench_begin(&b);
    for (int i = 0; i < steps; i++) {
        const struct srq_mat e = { d, SRQ_F32, SYNTHETIC_IN, false },
                             h = { layer.hessian, SRQ_F32, SYNTHETIC_IN, false };
        const struct srq_step now = { .size = sizeof(now), .iter = i, .iters = steps, .accum = 1, .schedule = 1 };

        assert_ok(t->weight(srq_host_services(), b.self, &b.layer, &dst, &err), &err);
        for (size_t k = 0; k < n; k++)
            d[k] = fake[k] - layer.w[k];
        srq_gemm(&(struct srq_product){ SYNTHETIC_OUT, SYNTHETIC_IN, SYNTHETIC_IN, e, h,
                                        .c = { grad, SRQ_F32, SYNTHETIC_IN }, .alpha = 2 });
        t->sink(srq_host_services(), b.self, &b.layer, &now, 0, SYNTHETIC_OUT, grad);
        assert_ok(t->step(srq_host_services(), b.self, &b.layer, &now, &err), &err);
    }
    bench_finish(&b);
    for (int64_t g = 0; g < b.layer.groups->count; g++) {
        assert_true(bench_array(&b, "alpha")[g] > 0 && bench_array(&b, "alpha")[g] <= 1);
        assert_true(bench_array(&b, "beta")[g] > 0 && bench_array(&b, "beta")[g] <= 1);
    }
    loss = synthetic_loss_of(&layer, &b.codes);
    bench_close(&b);
    srq_free(fake);
    srq_free(grad);
    srq_free(d);
    return loss;
}

static void test_omniquant(void **state)
{
    static const char *const none[] = { NULL };
    double gain[2];

    (void)state;
    for (int i = 0; i < 2; i++) {
        const char *scheme = i == 0 ? "w2g128z" : "w4g128z";

        gain[i] = clipped_loss(scheme, 300) / synthetic_run(&layer, "rtn", none, scheme);
        print_message("omniquant %s: %.3f of plain rounding\n", scheme, gain[i]);
    }
    assert_true(gain[0] < 0.8 && gain[1] < 0.85);
    /* Where steps are so fine that clipping costs more than it gives, it begins as plain rounding. */
    for (int i = 0; i < 2; i++) {
        const char *scheme = i == 0 ? "w8g128z" : "w7g128";

        gain[i] = clipped_loss(scheme, 0) / synthetic_run(&layer, "rtn", none, scheme);
        print_message("omniquant %s at its start: %.3f of plain rounding\n", scheme, gain[i]);
    }
    assert_true(gain[0] < 1.1 && gain[1] < 1.1);
    assert_not_accepted("omniquant", "mxfp4", "omniquant clips integers");
}

static int start(void **state)
{
    if (math_start(state) != 0)
        return -1;
    synthetic_make(&layer, 7);
    return 0;
}

static int stop(void **state)
{
    synthetic_free(&layer);
    return math_stop(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layer),
        cmocka_unit_test(test_gptq),
        cmocka_unit_test(test_gptq_blocks),
        cmocka_unit_test(test_gptq_dead),
        cmocka_unit_test(test_gptq_gives_up),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_hqq),
        cmocka_unit_test(test_hqq_norm),
        cmocka_unit_test(test_awq_scales),
        cmocka_unit_test(test_awq_clip),
        cmocka_unit_test(test_smoothquant),
        cmocka_unit_test(test_smoothquant_w8a8),
        cmocka_unit_test(test_smoothquant_heads),
        cmocka_unit_test(test_awq_heads),
        cmocka_unit_test(test_dead_channels),
        cmocka_unit_test(test_omniquant),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
