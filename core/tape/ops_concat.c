/* Columns of two values side by side. */
#include "core/tape/record.h"

#include "core/math/kernels.h"
#include "core/math/team.h"

/* Columns [first, first + cols) of `whole` [rows, width], and the part [rows, cols] that is or becomes them. */
struct columns {
    const struct srq_tensor *whole, *part;
    int64_t width, first, cols;
    bool add;
};

static void *in_whole(const struct columns *c, int64_t row)
{
    return srq_row(c->whole, 1, row * c->width + c->first);
}

/* ---- y = [a b] ---- */

static void put_in(void *ctx, int64_t begin, int64_t end)
{
    const struct columns *c = ctx;
    size_t bytes = (size_t)c->cols * srq_dtype_size(c->part->dtype);

    for (int64_t r = begin; r < end; r++)
        memcpy(in_whole(c, r), srq_row(c->part, r, c->cols), bytes);
}

/* ---- da, db: their columns of dy ---- */

static void take_out(void *ctx, int64_t begin, int64_t end)
{
    const struct columns *c = ctx;
    size_t bytes = (size_t)c->cols * srq_dtype_size(c->part->dtype);

    for (int64_t r = begin; r < end; r++) {
        void *to = srq_row(c->part, r, c->cols);

        if (c->add)
            srq_kernels()->add(c->part->dtype, to, in_whole(c, r), to, c->cols);
        else
            memcpy(to, in_whole(c, r), bytes);
    }
}

static int64_t grain(int64_t cols)
{
    return 1 + 16384 / (cols + 1);
}

static int backward(struct srq_tape *t, struct srq_node *n, struct srq_error *err)
{
    double since = srq_tape_clock(t);
    struct columns c = { .whole = &n->out->var.grad, .width = srq_var_cols(&n->out->var) };
    struct srq_tape_work all = { 0, 0 };
    int rc = 0;

    for (int i = 0; i < 2 && rc == 0; i++) {
        struct srq_value *v = n->in[i];

        c.cols = srq_var_cols(&v->var);
        c.part = &v->var.grad;
        if (v->var.wants_grad)
            rc = srq_tape_grad(t, v, true, &c.add, err);
        if (rc == 0 && v->var.wants_grad && !srq_tape_measuring(t)) {
            struct srq_tape_work work = srq_pass_work(c.part, 2 + c.add, c.add);

            srq_parallel(srq_var_rows(&v->var), grain(c.cols), take_out, &c);
            all.flops += work.flops;
            all.bytes += work.bytes;
        }
        c.first += c.cols;
    }
    srq_tape_account(t, SRQ_TAPE_CONCAT, true, since, all);
    return rc;
}

struct srq_var *srq_op_concat(struct srq_tape *t, struct srq_var *a, struct srq_var *b)
{
    double since = srq_tape_clock(t);
    struct srq_value *y;
    struct columns c = { 0 };
    int64_t rows;

    if (srq_tape_failed(t, a, b))
        return NULL;
    rows = srq_var_rows(a);
    if (srq_var_rows(b) != rows)
        return srq_tape_fail(t, -SRQ_EINVAL, "[%lld, %lld] and [%lld, %lld] cannot stand side by side", (long long)rows,
                             (long long)srq_var_cols(a), (long long)srq_var_rows(b), (long long)srq_var_cols(b));
    c.width = srq_var_cols(a) + srq_var_cols(b);
    y = srq_tape_value(t, rows, c.width, a->wants_grad || b->wants_grad);
    if (y == NULL)
        return NULL;
    c.whole = &y->var.value;
    for (int i = 0; i < 2 && !srq_tape_measuring(t); i++) {
        c.part = i == 0 ? &a->value : &b->value;
        c.first = i == 0 ? 0 : srq_var_cols(a);
        c.cols = c.part == &a->value ? srq_var_cols(a) : srq_var_cols(b);
        srq_parallel(rows, grain(c.cols), put_in, &c);
    }
    srq_tape_account(t, SRQ_TAPE_CONCAT, false, since, srq_pass_work(&y->var.value, 2, 0));
    if (y->var.wants_grad && srq_tape_node(t, SRQ_TAPE_CONCAT, backward, y, a, b, NULL) == NULL)
        return NULL;
    return &y->var;
}
