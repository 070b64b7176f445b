/* Tests of the tape's operations of transformers that are told a text: attention over the keys of another sequence,
 * gated GELU, layer norm. Values against formulas in double, gradients against central differences of those. */
#include "tests/unit/test.h"

#include "tests/unit/math_start.h"

#include "core/base/alloc.h"
#include "core/base/rng.h"
#include "core/tape/ops.h"

#include <math.h>

#define ARENA ((size_t)64 << 20)
#define INPUTS 3

/* An operation on up to three matrices, and the same in double. */
struct op {
    int64_t p[6];
    void (*shape)(const int64_t *p, int64_t dims[INPUTS][2]); /* rows 0: there is none */
    struct srq_var *(*run)(struct srq_tape *t, const int64_t *p, struct srq_var **in, struct srq_vector *vectors);
    void (*exact)(const int64_t *p, double *const *in, double *y);
    int vectors; /* the last inputs are vectors beside weights */
};

static void heard(void *ctx, const float *grad)
{
    struct srq_tensor *to = ctx;

    memcpy(to->data, grad, (size_t)srq_tensor_count(to) * sizeof(float));
}

/* ---- attention: batch, seq, keys, heads, head_dim ---- */

static void attention_shape(const int64_t *p, int64_t dims[INPUTS][2])
{
    for (int i = 0; i < 3; i++) {
        dims[i][0] = p[0] * (i == 0 ? p[1] : p[2]);
        dims[i][1] = p[3] * p[4];
    }
}

static struct srq_var *attention_run(struct srq_tape *t, const int64_t *p, struct srq_var **in,
                                     struct srq_vector *vectors)
{
    const struct srq_attention a = { p[0],         p[1],        p[3],
                                     p[3],         p[4],        .scale = (float)(1 / sqrt((double)p[4])),
                                     .full = true, .keys = p[2] };

    (void)vectors;
    return srq_op_attention(t, in[0], in[1], in[2], &a);
}

/* One query of one head. */
static void attend(const int64_t *p, const double *q, const double *k, const double *v, double *y)
{
    int64_t ld = p[3] * p[4];
    double weight[512], sum = 0;

    for (int64_t j = 0; j < p[2]; j++) {
        double dot = 0;

        for (int64_t d = 0; d < p[4]; d++)
            dot += q[d] * k[j * ld + d];
        sum += weight[j] = exp(dot / sqrt((double)p[4]));
    }
    for (int64_t d = 0; d < p[4]; d++) {
        y[d] = 0;
        for (int64_t j = 0; j < p[2]; j++)
            y[d] += weight[j] / sum * v[j * ld + d];
    }
}

static void attention_exact(const int64_t *p, double *const *in, double *y)
{
    int64_t ld = p[3] * p[4];

    for (int64_t row = 0; row < p[0] * p[1]; row++) {
        for (int64_t h = 0; h < p[3]; h++) {
            int64_t at = row * ld + h * p[4], keys = row / p[1] * p[2] * ld + h * p[4];

            attend(p, in[0] + at, in[1] + keys, in[2] + keys, y + at);
        }
    }
}

/* ---- gated GELU: rows, n ---- */

static void geglu_shape(const int64_t *p, int64_t dims[INPUTS][2])
{
    dims[0][0] = p[0];
    dims[0][1] = 2 * p[1];
}

static struct srq_var *geglu_run(struct srq_tape *t, const int64_t *p, struct srq_var **in, struct srq_vector *vectors)
{
    (void)p, (void)vectors;
    return srq_op_geglu(t, in[0]);
}

static void geglu_exact(const int64_t *p, double *const *in, double *y)
{
    for (int64_t row = 0; row < p[0]; row++) {
        for (int64_t i = 0; i < p[1]; i++) {
            double gate = in[0][(2 * row + 1) * p[1] + i];

            y[row * p[1] + i] = in[0][2 * row * p[1] + i] * gate * 0.5 * erfc(-gate / sqrt(2));
        }
    }
}

/* ---- layer norm: rows, n ---- */

static void norm_shape(const int64_t *p, int64_t dims[INPUTS][2])
{
    dims[0][0] = p[0];
    dims[0][1] = dims[1][1] = dims[2][1] = p[1];
    dims[1][0] = dims[2][0] = 1;
}

static struct srq_var *norm_run(struct srq_tape *t, const int64_t *p, struct srq_var **in, struct srq_vector *vectors)
{
    (void)p;
    return srq_op_layer_norm(t, in[0], &vectors[0], &vectors[1], 1e-5f);
}

static void norm_exact(const int64_t *p, double *const *in, double *y)
{
    for (int64_t row = 0; row < p[0]; row++) {
        const double *x = in[0] + row * p[1];
        double mean = 0, square = 0;

        for (int64_t i = 0; i < p[1]; i++)
            mean += x[i] / (double)p[1];
        for (int64_t i = 0; i < p[1]; i++)
            square += (x[i] - mean) * (x[i] - mean) / (double)p[1];
        for (int64_t i = 0; i < p[1]; i++)
            y[row * p[1] + i] = in[1][i] * (x[i] - mean) / sqrt(square + 1e-5) + in[2][i];
    }
}

/* ---- one comparison ---- */

struct bed {
    struct op *op;
    int64_t dims[INPUTS][2];
    double *in[INPUTS]; /* exactly what the tape gets */
    struct srq_tensor value[INPUTS], grad[INPUTS];
    struct srq_vector vectors[2];
    double *y;
    struct srq_tensor slope; /* dL/dy, of the tape's type */
};

static struct srq_tensor random_matrix(enum srq_dtype dtype, int64_t rows, int64_t cols, uint64_t stream,
                                       double **exact)
{
    struct srq_tensor t = srq_tensor_2d(srq_calloc((size_t)(rows * cols), 4), dtype, rows, cols);

    *exact = srq_calloc((size_t)(rows * cols), sizeof(**exact));
    for (int64_t i = 0; i < rows * cols; i++) {
        float v = (float)(4 * srq_rng_uniform(5, stream, (uint64_t)i) - 2), back;

        (void)srq_convert(&v, SRQ_F32, (char *)t.data + (size_t)i * srq_dtype_size(dtype), dtype, 1);
        (void)srq_convert((char *)t.data + (size_t)i * srq_dtype_size(dtype), dtype, &back, SRQ_F32, 1);
        (*exact)[i] = (double)back;
    }
    return t;
}

/* The loss, sum y slope, of the inputs as they are. */
static double loss(struct bed *b, const double *slope)
{
    double sum = 0;

    b->op->exact(b->op->p, b->in, b->y);
    for (int64_t i = 0; i < srq_tensor_count(&b->slope); i++)
        sum += b->y[i] * slope[i];
    return sum;
}

static double at(const struct srq_tensor *t, int64_t i)
{
    float v;

    (void)srq_convert((const char *)t->data + (size_t)i * srq_dtype_size(t->dtype), t->dtype, &v, SRQ_F32, 1);
    return (double)v;
}

static void compare_gradient(struct bed *b, int k, const double *slope, double within)
{
    int64_t n = b->dims[k][0] * b->dims[k][1], step = n > 200 ? n / 97 : 1;

    for (int64_t i = 0; i < n; i += step) {
        double keep = b->in[k][i], up, down;

        b->in[k][i] = keep + 1e-4;
        up = loss(b, slope);
        b->in[k][i] = keep - 1e-4;
        down = loss(b, slope);
        b->in[k][i] = keep;
        assert_float_equal(at(&b->grad[k], i), (up - down) / 2e-4, within * (1 + fabs(up - down) / 2e-4));
    }
}

static void compare(struct op op, enum srq_dtype dtype, double within)
{
    struct bed b = { .op = &op };
    struct srq_var *in[INPUTS] = { NULL }, *y;
    struct srq_error err = { 0 };
    struct srq_tape *t = NULL;
    double *slope;
    int count = 0;

    op.shape(op.p, b.dims);
    assert_ok(srq_tape_create(ARENA, dtype, false, &t, &err), &err);
    for (; count < INPUTS && b.dims[count][0] > 0; count++) {
        bool vector = op.vectors > 0 && count > 0;
        int64_t rows = b.dims[count][0], cols = b.dims[count][1];

        b.value[count] = random_matrix(vector ? SRQ_F32 : dtype, rows, cols, (uint64_t)count, &b.in[count]);
        b.grad[count] = srq_tensor_2d(srq_calloc((size_t)(rows * cols), 4), SRQ_F32, rows, cols);
        if (vector)
            b.vectors[count - 1] = (struct srq_vector){ "vector", cols, b.value[count].data, heard, &b.grad[count] };
        else
            in[count] = srq_tape_input(t, &b.value[count], true);
    }
    y = op.run(t, op.p, in, b.vectors);
    assert_ok(srq_tape_error(t, &err), &err);
    b.slope = random_matrix(dtype, y->value.shape[0], y->value.shape[1], 9, &slope);
    b.y = srq_calloc((size_t)srq_tensor_count(&y->value), sizeof(*b.y));
    (void)loss(&b, slope);
    for (int64_t i = 0; i < srq_tensor_count(&y->value); i++)
        assert_float_equal(at(&y->value, i), b.y[i], within * (1 + fabs(b.y[i])));
    assert_ok(srq_tape_backward(t, srq_op_dot(t, y, &b.slope), &err), &err);
    for (int k = 0; k < count; k++) {
        void *own = b.grad[k].data;

        if (in[k] != NULL)
            b.grad[k] = in[k]->grad;
        compare_gradient(&b, k, slope, 4 * within);
        srq_free(own);
    }
    for (int k = 0; k < count; k++) {
        srq_free(b.value[k].data);
        srq_free(b.in[k]);
    }
    srq_free(b.slope.data);
    srq_free(b.y);
    srq_free(slope);
    srq_tape_free(t);
}

static void both(struct op op)
{
    compare(op, SRQ_F32, 3e-5);
    compare(op, SRQ_BF16, 2e-2);
}

static void attention_over_another_sequence(void **state)
{
    static const int64_t cases[][6] = {
        { 2, 5, 77, 2, 3 }, { 1, 130, 7, 1, 40 }, { 2, 3, 300, 1, 8 }, { 1, 1, 1, 1, 1 }, { 2, 50, 50, 3, 4 }
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct op op = { .shape = attention_shape, .run = attention_run, .exact = attention_exact };

        memcpy(op.p, cases[i], sizeof(op.p));
        both(op);
    }
}

static void gated_gelu(void **state)
{
    (void)state;
    both((struct op){ { 3, 5 }, geglu_shape, geglu_run, geglu_exact, 0 });
    both((struct op){ { 70, 300 }, geglu_shape, geglu_run, geglu_exact, 0 });
    both((struct op){ { 1, 1 }, geglu_shape, geglu_run, geglu_exact, 0 });
}

static void layer_norm(void **state)
{
    (void)state;
    both((struct op){ { 3, 5 }, norm_shape, norm_run, norm_exact, 2 });
    both((struct op){ { 40, 70 }, norm_shape, norm_run, norm_exact, 2 });
}

static void shapes_that_do_not_fit_are_refused(void **state)
{
    float x[12] = { 0 };
    struct srq_tensor four = srq_tensor_2d(x, SRQ_F32, 4, 2), three = srq_tensor_2d(x, SRQ_F32, 4, 3);
    struct srq_attention a = { 1, 4, 1, 1, 2, .scale = 1, .full = true, .keys = 3 };
    struct srq_error err = { 0 };
    struct srq_tape *t = NULL;
    struct srq_var *v;

    (void)state;
    for (int i = 0; i < 2; i++) {
        a.full = i == 0;
        a.keys = i == 0 ? 3 : 4;
        assert_ok(srq_tape_create(ARENA, SRQ_F32, false, &t, &err), &err);
        v = srq_tape_input(t, &four, true);
        assert_null(srq_op_attention(t, v, v, v, &a));
        assert_refused(srq_tape_error(t, &err), -SRQ_EINVAL, &err, "attention of 1 x 4 tokens");
        srq_tape_free(t);
    }
    assert_ok(srq_tape_create(ARENA, SRQ_F32, false, &t, &err), &err);
    assert_null(srq_op_geglu(t, srq_tape_input(t, &three, true)));
    assert_refused(srq_tape_error(t, &err), -SRQ_EINVAL, &err, "3 columns");
    srq_tape_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attention_over_another_sequence),
        cmocka_unit_test(gated_gelu),
        cmocka_unit_test(layer_norm),
        cmocka_unit_test(shapes_that_do_not_fit_are_refused),
    };

    return cmocka_run_group_tests(tests, math_start, math_stop);
}
