/* Tests of the tape's operations on pictures: gradients against central differences of the tape's own values, values
 * and gradients against PyTorch (tests/reference/picture_reference.py), memory, repetition, and refusals. */
#include "test.h"

#include "core/base/rng.h"
#include "core/format/tensors.h"
#include "core/math/gemm.h"
#include "core/math/team.h"
#include "core/tape/ops_picture.h"
#include "core/tape/ops_round.h"

#include <math.h>

#define ARENA ((size_t)64 << 20)
#define PARTS 5

/* ---- graphs under test ---- */

/* Where an input of a graph comes from: a value of the tape, the weight of a layer, a vector beside it. */
enum role { NONE, VALUE, WEIGHT, VECTOR };

struct part {
    enum role role;
    int64_t rows, cols;
    struct srq_tensor at;     /* a value or a weight in the tape's dtype, a vector in F32 */
    struct srq_vector vector; /* of a VECTOR */
    float *grad;              /* [rows, cols], what backward gave */
};

struct graph {
    const char *name;
    void (*shape)(const int64_t *p, struct part *parts);
    struct srq_var *(*build)(struct srq_tape *t, const int64_t *p, struct part *parts, struct srq_var **in);
};

static struct srq_linear layer;
static struct srq_rounding input_codes, output_codes;

static void sink_weight(void *ctx, int64_t row, int64_t rows, float *grad)
{
    struct part *p = ctx;

    memcpy(p->grad + row * p->cols, grad, (size_t)(rows * p->cols) * sizeof(float));
    memset(grad, 0x7f, (size_t)(rows * p->cols) * sizeof(float)); /* it may be overwritten */
}

static void sink_vector(void *ctx, const float *grad)
{
    struct part *p = ctx;

    memcpy(p->grad, grad, (size_t)p->cols * sizeof(float));
}

static void set(struct part *p, enum role role, int64_t rows, int64_t cols)
{
    *p = (struct part){ .role = role, .rows = rows, .cols = cols };
}

/* p: batch, height, width, channels, out, kernel, stride, pad_before, pad_after, rounded */
static struct srq_conv conv_of(const int64_t *p)
{
    return (struct srq_conv){ p[0], p[1], p[2], (int)p[5], (int)p[6], (int)p[7], (int)p[8] };
}

static void conv_shape(const int64_t *p, struct part *parts)
{
    set(&parts[0], VALUE, p[0] * p[1] * p[2], p[3]);
    set(&parts[1], WEIGHT, p[4], p[3] * p[5] * p[5]);
    set(&parts[2], VECTOR, 1, p[4]);
}

static struct srq_var *build_conv(struct srq_tape *t, const int64_t *p, struct part *parts, struct srq_var **in)
{
    struct srq_conv c = conv_of(p);

    layer = (struct srq_linear){
        .name = "conv", .out = p[4], .in = parts[1].cols, .weight = parts[1].at, .bias = &parts[2].vector
    };
    layer.sink = sink_weight;
    layer.sink_ctx = &parts[1];
    if (p[9]) {
        layer.input = &input_codes;
        layer.output = &output_codes;
    }
    return srq_op_conv(t, in[0], &layer, &c);
}

/* p: batch, pixels, channels, groups */
static void norm_shape(const int64_t *p, struct part *parts)
{
    set(&parts[0], VALUE, p[0] * p[1], p[2]);
    set(&parts[1], VECTOR, 1, p[2]);
    set(&parts[2], VECTOR, 1, p[2]);
}

static struct srq_var *build_norm(struct srq_tape *t, const int64_t *p, struct part *parts, struct srq_var **in)
{
    const struct srq_group_norm g = { p[0], p[3], &parts[1].vector, &parts[2].vector, 1e-5f };

    return srq_op_group_norm(t, in[0], &g);
}

/* p: batch, height, width, channels */
static void one_picture_value(const int64_t *p, struct part *parts)
{
    set(&parts[0], VALUE, p[0] * p[1] * p[2], p[3]);
}

static struct srq_var *build_silu(struct srq_tape *t, const int64_t *p, struct part *parts, struct srq_var **in)
{
    (void)p, (void)parts;
    return srq_op_silu(t, in[0]);
}

static struct srq_var *build_scale(struct srq_tape *t, const int64_t *p, struct part *parts, struct srq_var **in)
{
    (void)p, (void)parts;
    return srq_op_scale(t, in[0], -0.75f);
}

static struct srq_var *build_upsample(struct srq_tape *t, const int64_t *p, struct part *parts, struct srq_var **in)
{
    (void)parts;
    return srq_op_upsample(t, in[0], p[0], p[1], p[2]);
}

/* p: batch, rows, channels, channels of b */
static void concat_shape(const int64_t *p, struct part *parts)
{
    set(&parts[0], VALUE, p[0] * p[1], p[2]);
    set(&parts[1], VALUE, p[0] * p[1], p[3]);
}

static struct srq_var *build_concat(struct srq_tape *t, const int64_t *p, struct part *parts, struct srq_var **in)
{
    (void)p, (void)parts;
    return srq_op_concat(t, in[0], in[1]);
}

static void add_each_shape(const int64_t *p, struct part *parts)
{
    set(&parts[0], VALUE, p[0] * p[1], p[2]);
    set(&parts[1], VALUE, p[0], p[2]);
}

static struct srq_var *build_add_each(struct srq_tape *t, const int64_t *p, struct part *parts, struct srq_var **in)
{
    (void)parts;
    return srq_op_add_each(t, in[0], in[1], p[0]);
}

static void modulate_shape(const int64_t *p, struct part *parts)
{
    set(&parts[0], VALUE, p[0] * p[1], p[2]);
    set(&parts[1], VALUE, p[0], 2 * p[2]);
}

static struct srq_var *build_modulate(struct srq_tape *t, const int64_t *p, struct part *parts, struct srq_var **in)
{
    (void)parts;
    return srq_op_modulate(t, in[0], in[1], p[0]);
}

/* A residual block of a U-Net in small, each value read by as many as there: p as of conv, in and out alike, stride 1.
 */
static struct srq_var *build_block(struct srq_tape *t, const int64_t *p, struct part *parts, struct srq_var **in)
{
    const struct srq_group_norm g = { p[0], 2, &parts[3].vector, &parts[3].vector, 1e-5f };
    struct srq_var *x = srq_op_scale(t, in[0], 0.5f), *h = srq_op_silu(t, srq_op_group_norm(t, x, &g));
    struct srq_conv c = conv_of(p);

    layer = (struct srq_linear){
        .name = "conv", .out = p[4], .in = parts[1].cols, .weight = parts[1].at, .bias = &parts[2].vector
    };
    layer.sink = sink_weight;
    layer.sink_ctx = &parts[1];
    layer.input = &input_codes;
    layer.output = &output_codes;
    h = srq_op_add(t, x, srq_op_conv(t, h, &layer, &c));
    h = srq_op_concat(t, srq_op_silu(t, h), srq_op_modulate(t, x, srq_op_concat(t, in[1], in[1]), p[0]));
    h = srq_op_add_each(t, h, srq_op_concat(t, in[1], in[1]), p[0]);
    return srq_op_upsample(t, h, p[0], p[1], p[2]);
}

static void block_shape(const int64_t *p, struct part *parts)
{
    set(&parts[0], VALUE, p[0] * p[1] * p[2], p[3]);
    set(&parts[1], WEIGHT, p[4], p[3] * p[5] * p[5]);
    set(&parts[2], VECTOR, 1, p[4]);
    set(&parts[3], VECTOR, 1, p[3]);
    set(&parts[4], VALUE, p[0], p[3]);
}

static const struct graph conv = { "conv", conv_shape, build_conv };
static const struct graph block = { "block", block_shape, build_block };
static const struct graph norm = { "group norm", norm_shape, build_norm };
static const struct graph silu = { "silu", one_picture_value, build_silu };
static const struct graph scale = { "scale", one_picture_value, build_scale };
static const struct graph upsample = { "upsample", one_picture_value, build_upsample };
static const struct graph concat = { "concat", concat_shape, build_concat };
static const struct graph add_each = { "add_each", add_each_shape, build_add_each };
static const struct graph modulate = { "modulate", modulate_shape, build_modulate };

/* ---- one pass ---- */

struct pass {
    const struct graph *g;
    const int64_t *p;
    enum srq_dtype dtype;
    struct part parts[PARTS];
    struct srq_tensor slope; /* loss = sum y slope */
    float *y;                /* [count] */
    int64_t count;
};

static void store(struct srq_tensor *t, int64_t i, double v)
{
    if (t->dtype == SRQ_F32)
        ((float *)t->data)[i] = (float)v;
    else
        ((uint16_t *)t->data)[i] = srq_f32_to_bf16((float)v);
}

static double load(const struct srq_tensor *t, int64_t i)
{
    return t->dtype == SRQ_F32 ? ((const float *)t->data)[i] : srq_bf16_to_f32(((const uint16_t *)t->data)[i]);
}

static void pass_make(struct pass *f, const struct graph *g, const int64_t *p, enum srq_dtype dtype)
{
    memset(f, 0, sizeof(*f));
    f->g = g;
    f->p = p;
    f->dtype = dtype;
    g->shape(p, f->parts);
    for (int k = 0; k < PARTS && f->parts[k].role != NONE; k++) {
        struct part *a = &f->parts[k];
        int64_t n = a->rows * a->cols;

        a->at = srq_tensor_2d(calloc((size_t)n, 4), a->role == VECTOR ? SRQ_F32 : dtype, a->rows, a->cols);
        a->grad = calloc((size_t)n, sizeof(float));
        for (int64_t i = 0; i < n; i++)
            store(&a->at, i, 2 * srq_rng_uniform(9, (uint64_t)k, (uint64_t)i) - 1);
        a->vector = (struct srq_vector){ "vector", a->cols, a->at.data, sink_vector, a };
    }
}

static void pass_free(struct pass *f)
{
    for (int k = 0; k < PARTS; k++) {
        free(f->parts[k].at.data);
        free(f->parts[k].grad);
    }
    free(f->slope.data);
    free(f->y);
}

/* Inputs and graph on the tape; in: those parts that are values, in order. */
static struct srq_var *build(struct pass *f, struct srq_tape *t, struct srq_var **in)
{
    int values = 0;

    for (int k = 0; k < PARTS; k++)
        if (f->parts[k].role == VALUE)
            in[values++] = srq_tape_input(t, &f->parts[k].at, true);
    return f->g->build(t, f->p, f->parts, in);
}

static void copy_grad(struct part *p, const struct srq_var *v)
{
    for (int64_t i = 0; i < p->rows * p->cols; i++)
        p->grad[i] = (float)load(&v->grad, i);
}

/* The loss and all gradients of f's inputs, on a tape of `bytes`; returns the loss in double. */
static double run(struct pass *f, size_t bytes, size_t *peak)
{
    struct srq_var *in[PARTS] = { NULL }, *y, *loss;
    struct srq_error err = { 0 };
    struct srq_tape *t;
    double sum = 0;
    int values = 0;

    assert_ok(srq_tape_create(bytes, f->dtype, false, &t, &err), &err);
    y = build(f, t, in);
    assert_ok(srq_tape_error(t, &err), &err);
    f->count = srq_tensor_count(&y->value);
    if (f->slope.data == NULL) {
        f->slope = y->value;
        f->slope.data = calloc((size_t)f->count, 4);
        f->y = calloc((size_t)f->count, sizeof(float));
        for (int64_t i = 0; i < f->count; i++)
            store(&f->slope, i, 2 * srq_rng_uniform(8, 7, (uint64_t)i) - 1);
    }
    for (int64_t i = 0; i < f->count; i++) {
        f->y[i] = (float)load(&y->value, i);
        sum += load(&y->value, i) * load(&f->slope, i);
    }
    loss = srq_op_dot(t, y, &f->slope);
    assert_ok(srq_tape_backward(t, loss, &err), &err);
    for (int k = 0; k < PARTS; k++)
        if (f->parts[k].role == VALUE)
            copy_grad(&f->parts[k], in[values++]);
    if (peak != NULL)
        *peak = srq_tape_peak(t);
    srq_tape_free(t);
    return sum;
}

/* ---- gradients against differences ---- */

/* About 60 elements of each input, spread over all of it. The F32 tape gives the values, so steps are large; all graphs
 * but silu and the norm are linear in each of their inputs. */
static void check_part(struct pass *f, int k)
{
    struct part *a = &f->parts[k];
    int64_t n = a->rows * a->cols, step = n / 60 + 1;
    float *got = malloc((size_t)n * sizeof(float));
    double size = 0, h = 1.0 / 64;

    memcpy(got, a->grad, (size_t)n * sizeof(float));
    for (int64_t i = 0; i < n; i++)
        size = fmax(size, fabs((double)got[i]));
    for (int64_t i = 0; i < n; i += step) {
        double at = load(&a->at, i), slope[2];

        for (int s = 0; s < 2; s++) {
            double up, down;

            store(&a->at, i, at + h / (1 + s));
            up = run(f, ARENA, NULL);
            store(&a->at, i, at - h / (1 + s));
            down = run(f, ARENA, NULL);
            slope[s] = (up - down) / (2 * h / (1 + s));
        }
        store(&a->at, i, at);
        slope[0] = (4 * slope[1] - slope[0]) / 3; /* Richardson: the error in h² goes */
        if (!(fabs(slope[0] - (double)got[i]) <= 1e-3 * size))
            fail_msg("%s: gradient of input %d at %d is %g, difference gives %g (size %g)", f->g->name, k, (int)i,
                     (double)got[i], slope[0], size);
    }
    free(got);
}

/* The same graph on a BF16 tape, from the same (rounded) inputs: values and gradients within its precision. */
static void check_bf16(const struct pass *f)
{
    struct pass b, same;

    pass_make(&b, f->g, f->p, SRQ_BF16);
    pass_make(&same, f->g, f->p, SRQ_F32);
    for (int k = 0; k < PARTS; k++)
        for (int64_t i = 0; i < b.parts[k].rows * b.parts[k].cols; i++)
            store(&same.parts[k].at, i, load(&b.parts[k].at, i));
    run(&b, ARENA, NULL);
    run(&same, ARENA, NULL);
    for (int64_t i = 0; i < b.count; i++)
        store(&same.slope, i, load(&b.slope, i));
    run(&same, ARENA, NULL);
    for (int k = -1; k < PARTS; k++) {
        const float *x = k < 0 ? b.y : b.parts[k].grad, *want = k < 0 ? same.y : same.parts[k].grad;
        int64_t n = k < 0 ? b.count : b.parts[k].rows * b.parts[k].cols;
        double size = 0;

        for (int64_t i = 0; i < n; i++)
            size = fmax(size, fabs((double)want[i]));
        for (int64_t i = 0; i < n; i++)
            if (!(fabs((double)x[i] - (double)want[i]) <= 2e-2 * size))
                fail_msg("%s in bf16: %s %d at %d is %g, not %g", f->g->name, k < 0 ? "value" : "gradient", k, (int)i,
                         (double)x[i], (double)want[i]);
    }
    pass_free(&b);
    pass_free(&same);
}

static void check_graph(const struct graph *g, const int64_t *p)
{
    struct pass f;

    pass_make(&f, g, p, SRQ_F32);
    run(&f, ARENA, NULL);
    for (int k = 0; k < PARTS && f.parts[k].role != NONE; k++) {
        run(&f, ARENA, NULL);
        check_part(&f, k);
    }
    check_bf16(&f);
    pass_free(&f);
}

#define CHECK(g, ...)                                                      \
    do {                                                                   \
        static const int64_t cases_[][10] = __VA_ARGS__;                   \
        for (size_t i_ = 0; i_ < sizeof(cases_) / sizeof(cases_[0]); i_++) \
            check_graph(g, cases_[i_]);                                    \
    } while (0)

static void conv_agrees_with_differences(void **state)
{
    (void)state;
    CHECK(&conv, { { 2, 5, 7, 3, 4, 3, 1, 1, 1 },
                   { 2, 5, 7, 3, 4, 3, 2, 0, 1 },
                   { 2, 6, 5, 3, 4, 3, 2, 1, 1 },
                   { 3, 4, 3, 5, 2, 1, 1, 0, 0 },
                   { 1, 7, 5, 2, 3, 1, 2, 0, 0 },
                   { 1, 1, 1, 1, 1, 3, 1, 1, 1 },
                   { 2, 6, 6, 2, 3, 2, 2, 0, 0 } });
}

static void group_norm_agrees_with_differences(void **state)
{
    (void)state;
    CHECK(&norm, { { 2, 9, 6, 3 }, { 1, 4, 8, 1 }, { 3, 5, 4, 4 }, { 1, 150, 70, 2 } });
}

static void elements_agree_with_differences(void **state)
{
    (void)state;
    CHECK(&silu, { { 2, 3, 5, 3 }, { 1, 1, 1, 1 } });
    CHECK(&scale, { { 2, 3, 5, 3 }, { 1, 1, 1, 1 } });
}

static void upsample_agrees_with_differences(void **state)
{
    (void)state;
    CHECK(&upsample, { { 2, 3, 5, 3 }, { 1, 1, 1, 1 }, { 1, 2, 2, 300 } });
}

static void concat_agrees_with_differences(void **state)
{
    (void)state;
    CHECK(&concat, { { 2, 5, 3, 7 }, { 1, 1, 1, 1 } });
}

static void vectors_of_samples_agree_with_differences(void **state)
{
    (void)state;
    CHECK(&add_each, { { 3, 5, 7 }, { 1, 1, 1 }, { 2, 200, 70 } });
    CHECK(&modulate, { { 3, 5, 7 }, { 1, 1, 1 }, { 2, 200, 70 } });
}

/* ---- PyTorch's values ---- */

static struct srq_tensors *expected;
static float got[3][4096];

static struct srq_tensor part_of(const char *name, const char *part)
{
    struct srq_tensor t;
    char full[64];

    snprintf(full, sizeof(full), "%s.%s", name, part);
    if (!srq_tensors_get(expected, full, &t))
        fail_msg("the reference has no %s", full);
    return t;
}

static void take_weight(void *ctx, int64_t row, int64_t rows, float *grad)
{
    memcpy(got[1] + row * *(int64_t *)ctx, grad, (size_t)(rows * *(int64_t *)ctx) * sizeof(float));
}

static void take_gain(void *ctx, const float *grad)
{
    memcpy(got[1], grad, (size_t) * (int64_t *)ctx * sizeof(float));
}

static void take_bias(void *ctx, const float *grad)
{
    memcpy(got[2], grad, (size_t) * (int64_t *)ctx * sizeof(float));
}

static void compare(const char *name, const char *part, const void *values)
{
    struct srq_tensor want = part_of(name, part);
    const float *a = values, *b = want.data;
    double size = 0;

    for (int64_t i = 0; i < srq_tensor_count(&want); i++)
        size = fmax(size, fabs((double)b[i]));
    for (int64_t i = 0; i < srq_tensor_count(&want); i++)
        if (!(fabs((double)a[i] - (double)b[i]) <= 2e-6 * size))
            fail_msg("%s.%s: element %d is %.9g, not %.9g", name, part, (int)i, (double)a[i], (double)b[i]);
}

/* Numbers of the case, from its name. */
static struct srq_var *build_case(struct srq_tape *t, const char *name, struct srq_var **in)
{
    static struct srq_tensor w;
    static struct srq_vector gain, bias;
    static int64_t counts[2];
    struct srq_tensor x = part_of(name, "x");
    int n[4] = { 0 };

    in[0] = srq_tape_input(t, &x, true);
    if (sscanf(name, "attention-%d", &n[0]) == 1) {
        struct srq_tensor k = part_of(name, "w"), v = part_of(name, "b");
        struct srq_attention a = { x.shape[0], x.shape[1], n[0], n[0], x.shape[3], .full = true };

        a.scale = (float)(1 / sqrt((double)x.shape[3]));
        x = srq_tensor_2d(x.data, SRQ_F32, a.batch * a.seq, n[0] * a.head_dim);
        for (int i = 0; i < 3; i++) {
            struct srq_tensor flat = x;

            flat.data = i == 0 ? x.data : i == 1 ? k.data : v.data;
            in[i] = srq_tape_input(t, &flat, true);
        }
        return srq_op_attention(t, in[0], in[1], in[2], &a);
    }
    if (strcmp(name, "silu") == 0)
        return srq_op_silu(t, in[0]);
    if (strcmp(name, "upsample") == 0)
        return srq_op_upsample(t, in[0], x.shape[0], x.shape[1], x.shape[2]);
    w = part_of(name, "w");
    bias = (struct srq_vector){ name, w.shape[0], part_of(name, "b").data, take_bias, &counts[1] };
    counts[1] = w.shape[0];
    counts[0] = srq_tensor_count(&w) / w.shape[0];
    if (sscanf(name, "norm-%d", &n[0]) == 1) {
        struct srq_group_norm g = { x.shape[0], n[0], &gain, &bias, 1e-5f };

        gain = (struct srq_vector){ name, w.shape[0], w.data, take_gain, &counts[1] };
        return srq_op_group_norm(t, in[0], &g);
    }
    assert_int_equal(sscanf(name, "conv-%d-%d-%d-%d", &n[0], &n[1], &n[2], &n[3]), 4);
    layer = (struct srq_linear){ .name = name, .out = w.shape[0], .in = counts[0], .weight = w, .bias = &bias };
    layer.sink = take_weight;
    layer.sink_ctx = &counts[0];
    return srq_op_conv(t, in[0], &layer,
                       &(struct srq_conv){ x.shape[0], x.shape[1], x.shape[2], n[0], n[1], n[2], n[3] });
}

static void operations_agree_with_pytorch(void **state)
{
    static const char *const names[] = {
        "conv-3-1-1-1", "conv-3-2-1-1", "conv-3-2-0-1", "conv-1-1-0-0", "conv-1-2-0-0",
        "conv-3-1-0-0", "norm-4",       "silu",         "upsample",     "attention-2"
    };
    const char *top = getenv("top_srcdir");
    struct srq_error err = { 0 };
    struct srq_tape *t;
    char path[4096];

    (void)state;
    snprintf(path, sizeof(path), "%s/tests/reference/picture_reference.safetensors", top != NULL ? top : ".");
    assert_ok(srq_tensors_open(path, &expected, &err), &err);
    assert_ok(srq_tape_create(ARENA, SRQ_F32, false, &t, &err), &err);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct srq_tensor g = part_of(names[i], "g");
        struct srq_var *in[3] = { NULL }, *y;
        bool values = strncmp(names[i], "attention", 9) == 0, alone = strchr(names[i], '-') == NULL;

        srq_tape_reset(t);
        y = build_case(t, names[i], in);
        assert_ok(srq_tape_error(t, &err), &err);
        compare(names[i], "y", y->value.data);
        assert_ok(srq_tape_backward(t, srq_op_dot(t, y, &g), &err), &err);
        compare(names[i], "dx", in[0]->grad.data);
        if (alone)
            continue;
        compare(names[i], "dw", values ? in[1]->grad.data : got[1]);
        compare(names[i], "db", values ? in[2]->grad.data : got[2]);
    }
    srq_tape_free(t);
    srq_tensors_close(expected);
}

/* ---- rounding ---- */

static void observe_range(void *ctx, struct srq_rounding *r, const struct srq_tensor *x)
{
    *(int64_t *)ctx += srq_tensor_count(x);
    r->scale = 0.25f;
    r->zero = 1;
}

static void rounding_gives_codes_and_masks_gradients(void **state)
{
    /* scale 0.25, zero 1, codes 0 to 5: from -0.25 to 1; halves go to even codes */
    float x[] = { 0, 0.1f, 0.125f, 0.375f, -0.3f, -0.38f, 1.1f, 1.2f, -9e30f, 9e30f };
    const float y[] = { 0, 0, 0, 0.5f, -0.25f, -0.25f, 1, 1, -0.25f, 1 }, dx[] = { 1, 1, 1, 1, 1, 0, 1, 0, 0, 0 };
    int64_t seen = 0;
    struct srq_rounding r = { .high = 5, .observe = observe_range, .ctx = &seen };
    struct srq_tensor in = srq_tensor_2d(x, SRQ_F32, 2, 5), ones;
    struct srq_error err = { 0 };
    struct srq_var *v, *out;
    struct srq_tape *t;
    float one[10];

    (void)state;
    for (int i = 0; i < 10; i++)
        one[i] = 1;
    ones = srq_tensor_2d(one, SRQ_F32, 2, 5);
    assert_ok(srq_tape_create(ARENA, SRQ_F32, false, &t, &err), &err);
    v = srq_tape_input(t, &in, true);
    out = srq_op_round(t, v, &r);
    assert_ok(srq_tape_backward(t, srq_op_dot(t, out, &ones), &err), &err);
    assert_int_equal(seen, 10);
    assert_memory_equal(v->grad.data, dx, sizeof(dx));
    srq_tape_reset(t);
    srq_tape_record(t, false);
    out = srq_op_round(t, srq_tape_input(t, &in, true), &r);
    assert_memory_equal(out->value.data, y, sizeof(y));
    srq_tape_free(t);
}

/* Columns from the third on have a grid of their own: the same as each part by itself, gradients too. */
static void columns_of_two_parts_have_a_grid_each(void **state)
{
    enum { ROWS = 3, COLS = 40, SPLIT = 15, REST = COLS - SPLIT };
    struct srq_rounding both = { .scale = 0.25f, .high = 7, .zero = 3, .split = SPLIT };
    struct srq_rounding part[2] = { { .scale = 0.25f, .high = 7, .zero = 3 }, { .scale = 0.5f, .high = 3, .zero = 1 } };
    float x[ROWS * COLS], parts[2][ROWS * COLS], weight[ROWS * COLS];
    struct srq_tensor in = srq_tensor_2d(x, SRQ_F32, ROWS, COLS), w = srq_tensor_2d(weight, SRQ_F32, ROWS, COLS);
    struct srq_tensor first = srq_tensor_2d(parts[0], SRQ_F32, ROWS, SPLIT);
    struct srq_tensor second = srq_tensor_2d(parts[1], SRQ_F32, ROWS, REST);
    struct srq_error err = { 0 };
    struct srq_var *v, *out, *a, *b, *c;
    struct srq_tape *t;

    (void)state;
    both.rest.scale = 0.5f;
    both.rest.high = 3;
    both.rest.zero = 1;
    for (int i = 0; i < ROWS * COLS; i++) {
        x[i] = 0.07f * (float)(i * 37 % 61 - 30);
        weight[i] = 1 + (float)(i % 5);
        if (i % COLS < SPLIT)
            parts[0][i / COLS * SPLIT + i % COLS] = x[i];
        else
            parts[1][i / COLS * REST + i % COLS - SPLIT] = x[i];
    }
    assert_ok(srq_tape_create(ARENA, SRQ_F32, false, &t, &err), &err);
    v = srq_tape_input(t, &in, true);
    out = srq_op_round(t, v, &both);
    a = srq_tape_input(t, &first, true);
    b = srq_tape_input(t, &second, true);
    c = srq_op_concat(t, srq_op_round(t, a, &part[0]), srq_op_round(t, b, &part[1]));
    assert_memory_equal(out->value.data, c->value.data, sizeof(x));
    assert_ok(srq_tape_backward_from(t, (struct srq_var *[]){ srq_op_dot(t, out, &w), srq_op_dot(t, c, &w) }, 2, &err),
              &err);
    for (int i = 0, cut = 0; i < ROWS * COLS; i++) {
        int row = i / COLS, col = i % COLS;
        float want = col < SPLIT ? ((const float *)a->grad.data)[row * SPLIT + col]
                                 : ((const float *)b->grad.data)[row * REST + col - SPLIT];

        assert_true(((const float *)v->grad.data)[i] == want);
        cut += want == 0;
        assert_true(i < ROWS * COLS - 1 || (cut > 10 && cut < ROWS * COLS - 10));
    }
    both.rest.high = -1;
    srq_tape_reset(t);
    assert_null(srq_op_round(t, srq_tape_input(t, &in, true), &both));
    assert_refused(srq_tape_error(t, &err), -SRQ_EINVAL, &err, "columns from 15 on");
    srq_tape_free(t);
}

static void rounding_without_a_scale_is_no_operation(void **state)
{
    float x[] = { 0.3f, -7 };
    struct srq_rounding r = { .high = 5 };
    struct srq_tensor in = srq_tensor_2d(x, SRQ_F32, 1, 2);
    struct srq_error err = { 0 };
    struct srq_tape *t;
    struct srq_var *v;

    (void)state;
    assert_ok(srq_tape_create(ARENA, SRQ_F32, false, &t, &err), &err);
    v = srq_tape_input(t, &in, true);
    assert_ptr_equal(srq_op_round(t, v, &r), v);
    r.scale = 1;
    r.low = 6;
    assert_null(srq_op_round(t, v, &r));
    assert_refused(srq_tape_error(t, &err), -SRQ_EINVAL, &err, "codes 6 to 5");
    srq_tape_free(t);
}

/* Masks over many blocks and odd lengths, on each dtype, against the rule itself; then the same after a layer, where
 * the rounding takes the place of what the product gave. */
static void layers_round_inputs_and_outputs(void **state)
{
    static const int64_t cases[][10] = { { 2, 9, 7, 5, 6, 3, 1, 1, 1, 1 }, { 3, 13, 11, 3, 5, 1, 1, 0, 0, 1 } };

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct pass rounded, plain;
        int64_t n, zeros = 0;
        int64_t without[10];

        memcpy(without, cases[i], sizeof(without));
        without[9] = 0;
        input_codes = (struct srq_rounding){ .scale = 0.125f, .low = -5, .high = 6, .zero = 1 };
        output_codes = (struct srq_rounding){ .scale = 0.25f, .low = -3, .high = 4, .zero = 0 };
        pass_make(&rounded, &conv, cases[i], SRQ_F32);
        pass_make(&plain, &conv, without, SRQ_F32);
        run(&rounded, ARENA, NULL);
        n = cases[i][0] * cases[i][1] * cases[i][2] * cases[i][3];
        for (int64_t k = 0; k < n; k++) {
            float code = fminf(fmaxf(rintf(((float *)plain.parts[0].at.data)[k] / 0.125f) + 1, -5), 6);

            ((float *)plain.parts[0].at.data)[k] = (code - 1) * 0.125f;
        }
        run(&plain, ARENA, NULL);
        for (int64_t k = 0; k < plain.count; k++) {
            float code = rintf(plain.y[k] / 0.25f), kept = fminf(fmaxf(code, -3), 4);

            assert_true(rounded.y[k] == kept * 0.25f);
            if (kept != code)
                ((float *)plain.slope.data)[k] = 0;
        }
        run(&plain, ARENA, NULL); /* its gradients, from a slope with holes */
        assert_memory_equal(rounded.parts[1].grad, plain.parts[1].grad,
                            (size_t)(cases[i][4] * plain.parts[1].cols) * sizeof(float));
        for (int64_t k = 0; k < n; k++) {
            float code = rintf(((float *)rounded.parts[0].at.data)[k] / 0.125f) + 1;
            bool inside = code >= -5 && code <= 6;

            zeros += !inside;
            assert_true(rounded.parts[0].grad[k] == (inside ? plain.parts[0].grad[k] : 0.0f));
        }
        assert_true(zeros > 0 && zeros < n);
        pass_free(&rounded);
        pass_free(&plain);
    }
}

/* ---- memory, strips, threads ---- */

static size_t measured(struct pass *f)
{
    struct srq_var *in[PARTS] = { NULL }, *y;
    struct srq_error err = { 0 };
    struct srq_tape *t;
    size_t peak;

    assert_ok(srq_tape_create(0, f->dtype, true, &t, &err), &err);
    y = build(f, t, in);
    assert_ok(srq_tape_error(t, &err), &err);
    assert_ok(srq_tape_backward(t, srq_op_dot(t, y, &f->slope), &err), &err);
    peak = srq_tape_peak(t);
    srq_tape_free(t);
    return peak;
}

/* Small; several strips of pictures; pictures of several strips, with strides. */
static const int64_t passes[][10] = { { 2, 5, 7, 6, 6, 3, 1, 1, 1 },
                                      { 24, 28, 28, 16, 16, 3, 1, 1, 1 },
                                      { 2, 96, 96, 16, 16, 3, 1, 1, 1 } };

static void set_codes(void)
{
    input_codes = (struct srq_rounding){ .scale = 0.02f, .low = -127, .high = 127, .zero = 3 };
    output_codes = (struct srq_rounding){ .scale = 0.05f, .low = -100, .high = 100, .zero = 0 };
}

static void measuring_gives_exactly_what_a_pass_needs(void **state)
{
    (void)state;
    set_codes();
    for (size_t i = 0; i < sizeof(passes) / sizeof(passes[0]); i++) {
        for (int d = 0; d < 2; d++) {
            struct pass f;
            size_t need, peak;

            pass_make(&f, &block, passes[i], d == 0 ? SRQ_F32 : SRQ_BF16);
            run(&f, ARENA * 4, NULL);
            need = measured(&f);
            run(&f, need, &peak);
            assert_int_equal(peak, need);
            pass_free(&f);
        }
    }
}

static void an_arena_too_small_is_an_error_at_any_size(void **state)
{
    struct srq_error err = { 0 };
    struct pass f;
    size_t need;

    (void)state;
    set_codes();
    pass_make(&f, &block, passes[0], SRQ_F32);
    run(&f, ARENA, NULL);
    need = measured(&f);
    for (size_t size = need - 64; size > 0; size = size > need / 41 ? size - need / 41 : 0) {
        struct srq_var *in[PARTS] = { NULL }, *loss;
        struct srq_tape *t;

        assert_ok(srq_tape_create(size, SRQ_F32, false, &t, &err), &err);
        loss = srq_op_dot(t, build(&f, t, in), &f.slope);
        assert_refused(srq_tape_backward(t, loss, &err), -SRQ_ELIMIT, &err, "arena");
        srq_tape_free(t);
    }
    pass_free(&f);
}

/* Given products that do: libraries may split a product so that a sum's order depends on the threads. */
static void any_number_of_threads_gives_the_same_bytes(void **state)
{
    struct srq_error err = { 0 };

    (void)state;
    assert_ok(srq_gemm_start("plain", &err), &err);
    set_codes();
    for (size_t i = 0; i < sizeof(passes) / sizeof(passes[0]); i++) {
        struct pass one, two;

        pass_make(&one, &block, passes[i], SRQ_F32);
        pass_make(&two, &block, passes[i], SRQ_F32);
        assert_ok(srq_team_start(1, &err), &err);
        run(&one, ARENA * 4, NULL);
        assert_ok(srq_team_start(2, &err), &err);
        run(&two, ARENA * 4, NULL);
        assert_memory_equal(one.y, two.y, (size_t)one.count * sizeof(float));
        for (int k = 0; k < PARTS; k++)
            assert_memory_equal(one.parts[k].grad, two.parts[k].grad,
                                (size_t)(one.parts[k].rows * one.parts[k].cols) * sizeof(float));
        pass_free(&one);
        pass_free(&two);
    }
    assert_ok(srq_team_start(3, &err), &err);
    assert_ok(srq_gemm_start(NULL, &err), &err);
}

/* One picture alone gives what it gives among others, though others take several strips. */
static void strips_do_not_show(void **state)
{
    static const int64_t cases[][2][10] = { { { 1, 28, 28, 16, 8, 3, 1, 1, 1 }, { 24, 28, 28, 16, 8, 3, 1, 1, 1 } },
                                            { { 1, 33, 31, 16, 8, 3, 2, 0, 1 }, { 70, 33, 31, 16, 8, 3, 2, 0, 1 } } };

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct pass one, all;
        int64_t n = cases[i][0][1] * cases[i][0][2] * 16;

        pass_make(&one, &conv, cases[i][0], SRQ_F32);
        pass_make(&all, &conv, cases[i][1], SRQ_F32);
        run(&one, ARENA * 4, NULL);
        run(&all, ARENA * 4, NULL);
        for (int64_t k = 0; k < one.count; k++)
            assert_true(fabsf(one.y[k] - all.y[k]) <= 1e-4f);
        for (int64_t k = 0; k < n; k++)
            assert_true(fabsf(one.parts[0].grad[k] - all.parts[0].grad[k]) <= 1e-4f);
        pass_free(&one);
        pass_free(&all);
    }
}

/* ---- taps ---- */

struct tapped {
    double worst;
    int64_t rows, calls;
    const struct pass *f;
};

/* The layer's outputs from the patches that the tap gets, in double. */
static void check_patches(void *ctx, const struct srq_linear *l, const struct srq_tensor *x)
{
    struct tapped *a = ctx;
    const float *w = l->weight.data;

    for (int64_t r = 0; r < x->shape[0]; r += 7) {
        for (int64_t o = 0; o < l->out; o++) {
            double y = (double)l->bias->value[o];

            for (int64_t i = 0; i < l->in; i++)
                y += (double)((const float *)x->data)[r * l->in + i] * (double)w[o * l->in + i];
            a->worst = fmax(a->worst, fabs(y - (double)a->f->y[(a->rows + r) * l->out + o]));
        }
    }
    a->rows += x->shape[0];
    a->calls++;
}

static struct tapped *tap;

static struct srq_var *build_tapped(struct srq_tape *t, const int64_t *p, struct part *parts, struct srq_var **in)
{
    struct srq_conv c = conv_of(p);
    struct srq_var *y = build_conv(t, p, parts, in);

    if (tap == NULL || srq_tape_measuring(t))
        return y;
    layer.tap = check_patches;
    layer.tap_ctx = tap;
    return srq_op_conv(t, in[0], &layer, &c);
}

static void taps_get_all_patches_in_the_order_of_the_weight(void **state)
{
    static const struct graph tapped_conv = { "conv", conv_shape, build_tapped };
    static const int64_t p[] = { 24, 28, 28, 16, 8, 3, 1, 1, 1, 0 };
    struct pass f;
    struct tapped a = { .f = &f };

    (void)state;
    pass_make(&f, &tapped_conv, p, SRQ_F32);
    run(&f, ARENA * 4, NULL);
    tap = &a;
    run(&f, ARENA * 4, NULL);
    tap = NULL;
    assert_true(a.calls > 1);
    assert_int_equal(a.rows, 24 * 28 * 28);
    assert_true(a.worst < 1e-4);
    pass_free(&f);
}

/* ---- what does not fit ---- */

static void shapes_that_do_not_fit_are_refused(void **state)
{
    static float data[360];
    struct srq_tensor x = srq_tensor_2d(data, SRQ_F32, 30, 12);
    const struct srq_vector vector = { "norm1", 12, data, NULL, NULL };
    const struct srq_conv c = { 1, 5, 6, 3, 1, 1, 1 }, small = { 1, 5, 6, 9, 1, 1, 1 };
    const struct srq_group_norm g = { 1, 5, &vector, &vector, 1e-5f };
    struct srq_linear l = { .name = "conv_in", .out = 1, .in = 100, .weight = x };
    struct srq_linear large = { .name = "conv_out", .out = 1, .in = 12 * 81, .weight = x };
    struct srq_error err = { 0 };
    struct srq_tape *t;

    (void)state;
    assert_ok(srq_tape_create(ARENA, SRQ_F32, false, &t, &err), &err);
    for (int i = 0; i < 7; i++) {
        static const char *const named[] = { "conv_in",
                                             "conv_out",
                                             "norm1",
                                             "2 pictures of 4 x 4",
                                             "[30, 12] and [1, 12]",
                                             "7 samples of [30, 12]",
                                             "[2, 12], 2 for each" };
        struct srq_tensor row = srq_tensor_2d(data, SRQ_F32, i == 6 ? 2 : 1, 12);
        struct srq_var *v, *e;

        srq_tape_reset(t);
        v = srq_tape_input(t, &x, false);
        e = srq_tape_input(t, &row, false);
        assert_null(i == 0   ? srq_op_conv(t, v, &l, &c)
                    : i == 1 ? srq_op_conv(t, v, &large, &small)
                    : i == 2 ? srq_op_group_norm(t, v, &g)
                    : i == 3 ? srq_op_upsample(t, v, 2, 4, 4)
                    : i == 4 ? srq_op_concat(t, v, e)
                    : i == 5 ? srq_op_add_each(t, v, e, 7)
                             : srq_op_modulate(t, v, e, 2));
        assert_refused(srq_tape_error(t, &err), -SRQ_EINVAL, &err, named[i]);
    }
    srq_tape_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conv_agrees_with_differences),
        cmocka_unit_test(group_norm_agrees_with_differences),
        cmocka_unit_test(elements_agree_with_differences),
        cmocka_unit_test(upsample_agrees_with_differences),
        cmocka_unit_test(concat_agrees_with_differences),
        cmocka_unit_test(vectors_of_samples_agree_with_differences),
        cmocka_unit_test(operations_agree_with_pytorch),
        cmocka_unit_test(rounding_gives_codes_and_masks_gradients),
        cmocka_unit_test(columns_of_two_parts_have_a_grid_each),
        cmocka_unit_test(rounding_without_a_scale_is_no_operation),
        cmocka_unit_test(layers_round_inputs_and_outputs),
        cmocka_unit_test(measuring_gives_exactly_what_a_pass_needs),
        cmocka_unit_test(an_arena_too_small_is_an_error_at_any_size),
        cmocka_unit_test(any_number_of_threads_gives_the_same_bytes),
        cmocka_unit_test(strips_do_not_show),
        cmocka_unit_test(taps_get_all_patches_in_the_order_of_the_weight),
        cmocka_unit_test(shapes_that_do_not_fit_are_refused),
    };
    struct srq_error err;

    if (srq_team_start(3, &err) != 0 || srq_gemm_start(NULL, &err) != 0)
        return 1;
    return cmocka_run_group_tests_name("pictures_tape", tests, NULL, NULL);
}
