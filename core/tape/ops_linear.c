/* Linear layers. */
#include "core/tape/vector_grad.h"

#include "core/math/gemm.h"
#include "core/math/kernels.h"
#include "core/math/team.h"

/* Bytes of weight gradient that a product makes before the sink gets them, where it makes them in memory: small enough
 * to stay in a shared cache, large enough for the product. */
#define SINK_TILE_BYTES (1 << 20)
#define SINK_TILE_ROWS_MIN 64

/* ---- y[t,o] = sum_i x[t,i] W[o,i] + b[o] ---- */

struct bias_rows {
    const float *bias;
    const struct srq_tensor *y;
    int64_t row, out;
};

static void fill_bias(void *ctx, int64_t begin, int64_t end)
{
    const struct bias_rows *b = ctx;

    for (int64_t r = begin; r < end; r++)
        srq_kernels()->store(b->y->dtype, b->bias, 1.0f, srq_row(b->y, b->row + r, b->out), b->out, false);
}

void srq_tape_fill_bias(const struct srq_linear *l, const struct srq_tensor *y, int64_t row, int64_t rows)
{
    struct bias_rows b = { l->bias->value, y, row, l->out };

    srq_parallel(rows, 1 + 8192 / (l->out + 1), fill_bias, &b);
}

/* A measuring tape names the product instead of running it. */
void srq_tape_multiply(const struct srq_tape *t, const struct srq_product *p)
{
    if (srq_tape_measuring(t))
        srq_gemm_expect(p);
    else
        srq_gemm(p);
}

static void forward(struct srq_tape *t, const struct srq_linear *l, const struct srq_tensor *x, struct srq_tensor *y,
                    int64_t rows)
{
    const struct srq_product p = { rows,
                                   l->out,
                                   l->in,
                                   { x->data, x->dtype, l->in, false },
                                   { l->weight.data, x->dtype, l->in, true },
                                   .c = { y->data, y->dtype, l->out },
                                   .add = l->bias != NULL };
    double since = srq_tape_clock(t);

    if (l->bias != NULL && !srq_tape_measuring(t))
        srq_tape_fill_bias(l, y, 0, rows);
    srq_tape_multiply(t, &p);
    if (!srq_tape_measuring(t))
        srq_tape_account(t, SRQ_TAPE_LINEAR, false, since, srq_product_work(&p));
}

/* ---- x as the product gets it, where somebody makes that: straight through in backward ---- */

#define FEED_ROWS 16

struct feeding {
    const struct srq_linear *l;
    const struct srq_tensor *x;
    struct srq_tensor *to;
};

static void feed_rows(void *ctx, int64_t begin, int64_t end)
{
    const struct feeding *f = ctx;

    f->l->feed(f->l->feed_ctx, f->x, begin, end - begin, srq_row(f->to, begin, f->l->in));
}

static int feed_backward(struct srq_tape *t, struct srq_node *n, struct srq_error *err)
{
    return srq_tape_pass_grad(t, n->out, n->in[0], err);
}

static struct srq_value *feed(struct srq_tape *t, struct srq_var *x, const struct srq_linear *l, int64_t rows)
{
    double since = srq_tape_clock(t);
    struct srq_value *fed = srq_tape_value(t, rows, l->in, x->wants_grad);
    struct feeding f = { l, &x->value, NULL };

    if (fed == NULL)
        return NULL;
    f.to = &fed->var.value;
    if (!srq_tape_measuring(t)) {
        srq_parallel(rows, FEED_ROWS, feed_rows, &f);
        srq_tape_account(t, SRQ_TAPE_FEED, false, since, srq_pass_work(f.to, 2, 0));
    }
    if (fed->var.wants_grad && srq_tape_node(t, SRQ_TAPE_FEED, feed_backward, fed, x, NULL, NULL) == NULL)
        return NULL;
    return fed;
}

/* ---- dx = dy W ---- */

static int input_gradient(struct srq_tape *t, struct srq_node *n, int64_t rows, struct srq_error *err)
{
    const struct srq_linear *l = n->as.linear;
    struct srq_value *x = n->in[0];
    struct srq_product p = { rows,
                             l->in,
                             l->out,
                             { n->out->var.grad.data, srq_tape_dtype(t), l->out, false },
                             { l->weight.data, srq_tape_dtype(t), l->in, false },
                             .c = { .ld = l->in } };
    double since = srq_tape_clock(t);
    int rc = srq_tape_grad(t, x, true, &p.add, err);

    if (rc != 0)
        return rc;
    p.c.data = x->var.grad.data;
    p.c.dtype = x->var.grad.dtype;
    srq_tape_multiply(t, &p);
    if (srq_tape_measuring(t))
        return 0;
    srq_tape_account(t, SRQ_TAPE_LINEAR, true, since, srq_product_work(&p));
    return 0;
}

/* ---- dW = dyᵀ x, whose rows go to the sink as they come ---- */

static int64_t sink_tile_rows(const struct srq_linear *l)
{
    int64_t rows = SINK_TILE_BYTES / (int64_t)sizeof(float) / (l->in > 0 ? l->in : 1);

    if (rows < SINK_TILE_ROWS_MIN)
        rows = SINK_TILE_ROWS_MIN;
    if (rows >= l->out)
        return l->out;
    return (l->out + (l->out + rows - 1) / rows - 1) / ((l->out + rows - 1) / rows); /* tiles of about one size */
}

static int weight_gradient(struct srq_tape *t, struct srq_node *n, int64_t rows, struct srq_error *err)
{
    const struct srq_linear *l = n->as.linear;
    enum srq_dtype dtype = srq_tape_dtype(t);
    const struct srq_row_taker sink = { l->sink, l->sink_ctx, sink_tile_rows(l) };
    struct srq_product p = { l->out,
                             l->in,
                             rows,
                             { n->out->var.grad.data, dtype, l->out, true },
                             { n->in[0]->var.value.data, dtype, l->in, false },
                             .c = { NULL, SRQ_F32, l->in },
                             .taker = &sink };
    double since = srq_tape_clock(t);
    struct srq_block_mem mem;
    int rc = srq_tape_take(t, (size_t)sink.room * (size_t)l->in * sizeof(float), &mem, err);

    if (rc != 0)
        return rc;
    p.c.data = srq_tape_at(t, &mem);
    srq_tape_multiply(t, &p);
    if (!srq_tape_measuring(t))
        srq_tape_account(t, SRQ_TAPE_WEIGHT_GRAD, true, since, srq_product_work(&p));
    srq_tape_give(t, &mem);
    return 0;
}

static bool wants_bias(const struct srq_linear *l)
{
    return l->bias != NULL && l->bias->sink != NULL;
}

static int backward(struct srq_tape *t, struct srq_node *n, struct srq_error *err)
{
    int64_t rows = srq_var_rows(&n->in[0]->var);
    int rc = 0;

    /* dW first: then x is not needed any more, and dx may take its place. */
    if (n->as.linear->sink != NULL)
        rc = weight_gradient(t, n, rows, err);
    if (rc == 0 && wants_bias(n->as.linear))
        rc = srq_vector_gradient(t, n->as.linear->bias, &n->out->var.grad, NULL, NULL, rows, err);
    if (rc == 0 && n->in[0]->var.wants_grad)
        rc = input_gradient(t, n, rows, err);
    return rc;
}

/* ---- registration ---- */

struct srq_var *srq_tape_misfit(struct srq_tape *t, const struct srq_var *x, const struct srq_linear *l)
{
    return srq_tape_fail(t, -SRQ_EINVAL, "layer %s takes %lld features and gets %lld", l->name, (long long)l->in,
                         (long long)srq_var_cols(x));
}

struct srq_var *srq_tape_linear(struct srq_tape *t, struct srq_var *x, struct srq_linear *l)
{
    struct srq_value *y, *fed = NULL;
    struct srq_node *n;
    int64_t rows;

    if (srq_tape_failed(t, x, x))
        return NULL;
    rows = srq_var_rows(x);
    if (srq_var_cols(x) != l->in)
        return srq_tape_misfit(t, x, l);
    if (!srq_tape_measuring(t) && l->weight.dtype != srq_tape_dtype(t))
        return srq_tape_fail(t, -SRQ_EINVAL, "the weight of layer %s is %s on a tape of %s", l->name,
                             srq_dtype_name(l->weight.dtype), srq_dtype_name(srq_tape_dtype(t)));
    y = srq_tape_value(t, rows, l->out, x->wants_grad || l->sink != NULL || wants_bias(l));
    if (y == NULL)
        return NULL;
    if (!srq_tape_measuring(t) && l->tap != NULL)
        l->tap(l->tap_ctx, l, &x->value);
    if (l->feed != NULL) {
        fed = feed(t, x, l, rows);
        if (fed == NULL)
            return NULL;
        x = &fed->var;
    }
    forward(t, l, &x->value, &y->var.value, rows);
    if (!y->var.wants_grad) {
        if (fed != NULL)
            srq_tape_give(t, &fed->mem);
        return &y->var;
    }
    n = srq_tape_node(t, SRQ_TAPE_LINEAR, backward, y, x, NULL, NULL);
    if (n == NULL)
        return NULL;
    n->as.linear = l;
    return &y->var;
}
