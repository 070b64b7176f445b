/* Diffusion models: folders as diffusers writes them against what diffusers says they compute
 * (tests/reference/unet_reference.py), folders that are wrong, each with its message, and models on integers. */
#include "tests/unit/test.h"

#include "tests/unit/integer_model.h"
#include "tests/unit/math_start.h"

#include "core/base/alloc.h"
#include "core/base/rng.h"
#include "core/flow/denoise.h"

#include <math.h>

/* A file or folder below tests/reference/unets. */
static char *reference(const char *name, const char *file)
{
    const char *top = getenv("top_srcdir");

    return srq_asprintf("%s/tests/reference/unets/%s%s", top != NULL ? top : ".", name, file);
}

static struct srq_model *open_reference(const char *name)
{
    char *path = reference(name, "");
    struct srq_error err = { 0 };
    struct srq_model *m = NULL;

    assert_ok(srq_model_open(path, true, &m, &err), &err);
    srq_free(path);
    return m;
}

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

static void forward_agrees(const char *name)
{
    char *path = reference(name, "/reference.safetensors");
    struct srq_model *m = open_reference(name);
    struct srq_error err = { 0 };
    struct srq_denoiser_config cfg = { .model = m, .compute = SRQ_F32, .batch = 1 };
    struct srq_denoiser *d = NULL;
    struct srq_tensors *ref = NULL;
    struct srq_tensor x, t, y;
    struct srq_moment when[2] = { { .class = 0 }, { .class = 1 } };
    float *in, *want, *got;
    int64_t count;

    assert_ok(srq_tensors_open(path, &ref, &err), &err);
    assert_true(srq_tensors_get(ref, "x", &x) && srq_tensors_get(ref, "t", &t) && srq_tensors_get(ref, "y", &y));
    when[0].t = ((const float *)t.data)[0];
    when[1].t = ((const float *)t.data)[1];
    in = turned(&x);
    want = turned(&y);
    count = srq_tensor_count(&y);
    got = srq_calloc((size_t)count, sizeof(*got));
    for (cfg.batch = 1; cfg.batch <= 2; cfg.batch++) {
        assert_ok(srq_denoiser_create(&cfg, &d, &err), &err);
        assert_ok(srq_denoise(d, in, when, 2, got, &err), &err);
        for (int64_t i = 0; i < count; i++)
            assert_float_equal(got[i], want[i], 1e-5);
        srq_denoiser_free(d);
    }
    srq_free(in);
    srq_free(want);
    srq_free(got);
    srq_free(path);
    srq_tensors_close(ref);
    srq_model_close(m);
}

#define AGREES(name)                        \
    static void name##_agrees(void **state) \
    {                                       \
        (void)state;                        \
        forward_agrees(#name);              \
    }
AGREES(plain)
AGREES(narrow)
AGREES(shifted)
AGREES(bare)
AGREES(headless)
AGREES(classes)

static void the_table_has_units_and_skips(void **state)
{
    static const char *const names[] = { "time_embedding",          "conv_in",
                                         "down_blocks.0.resnets.0", "down_blocks.0.downsamplers.0",
                                         "down_blocks.1.resnets.0", "down_blocks.1.attentions.0",
                                         "mid_block.resnets.0" };
    struct srq_model *m = open_reference("plain");
    const struct srq_model_info *info = srq_model_info(m);

    (void)state;
    assert_true(info->pictures);
    assert_string_equal(info->family, "UNet2DModel");
    assert_int_equal(srq_model_unit_count(m), info->blocks);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_string_equal(srq_model_unit(m, (int)i)->name, names[i]);
    /* conv_in's result is read by the first resnet and, as the last skip, far behind */
    assert_int_equal(srq_model_port(m, srq_model_unit(m, 1)->out[0])->readers, 2);
    assert_string_equal(srq_model_layer(m, 2)->name, "conv_in");
    assert_int_equal(srq_model_layer(m, 2)->kernel, 3);
    assert_int_equal(srq_model_layer(m, 2)->in, 9);
    srq_model_close(m);
}

static void older_names_are_kept(void **state)
{
    struct srq_model *m = open_reference("narrow");
    bool seen = false;

    (void)state;
    for (int i = 0; i < srq_model_layer_count(m); i++)
        seen = seen || strcmp(srq_model_layer(m, i)->name, "down_blocks.1.attentions.0.proj_attn") == 0;
    assert_true(seen);
    assert_null(srq_model_note(m, 0));
    srq_model_close(m);
}

/* ---- on integers ---- */

struct sampled {
    float x[2 * 4096], y[2 * 4096];
    int64_t count;
};

static void denoise(const struct srq_model *m, struct integer_model *im, enum srq_dtype compute, bool integers,
                    struct sampled *s)
{
    const struct srq_moment when[2] = { { .t = 17, .class = 0 }, { .t = 600, .class = 1 } };
    struct srq_denoiser_config cfg = {
        m, compute, 2, integer_model_weights(im), integer_model_roundings(im), .integers = integers
    };
    struct srq_pictures p = srq_model_pictures(m);
    struct srq_denoiser *d = NULL;
    struct srq_error err = { 0 };

    s->count = 2 * p.height * p.width * p.out_channels;
    assert_true(s->count <= 2 * 4096 && p.height * p.width * p.channels <= 4096);
    for (int64_t i = 0; i < 2 * p.height * p.width * p.channels; i++)
        s->x[i] = (float)(2 * srq_rng_uniform(4, 5, (uint64_t)i) - 1);
    assert_ok(srq_denoiser_create(&cfg, &d, &err), &err);
    assert_ok(srq_denoise(d, s->x, when, 2, s->y, &err), &err);
    srq_denoiser_free(d);
}

/* Root of the mean square of a - b, over that of b. */
static double apart(const struct sampled *a, const struct sampled *b)
{
    double error = 0, size = 0;

    for (int64_t i = 0; i < b->count; i++) {
        error += ((double)a->y[i] - (double)b->y[i]) * ((double)a->y[i] - (double)b->y[i]);
        size += (double)b->y[i] * (double)b->y[i];
    }
    return sqrt(error / size);
}

/* As close as two simulations are whose sums differ in the last bit: where a value lies between two codes that takes it
 * to the other one, and a few layers on to about the error of rounding. Layers are compared more closely by themselves
 * (test_integer_layers.c). */
static void a_model_on_integers_gives_what_its_simulation_gives(void **state)
{
    static const char *const names[] = { "plain", "shifted", "bare", "headless", "classes" };

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct srq_model *m = open_reference(names[i]);
        struct integer_model *im = NULL;
        struct srq_error err = { 0 };
        struct sampled simulated, integers, half;

        assert_ok(integer_model_create(m, &im, &err), &err);
        denoise(m, im, SRQ_F32, false, &simulated); /* the grids see their ranges */
        integer_model_fix(im);
        denoise(m, im, SRQ_F32, false, &simulated);
        assert_int_equal(integer_model_asked(im, 0, false), 0);
        denoise(m, im, SRQ_F32, true, &integers);
        denoise(m, im, SRQ_BF16, true, &half);
        assert_true(apart(&integers, &simulated) < 2e-2);
        assert_true(apart(&half, &simulated) < 5e-2);
        integer_model_free(im);
        srq_model_close(m);
    }
}

/* Layers without codes, or without a grid that is fixed, compute as they do without. */
static void layers_without_codes_are_simulated(void **state)
{
    struct srq_model *m = open_reference("plain");
    struct integer_model *im = NULL;
    struct srq_error err = { 0 };
    struct sampled simulated, mixed;
    int half = srq_model_layer_count(m) / 2, last = srq_model_layer_count(m) - 1, rows[3];

    (void)state;
    assert_ok(integer_model_create(m, &im, &err), &err);
    denoise(m, im, SRQ_F32, false, &simulated);
    integer_model_fix(im);
    denoise(m, im, SRQ_F32, false, &simulated);
    integer_model_from(im, half);
    integer_model_roundings(im)[last].input.scale = 0;
    rows[0] = integer_model_asked(im, half - 1, true);
    rows[1] = integer_model_asked(im, half, true);
    rows[2] = integer_model_asked(im, last, true);
    denoise(m, im, SRQ_F32, true, &mixed);
    assert_true(integer_model_asked(im, half - 1, true) > rows[0]);
    assert_int_equal(integer_model_asked(im, half, true), rows[1]); /* its weight is not asked for */
    assert_true(integer_model_asked(im, last, true) > rows[2]);
    assert_int_equal(integer_model_asked(im, last, false), 0);
    assert_true(apart(&mixed, &simulated) < 2e-2);
    integer_model_free(im);
    srq_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_agrees),
        cmocka_unit_test(narrow_agrees),
        cmocka_unit_test(shifted_agrees),
        cmocka_unit_test(bare_agrees),
        cmocka_unit_test(headless_agrees),
        cmocka_unit_test(classes_agrees),
        cmocka_unit_test(the_table_has_units_and_skips),
        cmocka_unit_test(older_names_are_kept),
        cmocka_unit_test(a_model_on_integers_gives_what_its_simulation_gives),
        cmocka_unit_test(layers_without_codes_are_simulated),
    };

    return cmocka_run_group_tests(tests, math_start, math_stop);
}
