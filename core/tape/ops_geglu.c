/* The gated unit of transformers in diffusion models (Shazeer 2020, arXiv 2002.05202): value * gelu(gate), by erf. */
#include "core/tape/record.h"

#include "core/math/team.h"

#include <math.h>

#define STRETCH 256 /* elements of a row at a time */

struct rows {
    const struct srq_tensor *x, *dy;
    struct srq_tensor *y; /* forward: y; backward: dx */
    int64_t n;            /* of a value */
    bool add;
};

static size_t bytes_of(const struct srq_tensor *t, int64_t n)
{
    return (size_t)n * srq_dtype_size(t->dtype);
}

/* Elements [at, at+n) of a row, in F32. */
static void load(const struct srq_tensor *t, int64_t row, int64_t cols, int64_t at, int64_t n, float *to)
{
    (void)srq_convert((const char *)srq_row(t, row, cols) + bytes_of(t, at), t->dtype, to, SRQ_F32, n);
}

static void store(const struct srq_tensor *t, int64_t row, int64_t cols, int64_t at, int64_t n, const float *from)
{
    (void)srq_convert(from, SRQ_F32, (char *)srq_row(t, row, cols) + bytes_of(t, at), t->dtype, n);
}

/* The normal distribution up to g. */
static float below(float g)
{
    return 0.5f * (1 + erff(g * 0.70710678f));
}

/* ---- y = value gelu(gate) ---- */

static void forward(void *ctx, int64_t begin, int64_t end)
{
    const struct rows *c = ctx;
    float value[STRETCH], gate[STRETCH];

    for (int64_t row = begin; row < end; row++) {
        for (int64_t at = 0; at < c->n; at += STRETCH) {
            int64_t n = c->n - at < STRETCH ? c->n - at : STRETCH;

            load(c->x, row, 2 * c->n, at, n, value);
            load(c->x, row, 2 * c->n, c->n + at, n, gate);
            for (int64_t i = 0; i < n; i++)
                value[i] *= gate[i] * below(gate[i]);
            store(c->y, row, c->n, at, n, value);
        }
    }
}

/* ---- dvalue = dy gelu(gate), dgate = dy value (below(gate) + gate e^(-gate²/2) / sqrt(2 pi)) ---- */

static void slopes(const struct rows *c, int64_t row, int64_t at, int64_t n)
{
    float value[STRETCH], gate[STRETCH], dy[STRETCH], was[STRETCH];

    load(c->x, row, 2 * c->n, at, n, value);
    load(c->x, row, 2 * c->n, c->n + at, n, gate);
    load(c->dy, row, c->n, at, n, dy);
    for (int64_t i = 0; i < n; i++) {
        float share = below(gate[i]), g = gate[i];

        gate[i] = dy[i] * value[i] * (share + g * 0.39894228f * expf(-0.5f * g * g));
        value[i] = dy[i] * g * share;
    }
    for (int half = 0; half < 2; half++) {
        float *d = half == 0 ? value : gate;

        if (c->add)
            load(c->y, row, 2 * c->n, half * c->n + at, n, was);
        for (int64_t i = 0; c->add && i < n; i++)
            d[i] += was[i];
        store(c->y, row, 2 * c->n, half * c->n + at, n, d);
    }
}

static void backward_rows(void *ctx, int64_t begin, int64_t end)
{
    const struct rows *c = ctx;

    for (int64_t row = begin; row < end; row++)
        for (int64_t at = 0; at < c->n; at += STRETCH)
            slopes(c, row, at, c->n - at < STRETCH ? c->n - at : STRETCH);
}

static int64_t grain(int64_t n)
{
    return 1 + 4096 / (n + 1);
}

static int backward(struct srq_tape *t, struct srq_node *n, struct srq_error *err)
{
    double since = srq_tape_clock(t);
    struct srq_value *x = n->in[0];
    struct srq_tensor value = x->var.value; /* before its memory may become the gradient's */
    struct rows c = { .x = &value, .dy = &n->out->var.grad, .y = &x->var.grad, .n = srq_var_cols(&n->out->var) };
    int rc = srq_tape_grad(t, x, true, &c.add, err);

    if (rc != 0 || srq_tape_measuring(t))
        return rc;
    srq_parallel(srq_var_rows(&x->var), grain(c.n), backward_rows, &c);
    srq_tape_account(t, SRQ_TAPE_GEGLU, true, since, srq_pass_work(&n->out->var.value, 5 + 2 * c.add, 14 + 2 * c.add));
    return 0;
}

struct srq_var *srq_op_geglu(struct srq_tape *t, struct srq_var *x)
{
    double since = srq_tape_clock(t);
    struct srq_value *y;

    if (srq_tape_failed(t, x, x))
        return NULL;
    if (srq_var_cols(x) % 2 != 0)
        return srq_tape_fail(t, -SRQ_EINVAL, "%lld columns are no values with as many gates",
                             (long long)srq_var_cols(x));
    y = srq_tape_value(t, srq_var_rows(x), srq_var_cols(x) / 2, x->wants_grad);
    if (y == NULL)
        return NULL;
    if (!srq_tape_measuring(t)) {
        struct rows c = { .x = &x->value, .y = &y->var.value, .n = srq_var_cols(x) / 2 };

        srq_parallel(srq_var_rows(x), grain(c.n), forward, &c);
        srq_tape_account(t, SRQ_TAPE_GEGLU, false, since, srq_pass_work(&y->var.value, 3, 6));
    }
    if (y->var.wants_grad && srq_tape_node(t, SRQ_TAPE_GEGLU, backward, y, x, NULL, NULL) == NULL)
        return NULL;
    return &y->var;
}
