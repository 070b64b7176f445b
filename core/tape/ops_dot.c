/* Where backward begins from a gradient that is known: the inner product with it. */
#include "core/tape/record.h"

#include "core/math/kernels.h"
#include "core/math/team.h"

/* ---- sum x g ---- */

struct dot_rows {
    const struct srq_tensor *x, *g;
    struct srq_tensor saved; /* data NULL: not wanted */
    float *sums;             /* [rows] */
    int64_t cols;
};

static void dot_rows(void *ctx, int64_t begin, int64_t end)
{
    const struct dot_rows *c = ctx;
    size_t bytes = (size_t)c->cols * srq_dtype_size(c->x->dtype);

    for (int64_t i = begin; i < end; i++) {
        c->sums[i] = srq_kernels()->dot(c->x->dtype, srq_row(c->x, i, c->cols), srq_row(c->g, i, c->cols), c->cols);
        if (c->saved.data != NULL)
            memcpy(srq_row(&c->saved, i, c->cols), srq_row(c->g, i, c->cols), bytes);
    }
}

static void dot_forward(struct srq_tape *t, struct dot_rows *c, int64_t rows, float *value)
{
    double since = srq_tape_clock(t), total = 0;

    srq_parallel(rows, 1 + 8192 / (c->cols + 1), dot_rows, c);
    for (int64_t i = 0; i < rows; i++)
        total += (double)c->sums[i];
    *value = (float)total;
    srq_tape_account(t, SRQ_TAPE_DOT, false, since, srq_pass_work(c->x, c->saved.data != NULL ? 3 : 2, 2));
}

static int backward(struct srq_tape *t, struct srq_node *n, struct srq_error *err)
{
    return srq_tape_adopt_grad(t, n->in[0], &n->saved, err);
}

struct srq_var *srq_op_dot(struct srq_tape *t, struct srq_var *x, const struct srq_tensor *g)
{
    struct srq_block_mem saved = { 0, 0 }, sums = { 0, 0 };
    struct srq_value *dot;
    struct srq_node *n;
    int64_t rows, cols;
    size_t bytes = 0;

    if (srq_tape_failed(t, x, x))
        return NULL;
    rows = srq_var_rows(x);
    cols = srq_var_cols(x);
    if (srq_tensor_count(g) != rows * cols || g->dtype != srq_tape_dtype(t))
        return srq_tape_fail(t, -SRQ_EINVAL, "a gradient of %lld elements of %s for a value [%lld, %lld] of %s",
                             (long long)srq_tensor_count(g), srq_dtype_name(g->dtype), (long long)rows, (long long)cols,
                             srq_dtype_name(srq_tape_dtype(t)));
    (void)srq_tensor_bytes(&x->value, &bytes);
    dot = srq_tape_value(t, 1, 2, x->wants_grad); /* room for one F32 in either dtype */
    if (dot == NULL)
        return NULL;
    dot->var.value.dtype = SRQ_F32;
    dot->var.value.rank = 0;
    dot->kept = true;
    if ((dot->var.wants_grad && srq_tape_take(t, bytes, &saved, NULL) != 0) ||
        srq_tape_take(t, (size_t)rows * sizeof(float), &sums, NULL) != 0)
        return NULL;
    if (!srq_tape_measuring(t)) {
        struct dot_rows c = { .x = &x->value, .g = g, .saved = x->value, .sums = srq_tape_at(t, &sums), .cols = cols };

        c.saved.data = saved.size > 0 ? srq_tape_at(t, &saved) : NULL;
        dot_forward(t, &c, rows, dot->var.value.data);
    }
    srq_tape_give(t, &sums);
    if (!dot->var.wants_grad)
        return &dot->var;
    n = srq_tape_node(t, SRQ_TAPE_DOT, backward, dot, x, NULL, NULL);
    if (n == NULL)
        return NULL;
    n->saved = saved;
    return &dot->var;
}
