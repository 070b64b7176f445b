/* Mean squared error (spec signround 5: mean over valid elements, in F32). */
#include "core/tape/record.h"

#include "core/math/kernels.h"
#include "core/math/team.h"

struct rows {
    const struct srq_tensor *x, *target;
    const uint8_t *mask;
    float *sums;             /* [rows] squared error of each, so that their sum has a fixed order */
    struct srq_tensor grad;  /* data NULL: not wanted */
    int64_t cols;
    float factor;            /* 2 / valid elements */
};

static void square_rows(void *ctx, int64_t begin, int64_t end)
{
    const struct rows *c = ctx;
    size_t size = srq_dtype_size(c->x->dtype);

    for (int64_t i = begin; i < end; i++) {
        void *grad = c->grad.data != NULL ? srq_row(&c->grad, i, c->cols) : NULL;

        if (c->mask != NULL && c->mask[i] == 0) {
            c->sums[i] = 0;
            if (grad != NULL)
                memset(grad, 0, (size_t)c->cols * size);
        } else {
            c->sums[i] = srq_kernels()->square_error(c->x->dtype, srq_row(c->x, i, c->cols), c->target->dtype,
                                                     srq_row(c->target, i, c->cols), c->factor, grad, c->cols);
        }
    }
}

static void forward(struct srq_tape *t, struct rows *c, int64_t rows, float *loss)
{
    double since = srq_tape_clock(t), total = 0;
    int64_t valid = rows;

    if (c->mask != NULL) {
        valid = 0;
        for (int64_t i = 0; i < rows; i++)
            valid += c->mask[i] != 0;
    }
    valid *= c->cols;
    c->factor = valid > 0 ? (float)(2.0 / (double)valid) : 0.0f;
    srq_parallel(rows, 1 + 8192 / (c->cols + 1), square_rows, c);
    for (int64_t i = 0; i < rows; i++)
        total += c->sums[i];
    *loss = valid > 0 ? (float)(total / (double)valid) : 0.0f;
    srq_tape_account(t, SRQ_TAPE_MSE, false, since, 0);
}

/* The forward pass has made the gradient already. */
static int backward(struct srq_tape *t, struct srq_node *n, struct srq_error *err)
{
    return srq_tape_adopt_grad(t, n->in[0], &n->saved, err);
}

struct srq_var *srq_op_mse(struct srq_tape *t, struct srq_var *x, const struct srq_tensor *target, const uint8_t *mask)
{
    struct srq_block_mem saved = { 0, 0 }, sums = { 0, 0 };
    struct srq_value *loss;
    struct srq_node *n;
    int64_t rows, cols;
    size_t bytes = 0;

    if (srq_tape_failed(t, x, x))
        return NULL;
    rows = srq_var_rows(x);
    cols = srq_var_cols(x);
    if (srq_tensor_count(target) != rows * cols || (target->dtype != SRQ_F32 && target->dtype != SRQ_BF16))
        return srq_tape_fail(t, -SRQ_EINVAL, "a target of %lld elements of %s for a value [%lld, %lld]",
                             (long long)srq_tensor_count(target), srq_dtype_name(target->dtype), (long long)rows,
                             (long long)cols);
    (void)srq_tensor_bytes(&x->value, &bytes);
    loss = srq_tape_value(t, 1, 2, x->wants_grad); /* room for one F32 in either dtype */
    if (loss == NULL)
        return NULL;
    loss->var.value.dtype = SRQ_F32;
    loss->var.value.rank = 0;
    loss->kept = true;
    if ((loss->var.wants_grad && srq_tape_take(t, bytes, &saved, NULL) != 0) ||
        srq_tape_take(t, (size_t)rows * sizeof(float), &sums, NULL) != 0)
        return NULL;
    if (!srq_tape_measuring(t)) {
        struct rows c = { .x = &x->value, .target = target, .mask = mask, .sums = srq_tape_at(t, &sums), .cols = cols };

        c.grad = x->value;
        c.grad.data = saved.size > 0 ? srq_tape_at(t, &saved) : NULL;
        forward(t, &c, rows, loss->var.value.data);
    }
    srq_tape_give(t, &sums);
    if (!loss->var.wants_grad)
        return &loss->var;
    n = srq_tape_node(t, SRQ_TAPE_MSE, backward, loss, x, NULL, NULL);
    if (n == NULL)
        return NULL;
    n->saved = saved;
    return &loss->var;
}
