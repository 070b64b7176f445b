/* Networks that are told a text: tiny folders as diffusers writes them against what diffusers says they compute, values
 * and gradients (tests/reference/condition_reference.py). */
#include "tests/unit/test.h"

#include "tests/unit/math_start.h"

#include "core/base/alloc.h"
#include "core/flow/denoise.h"

#include <math.h>

struct bed {
    struct srq_model *model;
    struct srq_tensors *reference;
};

static char *reference_path(const char *name, const char *file)
{
    const char *top = getenv("top_srcdir");

    return srq_asprintf("%s/tests/reference/unets/%s%s", top != NULL ? top : ".", name, file);
}

static struct bed begin(const char *name)
{
    char *folder = reference_path(name, ""), *file = reference_path(name, "/reference.safetensors");
    struct srq_error err = { 0 };
    struct bed b = { 0 };

    assert_ok(srq_model_open(folder, true, &b.model, &err), &err);
    assert_ok(srq_tensors_open(file, &b.reference, &err), &err);
    srq_free(folder);
    srq_free(file);
    return b;
}

static void end(struct bed *b)
{
    srq_tensors_close(b->reference);
    srq_model_close(b->model);
}

static struct srq_tensor part(const struct bed *b, const char *name)
{
    struct srq_tensor t = { 0 };

    if (!srq_tensors_get(b->reference, name, &t))
        fail_msg("the reference lacks %s", name);
    return t;
}

/* Channels first to channels last; the caller's. */
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

static void close_to(const char *what, const float *got, const float *want, int64_t n, double within)
{
    double size = 1;

    for (int64_t i = 0; i < n; i++)
        size = fmax(size, fabs((double)want[i]));
    for (int64_t i = 0; i < n; i++)
        if (!(fabs((double)got[i] - (double)want[i]) <= within * size))
            fail_msg("%s: element %d is %.9g, not %.9g", what, (int)i, (double)got[i], (double)want[i]);
}

/* ---- the whole network ---- */

static void agrees(const char *name)
{
    struct bed b = begin(name);
    struct srq_tensor x = part(&b, "x"), t = part(&b, "t"), text = part(&b, "text"), y = part(&b, "y");
    float *in = turned(&x), *want = turned(&y), *got = srq_calloc((size_t)srq_tensor_count(&y), sizeof(*got));
    const struct srq_moment when[2] = { { .t = ((const float *)t.data)[0] }, { .t = ((const float *)t.data)[1] } };
    struct srq_denoiser_config cfg = { .model = b.model, .compute = SRQ_F32 };
    struct srq_error err = { 0 };
    struct srq_denoiser *d = NULL;

    for (cfg.batch = 1; cfg.batch <= 2; cfg.batch++) {
        cfg.text = text.data;
        assert_ok(srq_denoiser_create(&cfg, &d, &err), &err);
        assert_ok(srq_denoise(d, in, when, 2, got, &err), &err);
        close_to(name, got, want, srq_tensor_count(&y), 1e-5);
        srq_denoiser_free(d);
    }
    cfg.batch = 1;
    cfg.text = NULL;
    assert_ok(srq_denoiser_create(&cfg, &d, &err), &err);
    assert_refused(srq_denoise(d, in, when, 2, got, &err), -SRQ_EUNSUPPORTED, &err, "is told a text");
    srq_denoiser_free(d);
    srq_free(in);
    srq_free(want);
    srq_free(got);
    end(&b);
}

static void networks_agree_with_diffusers(void **state)
{
    (void)state;
    agrees("told");
    agrees("told_flat");
}

/* ---- one transformer, both ways ---- */

struct heard {
    int64_t in;
    float *grad;
    bool called;
};

static void hear_weight(void *ctx, int64_t row, int64_t rows, float *grad)
{
    struct heard *h = ctx;

    memcpy(h->grad + row * h->in, grad, (size_t)(rows * h->in) * sizeof(*grad));
    h->called = true;
}

static void hear_vector(void *ctx, const float *grad)
{
    struct heard *h = ctx;

    memcpy(h->grad, grad, (size_t)h->in * sizeof(*grad));
    h->called = true;
}

#define UNIT "down_blocks.0.attentions.0"

/* What reference tensors "block.d.NAME" are compared with. */
static void compare_heard(const struct bed *b, const char *name, const struct heard *h)
{
    char key[SRQ_NAME_CAP + 16];
    struct srq_tensor want;

    snprintf(key, sizeof(key), "block.d.%s", name + strlen(UNIT) + 1);
    if (!srq_tensors_get(b->reference, key, &want))
        return;
    assert_true(h->called);
    close_to(name, h->grad, want.data, srq_tensor_count(&want), 1e-5);
}

static int unit_of(const struct srq_model *m)
{
    for (int u = 0; u < srq_model_unit_count(m); u++)
        if (strcmp(srq_model_unit(m, u)->name, UNIT) == 0)
            return u;
    fail_msg("there is no " UNIT);
    return -1;
}

/* Everybody listens: linears first, then vectors. */
static void listen(struct srq_block *block, struct heard *heard)
{
    int linears = srq_block_linear_count(block), vectors = srq_block_vector_count(block);

    assert_int_equal(linears, 12);
    for (int i = 0; i < linears; i++) {
        struct srq_linear *l = srq_block_linear(block, i);

        heard[i] = (struct heard){ l->in, srq_calloc((size_t)(l->out * l->in), sizeof(float)), false };
        l->sink = hear_weight;
        l->sink_ctx = &heard[i];
    }
    for (int i = 0; i < vectors; i++) {
        struct srq_vector *v = srq_block_vector(block, i);
        struct heard *h = &heard[linears + i];

        *h = (struct heard){ v->n, srq_calloc((size_t)v->n, sizeof(float)), false };
        v->sink = hear_vector;
        v->sink_ctx = h;
    }
}

static void compare_all(const struct bed *b, struct srq_block *block, int unit, const struct heard *heard)
{
    int linears = srq_block_linear_count(block), first = srq_model_unit(b->model, unit)->first;
    char name[SRQ_NAME_CAP];

    for (int i = 0; i < linears; i++) {
        snprintf(name, sizeof(name), "%s.weight", srq_model_layer(b->model, first + i)->name);
        compare_heard(b, name, &heard[i]);
    }
    for (int i = 0; i < srq_block_vector_count(block); i++) {
        srq_block_vector_name(block, i, name);
        compare_heard(b, name, &heard[linears + i]);
    }
}

static void transformer_agrees(const char *name)
{
    struct bed b = begin(name);
    struct srq_tensor h = part(&b, "block.h"), text = part(&b, "text"), y = part(&b, "block.y"),
                      g = part(&b, "block.g");
    struct srq_tensor dh = part(&b, "block.dh"), dtext = part(&b, "block.dtext");
    float *x = turned(&h), *want = turned(&y), *slope = turned(&g), *dx = turned(&dh);
    int64_t pixels = 2 * h.shape[2] * h.shape[3], channels = h.shape[1];
    struct srq_tensor flat = srq_tensor_2d(x, SRQ_F32, pixels, channels), gy = flat;
    struct srq_tensor words = srq_tensor_2d(text.data, SRQ_F32, 2 * SRQ_TEXT_WORDS, text.shape[2]);
    struct heard heard[12 + 8 + 12] = { 0 };
    struct srq_var *in[2], *out[SRQ_UNIT_PORTS];
    struct srq_error err = { 0 };
    struct srq_block *block = NULL;
    struct srq_tape *t = NULL;
    int unit = unit_of(b.model);

    assert_ok(srq_block_create(b.model, SRQ_F32, &block, &err), &err);
    assert_ok(srq_block_load(block, unit, &err), &err);
    assert_ok(srq_tape_create((size_t)64 << 20, SRQ_F32, false, &t, &err), &err);
    listen(block, heard);
    gy.data = slope;
    in[0] = srq_tape_input(t, &flat, true);
    in[1] = srq_tape_input(t, &words, true);
    srq_block_forward(block, t, in, out, 2, 1);
    assert_ok(srq_tape_error(t, &err), &err);
    close_to("y", out[0]->value.data, want, srq_tensor_count(&y), 1e-5);
    assert_ok(srq_tape_backward(t, srq_op_dot(t, out[0], &gy), &err), &err);
    close_to("dh", in[0]->grad.data, dx, srq_tensor_count(&dh), 1e-5);
    close_to("dtext", in[1]->grad.data, dtext.data, srq_tensor_count(&dtext), 1e-5);
    compare_all(&b, block, unit, heard);
    for (size_t i = 0; i < sizeof(heard) / sizeof(heard[0]); i++)
        srq_free(heard[i].grad);
    srq_tape_free(t);
    srq_block_free(block);
    srq_free(x);
    srq_free(want);
    srq_free(slope);
    srq_free(dx);
    end(&b);
}

static void transformers_agree_with_diffusers_both_ways(void **state)
{
    (void)state;
    transformer_agrees("told");
    transformer_agrees("told_flat");
}

static void the_text_is_a_port_that_transformers_read(void **state)
{
    struct bed b = begin("told");
    const struct srq_port_info *p = srq_model_port(b.model, SRQ_PORT_TEXT);
    const struct srq_unit_info *u = srq_model_unit(b.model, unit_of(b.model));

    (void)state;
    assert_string_equal(p->name, "text");
    assert_int_equal(p->rows, SRQ_TEXT_WORDS);
    assert_int_equal(p->cols, 6);
    assert_int_equal(p->writer, -1);
    assert_int_equal(p->readers, 4); /* one in the first level down, one in the middle, two up */
    assert_int_equal(u->ins, 2);
    assert_int_equal(u->in[1], SRQ_PORT_TEXT);
    assert_int_equal(srq_model_pictures(b.model).text_width, 6);
    assert_null(srq_model_note(b.model, 0));
    end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks_agree_with_diffusers),
        cmocka_unit_test(transformers_agree_with_diffusers_both_ways),
        cmocka_unit_test(the_text_is_a_port_that_transformers_read),
    };

    return cmocka_run_group_tests(tests, math_start, math_stop);
}
