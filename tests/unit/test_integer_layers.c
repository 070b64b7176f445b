/* Tests of layers on integer arithmetic: they give what rounding, a product in F32 and rounding again give. */
#include "test.h"

#include "core/base/rng.h"
#include "core/math/int8.h"
#include "core/tape/ops_picture.h"
#include "core/tape/ops_round.h"
#include "tests/unit/math_start.h"

#include <math.h>

#define ARENA ((size_t)64 << 20)

/* ---- a layer both ways ---- */

/* batch, height, width, channels, out, kernel, stride, pad_before, pad_after; kernel 0: a linear layer of batch rows */
struct shape {
    int64_t batch, height, width, channels, out;
    int kernel, stride, before, after;
};

struct both {
    struct shape s;
    int64_t rows, in;
    struct srq_linear l;
    struct srq_vector bias;
    struct srq_rounding input, output;
    struct srq_int8_weight *codes;
    float *x, *w, *b;
};

static double draw(uint64_t stream, int64_t i)
{
    return 2 * srq_rng_uniform(21, stream, (uint64_t)i) - 1;
}

/* A weight of `bits`, with scales of their own for rows: its codes, and what they stand for. */
static void make_weight(struct both *f, int bits)
{
    int64_t count = f->s.out * f->in, half = (int64_t)1 << (bits - 1);
    int8_t *codes = malloc((size_t)count);
    float *scales = calloc((size_t)f->s.out, 4);
    struct srq_int8_codes c = { f->s.out, f->in, codes, scales, f->s.kernel };
    struct srq_error err = { 0 };

    for (int64_t i = 0; i < count; i++) {
        scales[i / f->in] = 0.002f * (float)(i / f->in % 9 + 1);
        codes[i] = (int8_t)(srq_rng_uniform(21, 1, (uint64_t)i) * (double)(2 * half) - (double)half);
        f->w[i] = (float)codes[i] * scales[i / f->in];
    }
    assert_ok(srq_int8_weight_create(&c, &f->codes, &err), &err);
    free(codes);
    free(scales);
}

static void make(struct both *f, const struct shape *s, int bits)
{
    float last = (float)(1 << bits) - 1;

    *f = (struct both){ .s = *s };
    f->rows = s->kernel > 0 ? s->batch * s->height * s->width : s->batch;
    f->in = s->channels * (s->kernel > 0 ? s->kernel * s->kernel : 1);
    f->x = calloc((size_t)(f->rows * s->channels), 4);
    f->w = calloc((size_t)(s->out * f->in), 4);
    f->b = calloc((size_t)s->out, 4);
    for (int64_t i = 0; i < f->rows * s->channels; i++)
        f->x[i] = (float)(3 * draw(2, i)); /* beyond the grid's ends too */
    for (int64_t i = 0; i < s->out; i++)
        f->b[i] = (float)draw(3, i);
    f->bias = (struct srq_vector){ .name = "bias", .n = s->out, .value = f->b };
    f->input = (struct srq_rounding){ .scale = 4.0f / last, .low = 0, .high = last, .zero = floorf(last / 3) };
    make_weight(f, bits);
    f->l = (struct srq_linear){ .name = "layer", .out = s->out, .in = f->in, .bias = &f->bias, .input = &f->input };
    f->l.weight = srq_tensor_2d(f->w, SRQ_F32, s->out, f->in);
}

static void unmake(struct both *f)
{
    srq_int8_weight_free(f->codes);
    free(f->x);
    free(f->w);
    free(f->b);
}

static struct srq_var *build(struct srq_tape *t, struct both *f, const struct srq_tensor *x)
{
    const struct shape *s = &f->s;
    const struct srq_conv c = { s->batch, s->height, s->width, s->kernel, s->stride, s->before, s->after };
    struct srq_var *in = srq_tape_input(t, x, false);

    return s->kernel > 0 ? srq_op_conv(t, in, &f->l, &c) : srq_op_linear(t, in, &f->l);
}

/* What the layer gives, in F32 and new memory; on integers or simulated. */
static float *run(struct both *f, bool integers, int64_t *count)
{
    struct srq_tensor x = srq_tensor_2d(f->x, SRQ_F32, f->rows, f->s.channels);
    struct srq_error err = { 0 };
    struct srq_tape *t;
    struct srq_var *y;
    float *out;

    f->l.integer = integers ? f->codes : NULL;
    assert_ok(srq_tape_create(ARENA, SRQ_F32, false, &t, &err), &err);
    srq_tape_record(t, false);
    y = build(t, f, &x);
    assert_ok(srq_tape_error(t, &err), &err);
    *count = srq_tensor_count(&y->value);
    out = malloc((size_t)*count * sizeof(*out));
    memcpy(out, y->value.data, (size_t)*count * sizeof(*out));
    srq_tape_free(t);
    return out;
}

static double largest(const float *x, int64_t n)
{
    double most = 0;

    for (int64_t i = 0; i < n; i++)
        most = fmax(most, fabs((double)x[i]));
    return most;
}

/* Within 1e-5 of the layer's largest value: the sums of the simulation are rounded at every step. */
static void check(struct both *f)
{
    int64_t n, m;
    float *got = run(f, true, &n), *want = run(f, false, &m);
    double size = largest(want, m);

    assert_int_equal(n, m);
    assert_true(size > 0);
    for (int64_t i = 0; i < n; i++)
        if (!(fabs((double)got[i] - (double)want[i]) <= 1e-5 * size))
            fail_msg("kernel %d: %.9g at %d, simulated %.9g (largest %g)", f->s.kernel, (double)got[i], (int)i,
                     (double)want[i], size);
    free(got);
    free(want);
}

static const struct shape shapes[] = {
    { 2, 7, 5, 3, 4, 3, 1, 1, 1 },      { 1, 8, 8, 16, 32, 3, 1, 1, 1 }, { 3, 9, 8, 5, 17, 3, 2, 1, 1 },
    { 2, 8, 6, 4, 65, 3, 2, 0, 1 },     { 2, 6, 6, 7, 3, 1, 1, 0, 0 },   { 2, 7, 6, 6, 9, 1, 2, 0, 0 },
    { 1, 1, 1, 1, 1, 3, 1, 1, 1 },      { 2, 6, 7, 2, 3, 2, 2, 0, 0 },   { 1, 9, 9, 3, 5, 5, 1, 2, 2 },
    { 4, 28, 28, 32, 33, 3, 1, 1, 1 },  { 1, 0, 0, 5, 3, 0, 0, 0, 0 },   { 33, 0, 0, 64, 48, 0, 0, 0, 0 },
    { 100, 0, 0, 31, 130, 0, 0, 0, 0 },
};
#define SHAPES (sizeof(shapes) / sizeof(shapes[0]))

static void check_all(int bits)
{
    for (size_t i = 0; i < SHAPES; i++) {
        struct both f;

        make(&f, &shapes[i], bits);
        check(&f);
        f.l.bias = NULL;
        check(&f);
        unmake(&f);
    }
}

static void layers_of_8_bits_agree_with_the_simulation(void **state)
{
    (void)state;
    check_all(8);
}

static void layers_of_4_bits_agree_with_the_simulation(void **state)
{
    (void)state;
    check_all(4);
}

/* Codes from -128 on, and a zero at either end of them: padding has that code. */
static void grids_that_do_not_begin_at_0_agree(void **state)
{
    static const float grids[][3] = { { -128, 127, 3 }, { -128, 127, -128 }, { -8, 7, 7 }, { 1000, 1255, 1100 } };

    (void)state;
    for (size_t g = 0; g < 4; g++) {
        struct both f;

        make(&f, &shapes[0], 8);
        f.input.low = grids[g][0];
        f.input.high = grids[g][1];
        f.input.zero = grids[g][2];
        check(&f);
        unmake(&f);
    }
}

static void every_backend_agrees_with_the_simulation(void **state)
{
    static const char *const names[] = { "vnni", "avx2", "onednn", "plain" };

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct srq_error err = { 0 };

        if (srq_int8_start(names[i], &err) == 0)
            check_all(8);
    }
    (void)srq_int8_start(NULL, NULL);
}

/* ---- outputs ---- */

/* Rounding the output at once gives the bytes of rounding it afterwards. */
static void an_output_is_rounded_as_the_operation_does_it(void **state)
{
    struct srq_rounding grid = { .scale = 0.05f, .low = 0, .high = 255, .zero = 120 };

    (void)state;
    for (size_t i = 0; i < SHAPES; i++) {
        struct both f;
        int64_t n;
        float *got, *want;

        make(&f, &shapes[i], 8);
        want = run(&f, true, &n);
        srq_kernels()->round(SRQ_F32, want, &(struct srq_code_range){ grid.scale, grid.zero, grid.low, grid.high },
                             want, NULL, n);
        f.l.output = &grid;
        got = run(&f, true, &n);
        assert_memory_equal(got, want, (size_t)n * sizeof(float));
        free(got);
        free(want);
        unmake(&f);
    }
}

struct seen {
    int calls;
    int64_t count;
    float scale;
};

static void set_range(void *ctx, struct srq_rounding *r, const struct srq_tensor *x)
{
    struct seen *s = ctx;

    s->calls++;
    s->count = srq_tensor_count(x);
    r->scale = s->scale;
}

/* Whoever sets the grids sees the input before it is rounded, and the output before it is. */
static void owners_of_grids_are_asked(void **state)
{
    struct seen in = { .scale = 0.02f }, out = { .scale = 0.1f };
    float *got, *want;
    struct both f;
    int64_t n;

    (void)state;
    make(&f, &shapes[1], 8);
    f.output = (struct srq_rounding){ .low = 0, .high = 255, .zero = 128, .observe = set_range, .ctx = &out };
    f.input.scale = 0;
    f.input.observe = set_range;
    f.input.ctx = &in;
    f.l.output = &f.output;
    got = run(&f, true, &n);
    assert_int_equal(in.calls, 1);
    assert_int_equal(in.count, f.rows * f.s.channels);
    assert_int_equal(out.calls, 1);
    assert_int_equal(out.count, n);
    f.l.output = NULL;
    want = run(&f, true, &n);
    srq_kernels()->round(SRQ_F32, want, &(struct srq_code_range){ 0.1f, 128, 0, 255 }, want, NULL, n);
    assert_memory_equal(got, want, (size_t)n * sizeof(float));
    free(got);
    free(want);
    unmake(&f);
}

/* ---- tapes ---- */

static void any_number_of_threads_gives_the_same_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < SHAPES; i++) {
        struct both f;
        struct srq_error err = { 0 };
        int64_t n;
        float *one, *two;

        make(&f, &shapes[i], 8);
        assert_ok(srq_team_start(1, &err), &err);
        one = run(&f, true, &n);
        assert_ok(srq_team_start(2, &err), &err);
        two = run(&f, true, &n);
        assert_memory_equal(one, two, (size_t)n * sizeof(float));
        free(one);
        free(two);
        unmake(&f);
    }
}

/* The same codes as on an F32 tape, from inputs that bf16 holds, and the result rounded once. */
static void bf16_tapes_give_the_rounded_result(void **state)
{
    (void)state;
    for (size_t i = 0; i < SHAPES; i++) {
        struct both f;
        struct srq_error err = { 0 };
        struct srq_tensor x;
        struct srq_tape *t;
        struct srq_var *y;
        uint16_t *half;
        float *want;
        int64_t n;

        make(&f, &shapes[i], 8);
        half = malloc((size_t)(f.rows * f.s.channels) * sizeof(*half));
        for (int64_t k = 0; k < f.rows * f.s.channels; k++) {
            half[k] = srq_f32_to_bf16(f.x[k]);
            f.x[k] = srq_bf16_to_f32(half[k]);
        }
        want = run(&f, true, &n);
        x = srq_tensor_2d(half, SRQ_BF16, f.rows, f.s.channels);
        assert_ok(srq_tape_create(ARENA, SRQ_BF16, false, &t, &err), &err);
        srq_tape_record(t, false);
        y = build(t, &f, &x);
        assert_ok(srq_tape_error(t, &err), &err);
        for (int64_t k = 0; k < n; k++)
            assert_int_equal(((const uint16_t *)y->value.data)[k], srq_f32_to_bf16(want[k]));
        srq_tape_free(t);
        free(half);
        free(want);
        unmake(&f);
    }
}

/* What a measuring tape says is what the layer takes: codes beside its output. */
static void a_measuring_tape_knows_the_memory(void **state)
{
    (void)state;
    for (size_t i = 0; i < SHAPES; i++) {
        struct both f;
        struct srq_error err = { 0 };
        struct srq_tape *t;
        struct srq_tensor x;
        size_t peak[2];

        make(&f, &shapes[i], 8);
        f.l.integer = f.codes;
        for (int measure = 1; measure >= 0; measure--) {
            x = srq_tensor_2d(measure ? NULL : f.x, SRQ_F32, f.rows, f.s.channels);
            assert_ok(srq_tape_create(measure ? 0 : peak[1], SRQ_F32, measure, &t, &err), &err);
            srq_tape_record(t, false);
            build(t, &f, &x);
            assert_ok(srq_tape_error(t, &err), &err);
            peak[measure] = srq_tape_peak(t);
            srq_tape_free(t);
        }
        assert_int_equal(peak[0], peak[1]);
        unmake(&f);
    }
}

/* ---- refusals ---- */

static void see(void *ctx, const struct srq_linear *l, const struct srq_tensor *x)
{
    (void)ctx, (void)l, (void)x;
}

static void refused(struct both *f, bool record, int code, const char *part)
{
    struct srq_tensor x = srq_tensor_2d(f->x, SRQ_F32, f->rows, f->s.channels);
    struct srq_error err = { 0 };
    struct srq_tape *t;

    f->l.integer = f->codes;
    assert_ok(srq_tape_create(ARENA, SRQ_F32, false, &t, &err), &err);
    srq_tape_record(t, record);
    assert_null(build(t, f, &x));
    assert_refused(srq_tape_error(t, &err), code, &err, part);
    srq_tape_free(t);
}

static void what_integers_cannot_do_is_refused(void **state)
{
    static const struct shape kinds[] = { { 2, 7, 5, 3, 4, 3, 1, 1, 1 }, { 9, 0, 0, 6, 4, 0, 0, 0, 0 } };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct both f;

        make(&f, &kinds[i], 8);
        refused(&f, true, -SRQ_EUNSUPPORTED, "layer layer computes on integers, which give no gradients");
        f.l.tap = see;
        refused(&f, false, -SRQ_EUNSUPPORTED, "nobody can see");
        f.l.tap = NULL;
        f.input.high = 256;
        refused(&f, false, -SRQ_EINVAL, "at most 256 codes");
        f.input.high = 255;
        f.input.zero = 300;
        refused(&f, false, -SRQ_EINVAL, "at most 256 codes");
        f.input.zero = 0.5f;
        refused(&f, false, -SRQ_EINVAL, "no grid");
        f.l.input = NULL;
        refused(&f, false, -SRQ_EINVAL, "at most 256 codes");
        unmake(&f);
    }
}

static void codes_of_another_shape_are_refused(void **state)
{
    static const struct shape kernel_3 = { 2, 7, 5, 1, 4, 3, 1, 1, 1 }, linear = { 2, 0, 0, 9, 4, 0, 0, 0, 0 };
    struct both conv, dense;
    struct srq_int8_weight *codes;

    (void)state;
    make(&conv, &kernel_3, 8);
    make(&dense, &linear, 8);
    codes = conv.codes; /* [4, 9] both, but patches are no rows */
    conv.codes = dense.codes;
    dense.codes = codes;
    refused(&conv, false, -SRQ_EINVAL, "with a kernel of 3 has codes [4, 9] with one of 1");
    refused(&dense, false, -SRQ_EINVAL, "with a kernel of 1 has codes [4, 9] with one of 3");
    unmake(&conv);
    unmake(&dense);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layers_of_8_bits_agree_with_the_simulation),
        cmocka_unit_test(layers_of_4_bits_agree_with_the_simulation),
        cmocka_unit_test(grids_that_do_not_begin_at_0_agree),
        cmocka_unit_test(every_backend_agrees_with_the_simulation),
        cmocka_unit_test(an_output_is_rounded_as_the_operation_does_it),
        cmocka_unit_test(owners_of_grids_are_asked),
        cmocka_unit_test(any_number_of_threads_gives_the_same_bytes),
        cmocka_unit_test(bf16_tapes_give_the_rounded_result),
        cmocka_unit_test(a_measuring_tape_knows_the_memory),
        cmocka_unit_test(what_integers_cannot_do_is_refused),
        cmocka_unit_test(codes_of_another_shape_are_refused),
    };

    return cmocka_run_group_tests_name("integer layers", tests, math_start, math_stop);
}
