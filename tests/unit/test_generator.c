/* Pictures of whole folders against diffusers' trajectories (tests/reference/unet_reference.py), and what must not
 * change them. */
#include "tests/unit/test.h"

#include "tests/unit/folder.h"
#include "tests/unit/math_start.h"

#include "core/base/alloc.h"
#include "core/diffusion/generator.h"

#include <math.h>

#define STEPS 10

/* A file or folder of the source tree. */
static char *source(const char *name, const char *file)
{
    const char *top = getenv("top_srcdir");

    return srq_asprintf("%s/%s%s", top != NULL ? top : ".", name, file);
}

static char *reference(const char *name, const char *file)
{
    char *folder = srq_asprintf("tests/reference/unets/%s", name), *path = source(folder, file);

    srq_free(folder);
    return path;
}

static struct srq_model *opened(char *path)
{
    struct srq_error err = { 0 };
    struct srq_model *m = NULL;

    assert_ok(srq_model_open(path, true, &m, &err), &err);
    srq_free(path);
    return m;
}

static struct srq_generator_config config_of(const struct srq_model *m, int64_t batch)
{
    return (struct srq_generator_config){
        .denoiser = { .model = m, .compute = SRQ_F32, .batch = batch, .apart = true },
        .scheduler = SRQ_SCHEDULER_DDIM,
        .steps = STEPS,
        .seed = 7,
    };
}

static int64_t pixels_of(const struct srq_model *m)
{
    struct srq_pictures p = srq_model_pictures(m);

    return p.height * p.width * p.channels;
}

/* Pictures by a configuration, the caller's. */
static float *made(const struct srq_generator_config *c, const struct srq_generation *run)
{
    float *out = srq_calloc((size_t)run->n, (size_t)pixels_of(c->denoiser.model) * sizeof(*out));
    struct srq_generator *g = NULL;
    struct srq_error err = { 0 };

    assert_non_null(out);
    assert_ok(srq_generator_create(c, &g, &err), &err);
    assert_ok(srq_generator_run(g, run, out, &err), &err);
    srq_generator_free(g);
    return out;
}

/* ---- against diffusers ------------------------------------------------------------------------------------------- */

/* Channels first to channels last, n pictures. */
static float *turned(const struct srq_tensor *t)
{
    int64_t n = t->shape[0], c = t->shape[1], pixels = t->shape[2] * t->shape[3];
    float *out = srq_malloc((size_t)(n * c * pixels) * sizeof(*out));
    const float *in = t->data;

    assert_non_null(out);
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < c; k++)
            for (int64_t p = 0; p < pixels; p++)
                out[(i * pixels + p) * c + k] = in[(i * c + k) * pixels + p];
    return out;
}

static void trajectory_agrees(const char *name)
{
    char *path = reference(name, "/reference.safetensors");
    struct srq_model *m = opened(reference(name, ""));
    struct srq_tensors *ref = NULL;
    struct srq_tensor first, last;
    struct srq_error err = { 0 };
    float *start, *end;

    assert_ok(srq_tensors_open(path, &ref, &err), &err);
    assert_true(srq_tensors_get(ref, "start", &first) && srq_tensors_get(ref, "end", &last));
    start = turned(&first);
    end = turned(&last);
    for (int64_t batch = 1; batch <= 2; batch++) {
        const struct srq_generator_config c = config_of(m, batch);
        const struct srq_generation run = { .n = first.shape[0], .start = start };
        float *out = made(&c, &run);

        for (int64_t i = 0; i < srq_tensor_count(&last); i++)
            assert_float_equal(out[i], end[i], 1e-3);
        srq_free(out);
    }
    srq_free(start);
    srq_free(end);
    srq_free(path);
    srq_tensors_close(ref);
    srq_model_close(m);
}

#define AGREES(name)                                      \
    static void name##_ends_as_in_diffusers(void **state) \
    {                                                     \
        (void)state;                                      \
        trajectory_agrees(#name);                         \
    }
AGREES(plain)
AGREES(narrow)
AGREES(shifted)
AGREES(headless)
AGREES(classes)

/* ---- what changes pictures and what does not --------------------------------------------------------------------- */

static void a_picture_does_not_depend_on_those_made_with_it(void **state)
{
    struct srq_model *m = opened(reference("plain", ""));
    size_t one = (size_t)pixels_of(m) * sizeof(float);

    (void)state;
    for (enum srq_scheduler scheduler = SRQ_SCHEDULER_DDPM; scheduler <= SRQ_SCHEDULER_DDIM; scheduler++) {
        struct srq_generator_config c = config_of(m, 5);
        const struct srq_generation all = { .n = 5 }, some = { .first = 3, .n = 2 };
        float *five, *same, *two;

        c.scheduler = scheduler;
        five = made(&c, &all);
        c.denoiser.batch = 2;
        same = made(&c, &all);
        two = made(&c, &some);
        assert_memory_equal(five, same, 5 * one);
        assert_memory_equal(five + 3 * pixels_of(m), two, 2 * one);
        assert_memory_not_equal(five, five + pixels_of(m), one);
        srq_free(five);
        srq_free(same);
        srq_free(two);
    }
    srq_model_close(m);
}

static void another_seed_makes_other_pictures(void **state)
{
    struct srq_model *m = opened(reference("plain", ""));
    struct srq_generator_config c = config_of(m, 1);
    const struct srq_generation run = { .n = 1 };
    float *a = made(&c, &run), *b;

    (void)state;
    c.seed++;
    b = made(&c, &run);
    assert_memory_not_equal(a, b, (size_t)pixels_of(m) * sizeof(*a));
    srq_free(a);
    srq_free(b);
    srq_model_close(m);
}

/* ---- high steps -------------------------------------------------------------------------------------------------- */

/* The model's own weights, counting who asks: begin comes for every unit of a walk. */
struct counted {
    int asked;
};

static int count(void *ctx, int unit, struct srq_error *err)
{
    struct counted *c = ctx;

    (void)err;
    c->asked += unit == 0;
    return 0;
}

static int has_none(void *ctx, int layer, struct srq_error *err)
{
    (void)ctx;
    (void)layer;
    (void)err;
    return 0;
}

struct watch {
    const struct counted *high;
    int before[STEPS + 1]; /* high walks before each step */
};

static void look(void *ctx, const struct srq_asked *q)
{
    struct watch *w = ctx;

    w->before[q->step] = w->high->asked;
}

static void first_and_last_steps_are_the_high_models(void **state)
{
    struct srq_model *m = opened(reference("plain", ""));
    struct counted most = { 0 }, high = { 0 };
    const struct srq_weights most_weights = { .ctx = &most, .begin = count, .has = has_none };
    const struct srq_weights high_weights = { .ctx = &high, .begin = count, .has = has_none };
    const struct srq_denoiser_config d = { .model = m, .compute = SRQ_F32, .weights = &high_weights, .apart = true };
    struct srq_generator_config plain = config_of(m, 2), c = config_of(m, 2);
    struct watch w = { .high = &high };
    const struct srq_generation run = { .n = 2, .seen = look, .ctx = &w };
    float *with, *without = made(&plain, &(const struct srq_generation){ .n = 2 });

    (void)state;
    c.denoiser.weights = &most_weights;
    c.high = &d;
    c.high_first = 3;
    c.high_last = 1;
    with = made(&c, &run);
    w.before[STEPS] = high.asked;
    for (int i = 0; i < STEPS; i++)
        assert_int_equal(w.before[i + 1] - w.before[i], i < 3 || i == STEPS - 1);
    assert_int_equal(most.asked, STEPS - 4);
    assert_memory_equal(with, without, 2 * (size_t)pixels_of(m) * sizeof(*with));
    srq_free(with);
    srq_free(without);
    srq_model_close(m);
}

static void refused(const struct srq_generator_config *c, int code, const char *field, const char *words)
{
    struct srq_generator *g = NULL;
    struct srq_error err = { 0 };

    assert_int_equal(srq_generator_create(c, &g, &err), -code);
    assert_null(g);
    assert_string_equal(err.field, field);
    if (strstr(err.text, words) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", err.text, words);
}

static void classes_take_turns_or_are_all_one(void **state)
{
    struct srq_model *m = opened(reference("classes", "")), *plain = opened(reference("plain", ""));
    struct srq_generator_config c = config_of(m, 4);
    float *turns = made(&c, &(const struct srq_generation){ .n = 4 }), *one;
    size_t bytes = (size_t)pixels_of(m) * sizeof(*turns);

    (void)state;
    c.one_class = true;
    c.class = 1;
    one = made(&c, &(const struct srq_generation){ .n = 4 });
    for (int i = 0; i < 4; i++)
        assert_int_equal(memcmp((char *)one + (size_t)i * bytes, (char *)turns + (size_t)i * bytes, bytes) == 0,
                         i == 1);
    srq_free(one);
    srq_free(turns);
    c.class = 3;
    refused(&c, SRQ_EINVAL, "class", "none of 0 to 2");
    c.denoiser.model = plain;
    refused(&c, SRQ_EINVAL, "class", "is told no class");
    srq_model_close(plain);
    srq_model_close(m);
}

/* ---- refusals ---------------------------------------------------------------------------------------------------- */

static void what_cannot_be_is_refused_by_name(void **state)
{
    struct srq_model *m = opened(reference("plain", "")), *other = opened(reference("narrow", ""));
    struct srq_model *words = opened(source("share/models/demo-lm", ""));
    struct srq_denoiser_config high = { .model = other, .compute = SRQ_F32 };
    struct srq_generator_config c = config_of(m, 1);

    (void)state;
    c.steps = 1001;
    refused(&c, SRQ_EINVAL, "steps", "1001 sampling steps are outside 1 … 1000");
    c.steps = 0;
    refused(&c, SRQ_EINVAL, "steps", "unets/plain");
    c = config_of(m, 0);
    refused(&c, SRQ_EINVAL, "batch", "0 pictures");
    c = config_of(words, 1);
    refused(&c, SRQ_EUNSUPPORTED, "model", "demo-lm is a language model (llama)");
    c = config_of(m, 1);
    c.high_last = 1;
    refused(&c, SRQ_EINVAL, "high", "no model is given");
    c.high = &high;
    refused(&c, SRQ_EINVAL, "high", "narrow makes pictures of 8 x 8 pixels and 3 channels");
    high.model = words;
    refused(&c, SRQ_EUNSUPPORTED, "model", "demo-lm");
    high.model = m;
    c.high_first = -1;
    refused(&c, SRQ_EINVAL, "high", "-1");
    srq_model_close(words);
    srq_model_close(other);
    srq_model_close(m);
}

/* A folder with the network of `plain` and this scheduler; NULL: none. */
static struct srq_model *with_scheduler(struct folder *top, const char *name, const char *scheduler)
{
    static const char *const links[] = { "model_index.json", "unet" };
    char *folder = srq_asprintf("%s/%s", top->path, name), *path;
    struct srq_error err = { 0 };

    assert_ok(srq_mkdirs(folder, 0700, &err), &err);
    for (size_t i = 0; i < 2; i++) {
        char *from = reference("plain", "/"), *whole = srq_asprintf("%s%s", from, links[i]),
             *to = srq_asprintf("%s/%s", folder, links[i]);

        assert_int_equal(symlink(whole, to), 0);
        srq_free(from);
        srq_free(whole);
        srq_free(to);
    }
    if (scheduler != NULL) {
        path = srq_asprintf("%s/scheduler_config.json", name);
        folder_write(top, path, scheduler, strlen(scheduler));
        srq_free(path);
    }
    return opened(folder);
}

static void schedulers_are_wanted_and_compared(void **state)
{
    struct folder top;
    struct srq_model *m = opened(reference("plain", "")), *bare, *other, *bad;
    struct srq_denoiser_config high = { .compute = SRQ_F32 };
    struct srq_generator_config c;
    struct srq_generator *g = NULL;
    struct srq_error err = { 0 };

    (void)state;
    folder_make(&top);
    bare = with_scheduler(&top, "bare", NULL);
    other = with_scheduler(&top, "other", "{\"_class_name\": \"DDPMScheduler\", \"beta_end\": 0.03}");
    bad = with_scheduler(&top, "bad", "{\"_class_name\": \"DDPMScheduler\", \"beta_start\": -1}");
    high.model = other;
    c = config_of(bare, 1);
    refused(&c, SRQ_ENOENT, "scheduler_config.json", "/bare: the model has no scheduler_config.json");
    c = config_of(bad, 1);
    refused(&c, SRQ_EFORMAT, "beta_start", "/bad: ");
    c = config_of(m, 1);
    c.high = &high;
    c.high_first = 1;
    refused(&c, SRQ_EINVAL, "high", "trained on different noise schedules");
    high.model = bare; /* a network alone: nothing contradicts */
    assert_ok(srq_generator_create(&c, &g, &err), &err);
    srq_generator_free(g);
    srq_model_close(bad);
    srq_model_close(other);
    srq_model_close(bare);
    srq_model_close(m);
    folder_remove(&top);
}

/* ---- stopping, memory -------------------------------------------------------------------------------------------- */

static int stop_at_three(void *ctx, int64_t done, int64_t total)
{
    *(int64_t *)ctx = done;
    assert_int_equal(total, 2 * STEPS);
    return done == 3 ? -1 : 0;
}

static void a_tick_stops_it(void **state)
{
    struct srq_model *m = opened(reference("plain", ""));
    const struct srq_generator_config c = config_of(m, 1);
    int64_t done = 0;
    const struct srq_generation run = { .n = 2, .tick = stop_at_three, .ctx = &done };
    float *out = srq_calloc(2, (size_t)pixels_of(m) * sizeof(*out));
    struct srq_generator *g = NULL;
    struct srq_error err = { 0 };

    (void)state;
    assert_ok(srq_generator_create(&c, &g, &err), &err);
    assert_int_equal(srq_generator_run(g, &run, out, &err), -SRQ_ECANCELED);
    assert_int_equal(done, 3);
    srq_generator_free(g);
    srq_free(out);
    srq_model_close(m);
}

/* Bytes that are taken in all, and the allocation that fails; 0: none. */
struct taken {
    size_t bytes;
    int count, fail;
};

static bool take(size_t size, void *ctx)
{
    struct taken *t = ctx;

    t->bytes += size;
    return ++t->count != t->fail;
}

static void memory_is_as_planned(void **state)
{
    struct srq_model *m = opened(source("share/models/demo-ddpm", ""));
    const struct srq_denoiser_config high = { .model = m, .compute = SRQ_F32, .apart = true };
    struct srq_generator_config c = config_of(m, 2);
    const struct srq_generation run = { .n = 2 };
    struct taken taken = { 0 };
    struct srq_error err = { 0 };
    size_t one = 0, two = 0;
    float *out;

    (void)state;
    c.steps = 2;
    assert_ok(srq_generator_bytes(&c, &one, &err), &err);
    c.high = &high;
    c.high_first = 1;
    assert_ok(srq_generator_bytes(&c, &two, &err), &err);
    assert_true(two > one);
    srq_set_alloc_hook(take, &taken);
    out = made(&c, &run);
    srq_set_alloc_hook(NULL, NULL);
    /* What was freed again counts too, and small things are not planned. */
    assert_in_range(taken.bytes, two / 2, two + two / 5);
    srq_free(out);
    srq_model_close(m);
}

static void every_allocation_may_fail(void **state)
{
    struct srq_model *m = opened(reference("plain", ""));
    const struct srq_denoiser_config high = { .model = m, .compute = SRQ_F32 };
    struct srq_generator_config c = config_of(m, 1);
    const struct srq_generation run = { .n = 1 };
    float *out = srq_calloc(1, (size_t)pixels_of(m) * sizeof(*out));
    struct taken taken = { 0 };
    int rc = -SRQ_ENOMEM;

    (void)state;
    c.steps = 1;
    c.high = &high;
    c.high_first = 1;
    for (int i = 1; rc != 0; i++) {
        struct srq_generator *g = NULL;
        struct srq_error err = { 0 };

        assert_in_range(i, 1, 100000);
        taken = (struct taken){ .fail = i };
        srq_set_alloc_hook(take, &taken);
        rc = srq_generator_create(&c, &g, &err);
        if (rc == 0)
            rc = srq_generator_run(g, &run, out, &err);
        srq_set_alloc_hook(NULL, NULL);
        srq_generator_free(g);
        if (rc != 0 && rc != -SRQ_ENOMEM)
            fail_msg("allocation %d: %s", i, err.text);
    }
    srq_free(out);
    srq_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_ends_as_in_diffusers),
        cmocka_unit_test(narrow_ends_as_in_diffusers),
        cmocka_unit_test(shifted_ends_as_in_diffusers),
        cmocka_unit_test(headless_ends_as_in_diffusers),
        cmocka_unit_test(classes_ends_as_in_diffusers),
        cmocka_unit_test(classes_take_turns_or_are_all_one),
        cmocka_unit_test(a_picture_does_not_depend_on_those_made_with_it),
        cmocka_unit_test(another_seed_makes_other_pictures),
        cmocka_unit_test(first_and_last_steps_are_the_high_models),
        cmocka_unit_test(what_cannot_be_is_refused_by_name),
        cmocka_unit_test(schedulers_are_wanted_and_compared),
        cmocka_unit_test(a_tick_stops_it),
        cmocka_unit_test(memory_is_as_planned),
        cmocka_unit_test(every_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, math_start, math_stop);
}
