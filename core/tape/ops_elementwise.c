/* Elements each by itself: activations, multiples, sums. */
#include "core/tape/record.h"

#include "core/math/kernels.h"
#include "core/math/team.h"

#define GRAIN 8192

struct elements {
    enum srq_dtype dtype;
    const char *a, *b, *dy;
    char *y;
    struct srq_grad_to da, db;
    float factor;
    enum srq_gate act;
};

static char *shifted(const char *p, int64_t by, enum srq_dtype dtype)
{
    return p != NULL ? (char *)p + (size_t)by * srq_dtype_size(dtype) : NULL;
}

static struct srq_grad_to moved(struct srq_grad_to g, int64_t by, enum srq_dtype dtype)
{
    return (struct srq_grad_to){ shifted(g.to, by, dtype), g.add };
}

static struct srq_value *output(struct srq_tape *t, const char *op, const struct srq_var *a, const struct srq_var *b)
{
    if (srq_tape_failed(t, a, b))
        return NULL;
    if (srq_var_rows(a) != srq_var_rows(b) || srq_var_cols(a) != srq_var_cols(b)) {
        srq_tape_fail(t, -SRQ_EINVAL, "%s of [%lld, %lld] and [%lld, %lld]", op, (long long)srq_var_rows(a),
                      (long long)srq_var_cols(a), (long long)srq_var_rows(b), (long long)srq_var_cols(b));
        return NULL;
    }
    return srq_tape_value(t, srq_var_rows(a), srq_var_cols(a), a->wants_grad || b->wants_grad);
}

/* ---- y = act(gate) * up ---- */

static void gated_range(void *ctx, int64_t begin, int64_t end)
{
    const struct elements *e = ctx;

    srq_kernels()->gated(e->dtype, e->act, shifted(e->a, begin, e->dtype), shifted(e->b, begin, e->dtype),
                         shifted(e->y, begin, e->dtype), end - begin);
}

/* dgate = dy up act'(gate), dup = dy act(gate) */
static void gated_back_range(void *ctx, int64_t begin, int64_t end)
{
    const struct elements *e = ctx;

    srq_kernels()->gated_backward(e->dtype, e->act, shifted(e->a, begin, e->dtype), shifted(e->b, begin, e->dtype),
                                  shifted(e->dy, begin, e->dtype), moved(e->da, begin, e->dtype),
                                  moved(e->db, begin, e->dtype), end - begin);
}

static enum srq_gate gate_of(enum srq_tape_kind kind)
{
    return kind == SRQ_TAPE_SWIGLU ? SRQ_GATE_SILU : SRQ_GATE_GELU_TANH;
}

/* What GELU's curve takes beside SiLU's, of each element. */
static int curve_flops(enum srq_gate act)
{
    return act == SRQ_GATE_SILU ? 0 : 4;
}

static int gated_backward(struct srq_tape *t, struct srq_node *n, struct srq_error *err)
{
    double since = srq_tape_clock(t);
    struct srq_value *gate = n->in[0], *up = n->in[1];
    struct elements e = { .dtype = srq_tape_dtype(t),
                          .a = gate->var.value.data,
                          .b = up->var.value.data,
                          .dy = n->out->var.grad.data,
                          .act = gate_of(n->kind) };
    int rc = 0;

    if (gate->var.wants_grad)
        rc = srq_tape_grad(t, gate, true, &e.da.add, err);
    if (rc == 0 && up->var.wants_grad)
        rc = srq_tape_grad(t, up, true, &e.db.add, err);
    if (rc != 0 || srq_tape_measuring(t))
        return rc;
    e.da.to = gate->var.wants_grad ? gate->var.grad.data : NULL;
    e.db.to = up->var.wants_grad ? up->var.grad.data : NULL;
    srq_parallel(srq_tensor_count(&n->out->var.grad), GRAIN, gated_back_range, &e);
    srq_tape_account(
        t, n->kind, true, since,
        srq_pass_work(&n->out->var.value, 5 + e.da.add + e.db.add, 11 + 2 * curve_flops(e.act) + e.da.add + e.db.add));
    return 0;
}

static struct srq_var *gated(struct srq_tape *t, enum srq_tape_kind kind, struct srq_var *gate, struct srq_var *up)
{
    double since = srq_tape_clock(t);
    struct srq_value *y = output(t, kind == SRQ_TAPE_SWIGLU ? "swiglu" : "geglu", gate, up);

    if (y == NULL)
        return NULL;
    if (!srq_tape_measuring(t)) {
        struct elements e = { .dtype = srq_tape_dtype(t),
                              .a = gate->value.data,
                              .b = up->value.data,
                              .y = y->var.value.data,
                              .act = gate_of(kind) };

        srq_parallel(srq_tensor_count(&y->var.value), GRAIN, gated_range, &e);
        srq_tape_account(t, kind, false, since, srq_pass_work(&y->var.value, 3, 5 + curve_flops(e.act)));
    }
    if (y->var.wants_grad && srq_tape_node(t, kind, gated_backward, y, gate, up, NULL) == NULL)
        return NULL;
    return &y->var;
}

struct srq_var *srq_op_swiglu(struct srq_tape *t, struct srq_var *gate, struct srq_var *up)
{
    return gated(t, SRQ_TAPE_SWIGLU, gate, up);
}

struct srq_var *srq_op_geglu_tanh(struct srq_tape *t, struct srq_var *gate, struct srq_var *up)
{
    return gated(t, SRQ_TAPE_GEGLU, gate, up);
}

/* ---- y = a + b ---- */

static void add_range(void *ctx, int64_t begin, int64_t end)
{
    const struct elements *e = ctx;

    srq_kernels()->add(e->dtype, shifted(e->a, begin, e->dtype), shifted(e->b, begin, e->dtype),
                       shifted(e->y, begin, e->dtype), end - begin);
}

/* da = db = dy: the same memory, until somebody adds to it. */
static int add_backward(struct srq_tape *t, struct srq_node *n, struct srq_error *err)
{
    double since = srq_tape_clock(t);
    int rc = 0, sums = 0;

    for (int i = 0; i < 2 && rc == 0; i++) {
        sums += n->in[i]->grad != NULL;
        if (n->in[i]->var.wants_grad)
            rc = srq_tape_pass_grad(t, n->out, n->in[i], err);
    }
    srq_tape_account(t, SRQ_TAPE_ADD, true, since, srq_pass_work(&n->out->var.value, 3 * sums, sums));
    return rc;
}

struct srq_var *srq_op_add(struct srq_tape *t, struct srq_var *a, struct srq_var *b)
{
    double since = srq_tape_clock(t);
    struct srq_value *y = output(t, "sum", a, b);

    if (y == NULL)
        return NULL;
    if (!srq_tape_measuring(t)) {
        struct elements e = {
            .dtype = srq_tape_dtype(t), .a = a->value.data, .b = b->value.data, .y = y->var.value.data
        };

        srq_parallel(srq_tensor_count(&y->var.value), GRAIN, add_range, &e);
        srq_tape_account(t, SRQ_TAPE_ADD, false, since, srq_pass_work(&y->var.value, 3, 1));
    }
    if (y->var.wants_grad && srq_tape_node(t, SRQ_TAPE_ADD, add_backward, y, a, b, NULL) == NULL)
        return NULL;
    return &y->var;
}

/* ---- y = silu(x) ---- */

static void silu_range(void *ctx, int64_t begin, int64_t end)
{
    const struct elements *e = ctx;

    srq_kernels()->silu(e->dtype, shifted(e->a, begin, e->dtype), shifted(e->y, begin, e->dtype), end - begin);
}

/* dx = dy silu'(x) */
static void silu_back_range(void *ctx, int64_t begin, int64_t end)
{
    const struct elements *e = ctx;

    srq_kernels()->silu_backward(e->dtype, shifted(e->a, begin, e->dtype), shifted(e->dy, begin, e->dtype),
                                 shifted(e->da.to, begin, e->dtype), end - begin, e->da.add);
}

static int silu_backward(struct srq_tape *t, struct srq_node *n, struct srq_error *err)
{
    double since = srq_tape_clock(t);
    struct srq_value *x = n->in[0];
    struct elements e = { .dtype = srq_tape_dtype(t), .a = x->var.value.data, .dy = n->out->var.grad.data };
    int rc = srq_tape_grad(t, x, true, &e.da.add, err);

    if (rc != 0 || srq_tape_measuring(t))
        return rc;
    e.da.to = x->var.grad.data;
    srq_parallel(srq_tensor_count(&x->var.grad), GRAIN, silu_back_range, &e);
    srq_tape_account(t, SRQ_TAPE_SILU, true, since, srq_pass_work(&x->var.grad, 3 + e.da.add, 8 + e.da.add));
    return 0;
}

struct srq_var *srq_op_silu(struct srq_tape *t, struct srq_var *x)
{
    double since = srq_tape_clock(t);
    struct srq_value *y = output(t, "silu", x, x);

    if (y == NULL)
        return NULL;
    if (!srq_tape_measuring(t)) {
        struct elements e = { .dtype = srq_tape_dtype(t), .a = x->value.data, .y = y->var.value.data };

        srq_parallel(srq_tensor_count(&y->var.value), GRAIN, silu_range, &e);
        srq_tape_account(t, SRQ_TAPE_SILU, false, since, srq_pass_work(&y->var.value, 2, 4));
    }
    if (y->var.wants_grad && srq_tape_node(t, SRQ_TAPE_SILU, silu_backward, y, x, NULL, NULL) == NULL)
        return NULL;
    return &y->var;
}

/* ---- y = factor * x ---- */

static void scale_range(void *ctx, int64_t begin, int64_t end)
{
    const struct elements *e = ctx;

    srq_kernels()->scale(e->dtype, shifted(e->a, begin, e->dtype), e->factor, shifted(e->y, begin, e->dtype),
                         end - begin, e->da.add);
}

/* dx = factor * dy */
static int scale_backward(struct srq_tape *t, struct srq_node *n, struct srq_error *err)
{
    double since = srq_tape_clock(t);
    struct srq_value *x = n->in[0];
    struct elements e = { .dtype = srq_tape_dtype(t), .a = n->out->var.grad.data, .factor = n->as.factor };
    int rc = 0;

    if (!srq_tape_move_grad(t, n->out, x))
        rc = srq_tape_grad(t, x, true, &e.da.add, err);
    if (rc != 0 || srq_tape_measuring(t))
        return rc;
    e.y = x->var.grad.data;
    srq_parallel(srq_tensor_count(&x->var.grad), GRAIN, scale_range, &e);
    srq_tape_account(t, SRQ_TAPE_SCALE, true, since, srq_pass_work(&x->var.grad, 2 + e.da.add, 1 + e.da.add));
    return 0;
}

struct srq_var *srq_op_scale(struct srq_tape *t, struct srq_var *x, float factor)
{
    double since = srq_tape_clock(t);
    struct srq_value *y = output(t, "scale", x, x);
    struct srq_node *n;

    if (y == NULL)
        return NULL;
    if (!srq_tape_measuring(t)) {
        struct elements e = {
            .dtype = srq_tape_dtype(t), .a = x->value.data, .y = y->var.value.data, .factor = factor
        };

        srq_parallel(srq_tensor_count(&y->var.value), GRAIN, scale_range, &e);
        srq_tape_account(t, SRQ_TAPE_SCALE, false, since, srq_pass_work(&y->var.value, 2, 1));
    }
    if (!y->var.wants_grad)
        return &y->var;
    n = srq_tape_node(t, SRQ_TAPE_SCALE, scale_backward, y, x, NULL, NULL);
    if (n == NULL)
        return NULL;
    n->as.factor = factor;
    return &y->var;
}
