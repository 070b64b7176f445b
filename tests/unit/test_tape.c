/* Tests of the tape: every operation against a plain implementation in double, its gradients against central
 * differences of that implementation, and what the tape promises about memory and repetition. */
#include "test.h"

#include "core/base/rng.h"
#include "core/flow/round_inputs.h"
#include "core/math/gemm.h"
#include "core/math/team.h"
#include "core/tape/ops.h"

#include <math.h>

#define ARENA ((size_t)64 << 20)

/* ---- graphs under test ---- */

#define MAX_INPUTS 3
#define EPS 1e-5f

/* One graph: inputs of a shape, how the tape computes it, how double does. `p` are the numbers of the case. */
struct graph {
    const char *name;
    int inputs;
    void (*shape)(const int64_t *p, int64_t rows[], int64_t cols[], int64_t *out_rows, int64_t *out_cols);
    struct srq_var *(*build)(struct srq_tape *t, const int64_t *p, struct srq_var **in);
    void (*plain)(const int64_t *p, double *const *in, double *out);
};

static float weights[4096], cosines[4096], sines[4096];
static const struct srq_vector gain = { "gain", 4096, weights, NULL, NULL };

static void make_tables(void)
{
    for (int i = 0; i < 4096; i++) {
        weights[i] = (float)(0.5 + srq_rng_uniform(3, 1, (uint64_t)i));
        cosines[i] = (float)cos(0.1 * i);
        sines[i] = (float)sin(0.1 * i);
    }
}

static void same_shape(const int64_t *p, int64_t rows[], int64_t cols[], int64_t *out_rows, int64_t *out_cols)
{
    for (int i = 0; i < MAX_INPUTS; i++) {
        rows[i] = p[0];
        cols[i] = p[1];
    }
    *out_rows = p[0];
    *out_cols = p[1];
}

/* p: rows, cols, head_dim */
static struct srq_var *build_norm(struct srq_tape *t, const int64_t *p, struct srq_var **in)
{
    return p[2] == p[1] ? srq_op_rmsnorm(t, in[0], &gain, EPS) : srq_op_head_rmsnorm(t, in[0], p[2], &gain, EPS);
}

static void plain_norm(const int64_t *p, double *const *in, double *out)
{
    for (int64_t r = 0; r < p[0] * p[1] / p[2]; r++) {
        const double *x = in[0] + r * p[2];
        double squares = 0, scale;

        for (int64_t i = 0; i < p[2]; i++)
            squares += x[i] * x[i];
        scale = 1 / sqrt(squares / (double)p[2] + (double)EPS);
        for (int64_t i = 0; i < p[2]; i++)
            out[r * p[2] + i] = weights[i] * x[i] * scale;
    }
}

/* p: rows, cols, seq, head_dim, rot */
static struct srq_var *build_rope(struct srq_tape *t, const int64_t *p, struct srq_var **in)
{
    return srq_op_rope(t, in[0], p[2], p[3], p[4], cosines, sines);
}

static void plain_rope(const int64_t *p, double *const *in, double *out)
{
    int64_t half = p[4] / 2;

    memcpy(out, in[0], (size_t)(p[0] * p[1]) * sizeof(double));
    for (int64_t r = 0; r < p[0]; r++) {
        for (int64_t h = 0; h < p[1] / p[3]; h++) {
            const double *x = in[0] + r * p[1] + h * p[3];
            double *y = out + r * p[1] + h * p[3];

            for (int64_t i = 0; i < half; i++) {
                double c = cosines[r % p[2] * half + i], s = sines[r % p[2] * half + i];

                y[i] = x[i] * c - x[i + half] * s;
                y[i + half] = x[i + half] * c + x[i] * s;
            }
        }
    }
}

static struct srq_var *build_swiglu(struct srq_tape *t, const int64_t *p, struct srq_var **in)
{
    (void)p;
    return srq_op_swiglu(t, in[0], in[1]);
}

static void plain_swiglu(const int64_t *p, double *const *in, double *out)
{
    for (int64_t i = 0; i < p[0] * p[1]; i++)
        out[i] = in[0][i] / (1 + exp(-in[0][i])) * in[1][i];
}

static struct srq_var *build_geglu(struct srq_tape *t, const int64_t *p, struct srq_var **in)
{
    (void)p;
    return srq_op_geglu_tanh(t, in[0], in[1]);
}

static void plain_geglu(const int64_t *p, double *const *in, double *out)
{
    for (int64_t i = 0; i < p[0] * p[1]; i++) {
        double g = in[0][i];

        out[i] = 0.5 * g * (1 + tanh(sqrt(2 / 3.14159265358979324) * (g + 0.044715 * g * g * g))) * in[1][i];
    }
}

static struct srq_var *build_add(struct srq_tape *t, const int64_t *p, struct srq_var **in)
{
    (void)p;
    return srq_op_add(t, in[0], in[1]);
}

static void plain_add(const int64_t *p, double *const *in, double *out)
{
    for (int64_t i = 0; i < p[0] * p[1]; i++)
        out[i] = in[0][i] + in[1][i];
}

/* A value with several users, and twice in one operation: x + norm(x) + swiglu(x, x). */
static struct srq_var *build_shared(struct srq_tape *t, const int64_t *p, struct srq_var **in)
{
    struct srq_var *x = srq_op_add(t, in[0], in[1]), *n = srq_op_rmsnorm(t, x, &gain, EPS);

    (void)p;
    return srq_op_add(t, srq_op_add(t, x, n), srq_op_add(t, srq_op_swiglu(t, x, x), srq_op_add(t, n, n)));
}

static void plain_shared(const int64_t *p, double *const *in, double *out)
{
    int64_t n = p[0] * p[1], q[3] = { p[0], p[1], p[1] };
    double *x = malloc((size_t)n * sizeof(double)), *y = malloc((size_t)n * sizeof(double));

    for (int64_t i = 0; i < n; i++)
        x[i] = in[0][i] + in[1][i];
    plain_norm(q, &x, y);
    for (int64_t i = 0; i < n; i++)
        out[i] = x[i] + 3 * y[i] + x[i] / (1 + exp(-x[i])) * x[i];
    free(x);
    free(y);
}

/* p: batch, seq, heads, kv_heads, head_dim, window, full */
static void attention_shape(const int64_t *p, int64_t rows[], int64_t cols[], int64_t *out_rows, int64_t *out_cols)
{
    for (int i = 0; i < 3; i++) {
        rows[i] = p[0] * p[1];
        cols[i] = (i == 0 ? p[2] : p[3]) * p[4];
    }
    *out_rows = rows[0];
    *out_cols = cols[0];
}

static struct srq_var *build_attention(struct srq_tape *t, const int64_t *p, struct srq_var **in)
{
    struct srq_attention a = { p[0], p[1], p[2], p[3], p[4], p[5], 0.7f, .full = p[6] };

    return srq_op_attention(t, in[0], in[1], in[2], &a);
}

REFERENCE_LOOP static void plain_head(const int64_t *p, double *const *in, double *out, int64_t b, int64_t h)
{
    int64_t hd = p[4], kv = h / (p[2] / p[3]);
    double *w = malloc((size_t)p[1] * sizeof(double));

    for (int64_t i = 0; i < p[1]; i++) {
        const double *q = in[0] + ((b * p[1] + i) * p[2] + h) * hd;
        int64_t from = p[5] > 0 && i >= p[5] ? i - p[5] + 1 : 0;
        int64_t to = p[6] ? p[1] : i + 1;
        double most = -INFINITY, sum = 0;

        for (int64_t k = from; k < to; k++) {
            const double *key = in[1] + ((b * p[1] + k) * p[3] + kv) * hd;

            w[k] = 0;
            for (int64_t d = 0; d < hd; d++)
                w[k] += q[d] * key[d];
            w[k] *= (double)0.7f;
            most = w[k] > most ? w[k] : most;
        }
        for (int64_t k = from; k < to; k++)
            sum += w[k] = exp(w[k] - most);
        for (int64_t d = 0; d < hd; d++) {
            double y = 0;

            for (int64_t k = from; k < to; k++)
                y += w[k] / sum * in[2][((b * p[1] + k) * p[3] + kv) * hd + d];
            out[((b * p[1] + i) * p[2] + h) * hd + d] = y;
        }
    }
    free(w);
}

static void plain_attention(const int64_t *p, double *const *in, double *out)
{
    for (int64_t b = 0; b < p[0]; b++)
        for (int64_t h = 0; h < p[2]; h++)
            plain_head(p, in, out, b, h);
}

/* p: rows, in, out, bias; the weight is the second input of `plain`, and reaches the tape through a layer. */
static struct srq_linear layer;
static float *layer_grad;

static void collect(void *ctx, int64_t row, int64_t rows, float *grad)
{
    (void)ctx;
    memcpy(layer_grad + row * layer.in, grad, (size_t)(rows * layer.in) * sizeof(float));
}

static void linear_shape(const int64_t *p, int64_t rows[], int64_t cols[], int64_t *out_rows, int64_t *out_cols)
{
    rows[0] = p[0];
    rows[1] = p[2];
    cols[0] = cols[1] = p[1];
    *out_rows = p[0];
    *out_cols = p[2];
}

static struct srq_var *build_linear(struct srq_tape *t, const int64_t *p, struct srq_var **in)
{
    layer = (struct srq_linear){ .name = "test", .out = p[2], .in = p[1], .weight = in[1]->value, .sink = collect };
    layer.bias = p[3] ? &gain : NULL;
    return srq_op_linear(t, in[0], &layer);
}

REFERENCE_LOOP static void plain_linear(const int64_t *p, double *const *in, double *out)
{
    for (int64_t r = 0; r < p[0]; r++) {
        for (int64_t o = 0; o < p[2]; o++) {
            double y = p[3] ? weights[o] : 0;

            for (int64_t i = 0; i < p[1]; i++)
                y += in[0][r * p[1] + i] * in[1][o * p[1] + i];
            out[r * p[2] + o] = y;
        }
    }
}

static const struct graph norm = { "rmsnorm", 1, same_shape, build_norm, plain_norm };
static const struct graph rope = { "rope", 1, same_shape, build_rope, plain_rope };
static const struct graph swiglu = { "swiglu", 2, same_shape, build_swiglu, plain_swiglu };
static const struct graph geglu = { "geglu", 2, same_shape, build_geglu, plain_geglu };
static const struct graph add = { "add", 2, same_shape, build_add, plain_add };
static const struct graph shared = { "shared", 2, same_shape, build_shared, plain_shared };
static const struct graph attention = { "attention", 3, attention_shape, build_attention, plain_attention };
static const struct graph linear = { "linear", 2, linear_shape, build_linear, plain_linear };

/* ---- a layer whose input is rounded on the way ---- */

enum { FED_ROWS = 21, FED_IN = 64, FED_OUT = 32 };

/* x by spec signround 2.1 with one group a token: the larger end on the lowest code, the scale one of half
 * precision. */
static void round_token(const float *x, int bits, float *to)
{
    float low = 0, high = 0, s, half = (float)(1 << (bits - 1));

    for (int i = 0; i < FED_IN; i++) {
        low = fmaxf(low, -x[i]);
        high = fmaxf(high, x[i]);
    }
    s = srq_round_f16((high < low ? low : -high) / half);
    s = s < 0 ? fminf(s, -srq_round_f16(1e-5f)) : fmaxf(s, srq_round_f16(1e-5f));
    for (int i = 0; i < FED_IN; i++)
        to[i] = s * fminf(fmaxf(rintf(x[i] / s), -half), half - 1);
}

/* One pass of a linear layer and of the sum of squares behind it: its output, dL/dx and dL/dW. */
static void run_layer(const float *x, const struct srq_scheme *s, const float *w, float *y, float *dx, float *dw)
{
    const struct srq_tensor in = srq_tensor_2d((void *)(uintptr_t)x, SRQ_F32, FED_ROWS, FED_IN);
    float *zero = calloc(FED_ROWS * FED_OUT, sizeof(*zero));
    const struct srq_tensor target = srq_tensor_2d(zero, SRQ_F32, FED_ROWS, FED_OUT);
    struct srq_error err = { 0 };
    struct srq_var *a, *out;
    struct srq_tape *t;

    layer_grad = dw;
    layer = (struct srq_linear){ .name = "fed",
                                 .out = FED_OUT,
                                 .in = FED_IN,
                                 .weight = srq_tensor_2d((void *)(uintptr_t)w, SRQ_F32, FED_OUT, FED_IN),
                                 .sink = collect };
    srq_round_inputs(&layer, s);
    assert_ok(srq_tape_create(ARENA, SRQ_F32, false, &t, &err), &err);
    a = srq_tape_input(t, &in, true);
    out = srq_op_linear(t, a, &layer);
    memcpy(y, out->value.data, FED_ROWS * FED_OUT * sizeof(*y));
    assert_ok(srq_tape_backward(t, srq_op_mse(t, out, &target, NULL), &err), &err);
    memcpy(dx, a->grad.data, FED_ROWS * FED_IN * sizeof(*dx));
    srq_tape_free(t);
    free(zero);
}

/* What comes out, and every gradient, is what it is where the rounded input is the input: rounding has slope 1. */
static void a_rounded_input_is_passed_straight_through(void **state)
{
    static const char *const schemes[] = { "w8a8", "w4g32a4", "w8a2" };
    float x[FED_ROWS * FED_IN], rounded[FED_ROWS * FED_IN], w[FED_OUT * FED_IN];
    float y[2][FED_ROWS * FED_OUT], dx[2][FED_ROWS * FED_IN], dw[2][FED_OUT * FED_IN];
    const struct srq_scheme plain = srq_scheme_none();
    struct srq_error err = { 0 };

    (void)state;
    for (int i = 0; i < FED_OUT * FED_IN; i++)
        w[i] = (float)(srq_rng_uniform(5, 1, (uint64_t)i) - 0.5);
    for (size_t k = 0; k < sizeof(schemes) / sizeof(schemes[0]); k++) {
        struct srq_scheme s;

        assert_ok(srq_scheme_parse(schemes[k], &s, &err), &err);
        for (int r = 0; r < FED_ROWS; r++) { /* a token of zeros, tiny ones, large ones */
            for (int i = 0; i < FED_IN; i++)
                x[r * FED_IN + i] =
                    (float)((srq_rng_uniform(6, k, (uint64_t)(r * FED_IN + i)) - 0.4) * (r == 0 ? 0 : exp2(r - 12)));
            round_token(x + r * FED_IN, s.act_bits, rounded + r * FED_IN);
        }
        run_layer(x, &s, w, y[0], dx[0], dw[0]);
        run_layer(rounded, &plain, w, y[1], dx[1], dw[1]);
        assert_memory_equal(y[0], y[1], sizeof(y[0]));
        assert_memory_equal(dx[0], dx[1], sizeof(dx[0]));
        assert_memory_equal(dw[0], dw[1], sizeof(dw[0]));
    }
}

/* ---- the comparison ---- */

struct fixture {
    const struct graph *g;
    const int64_t *p;
    enum srq_dtype dtype;
    int64_t count[MAX_INPUTS], out_count;
    double *in[MAX_INPUTS], *out, *target;
    struct srq_tensor value[MAX_INPUTS], goal;
    uint8_t *mask; /* [out_rows] */
    int64_t out_cols, valid;
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

static void fixture_make(struct fixture *f, const struct graph *g, const int64_t *p, enum srq_dtype dtype)
{
    int64_t rows[MAX_INPUTS], cols[MAX_INPUTS], out_rows;

    memset(f, 0, sizeof(*f));
    f->g = g;
    f->p = p;
    f->dtype = dtype;
    g->shape(p, rows, cols, &out_rows, &f->out_cols);
    for (int k = 0; k < g->inputs; k++) {
        f->count[k] = rows[k] * cols[k];
        f->in[k] = calloc((size_t)f->count[k], sizeof(double));
        f->value[k] = srq_tensor_2d(malloc((size_t)f->count[k] * 4), dtype, rows[k], cols[k]);
        for (int64_t i = 0; i < f->count[k]; i++) {
            store(&f->value[k], i, 4 * srq_rng_uniform(9, (uint64_t)k, (uint64_t)i) - 2);
            f->in[k][i] = load(&f->value[k], i);
        }
    }
    f->out_count = out_rows * f->out_cols;
    f->out = calloc((size_t)f->out_count, sizeof(double));
    f->target = calloc((size_t)f->out_count, sizeof(double));
    f->goal = srq_tensor_2d(malloc((size_t)f->out_count * 4), dtype, out_rows, f->out_cols);
    f->mask = calloc((size_t)out_rows, 1);
    for (int64_t r = 0; r < out_rows; r++) {
        f->mask[r] = r % 5 != 3;
        f->valid += f->mask[r] ? f->out_cols : 0;
    }
    for (int64_t i = 0; i < f->out_count; i++) {
        store(&f->goal, i, 6 * srq_rng_uniform(9, 7, (uint64_t)i) - 3);
        f->target[i] = load(&f->goal, i);
    }
}

static void fixture_free(struct fixture *f)
{
    for (int k = 0; k < f->g->inputs; k++) {
        free(f->in[k]);
        free(f->value[k].data);
    }
    free(f->out);
    free(f->target);
    free(f->goal.data);
    free(f->mask);
}

static double plain_loss(struct fixture *f)
{
    double loss = 0;

    f->g->plain(f->p, f->in, f->out);
    for (int64_t i = 0; i < f->out_count; i++)
        if (f->mask[i / f->out_cols])
            loss += (f->out[i] - f->target[i]) * (f->out[i] - f->target[i]);
    return loss / (double)f->valid;
}

/* Elements between those of an input that are looked at: at most about 80, spread over all of it; fewer where each
 * difference takes two attentions in double that are long, as in a build with sanitizers they take the time of all
 * else. */
static int64_t step_of(const struct fixture *f, int k)
{
    int64_t looked_at = f->g != &attention || f->p[1] <= 100 ? 80 : f->p[1] <= 250 ? 41 : 13;

    return f->count[k] / looked_at + 1;
}

/* Central differences of one input of one case, which every backend is held against: kept for the next one. */
struct differences {
    const struct graph *g;
    int64_t p[7];
    enum srq_dtype dtype;
    int k;
    double *of; /* [count], those that are looked at */
    struct differences *next;
};

static const double *differences(struct fixture *f, int k)
{
    static struct differences *all;
    struct differences *d = all;
    const double h = 1e-5;

    while (d != NULL && (d->g != f->g || d->dtype != f->dtype || d->k != k || memcmp(d->p, f->p, sizeof(d->p)) != 0))
        d = d->next;
    if (d != NULL)
        return d->of;
    d = malloc(sizeof(*d));
    assert_non_null(d);
    *d = (struct differences){ .g = f->g, .dtype = f->dtype, .k = k, .next = all };
    memcpy(d->p, f->p, sizeof(d->p));
    d->of = calloc((size_t)f->count[k], sizeof(double));
    assert_non_null(d->of);
    for (int64_t i = 0; i < f->count[k]; i += step_of(f, k)) {
        double at = f->in[k][i], up, down;

        f->in[k][i] = at + h;
        up = plain_loss(f);
        f->in[k][i] = at - h;
        down = plain_loss(f);
        f->in[k][i] = at;
        d->of[i] = (up - down) / (2 * h);
    }
    all = d;
    return d->of;
}

static void check_gradient(struct fixture *f, int k, const double *got)
{
    const double *want = differences(f, k);
    double size = 0, tolerance;
    int64_t step = step_of(f, k);

    for (int64_t i = 0; i < f->count[k]; i += step)
        size = fabs(want[i]) > size ? fabs(want[i]) : size;
    /* Where terms cancel, the error goes with them, not with their sum: the gradient of the loss is up to 10/valid. */
    tolerance = f->dtype == SRQ_F32 ? 1e-5 * size + 1e-5 / (double)f->valid : 2.5e-2 * size + 1e-9;
    for (int64_t i = 0; i < f->count[k]; i += step)
        if (!(fabs(got[i] - want[i]) <= tolerance))
            fail_msg("%s %s, [%d,%d,%d,%d]: gradient of input %d at %d is %g, difference gives %g (size %g)",
                     f->g->name, srq_dtype_name(f->dtype), (int)f->p[0], (int)f->p[1], (int)f->p[2], (int)f->p[3], k,
                     (int)i, got[i], want[i], size);
}

static void check_forward(struct fixture *f, const struct srq_var *y, const struct srq_var *loss)
{
    double size = 0, want = plain_loss(f);

    assert_non_null(y);
    for (int64_t i = 0; i < f->out_count; i++)
        size = fabs(f->out[i]) > size ? fabs(f->out[i]) : size;
    for (int64_t i = 0; i < f->out_count; i++)
        if (!(fabs(load(&y->value, i) - f->out[i]) <= (f->dtype == SRQ_F32 ? 1e-5 : 1.3e-2) * size))
            fail_msg("%s %s: value %d is %g, not %g", f->g->name, srq_dtype_name(f->dtype), (int)i, load(&y->value, i),
                     f->out[i]);
    if (!(fabs(*(float *)loss->value.data - want) <= (f->dtype == SRQ_F32 ? 2e-6 : 2e-2) * want))
        fail_msg("%s: loss %g, not %g", f->g->name, (double)*(float *)loss->value.data, want);
}

static void check_graph(const struct graph *g, const int64_t *p, enum srq_dtype dtype)
{
    struct srq_var *in[MAX_INPUTS], *y, *loss;
    struct srq_error err = { 0 };
    struct srq_tape *t;
    struct fixture f;

    fixture_make(&f, g, p, dtype);
    assert_ok(srq_tape_create(ARENA, dtype, false, &t, &err), &err);
    for (int k = 0; k < g->inputs; k++)
        in[k] = srq_tape_input(t, &f.value[k], true);
    if (g == &linear)
        layer_grad = calloc((size_t)f.count[1], sizeof(float));
    y = g->build(t, p, in);
    loss = srq_op_mse(t, y, &f.goal, f.mask);
    assert_ok(srq_tape_error(t, &err), &err);
    check_forward(&f, y, loss);
    assert_ok(srq_tape_backward(t, loss, &err), &err);
    for (int k = 0; k < g->inputs; k++) {
        double *got = calloc((size_t)f.count[k], sizeof(double));

        for (int64_t i = 0; i < f.count[k]; i++)
            got[i] = g == &linear && k == 1 ? layer_grad[i] : load(&in[k]->grad, i);
        check_gradient(&f, k, got);
        free(got);
    }
    if (g == &linear)
        free(layer_grad);
    srq_tape_free(t);
    fixture_free(&f);
}

static void check_cases(const struct graph *g, const int64_t cases[][7], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        check_graph(g, cases[i], SRQ_F32);
        check_graph(g, cases[i], SRQ_BF16);
    }
}

#define CHECK(g, ...)                                               \
    do {                                                            \
        static const int64_t cases_[][7] = __VA_ARGS__;             \
        check_cases(g, cases_, sizeof(cases_) / sizeof(cases_[0])); \
    } while (0)

static void linear_agrees_with_double(void **state)
{
    (void)state;
    CHECK(&linear, { { 6, 5, 7, 0 }, { 33, 40, 3, 1 }, { 1, 1, 1, 1 }, { 17, 24, 300, 0 }, { 9, 4100, 130, 1 } });
}

static void rmsnorm_agrees_with_double(void **state)
{
    (void)state;
    CHECK(&norm, { { 6, 33, 33 }, { 1, 1, 1 }, { 13, 64, 64 }, { 5, 1000, 1000 } });
}

static void head_rmsnorm_agrees_with_double(void **state)
{
    (void)state;
    CHECK(&norm, { { 6, 33, 11 }, { 7, 64, 16 } });
}

static void rope_agrees_with_double(void **state)
{
    (void)state;
    CHECK(&rope, { { 6, 24, 3, 8, 8 }, { 10, 30, 5, 10, 4 }, { 8, 128, 8, 64, 64 }, { 2, 6, 1, 6, 0 } });
}

static void swiglu_agrees_with_double(void **state)
{
    (void)state;
    CHECK(&swiglu, { { 6, 33 }, { 1, 1 }, { 300, 70 } });
}

static void geglu_agrees_with_double(void **state)
{
    (void)state;
    CHECK(&geglu, { { 6, 33 }, { 1, 1 }, { 300, 70 } });
}

static void add_agrees_with_double(void **state)
{
    (void)state;
    CHECK(&add, { { 6, 33 }, { 1, 1 }, { 300, 70 } });
}

static void values_with_several_users_get_the_sum_of_gradients(void **state)
{
    (void)state;
    CHECK(&shared, { { 6, 33 }, { 11, 64 } });
}

static void attention_agrees_with_double(void **state)
{
    (void)state;
    CHECK(&attention, { { 2, 7, 2, 2, 5, 0 }, { 1, 1, 1, 1, 1, 0 }, { 1, 61, 1, 1, 16, 0 }, { 2, 50, 2, 1, 40, 0 } });
}

static void grouped_query_attention_agrees_with_double(void **state)
{
    (void)state;
    CHECK(&attention, { { 2, 9, 6, 2, 8, 0 }, { 1, 70, 3, 1, 33, 0 } });
}

static void windowed_attention_agrees_with_double(void **state)
{
    (void)state;
    CHECK(&attention, { { 2, 9, 2, 1, 4, 3 }, { 1, 130, 2, 1, 8, 20 }, { 1, 60, 1, 1, 6, 1 }, { 1, 20, 1, 1, 6, 64 } });
}

/* More keys than one tile holds: the running maximum and the sums go on from tile to tile. */
static void long_attention_agrees_with_double(void **state)
{
    (void)state;
    CHECK(&attention, { { 1, 300, 1, 1, 4, 0 }, { 1, 530, 2, 1, 3, 290 } });
}

static void full_attention_agrees_with_double(void **state)
{
    (void)state;
    CHECK(&attention, { { 2, 7, 2, 2, 5, 0, true },
                        { 1, 1, 1, 1, 1, 0, true },
                        { 2, 61, 2, 1, 40, 0, true },
                        { 1, 300, 1, 1, 7, 0, true },
                        { 1, 330, 1, 1, 3, 0, true } });
}

/* The same attention by every way that there is, and the products beside it: by panels in plain C with the largest
 * tiles that there are, by this processor's kernels, and without panels. */
static void by_backend(const char *backend)
{
    struct srq_error err;

    if (srq_gemm_start(backend, &err) != 0)
        return; /* not for this processor */
    linear_agrees_with_double(NULL);
    attention_agrees_with_double(NULL);
    grouped_query_attention_agrees_with_double(NULL);
    windowed_attention_agrees_with_double(NULL);
    long_attention_agrees_with_double(NULL);
    full_attention_agrees_with_double(NULL);
    CHECK(&attention, { { 1, 130, 4, 2, 64, 0 }, { 1, 300, 2, 1, 72, 100 }, { 2, 65, 2, 2, 32, 0, true } });
    srq_gemm_stop();
}

static void attention_by_every_backend_agrees_with_double(void **state)
{
    static const char *const backends[] = { "panels", "amx", "avx512_fp16", "avx512_bf16", "avx512", "avx2", "plain" };

    (void)state;
    for (size_t i = 0; i < sizeof(backends) / sizeof(backends[0]); i++)
        by_backend(backends[i]);
}

/* ---- a block, for the tests of memory ---- */

struct block {
    float *memory, *grad;
    struct srq_linear q, o, gate, up, down;
    struct srq_tensor input, target;
};

enum { TOKENS = 96, HIDDEN = 64, INNER = 160 };

static void forget(void *ctx, int64_t row, int64_t rows, float *grad)
{
    struct block *b = ctx;

    memcpy(b->grad + row * HIDDEN, grad, (size_t)(rows * HIDDEN) * sizeof(float));
}

static void nobody(void *ctx, int64_t row, int64_t rows, float *grad)
{
    (void)ctx, (void)row, (void)rows, (void)grad;
}

static struct srq_linear make_layer(struct block *b, const char *name, int64_t out, int64_t in, float *w, bool keep)
{
    struct srq_linear l = { .name = name, .out = out, .in = in, .sink = keep ? forget : nobody, .sink_ctx = b };

    l.weight = srq_tensor_2d(w, SRQ_F32, out, in);
    return l;
}

static void block_make(struct block *b)
{
    int64_t n = 4 * INNER * HIDDEN + 2 * TOKENS * HIDDEN;
    float *w;

    b->memory = w = malloc((size_t)n * sizeof(float));
    b->grad = calloc((size_t)INNER * HIDDEN, sizeof(float));
    for (int64_t i = 0; i < n; i++)
        w[i] = (float)(0.2 * srq_rng_uniform(2, 0, (uint64_t)i) - 0.1);
    b->q = make_layer(b, "q", HIDDEN, HIDDEN, w, true);
    b->o = make_layer(b, "o", HIDDEN, HIDDEN, w + INNER * HIDDEN, false);
    b->gate = make_layer(b, "gate", INNER, HIDDEN, w + INNER * HIDDEN, false);
    b->up = make_layer(b, "up", INNER, HIDDEN, w + 2 * INNER * HIDDEN, false);
    b->down = make_layer(b, "down", HIDDEN, INNER, w + 3 * INNER * HIDDEN, false);
    b->input = srq_tensor_2d(w + 4 * INNER * HIDDEN, SRQ_F32, TOKENS, HIDDEN);
    b->target = srq_tensor_2d(w + 4 * INNER * HIDDEN + TOKENS * HIDDEN, SRQ_F32, TOKENS, HIDDEN);
}

static void block_free(struct block *b)
{
    free(b->memory);
    free(b->grad);
}

static struct srq_var *block_loss(struct srq_tape *t, struct block *b)
{
    struct srq_attention a = { 2, TOKENS / 2, 4, 4, HIDDEN / 4, 0, .scale = 0.25f };
    struct srq_var *x = srq_tape_input(t, &b->input, false), *h = srq_op_rmsnorm(t, x, &gain, EPS);
    struct srq_var *q = srq_op_rope(t, srq_op_linear(t, h, &b->q), TOKENS / 2, HIDDEN / 4, HIDDEN / 4, cosines, sines);

    x = srq_op_add(t, x, srq_op_linear(t, srq_op_attention(t, q, q, q, &a), &b->o));
    h = srq_op_rmsnorm(t, x, &gain, EPS);
    h = srq_op_swiglu(t, srq_op_linear(t, h, &b->gate), srq_op_linear(t, h, &b->up));
    x = srq_op_add(t, x, srq_op_linear(t, h, &b->down));
    return srq_op_mse(t, x, &b->target, NULL);
}

static size_t measured_peak(struct block *b)
{
    struct srq_error err = { 0 };
    struct srq_tape *t;
    size_t peak;

    assert_ok(srq_tape_create(0, SRQ_F32, true, &t, &err), &err);
    assert_ok(srq_tape_backward(t, block_loss(t, b), &err), &err);
    peak = srq_tape_peak(t);
    srq_tape_free(t);
    return peak;
}

static void measuring_gives_exactly_what_a_pass_needs(void **state)
{
    struct srq_error err = { 0 };
    struct srq_tape *t;
    struct block b;
    size_t need;

    (void)state;
    block_make(&b);
    need = measured_peak(&b);
    assert_ok(srq_tape_create(need, SRQ_F32, false, &t, &err), &err);
    assert_ok(srq_tape_backward(t, block_loss(t, &b), &err), &err);
    assert_int_equal(srq_tape_peak(t), need);
    srq_tape_free(t);
    block_free(&b);
}

static void an_arena_too_small_is_an_error_at_any_size(void **state)
{
    struct srq_error err = { 0 };
    struct srq_tape *t;
    struct block b;
    size_t need;

    (void)state;
    block_make(&b);
    need = measured_peak(&b);
    for (size_t size = need - 64; size > 0; size = size > need / 23 ? size - need / 23 : 0) {
        struct srq_var *loss;

        assert_ok(srq_tape_create(size, SRQ_F32, false, &t, &err), &err);
        loss = block_loss(t, &b);
        assert_refused(srq_tape_backward(t, loss, &err), -SRQ_ELIMIT, &err, "arena");
        assert_int_equal(srq_tape_error(t, &err), -SRQ_ELIMIT);
        srq_tape_free(t);
    }
    block_free(&b);
}

static void a_pass_after_reset_needs_no_more_and_repeats_bit_by_bit(void **state)
{
    float losses[2], *grads = malloc(HIDDEN * HIDDEN * sizeof(float));
    struct srq_error err = { 0 };
    struct srq_tape *t;
    struct block b;
    size_t peak = 0;

    (void)state;
    block_make(&b);
    assert_ok(srq_tape_create(ARENA, SRQ_F32, false, &t, &err), &err);
    for (int pass = 0; pass < 2; pass++) {
        struct srq_var *loss;

        srq_tape_reset(t);
        loss = block_loss(t, &b);
        assert_ok(srq_tape_backward(t, loss, &err), &err);
        losses[pass] = *(float *)loss->value.data;
        if (pass == 0) {
            memcpy(grads, b.grad, HIDDEN * HIDDEN * sizeof(float));
            peak = srq_tape_peak(t);
        }
    }
    assert_memory_equal(&losses[0], &losses[1], sizeof(float));
    assert_memory_equal(grads, b.grad, HIDDEN * HIDDEN * sizeof(float));
    assert_int_equal(srq_tape_peak(t), peak);
    srq_tape_free(t);
    free(grads);
    block_free(&b);
}

static void without_recording_nothing_is_kept_for_backward(void **state)
{
    struct srq_error err = { 0 };
    struct srq_tape *t;
    struct srq_var *x, *y;
    struct block b;
    size_t bytes = (size_t)TOKENS * INNER * sizeof(float);

    (void)state;
    block_make(&b);
    assert_ok(srq_tape_create(ARENA, SRQ_F32, false, &t, &err), &err);
    srq_tape_record(t, false);
    x = srq_tape_input(t, &b.input, true);
    y = srq_op_linear(t, x, &b.gate);
    assert_false(y->wants_grad);
    assert_int_equal(srq_tape_used(t), bytes);
    srq_tape_free(t);
    block_free(&b);
}

static void the_gradient_of_an_unwanted_input_is_not_made(void **state)
{
    struct srq_error err = { 0 };
    struct srq_tape *t;
    struct srq_var *x, *loss;
    struct block b;

    (void)state;
    block_make(&b);
    assert_ok(srq_tape_create(ARENA, SRQ_F32, false, &t, &err), &err);
    x = srq_tape_input(t, &b.input, false);
    loss = srq_op_mse(t, srq_op_linear(t, x, &b.q), &b.target, NULL);
    assert_ok(srq_tape_backward(t, loss, &err), &err);
    assert_null(x->grad.data);
    assert_true(b.grad[0] != 0);
    srq_tape_free(t);
    block_free(&b);
}

static void wrong_shapes_fail_with_the_layer_named(void **state)
{
    struct srq_error err = { 0 };
    struct srq_tape *t;
    struct srq_var *x;
    struct block b;

    (void)state;
    block_make(&b);
    assert_ok(srq_tape_create(ARENA, SRQ_F32, false, &t, &err), &err);
    x = srq_tape_input(t, &b.input, false);
    assert_null(srq_op_add(t, srq_op_linear(t, x, &b.down), x));
    assert_refused(srq_tape_error(t, &err), -SRQ_EINVAL, &err, "down");
    srq_tape_free(t);
    block_free(&b);
}

static void all_masked_gives_zero_loss_and_gradient(void **state)
{
    uint8_t mask[TOKENS] = { 0 };
    struct srq_error err = { 0 };
    struct srq_tape *t;
    struct srq_var *x, *loss;
    struct block b;

    (void)state;
    block_make(&b);
    assert_ok(srq_tape_create(ARENA, SRQ_F32, false, &t, &err), &err);
    x = srq_tape_input(t, &b.input, true);
    loss = srq_op_mse(t, x, &b.target, mask);
    assert_ok(srq_tape_backward(t, loss, &err), &err);
    assert_true(*(float *)loss->value.data == 0.0f);
    for (int i = 0; i < TOKENS * HIDDEN; i++)
        assert_true(((float *)x->grad.data)[i] == 0.0f);
    srq_tape_free(t);
    block_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linear_agrees_with_double),
        cmocka_unit_test(a_rounded_input_is_passed_straight_through),
        cmocka_unit_test(rmsnorm_agrees_with_double),
        cmocka_unit_test(head_rmsnorm_agrees_with_double),
        cmocka_unit_test(rope_agrees_with_double),
        cmocka_unit_test(swiglu_agrees_with_double),
        cmocka_unit_test(geglu_agrees_with_double),
        cmocka_unit_test(add_agrees_with_double),
        cmocka_unit_test(values_with_several_users_get_the_sum_of_gradients),
        cmocka_unit_test(attention_agrees_with_double),
        cmocka_unit_test(grouped_query_attention_agrees_with_double),
        cmocka_unit_test(windowed_attention_agrees_with_double),
        cmocka_unit_test(long_attention_agrees_with_double),
        cmocka_unit_test(full_attention_agrees_with_double),
        cmocka_unit_test(attention_by_every_backend_agrees_with_double),
        cmocka_unit_test(measuring_gives_exactly_what_a_pass_needs),
        cmocka_unit_test(an_arena_too_small_is_an_error_at_any_size),
        cmocka_unit_test(a_pass_after_reset_needs_no_more_and_repeats_bit_by_bit),
        cmocka_unit_test(without_recording_nothing_is_kept_for_backward),
        cmocka_unit_test(the_gradient_of_an_unwanted_input_is_not_made),
        cmocka_unit_test(wrong_shapes_fail_with_the_layer_named),
        cmocka_unit_test(all_masked_gives_zero_loss_and_gradient),
    };
    struct srq_error err;

    if (srq_team_start(3, &err) != 0 || srq_gemm_start(NULL, &err) != 0)
        return 1;
    make_tables();
    return cmocka_run_group_tests_name("tape", tests, NULL, NULL);
}
