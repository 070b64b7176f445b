/* See plugin_bench.h. */
#include "tests/unit/test.h"

#include "tests/unit/plugin_bench.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "core/tune/options.h"

void bench_load(struct bench *b, const char *name, const char *const *settings)
{
    const char *top = getenv("top_builddir");
    char *path = srq_asprintf("%s/plugins/%s/.libs", top != NULL ? top : ".", name);
    struct srq_error err = { 0 };

    memset(b, 0, sizeof(*b));
    setenv("SRQ_PLUGIN_PATH", path, 1);
    srq_free(path);
    assert_ok(srq_plugin_load(name, &b->plugin, &err), &err);
    assert_ok(srq_options_create(b->plugin.plugin, &b->options, &err), &err);
    if (strcmp(b->plugin.plugin->name, "signround") == 0) /* what the references were made with */
        assert_ok(srq_options_set(b->options, "recipe", "published", &err), &err);
    for (; settings[0] != NULL; settings += 2)
        assert_ok(srq_options_set(b->options, settings[0], settings[1], &err), &err);
    assert_ok(srq_options_finish(b->options, NULL, NULL, &err), &err);
    assert_ok(b->plugin.plugin->create(srq_host_services(), b->options, &b->self, &err), &err);
}

void bench_layer(struct bench *b, const char *scheme, float *w, int64_t out, int64_t in, const float *importance)
{
    struct srq_tensor weight = srq_tensor_2d(w, SRQ_F32, out, in);
    struct srq_scheme s;
    struct srq_error err = { 0 };

    assert_ok(srq_scheme_parse(scheme, &s, &err), &err);
    b->layer = layer_in(&b->room, &weight, &s);
    b->layer.importance = importance;
    assert_ok(srq_codes_alloc(out, in, &s, &b->codes, &err), &err);
}

struct srq_result bench_result(struct bench *b)
{
    return (struct srq_result){
        .size = sizeof(struct srq_result), .codes = b->codes.codes, .scale = b->codes.scale, .zero = b->codes.zero
    };
}

void bench_begin(struct bench *b)
{
    const struct srq_plugin *p = b->plugin.plugin;
    struct srq_error err = { 0 };

    assert_ok(srq_params_ask(srq_host_services(), p, b->self, &b->layer, &b->declared, &err), &err);
    for (int i = 0; i < b->declared.count; i++) {
        const struct srq_param *param = &b->declared.at[i];

        b->arrays[i] = srq_calloc((size_t)param->count, sizeof(float));
        for (int64_t j = 0; j < param->count; j++)
            b->arrays[i][j] = param->init;
    }
    b->layer.param = b->arrays;
    assert_ok(p->tunable->begin(srq_host_services(), b->self, &b->layer, &err), &err);
}

void bench_finish(struct bench *b)
{
    struct srq_result r = bench_result(b);
    struct srq_error err = { 0 };

    assert_ok(b->plugin.plugin->tunable->finish(srq_host_services(), b->self, &b->layer, &r, &err), &err);
    assert_ok(srq_codes_check(&b->codes, "layer", &err), &err);
}

void bench_close(struct bench *b)
{
    for (int i = 0; i < b->declared.count; i++)
        srq_free(b->arrays[i]);
    srq_codes_fini(&b->codes);
    b->plugin.plugin->destroy(srq_host_services(), b->self);
    srq_options_free(b->options);
    srq_plugin_unload(&b->plugin);
}

const float *bench_array(const struct bench *b, const char *name)
{
    for (int i = 0; i < b->declared.count; i++) {
        if (strcmp(b->declared.at[i].name, name) == 0)
            return b->arrays[i];
    }
    return NULL;
}
