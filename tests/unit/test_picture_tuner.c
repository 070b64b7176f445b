/* Blocks of a diffusion model through the tuner: units with several ports and convolutions, on the tiny model of
 * tests/reference/unets, whose pictures are 8 x 8. What the tuner says of losses and errors is computed again here,
 * from what units give. */
#include "tests/unit/test.h"

#include "tests/unit/math_start.h"

#include "core/base/alloc.h"
#include "core/base/rng.h"
#include "core/flow/denoise.h"
#include "core/tune/block_tuner.h"
#include "core/tune/options.h"

#include <math.h>

enum { SAMPLES = 6, BATCH = 2 };

/* Both chains before one unit, the full-precision one behind it too. */
struct bed {
    struct srq_model *model;
    struct srq_walk *walk;
    struct srq_states *fp, *q;
    struct srq_plugin_handle plugin;
    struct srq_options *options;
    void *self;
    struct srq_scheme *schemes;
    struct srq_tune_config cfg;
    struct srq_block_io io;
    int unit;
    double first_error; /* of the unit's first layer, at iteration 0 */
};

static void open_plugin(struct bed *b, const char *iters)
{
    struct srq_error err = { 0 };
    const char *top = getenv("top_builddir");
    char *path = srq_asprintf("%s/plugins/signround/.libs", top != NULL ? top : ".");

    setenv("SRQ_PLUGIN_PATH", path, 1);
    srq_free(path);
    assert_ok(srq_plugin_load("signround", &b->plugin, &err), &err);
    assert_ok(srq_options_create(b->plugin.plugin, &b->options, &err), &err);
    assert_ok(srq_options_set(b->options, "recipe", "published", &err), &err);
    assert_ok(srq_options_set(b->options, "iters", iters, &err), &err);
    assert_ok(srq_options_finish(b->options, NULL, NULL, &err), &err);
    assert_ok(b->plugin.plugin->create(srq_host_services(), b->options, &b->self, &err), &err);
}

static int unit_named(const struct srq_model *m, const char *name)
{
    for (int u = 0; u < srq_model_unit_count(m); u++)
        if (strcmp(srq_model_unit(m, u)->name, name) == 0)
            return u;
    fail_msg("no unit %s", name);
    return -1;
}

/* A chain through the units before b->unit; a smaller input stands for what rounding before it does. */
static struct srq_states *chain(struct bed *b, float shrink)
{
    const struct srq_states_config cfg = { b->model, SRQ_F32, SAMPLES, 1, false, NULL };
    struct srq_pictures p = srq_model_pictures(b->model);
    int64_t n = SAMPLES * p.height * p.width * p.channels;
    float *x = srq_calloc((size_t)n, sizeof(*x));
    struct srq_moment at[SAMPLES];
    struct srq_error err = { 0 };
    struct srq_states *s = NULL;

    for (int64_t i = 0; i < n; i++)
        x[i] = shrink * (float)(2 * srq_rng_uniform(7, 1, (uint64_t)i) - 1);
    for (int i = 0; i < SAMPLES; i++)
        at[i] = (struct srq_moment){ .t = 10 + 150 * i };
    assert_ok(srq_states_create(&cfg, &s, &err), &err);
    assert_ok(srq_states_put_pictures(s, x, at, SAMPLES, &err), &err);
    for (int u = 0; u < b->unit; u++) {
        assert_ok(srq_walk_load(b->walk, u, NULL, &err), &err);
        assert_ok(srq_walk_over(b->walk, s, SAMPLES, false, NULL, &err), &err);
    }
    srq_free(x);
    return s;
}

static struct bed *bed_open(const char *name, const char *scheme, const char *iters)
{
    const char *top = getenv("top_srcdir");
    char *folder = srq_asprintf("%s/tests/reference/unets/plain", top != NULL ? top : ".");
    struct bed *b = srq_calloc(1, sizeof(*b));
    const struct srq_unit_info *u;
    struct srq_error err = { 0 };

    assert_ok(srq_model_open(folder, true, &b->model, &err), &err);
    srq_free(folder);
    b->unit = unit_named(b->model, name);
    u = srq_model_unit(b->model, b->unit);
    assert_ok(srq_walk_create(&(struct srq_walk_config){ b->model, SRQ_F32, SRQ_F32, BATCH, 1, .backward = false },
                              &b->walk, &err),
              &err);
    b->fp = chain(b, 1);
    b->q = chain(b, 0.875f);
    assert_ok(srq_walk_load(b->walk, b->unit, NULL, &err), &err);
    assert_ok(srq_walk_over(b->walk, b->fp, SAMPLES, false, NULL, &err), &err);
    open_plugin(b, iters);
    b->schemes = srq_calloc((size_t)srq_model_layer_count(b->model), sizeof(*b->schemes));
    for (int i = 0; i < srq_model_layer_count(b->model); i++)
        assert_ok(srq_scheme_parse(scheme, &b->schemes[i], &err), &err);
    b->cfg = (struct srq_tune_config){ .model = b->model,
                                       .plugin = b->plugin.plugin,
                                       .self = b->self,
                                       .schemes = b->schemes,
                                       .batch = BATCH,
                                       .seq = 1,
                                       .nsamples = SAMPLES,
                                       .seed = 42,
                                       .probe_every = 5,
                                       .probe_samples = SAMPLES };
    b->io = (struct srq_block_io){ .dtype = SRQ_F32, .nsamples = SAMPLES, .seq = 1 };
    for (int i = 0; i < u->ins; i++)
        b->io.input[i] = srq_states_at(b->q, u->in[i], 0);
    for (int i = 0; i < u->outs; i++)
        b->io.target[i] = srq_states_at(b->fp, u->out[i], 0);
    return b;
}

static void bed_close(struct bed *b)
{
    b->plugin.plugin->destroy(srq_host_services(), b->self);
    srq_options_free(b->options);
    srq_plugin_unload(&b->plugin);
    srq_states_free(b->fp);
    srq_states_free(b->q);
    srq_walk_free(b->walk);
    srq_free(b->schemes);
    srq_model_close(b->model);
    srq_free(b);
}

static void on_layer_error(void *ctx, int layer, int64_t iter, double relative)
{
    struct bed *b = ctx;

    if (layer == 0 && iter == 0)
        b->first_error = relative;
}

/* Leaves the unit loaded as its codes say. */
static struct srq_tune_outcome run(struct bed *b)
{
    const struct srq_tune_events events = { .ctx = b, .layer_error = on_layer_error };
    struct srq_tuner *t = NULL;
    struct srq_tune_outcome out;
    struct srq_error err = { 0 };
    struct srq_tune_task task = {
        .unit = b->unit, .block = srq_walk_block(b->walk), .schemes = b->schemes, .io = &b->io, .events = &events
    };

    b->cfg.compute = b->cfg.cache = SRQ_F32;
    assert_ok(srq_tuner_create(&b->cfg, &t, &err), &err);
    assert_ok(srq_walk_load(b->walk, b->unit, NULL, &err), &err);
    assert_ok(srq_tuner_run(t, &task, &out, &err), &err);
    out.error_first = out.error_best = NULL; /* the tuner's */
    srq_tuner_free(t);
    return out;
}

/* Mean squared difference of the unit's output in the quantized chain, once it is run there, from the target. */
static double loss_of(struct bed *b)
{
    const struct srq_unit_info *u = srq_model_unit(b->model, b->unit);
    const struct srq_port_info *p = srq_model_port(b->model, u->out[0]);
    const float *want = b->io.target[0], *got;
    int64_t n = SAMPLES * p->rows * p->cols;
    struct srq_error err = { 0 };
    double sum = 0;

    assert_ok(srq_walk_over(b->walk, b->q, SAMPLES, false, NULL, &err), &err);
    got = (const float *)(void *)srq_states_at(b->q, u->out[0], 0);
    for (int64_t i = 0; i < n; i++)
        sum += ((double)got[i] - (double)want[i]) * ((double)got[i] - (double)want[i]);
    return sum / (double)n;
}

static void close_to(double got, double want, double relative)
{
    if (fabs(got - want) > relative * fabs(want))
        fail_msg("%.9g, not %.9g", got, want);
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static void units_with_skips_are_tuned_on_all_that_they_read(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct bed *b = bed_open(i == 0 ? "up_blocks.0.resnets.1" : "up_blocks.1.resnets.0", "w3", "40");
        struct srq_tune_outcome out;

        assert_int_equal(srq_model_unit(b->model, b->unit)->ins, 3);
        out = run(b);
        assert_true(out.loss_best < 0.9 * out.loss_first);
        close_to(loss_of(b), out.loss_best, 1e-4);
        bed_close(b);
    }
}

static void plain_rounding_is_where_it_starts(void **state)
{
    static const char *const units[] = {
        "conv_in",  "time_embedding",          "down_blocks.0.downsamplers.0", "mid_block.attentions.0",
        "conv_out", "up_blocks.0.upsamplers.0"
    };

    (void)state;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        struct bed *b = bed_open(units[i], "w4", "0");
        struct srq_tune_outcome out = run(b);

        close_to(loss_of(b), out.loss_first, 1e-4);
        bed_close(b);
    }
}

/* conv_in is nothing but a convolution: where both chains are one, the loss is its layer error, but for the scale. A
 * batch has 2 * 64 rows, which are all picked where there is but one. */
static void errors_of_convolutions_are_of_their_outputs(void **state)
{
    struct bed *b = bed_open("conv_in", "w3", "0");
    const struct srq_unit_info *u = srq_model_unit(b->model, b->unit);
    const struct srq_port_info *p = srq_model_port(b->model, u->out[0]);
    const float *y = b->io.target[0], *bias;
    int64_t n = BATCH * p->rows;
    struct srq_tune_outcome out;
    double all = 0;

    (void)state;
    b->io.input[0] = srq_states_at(b->fp, u->in[0], 0);
    b->cfg.nsamples = b->io.nsamples = b->cfg.probe_samples = BATCH;
    out = run(b);
    bias = srq_block_linear(srq_walk_block(b->walk), 0)->bias->value;
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < p->cols; k++)
            all += pow((double)y[i * p->cols + k] - (double)bias[k], 2);
    close_to(b->first_error, out.loss_first * (double)(n * p->cols) / all, 1e-4);
    bed_close(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(units_with_skips_are_tuned_on_all_that_they_read),
        cmocka_unit_test(plain_rounding_is_where_it_starts),
        cmocka_unit_test(errors_of_convolutions_are_of_their_outputs),
    };

    return cmocka_run_group_tests(tests, math_start, math_stop);
}
