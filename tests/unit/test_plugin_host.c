/* The plugin host: what it refuses to load, option tables and recipes, services, and the shipped plugins' behaviour
 * through nothing but the plugin interface. */
#include "tests/unit/test.h"

#include "core/base/alloc.h"
#include "core/base/rng.h"
#include "core/grid/grid.h"
#include "core/math/team.h"
#include "core/tune/options.h"
#include "core/tune/params.h"
#include "core/tune/plugin_host.h"
#include "tests/lib/layer_room.h"

#include <math.h>

static char *built(const char *relative)
{
    const char *top = getenv("top_builddir");

    return srq_asprintf("%s/%s", top != NULL ? top : ".", relative);
}

static void use_built_plugins(void)
{
    char *path = built("plugins/rtn/.libs:"), *more = built("plugins/signround/.libs"), *both;

    both = srq_asprintf("%s%s", path, more);
    setenv("SRQ_PLUGIN_PATH", both, 1);
    setenv("SRQ_PLUGIN_DIR", "/nonexistent", 1); /* whatever is installed here */
    srq_free(path);
    srq_free(more);
    srq_free(both);
}

static void load(const char *name, struct srq_plugin_handle *h)
{
    struct srq_error err = { 0 };

    use_built_plugins();
    assert_ok(srq_plugin_load(name, h, &err), &err);
}

/* ---- loading ----------------------------------------------------------------------------------------------------- */

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)
#define MINOR TEXT(SRQ_ABI_MINOR)

static void broken_plugins_are_refused_with_their_reason(void **state)
{
    static const struct {
        const char *name, *part;
        int code;
    } rows[] = {
        { "magic", "magic number is 0x12345678", -SRQ_EFORMAT },
        { "major",
          "was built for ABI 1." MINOR ", this srq has 2." MINOR "; build it again with the headers of this srq",
          -SRQ_EUNSUPPORTED },
        { "minor", "needs ABI 2.7, newer than this srq's 2." MINOR, -SRQ_EUNSUPPORTED },
        { "size", "describes itself in 24 bytes where ABI 2." MINOR " has ", -SRQ_EFORMAT },
        { "part", "has a part oneshot of 8 bytes where ABI 2.0 has ", -SRQ_EFORMAT },
        { "table", "has 2 rows in its table of options, which is not there", -SRQ_EFORMAT },
        { "count", "has 4294967295 rows in its table of options, which are too many", -SRQ_EFORMAT },
        { "stride", "bytes, 16 from it to the next, in its table of options; in ABI 2.0 a row has ", -SRQ_EFORMAT },
        { "short", "has a row of 8 bytes, ", -SRQ_EFORMAT },
        { "long", "has a row of 4096 bytes, ", -SRQ_EFORMAT },
        { "nameless", "row 1 of its options has no name", -SRQ_EFORMAT },
        { "keyless", "row 0 of its recipes lacks name, key or value", -SRQ_EFORMAT },
        { "symbol", "exports no symbol srq_plugin", -SRQ_EFORMAT },
        { "name", "has no proper name", -SRQ_EFORMAT },
        { "create", "has no create", -SRQ_EFORMAT },
        { "parts", "has no oneshot, tunable, scorer, allocator, transform or trainer part", -SRQ_EFORMAT },
        { "quantize", "has no oneshot.quantize", -SRQ_EFORMAT },
        { "tunable", "has no tunable.schedule", -SRQ_EFORMAT },
        { "default", "the default of option number is \"11\", which is not a whole number from 0 to 10", -SRQ_EFORMAT },
        { "recipe", "sets \"absent\", which is no option", -SRQ_EFORMAT },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *relative = srq_asprintf("tests/unit/plugins/.libs/broken_%s.so", rows[i].name), *path = built(relative);
        struct srq_plugin_handle h;
        struct srq_error err = { 0 };

        assert_refused(srq_plugin_load_path(path, &h, &err), rows[i].code, &err, rows[i].part);
        assert_true(strstr(err.text, path) != NULL || strstr(err.text, "plugin broken:") != NULL);
        assert_null(h.dl);
        srq_free(relative);
        srq_free(path);
    }
}

static void a_file_that_is_no_object_is_refused(void **state)
{
    struct srq_plugin_handle h;
    struct srq_error err = { 0 };
    char *path = built("config.status");

    (void)state;
    assert_refused(srq_plugin_load_path(path, &h, &err), -SRQ_EFORMAT, &err, "cannot be loaded");
    srq_free(path);
    assert_refused(srq_plugin_load_path("/nonexistent/x.so", &h, &err), -SRQ_ENOENT, &err, "/nonexistent/x.so");
}

static void an_unknown_name_lists_what_there_is(void **state)
{
    struct srq_plugin_handle h;
    struct srq_error err = { 0 };

    (void)state;
    use_built_plugins();
    assert_refused(srq_plugin_load("sginround", &h, &err), -SRQ_ENOENT, &err, "found are: rtn, signround");
    assert_refused(srq_plugin_load("../rtn", &h, &err), -SRQ_ENOENT, &err, "no plugin \"../rtn\"");
}

static void names_are_sorted_and_unique(void **state)
{
    struct srq_error err = { 0 };
    char **names;
    int rtn = 0;

    (void)state;
    use_built_plugins();
    assert_ok(srq_plugin_names(&names, &err), &err);
    for (int i = 0; names[i] != NULL; i++) {
        rtn += strcmp(names[i], "rtn") == 0;
        if (i > 0)
            assert_true(strcmp(names[i - 1], names[i]) < 0);
    }
    assert_int_equal(rtn, 1);
    srq_plugin_names_free(names);
}

static void another_folder_can_stand_for_the_installed_one(void **state)
{
    struct srq_error err = { 0 };
    char **names, *first = built("plugins/signround/.libs"), *last = built("plugins/rtn/.libs");

    (void)state;
    setenv("SRQ_PLUGIN_PATH", first, 1);
    setenv("SRQ_PLUGIN_DIR", last, 1);
    assert_ok(srq_plugin_names(&names, &err), &err);
    assert_string_equal(names[0], "rtn");
    assert_string_equal(names[1], "signround");
    assert_null(names[2]);
    srq_plugin_names_free(names);
    srq_free(first);
    srq_free(last);
}

/* A member that is added later has to make a struct larger, or its size would not tell who has it. */
static void no_struct_ends_in_padding(void **state)
{
#define ENDS(type, member) \
    assert_int_equal(offsetof(struct type, member) + sizeof(((struct type *)NULL)->member), sizeof(struct type))
    (void)state;
    ENDS(srq_error, text);
    ENDS(srq_tensor, shape);
    ENDS(srq_scheme, act_group);
    ENDS(srq_groups, count);
    ENDS(srq_layer, tokens);
    ENDS(srq_result, super);
    ENDS(srq_oneshot, needs);
    ENDS(srq_param, count);
    ENDS(srq_schedule, lr);
    ENDS(srq_step, schedule);
    ENDS(srq_block_rules, drop_largest);
    ENDS(srq_tunable, rules);
    ENDS(srq_score_data, batch);
    ENDS(srq_score_rows, grad);
    ENDS(srq_scorer, rows);
    ENDS(srq_alloc_unit, loss);
    ENDS(srq_alloc_result, front_loss);
    ENDS(srq_allocator, solve);
    ENDS(srq_scale_group, user);
    ENDS(srq_transform_schedule, load);
    ENDS(srq_transform, step);
    ENDS(srq_grid_args, start_min);
    ENDS(srq_grid_ops, search);
    ENDS(srq_host, column_feedback);
    ENDS(srq_option, help);
    ENDS(srq_recipe_row, value);
    ENDS(srq_trained, state);
    ENDS(srq_activation, zero);
    ENDS(srq_trainer_schedule, split_skip);
    ENDS(srq_trainer, finish);
    ENDS(srq_plugin, trainer);
#undef ENDS
}

static void structs_are_copied_as_far_as_both_know_them(void **state)
{
    struct srq_score_data mine = { sizeof(mine), 1, 2, 3 }, theirs = { sizeof(theirs), 4, 5, 6 };

    (void)state;
    theirs.size = offsetof(struct srq_score_data, batch);
    srq_copy_known(&mine, &theirs);
    assert_int_equal(mine.size, sizeof(mine));
    assert_true(mine.nsamples == 4 && mine.seqlen == 5 && mine.batch == 3);
    theirs = (struct srq_score_data){ 4096, 7, 8, 9 };
    mine.size = offsetof(struct srq_score_data, seqlen);
    srq_copy_known(&mine, &theirs);
    assert_int_equal(mine.size, offsetof(struct srq_score_data, seqlen));
    assert_true(mine.nsamples == 7 && mine.seqlen == 5 && mine.batch == 3);
    theirs.size = 0;
    srq_copy_known(&mine, &theirs);
    assert_true(mine.nsamples == 7);
}

/* ---- options ----------------------------------------------------------------------------------------------------- */

static void assert_option(const struct srq_options *o, const char *name, const char *want)
{
    char *text = srq_options_text(o, name);

    if (text == NULL || strcmp(text, want) != 0)
        fail_msg("option %s is \"%s\", wanted \"%s\"", name, text != NULL ? text : "(unset)", want);
    srq_free(text);
}

static int collect(void *ctx, const char *key, const char *value)
{
    char *out = ctx;
    size_t len = strlen(out);

    snprintf(out + len, 256 - len, "%s=%s ", key, value);
    return 0;
}

static void a_recipe_yields_to_the_user(void **state)
{
    struct srq_plugin_handle h;
    struct srq_options *o;
    struct srq_error err = { 0 };
    char job[256] = "";

    (void)state;
    load("signround", &h);
    assert_ok(srq_options_create(h.plugin, &o, &err), &err);
    assert_option(o, "iters", "200");
    assert_ok(srq_options_set(o, "recipe", "light", &err), &err);
    assert_ok(srq_options_set(o, "iters", "70", &err), &err);
    assert_ok(srq_options_finish(o, collect, job, &err), &err);
    assert_option(o, "iters", "70");
    assert_option(o, "lr", "0.005");
    assert_string_equal(job, "nsamples=128 seqlen=2048 batch=8 refine=1 resample=65536 ");
    assert_int_equal(srq_host_services()->opt_int(o, "iters"), 70);
    assert_true(srq_host_services()->opt_float(o, "lr") == 0.005);
    assert_true(srq_host_services()->opt_bool(o, "minmax"));
    assert_string_equal(srq_host_services()->opt_string(o, "recipe"), "light");
    assert_false(srq_host_services()->opt_set(o, "nothing"));
    srq_options_free(o);
    srq_plugin_unload(&h);
}

static void bad_option_values_are_named(void **state)
{
    static const struct {
        const char *name, *value, *part;
    } rows[] = {
        { "iters", "-1", "option signround.iters is \"-1\"; it must be a whole number from 0 to 100000" },
        { "iters", "ten", "whole number" },
        { "iters", "1.5", "whole number" },
        { "iters", "", "whole number" },
        { "iters", "99999999999999999999", "whole number" },
        { "lr", "nan", "a number from 0 to 1" },
        { "lr", "2", "a number from 0 to 1" },
        { "lr", "0.1x", "a number from 0 to 1" },
        { "minmax", "maybe", "true or false" },
        { "recipe", "fast", "one of default,best,light,published" },
        { "recipe", "default,best", "one of default,best,light,published" },
        { "iter", "3", "plugin signround has no option \"iter\"; it has recipe, iters, lr" },
    };
    struct srq_plugin_handle h;
    struct srq_options *o;
    struct srq_error err = { 0 };

    (void)state;
    load("signround", &h);
    assert_ok(srq_options_create(h.plugin, &o, &err), &err);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *field = srq_asprintf("options.signround.%s", rows[i].name);

        assert_refused(srq_options_set(o, rows[i].name, rows[i].value, &err), -SRQ_EINVAL, &err, rows[i].part);
        assert_string_equal(err.field, field);
        srq_free(field);
    }
    srq_options_free(o);
    srq_plugin_unload(&h);
}

static void canonical_texts_do_not_depend_on_spelling(void **state)
{
    struct srq_plugin_handle h;
    struct srq_options *o;
    struct srq_error err = { 0 };

    (void)state;
    load("signround", &h);
    assert_ok(srq_options_create(h.plugin, &o, &err), &err);
    assert_ok(srq_options_set(o, "lr", "5.0e-3", &err), &err);
    assert_option(o, "lr", "0.005");
    assert_ok(srq_options_set(o, "iters", "+0050", &err), &err);
    assert_option(o, "iters", "50");
    assert_ok(srq_options_set(o, "minmax", "no", &err), &err);
    assert_option(o, "minmax", "false");
    srq_options_free(o);
    srq_plugin_unload(&h);
}

/* ---- services ---------------------------------------------------------------------------------------------------- */

static void sign_steps_have_fixed_length_and_rest_at_zero(void **state)
{
    float p[5] = { 1, 1, 1, 1, 1 }, g[5] = { 3, -1e-30f, 0, -0.0f, 1e30f }, buf[5] = { 9, 9, 9, 9, 9 };

    (void)state;
    srq_host_services()->sign_step(p, g, 0.25f, 5);
    assert_true(p[0] == 0.75f && p[1] == 1.25f && p[2] == 1 && p[3] == 1 && p[4] == 0.75f);
    srq_host_services()->sign_momentum_step(p, buf, g, 0.25f, 0.5f, true, 5);
    assert_true(buf[0] == 3 && p[0] == 0.5f && p[2] == 1);
    g[0] = -1;
    srq_host_services()->sign_momentum_step(p, buf, g, 0.25f, 0.5f, false, 5);
    assert_true(buf[0] == 0.5f && p[0] == 0.25f); /* 0.5 * 3 - 1 is still positive */
}

static void draws_repeat_and_depend_on_the_seed(void **state)
{
    const struct srq_host *h = srq_host_services();
    double a;

    (void)state;
    srq_host_seed(1);
    a = h->uniform(3, 4);
    assert_true(a >= 0 && a < 1);
    assert_true(h->uniform(3, 4) == a);
    assert_true(h->uniform(3, 5) != a);
    srq_host_seed(2);
    assert_true(h->uniform(3, 4) != a);
}

/* ---- the shipped plugins ----------------------------------------------------------------------------------------- */

enum { OUT = 64, IN = 96 };
static float layer_w[OUT * IN];

static void make_layer(struct srq_layer *l, struct layer_room *room, const char *scheme)
{
    struct srq_tensor weight = srq_tensor_2d(layer_w, SRQ_F32, OUT, IN);
    struct srq_scheme s;
    struct srq_error err = { 0 };

    for (int i = 0; i < OUT * IN; i++)
        layer_w[i] = (float)(srq_rng_uniform(11, 1, (uint64_t)i) - 0.5);
    assert_ok(srq_scheme_parse(scheme, &s, &err), &err);
    *l = layer_in(room, &weight, &s);
}

/* Plain rounding is the nearest value of the grid: no weight that is not at an end of the range is further than half a
 * scale from its code. */
static void rtn_rounds_to_the_nearest_value(void **state)
{
    struct srq_plugin_handle h;
    struct srq_layer l;
    struct layer_room room;
    struct srq_codes c;
    struct srq_error err = { 0 };
    float w[OUT * IN];
    void *self;

    (void)state;
    load("rtn", &h);
    make_layer(&l, &room, "w4g32z");
    assert_ok(h.plugin->create(srq_host_services(), NULL, &self, &err), &err);
    assert_ok(srq_codes_alloc(OUT, IN, &room.scheme, &c, &err), &err);
    struct srq_result r = { .size = sizeof(r), .codes = c.codes, .scale = c.scale, .zero = c.zero };

    assert_ok(h.plugin->oneshot->quantize(srq_host_services(), self, &l, &r, &err), &err);
    assert_ok(srq_codes_check(&c, "layer", &err), &err);
    assert_ok(srq_codes_decode(&c, w, SRQ_F32, &err), &err);
    for (int i = 0; i < OUT * IN; i++) {
        if (c.codes[i] > 0 && c.codes[i] < 15)
            assert_true(fabsf(w[i] - layer_w[i]) <= 0.50001f * c.scale[i / 32]);
    }
    h.plugin->destroy(srq_host_services(), self);
    srq_codes_fini(&c);
    srq_plugin_unload(&h);
}

/* Arguments may end before members that came later; what lies behind them is another's. */
static void grids_do_not_read_what_older_arguments_lack(void **state)
{
    struct srq_layer l;
    struct layer_room room;
    float *lo, *hi, *start, *want = srq_calloc(OUT * IN, sizeof(*want)), *got = srq_calloc(OUT * IN, sizeof(*got));
    const struct srq_grid_ops *grid;
    struct srq_grid_args a = { .size = sizeof(a) };

    (void)state;
    make_layer(&l, &room, "w3g32");
    grid = srq_host_services()->grid(room.scheme.grid);
    a.weight = l.weight;
    a.scheme = l.scheme;
    a.groups = l.groups;
    a.lo = lo = srq_calloc((size_t)room.groups.count, sizeof(*lo));
    a.hi = hi = srq_calloc((size_t)room.groups.count, sizeof(*hi));
    start = srq_calloc((size_t)room.groups.count, sizeof(*start));
    for (int64_t i = 0; i < room.groups.count; i++)
        start[i] = 3;
    assert_int_equal(grid->extrema(&a, lo, hi), 0);
    grid->fake(&a, 0, OUT, want, SRQ_F32, IN);
    a.start = start;
    a.size = offsetof(struct srq_grid_args, start);
    grid->fake(&a, 0, OUT, got, SRQ_F32, IN);
    assert_memory_equal(got, want, OUT * IN * sizeof(*got));
    srq_free(lo);
    srq_free(hi);
    srq_free(start);
    srq_free(want);
    srq_free(got);
}

/* A host small enough to see: arrays as declared, a quadratic loss sum (Ŵ - T)² whose gradient is 2 (Ŵ - T). */
struct bench {
    struct srq_plugin_handle plugin;
    struct srq_options *options;
    void *self;
    struct srq_layer layer;
    struct layer_room room;
    struct srq_params declared;
    float *arrays[SRQ_MAX_PARAMS];
    float fake[OUT * IN];
};

static void bench_open(struct bench *b, const char *scheme, const char *const *settings)
{
    struct srq_error err = { 0 };
    const struct srq_host *host = srq_host_services();

    load("signround", &b->plugin);
    assert_ok(srq_options_create(b->plugin.plugin, &b->options, &err), &err);
    assert_ok(srq_options_set(b->options, "recipe", "published", &err), &err);
    for (; settings[0] != NULL; settings += 2)
        assert_ok(srq_options_set(b->options, settings[0], settings[1], &err), &err);
    assert_ok(srq_options_finish(b->options, NULL, NULL, &err), &err);
    assert_ok(b->plugin.plugin->create(host, b->options, &b->self, &err), &err);
    make_layer(&b->layer, &b->room, scheme);
    assert_ok(srq_params_ask(host, b->plugin.plugin, b->self, &b->layer, &b->declared, &err), &err);
    for (int i = 0; i < b->declared.count; i++) {
        const struct srq_param *param = &b->declared.at[i];

        b->arrays[i] = srq_calloc((size_t)param->count, sizeof(float));
        for (int64_t j = 0; j < param->count; j++)
            b->arrays[i][j] = param->init;
    }
    b->layer.param = b->arrays;
    assert_ok(b->plugin.plugin->tunable->begin(host, b->self, &b->layer, &err), &err);
}

static void bench_close(struct bench *b)
{
    for (int i = 0; i < b->declared.count; i++)
        srq_free(b->arrays[i]);
    b->plugin.plugin->destroy(srq_host_services(), b->self);
    srq_options_free(b->options);
    srq_plugin_unload(&b->plugin);
}

static const float *bench_array(const struct bench *b, const char *name)
{
    for (int i = 0; i < b->declared.count; i++) {
        if (strcmp(b->declared.at[i].name, name) == 0)
            return b->arrays[i];
    }
    return NULL;
}

static double bench_iterate(struct bench *b, const float *target, int64_t iters, int64_t accum)
{
    const struct srq_tunable *t = b->plugin.plugin->tunable;
    const struct srq_host *host = srq_host_services();
    struct srq_tensor dst = srq_tensor_2d(b->fake, SRQ_F32, OUT, IN);
    struct srq_error err = { 0 };
    double loss = 0;

    for (int64_t i = 0; i < iters; i++) {
        struct srq_step s = { .size = sizeof(s), .iter = i, .iters = iters, .accum = accum };

        s.schedule = 1 - (double)i / (double)iters;
        assert_ok(t->weight(host, b->self, &b->layer, &dst, &err), &err);
        for (s.micro = 0; s.micro < accum; s.micro++) {
            float grad[OUT * IN];

            loss = 0;
            for (int j = 0; j < OUT * IN; j++) {
                grad[j] = 2 * (b->fake[j] - target[j]);
                loss += (double)grad[j] * (double)grad[j] / 4;
            }
            for (int64_t r = 0; r < OUT; r += 16)
                t->sink(host, b->self, &b->layer, &s, r, 16, grad + r * IN);
        }
        assert_ok(t->step(host, b->self, &b->layer, &s, &err), &err);
    }
    return loss;
}

/* Loss before (plain rounding) and after 100 steps towards what the grid gives for offsets `v` times reach and for
 * range factors `range`. */
static void chase(const char *scheme, double reach, float range, bool minmax, double *first, double *last)
{
    struct bench *b = srq_calloc(1, sizeof(*b));
    float *target = srq_calloc(OUT * IN, sizeof(float)), *v, *alpha;
    struct srq_tensor dst = srq_tensor_2d(target, SRQ_F32, OUT, IN);
    struct srq_error err = { 0 };

    bench_open(b, scheme, (const char *const[]){ "iters", "100", "minmax", minmax ? "yes" : "no", NULL });
    assert_ok(b->plugin.plugin->tunable->weight(srq_host_services(), b->self, &b->layer, &dst, &err), &err);
    memcpy(b->fake, target, sizeof(b->fake)); /* plain rounding */
    v = (float *)(uintptr_t)bench_array(b, "v");
    for (int i = 0; i < OUT * IN; i++)
        v[i] = (float)((srq_rng_uniform(12, 1, (uint64_t)i) * 2 - 1) * reach);
    for (int k = 0; minmax && k < 2; k++) {
        alpha = (float *)(uintptr_t)bench_array(b, k == 0 ? "alpha" : "beta");
        for (int64_t i = 0; i < b->room.groups.count; i++)
            alpha[i] = range;
    }
    assert_ok(b->plugin.plugin->tunable->weight(srq_host_services(), b->self, &b->layer, &dst, &err), &err);
    for (int i = 0; i < b->declared.count; i++) {
        for (int64_t n = 0; b->declared.at[i].kind == SRQ_PARAM_TUNED && n < b->declared.at[i].count; n++)
            b->arrays[i][n] = b->declared.at[i].init;
    }
    *first = 0;
    for (int i = 0; i < OUT * IN; i++)
        *first += (double)(b->fake[i] - target[i]) * (double)(b->fake[i] - target[i]);
    *last = bench_iterate(b, target, 100, 1);
    bench_close(b);
    srq_free(target);
    srq_free(b);
}

/* Offsets of up to ±0.45 are within the reach of T steps of 1/T, linearly falling; at the target the gradient is zero
 * and nothing moves any more. */
static void signround_finds_every_rounding_within_reach(void **state)
{
    static const char *const schemes[] = { "w4g32", "w4g32z", "w4", "w4gtz", "w3g40", "w2gt" };

    (void)state;
    for (size_t k = 0; k < sizeof(schemes) / sizeof(schemes[0]); k++) {
        double first, last;

        chase(schemes[k], 0.45, 1, false, &first, &last);
        assert_true(first > 0);
        if (last != 0)
            fail_msg("%s: loss %g with plain rounding, %g after 100 steps", schemes[k], first, last);
    }
}

static void signround_finds_a_shorter_range(void **state)
{
    static const char *const schemes[] = { "w4g32", "w4g32z", "w4", "w4gtz" };

    (void)state;
    for (size_t k = 0; k < sizeof(schemes) / sizeof(schemes[0]); k++) {
        double first, last;

        chase(schemes[k], 0, 0.75f, true, &first, &last);
        if (!(last < first / 3))
            fail_msg("%s: loss %g with plain rounding, %g after 100 steps", schemes[k], first, last);
    }
}

static void accumulating_equal_micro_batches_changes_nothing(void **state)
{
    struct bench *a = srq_calloc(1, sizeof(*a)), *b = srq_calloc(1, sizeof(*b));
    float *target = srq_calloc(OUT * IN, sizeof(float));

    (void)state;
    for (int i = 0; i < OUT * IN; i++)
        target[i] = (float)(srq_rng_uniform(13, 1, (uint64_t)i) - 0.5);
    bench_open(a, "w3g32", (const char *const[]){ "iters", "10", NULL });
    bench_open(b, "w3g32", (const char *const[]){ "iters", "10", "accum", "2", NULL });
    assert_null(bench_array(a, "v_grad"));
    assert_null(bench_array(a, "v_momentum"));
    assert_non_null(bench_array(b, "v_grad"));
    bench_iterate(a, target, 10, 1);
    bench_iterate(b, target, 10, 2);
    assert_memory_equal(bench_array(a, "v"), bench_array(b, "v"), OUT * IN * sizeof(float));
    assert_memory_equal(bench_array(a, "alpha"), bench_array(b, "alpha"),
                        (size_t)a->layer.groups->count * sizeof(float));
    bench_close(a);
    bench_close(b);
    srq_free(a);
    srq_free(b);
    srq_free(target);
}

static void minmax_off_keeps_the_ranges(void **state)
{
    struct bench *b = srq_calloc(1, sizeof(*b));
    float *target = srq_calloc(OUT * IN, sizeof(float));
    uint8_t *codes = srq_calloc(OUT, IN), zero[OUT * 3];
    float scale[OUT * 3];
    struct srq_result r = { .size = sizeof(r), .codes = codes, .scale = scale, .zero = zero };
    struct srq_error err = { 0 };

    (void)state;
    bench_open(b, "w2g32", (const char *const[]){ "iters", "5", "minmax", "false", "momentum", "0.9", NULL });
    assert_null(bench_array(b, "alpha"));
    assert_non_null(bench_array(b, "v_momentum"));
    bench_iterate(b, target, 5, 1);
    assert_ok(b->plugin.plugin->tunable->finish(srq_host_services(), b->self, &b->layer, &r, &err), &err);
    for (int g = 0; g < OUT * 3; g++) {
        float m = 0;

        for (int i = 0; i < 32; i++)
            m = fabsf(layer_w[g * 32 + i]) > fabsf(m) ? layer_w[g * 32 + i] : m;
        assert_true(scale[g] == srq_round_f16(-m / 2));
    }
    bench_close(b);
    srq_free(b);
    srq_free(target);
    srq_free(codes);
}

/* 2/T at 3 bits or fewer when T is at least 1000, else 1/T, or 1.5/T with a cosine: seen in the first step's length. */
static void learning_rate_follows_bits_and_iterations(void **state)
{
    static const struct {
        const char *scheme, *iters, *decay;
        double lr;
    } rows[] = { { "w2g32", "999", "linear", 1 / 999.0 },     { "w2g32", "1000", "linear", 2 / 1000.0 },
                 { "w3", "1000", "linear", 2 / 1000.0 },      { "w4g32", "1000", "linear", 1 / 1000.0 },
                 { "w4g32", "1000", "cosine", 1.5 / 1000.0 }, { "w2g32", "1000", "cosine", 2 / 1000.0 } };

    (void)state;
    for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
        struct bench *b = srq_calloc(1, sizeof(*b));
        float *target = srq_calloc(OUT * IN, sizeof(float)), most = 0;

        bench_open(b, rows[k].scheme, (const char *const[]){ "iters", rows[k].iters, "decay", rows[k].decay, NULL });
        bench_iterate(b, target, 1, 1);
        for (int i = 0; i < OUT * IN; i++)
            most = fabsf(bench_array(b, "v")[i]) > most ? fabsf(bench_array(b, "v")[i]) : most;
        assert_true(most == (float)rows[k].lr);
        bench_close(b);
        srq_free(b);
        srq_free(target);
    }
}

static int start_team(void **state)
{
    (void)state;
    return srq_team_start(2, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broken_plugins_are_refused_with_their_reason),
        cmocka_unit_test(a_file_that_is_no_object_is_refused),
        cmocka_unit_test(an_unknown_name_lists_what_there_is),
        cmocka_unit_test(names_are_sorted_and_unique),
        cmocka_unit_test(another_folder_can_stand_for_the_installed_one),
        cmocka_unit_test(no_struct_ends_in_padding),
        cmocka_unit_test(structs_are_copied_as_far_as_both_know_them),
        cmocka_unit_test(a_recipe_yields_to_the_user),
        cmocka_unit_test(bad_option_values_are_named),
        cmocka_unit_test(canonical_texts_do_not_depend_on_spelling),
        cmocka_unit_test(sign_steps_have_fixed_length_and_rest_at_zero),
        cmocka_unit_test(draws_repeat_and_depend_on_the_seed),
        cmocka_unit_test(grids_do_not_read_what_older_arguments_lack),
        cmocka_unit_test(rtn_rounds_to_the_nearest_value),
        cmocka_unit_test(signround_finds_every_rounding_within_reach),
        cmocka_unit_test(signround_finds_a_shorter_range),
        cmocka_unit_test(accumulating_equal_micro_batches_changes_nothing),
        cmocka_unit_test(minmax_off_keeps_the_ranges),
        cmocka_unit_test(learning_rate_follows_bits_and_iterations),
    };

    return cmocka_run_group_tests_name("plugin_host", tests, start_team, NULL);
}
