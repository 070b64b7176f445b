/* RMS normalization over the last axis, or over each head. */
#include "core/tape/vector_grad.h"

#include "core/math/kernels.h"
#include "core/math/team.h"

struct rows {
    const struct srq_tensor *x, *dy;
    struct srq_tensor *y; /* forward: y; backward: dx */
    const float *w;
    float *r; /* [rows] 1/rms, saved */
    int64_t n;
    float eps;
    bool add;
};

/* y = w * x * r, r = 1/sqrt(mean(x²) + eps) */
static void forward(void *ctx, int64_t begin, int64_t end)
{
    const struct rows *c = ctx;

    for (int64_t i = begin; i < end; i++) {
        float r =
            srq_kernels()->rms_forward(c->x->dtype, srq_row(c->x, i, c->n), c->w, c->eps, srq_row(c->y, i, c->n), c->n);

        if (c->r != NULL)
            c->r[i] = r;
    }
}

/* dx = r (w dy - x r² mean(w dy x)) */
static void backward_rows(void *ctx, int64_t begin, int64_t end)
{
    const struct rows *c = ctx;

    for (int64_t i = begin; i < end; i++)
        srq_kernels()->rms_backward(c->x->dtype, srq_row(c->x, i, c->n), c->w, c->r[i], srq_row(c->dy, i, c->n),
                                    srq_row(c->y, i, c->n), c->n, c->add);
}

static int64_t grain(int64_t n)
{
    return 1 + 8192 / (n + 1);
}

static int backward(struct srq_tape *t, struct srq_node *n, struct srq_error *err)
{
    double since = srq_tape_clock(t);
    struct srq_value *x = n->in[0];
    struct srq_tensor value = x->var.value; /* before its memory may become the gradient's */
    const struct srq_vector *w = n->as.norm.weight;
    struct rows c = { .x = &value, .dy = &n->out->var.grad, .y = &x->var.grad, .n = n->as.norm.features };
    int64_t count = c.n > 0 ? srq_tensor_count(&value) / c.n : 0;
    int rc = 0;

    c.r = srq_tape_at(t, &n->saved);
    if (w->sink != NULL) /* first: dx may take the place of x */
        rc = srq_vector_gradient(t, w, c.dy, &value, c.r, count, err);
    if (rc == 0 && x->var.wants_grad)
        rc = srq_tape_grad(t, x, true, &c.add, err);
    if (rc != 0 || srq_tape_measuring(t) || !x->var.wants_grad)
        return rc;
    c.w = w->value;
    srq_parallel(count, grain(c.n), backward_rows, &c);
    srq_tape_account(t, SRQ_TAPE_RMSNORM, true, since, srq_pass_work(&x->var.grad, 3 + c.add, 6 + c.add));
    return 0;
}

struct srq_var *srq_op_head_rmsnorm(struct srq_tape *t, struct srq_var *x, int64_t head_dim, const struct srq_vector *w,
                                    float eps)
{
    double since = srq_tape_clock(t);
    struct srq_block_mem saved = { 0, 0 };
    struct srq_value *y;
    struct srq_node *n;
    int64_t rows, cols;

    if (srq_tape_failed(t, x, x))
        return NULL;
    rows = srq_var_rows(x);
    cols = srq_var_cols(x);
    if (head_dim <= 0 || cols % head_dim != 0)
        return srq_tape_fail(t, -SRQ_EINVAL, "rows of %lld features cannot be normalized by %lld", (long long)cols,
                             (long long)head_dim);
    y = srq_tape_value(t, rows, cols, x->wants_grad || w->sink != NULL);
    if (y == NULL)
        return NULL;
    rows = rows * (cols / head_dim);
    if (y->var.wants_grad && srq_tape_take(t, (size_t)rows * sizeof(float), &saved, NULL) != 0)
        return NULL;
    if (!srq_tape_measuring(t)) {
        struct rows c = { .x = &x->value, .y = &y->var.value, .w = w->value, .n = head_dim, .eps = eps };

        c.r = saved.size > 0 ? srq_tape_at(t, &saved) : NULL;
        srq_parallel(rows, grain(head_dim), forward, &c);
        srq_tape_account(t, SRQ_TAPE_RMSNORM, false, since, srq_pass_work(&y->var.value, 2, 4));
    }
    if (!y->var.wants_grad)
        return &y->var;
    n = srq_tape_node(t, SRQ_TAPE_RMSNORM, backward, y, x, NULL, NULL);
    if (n == NULL)
        return NULL;
    n->saved = saved;
    n->as.norm.weight = w;
    n->as.norm.features = head_dim;
    return &y->var;
}

struct srq_var *srq_op_rmsnorm(struct srq_tape *t, struct srq_var *x, const struct srq_vector *w, float eps)
{
    return x != NULL ? srq_op_head_rmsnorm(t, x, srq_var_cols(x), w, eps) : NULL;
}
