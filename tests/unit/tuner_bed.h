/* A block of the demo model with its data, a plugin and a tuner: what the tests of the tuner stand on. Everything is
 * static, for one test program a time. */
#ifndef SRQ_TEST_TUNER_BED_H
#define SRQ_TEST_TUNER_BED_H

#include "tests/unit/test.h"
#include "tests/unit/block_through.h"

#include "core/base/alloc.h"
#include "core/base/rng.h"
#include "core/math/gemm.h"
#include "core/math/team.h"
#include "core/tune/block_tuner.h"
#include "core/tune/importance.h"
#include "core/tune/options.h"
#include "tests/unit/model_folder.h"

#include <math.h>

enum { SAMPLES = 12, SEQ = 48, PROBES = 4, LAYERS = 7 };

/* One model, its block 0 and the two chains' data for it. */
struct bed {
    struct srq_model *model;
    struct srq_block *block;
    struct srq_plugin_handle plugin;
    struct srq_options *options;
    void *self;
    struct srq_scheme *schemes;
    struct srq_tune_config cfg;
    struct srq_block_io io;
    struct srq_importance *importance;
    int64_t width; /* of the block's input and output */
    char *folder;  /* made for this test, or NULL */

    /* what events do and see */
    struct srq_tuner *tuner;
    int64_t stop_at;
    void *saved;
    size_t saved_len;
    int points, probes, errors;
    double first_point, last_probe;
    double rates[8]; /* learning rates of the first iterations */
    int64_t allocations;
    bool counting;
};

static void open_plugin(struct bed *b, const char *const *settings)
{
    struct srq_error err = { 0 };
    const char *top = getenv("top_builddir");
    char *path = srq_asprintf("%s/plugins/signround/.libs", top != NULL ? top : ".");

    setenv("SRQ_PLUGIN_PATH", path, 1);
    srq_free(path);
    assert_ok(srq_plugin_load("signround", &b->plugin, &err), &err);
    assert_ok(srq_options_create(b->plugin.plugin, &b->options, &err), &err);
    if (strcmp(b->plugin.plugin->name, "signround") == 0)
        assert_ok(srq_options_set(b->options, "recipe", "published", &err), &err);
    for (; settings[0] != NULL; settings += 2)
        assert_ok(srq_options_set(b->options, settings[0], settings[1], &err), &err);
    assert_ok(srq_options_finish(b->options, NULL, NULL, &err), &err);
    assert_ok(b->plugin.plugin->create(srq_host_services(), b->options, &b->self, &err), &err);
}

/* Full-precision output of the loaded block for all samples, in F32. */
static void full_precision(struct bed *b, const float *x, float *y)
{
    struct srq_error err = { 0 };
    struct srq_block *block;
    struct srq_tape *t;
    int64_t width = srq_model_info(b->model)->hidden;

    assert_ok(srq_block_create(b->model, SRQ_F32, &block, &err), &err);
    assert_ok(srq_block_load(block, 0, &err), &err);
    assert_ok(srq_importance_create(b->model, &b->importance, &err), &err);
    srq_importance_begin(b->importance, block);
    assert_ok(srq_tape_create((size_t)64 << 20, SRQ_F32, false, &t, &err), &err);
    srq_tape_record(t, false);
    for (int64_t s = 0; s < b->io.nsamples; s++) {
        struct srq_tensor in = srq_tensor_2d((void *)(uintptr_t)(x + s * SEQ * width), SRQ_F32, SEQ, width);
        struct srq_var *out;

        srq_tape_reset(t);
        out = block_through(block, t, srq_tape_input(t, &in, false), 1, SEQ);
        assert_ok(srq_tape_error(t, &err), &err);
        memcpy(y + s * SEQ * width, out->value.data, (size_t)(SEQ * width) * sizeof(float));
    }
    srq_importance_end(b->importance);
    b->io.importance = srq_importance_sums(b->importance);
    srq_tape_free(t);
    srq_block_free(block);
}

static struct bed *bed_open_folder(const char *folder, const char *scheme, const char *const *settings)
{
    struct bed *b = srq_calloc(1, sizeof(*b));
    struct srq_error err = { 0 };
    const struct srq_model_info *info;
    int32_t ids[SAMPLES * SEQ];
    float *x, *y;
    size_t n;

    assert_ok(srq_model_open(folder, true, &b->model, &err), &err);
    info = srq_model_info(b->model);
    open_plugin(b, settings);
    b->schemes = srq_calloc((size_t)srq_model_layer_count(b->model), sizeof(*b->schemes));
    for (int i = 0; i < srq_model_layer_count(b->model); i++)
        assert_ok(srq_scheme_parse(scheme, &b->schemes[i], &err), &err);
    b->cfg = (struct srq_tune_config){ .model = b->model,
                                       .plugin = b->plugin.plugin,
                                       .self = b->self,
                                       .schemes = b->schemes,
                                       .batch = 4,
                                       .seq = SEQ,
                                       .nsamples = SAMPLES,
                                       .seed = 42,
                                       .probe_every = 5,
                                       .probe_samples = PROBES };
    for (int i = 0; i < SAMPLES * SEQ; i++) /* small ids are the frequent ones */
        ids[i] = (int32_t)(pow(srq_rng_uniform(3, 1, (uint64_t)i), 3) * (double)info->vocab);
    n = (size_t)(SAMPLES * SEQ * info->hidden);
    x = srq_calloc(n, sizeof(*x));
    y = srq_calloc(n, sizeof(*y));
    assert_ok(srq_model_embed(b->model, ids, SAMPLES * SEQ, x, SRQ_F32, &err), &err);
    b->width = info->hidden;
    b->io = (struct srq_block_io){ .dtype = SRQ_F32, .nsamples = SAMPLES, .seq = SEQ };
    full_precision(b, x, y);
    b->io.input[0] = x;
    b->io.target[0] = y;
    b->stop_at = -1;
    assert_ok(srq_block_create(b->model, b->cfg.compute, &b->block, &err), &err);
    assert_ok(srq_block_load(b->block, 0, &err), &err);
    return b;
}

static struct bed *bed_open(const char *scheme, const char *const *settings)
{
    const char *top = getenv("top_srcdir");
    char *folder = srq_asprintf("%s/share/models/demo-lm", top != NULL ? top : ".");
    struct bed *b = bed_open_folder(folder, scheme, settings);

    srq_free(folder);
    return b;
}

static void bed_close(struct bed *b)
{
    srq_tuner_free(b->tuner);
    srq_block_free(b->block);
    srq_importance_free(b->importance);
    b->plugin.plugin->destroy(srq_host_services(), b->self);
    srq_options_free(b->options);
    srq_plugin_unload(&b->plugin);
    srq_free((void *)(uintptr_t)b->io.input[0]);
    srq_free((void *)(uintptr_t)b->io.target[0]);
    srq_free((void *)(uintptr_t)b->io.mask);
    srq_free(b->schemes);
    srq_free(b->saved);
    srq_model_close(b->model);
    if (b->folder != NULL)
        folder_remove(b->folder);
    srq_free(b);
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

static bool count_allocation(size_t size, void *ctx)
{
    struct bed *b = ctx;

    (void)size;
    __atomic_add_fetch(&b->allocations, 1, __ATOMIC_RELAXED);
    return true;
}

static void on_point(void *ctx, int64_t iter, double loss, double lr)
{
    struct bed *b = ctx;

    assert_int_equal(iter, b->points);
    assert_true(isfinite(loss));
    assert_true(lr > 0);
    if (iter < 8)
        b->rates[iter] = lr;
    if (b->points++ == 0) {
        b->first_point = loss;
        if (b->counting)
            srq_set_alloc_hook(count_allocation, b);
    }
}

static void on_probe(void *ctx, int64_t iter, double loss, bool best)
{
    struct bed *b = ctx;

    (void)best;
    assert_true(iter >= 0);
    b->last_probe = loss;
    b->probes++;
}

static void on_error(void *ctx, int layer, int64_t iter, double relative)
{
    struct bed *b = ctx;

    (void)iter;
    assert_in_range(layer, 0, LAYERS - 1);
    assert_true(relative > 0 && isfinite(relative));
    b->errors++;
}

static void *in_one(const struct srq_tuner_state *s)
{
    char *all = srq_malloc(s->len), *at = all;

    assert_non_null(all);
    for (size_t i = 0; i < s->count; i++) {
        if (s->parts[i].len > 0)
            memcpy(at, s->parts[i].data, s->parts[i].len);
        at += s->parts[i].len;
    }
    assert_int_equal(at - all, s->len);
    return all;
}

static int on_tick(void *ctx, int64_t iter)
{
    struct bed *b = ctx;
    struct srq_tuner_state state;
    struct srq_error err = { 0 };

    if (iter != b->stop_at)
        return 0;
    assert_ok(srq_tuner_save(b->tuner, &state, &err), &err);
    b->saved = in_one(&state);
    b->saved_len = state.len;
    return -SRQ_ECANCELED;
}

static struct srq_tune_events events_of(struct bed *b)
{
    return (struct srq_tune_events){
        .ctx = b, .point = on_point, .probe = on_probe, .layer_error = on_error, .tick = on_tick
    };
}

static void make_tuner(struct bed *b)
{
    struct srq_error err = { 0 };

    assert_ok(srq_tuner_create(&b->cfg, &b->tuner, &err), &err);
}

/* The first unit, on the bed's data. */
static int tune_from(struct bed *b, struct srq_part resume, const struct srq_tune_events *e,
                     struct srq_tune_outcome *out, struct srq_error *err)
{
    const struct srq_tune_task task = { 0, b->block, b->schemes, &b->io, resume, e };

    return srq_tuner_run(b->tuner, &task, out, err);
}

static int tune(struct bed *b, struct srq_tune_outcome *out, struct srq_error *err)
{
    struct srq_tune_events e = events_of(b);

    if (b->tuner == NULL)
        make_tuner(b);
    return tune_from(b, (struct srq_part){ NULL, 0 }, &e, out, err);
}

#endif
