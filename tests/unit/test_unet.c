/* Diffusion models: folders as diffusers writes them against what diffusers says they compute
 * (tests/reference/unet_reference.py), and folders that are wrong, each with its message. */
#include "tests/unit/test.h"

#include "tests/unit/math_start.h"

#include "core/base/alloc.h"
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
    double times[2];
    float *in, *want, *got;
    int64_t count;

    assert_ok(srq_tensors_open(path, &ref, &err), &err);
    assert_true(srq_tensors_get(ref, "x", &x) && srq_tensors_get(ref, "t", &t) && srq_tensors_get(ref, "y", &y));
    times[0] = ((const float *)t.data)[0];
    times[1] = ((const float *)t.data)[1];
    in = turned(&x);
    want = turned(&y);
    count = srq_tensor_count(&y);
    got = srq_calloc((size_t)count, sizeof(*got));
    for (cfg.batch = 1; cfg.batch <= 2; cfg.batch++) {
        assert_ok(srq_denoiser_create(&cfg, &d, &err), &err);
        assert_ok(srq_denoise(d, in, times, 2, got, &err), &err);
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
AGREES(headless)

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_agrees),
        cmocka_unit_test(narrow_agrees),
        cmocka_unit_test(shifted_agrees),
        cmocka_unit_test(headless_agrees),
        cmocka_unit_test(the_table_has_units_and_skips),
        cmocka_unit_test(older_names_are_kept),
    };

    return cmocka_run_group_tests(tests, math_start, math_stop);
}
