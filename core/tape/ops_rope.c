/* Rotary position embedding, half-split form. */
#include "core/tape/record.h"

#include "core/math/kernels.h"
#include "core/math/team.h"

struct rows {
    const struct srq_tensor *x;
    struct srq_tensor *y;
    struct srq_turn turn; /* tables of all positions */
    int64_t seq, heads;
    bool add;
};

/* Each head's (a, b) = (x[i], x[i + rot/2]) turns by the angle of its position; backward turns the gradient back. */
static void turn(void *ctx, int64_t begin, int64_t end)
{
    const struct rows *c = ctx;
    int64_t dim = c->turn.head_dim;

    for (int64_t i = begin; i < end; i++) {
        struct srq_turn here = c->turn;

        here.cos += i % c->seq * (here.rot / 2);
        here.sin += i % c->seq * (here.rot / 2);
        for (int64_t h = 0; h < c->heads; h++)
            srq_kernels()->rope(c->x->dtype, srq_row(c->x, i * c->heads + h, dim), &here,
                                srq_row(c->y, i * c->heads + h, dim), c->add);
    }
}

static void turn_all(const struct rows *c, int64_t rows)
{
    srq_parallel(rows, 1 + 8192 / (c->heads * c->turn.head_dim + 1), turn, (void *)c);
}

static int backward(struct srq_tape *t, struct srq_node *n, struct srq_error *err)
{
    double since = srq_tape_clock(t);
    struct srq_value *x = n->in[0];
    struct rows c = { .x = &n->out->var.grad, .y = &x->var.grad, .turn = n->as.rope.turn, .seq = n->as.rope.seq };
    int rc = 0;

    c.turn.back = true;
    if (!srq_tape_move_grad(t, n->out, x))
        rc = srq_tape_grad(t, x, true, &c.add, err);
    if (rc != 0 || srq_tape_measuring(t))
        return rc;
    c.heads = srq_var_cols(&x->var) / c.turn.head_dim;
    turn_all(&c, srq_var_rows(&x->var));
    srq_tape_account(t, SRQ_TAPE_ROPE, true, since, srq_pass_work(&x->var.grad, 2 + c.add, 3 + c.add));
    return 0;
}

struct srq_var *srq_op_rope(struct srq_tape *t, struct srq_var *x, int64_t seq, int64_t head_dim, int64_t rot,
                            const float *cos, const float *sin)
{
    const struct srq_turn turn = { cos, sin, rot, head_dim, false };
    double since = srq_tape_clock(t);
    int64_t rows, cols;
    struct srq_value *y;
    struct srq_node *n;

    if (srq_tape_failed(t, x, x))
        return NULL;
    rows = srq_var_rows(x);
    cols = srq_var_cols(x);
    if (head_dim <= 0 || cols % head_dim != 0 || rot < 0 || rot > head_dim || rot % 2 != 0 || seq <= 0 ||
        rows % seq != 0)
        return srq_tape_fail(t, -SRQ_EINVAL, "rope of %lld dims in heads of %lld does not fit [%lld, %lld], seq %lld",
                             (long long)rot, (long long)head_dim, (long long)rows, (long long)cols, (long long)seq);
    y = srq_tape_value(t, rows, cols, x->wants_grad);
    if (y == NULL)
        return NULL;
    if (!srq_tape_measuring(t)) {
        struct rows c = { .x = &x->value, .y = &y->var.value, .turn = turn, .seq = seq, .heads = cols / head_dim };

        turn_all(&c, rows);
        srq_tape_account(t, SRQ_TAPE_ROPE, false, since, srq_pass_work(&y->var.value, 2, 3));
    }
    if (!y->var.wants_grad)
        return &y->var;
    n = srq_tape_node(t, SRQ_TAPE_ROPE, backward, y, x, NULL, NULL);
    if (n == NULL)
        return NULL;
    n->as.rope.turn = turn;
    n->as.rope.seq = seq;
    return &y->var;
}
