/* Rounding to integer codes, with the masked straight-through estimator. */
#include "core/tape/ops_round.h"

#include "core/tape/record.h"

#include "core/math/kernels.h"
#include "core/math/team.h"

#include <math.h>

#define GRAIN 16 /* blocks of the mask */

/* The share of a thread is whole blocks of the mask. */
struct round_blocks {
    enum srq_dtype dtype;
    struct srq_code_range to;
    const char *x;
    char *y;
    uint32_t *inside; /* NULL: not wanted */
    int64_t n;
    bool add;
};

static int64_t blocks(int64_t n)
{
    return (n + SRQ_MASK_BLOCK - 1) / SRQ_MASK_BLOCK;
}

static int64_t elements_of(const struct round_blocks *c, int64_t begin, int64_t end)
{
    return (end * SRQ_MASK_BLOCK < c->n ? end * SRQ_MASK_BLOCK : c->n) - begin * SRQ_MASK_BLOCK;
}

static uint32_t *mask_at(const struct round_blocks *c, int64_t block)
{
    return c->inside != NULL ? c->inside + srq_mask_words(block * SRQ_MASK_BLOCK) : NULL;
}

/* ---- y = (clamp(round(x/scale) + zero, low, high) - zero) scale ---- */

static void round_share(void *ctx, int64_t begin, int64_t end)
{
    const struct round_blocks *c = ctx;
    size_t at = (size_t)(begin * SRQ_MASK_BLOCK) * srq_dtype_size(c->dtype);

    srq_kernels()->round(c->dtype, c->x + at, &c->to, c->y + at, mask_at(c, begin), elements_of(c, begin, end));
}

/* ---- dx = dy where the code was within [low, high] ---- */

static void keep_share(void *ctx, int64_t begin, int64_t end)
{
    const struct round_blocks *c = ctx;
    size_t at = (size_t)(begin * SRQ_MASK_BLOCK) * srq_dtype_size(c->dtype);

    srq_kernels()->keep_inside(c->dtype, mask_at(c, begin), c->x + at, c->y + at, elements_of(c, begin, end), c->add);
}

static int backward(struct srq_tape *t, struct srq_node *n, struct srq_error *err)
{
    double since = srq_tape_clock(t);
    struct srq_value *x = n->in[0];
    struct round_blocks c = { .dtype = srq_tape_dtype(t), .x = n->out->var.grad.data };
    int rc = 0;

    if (!srq_tape_move_grad(t, n->out, x))
        rc = srq_tape_grad(t, x, true, &c.add, err);
    if (rc != 0 || srq_tape_measuring(t))
        return rc;
    c.inside = srq_tape_at(t, &n->saved);
    c.y = x->var.grad.data;
    c.n = srq_tensor_count(&x->var.grad);
    srq_parallel(blocks(c.n), GRAIN, keep_share, &c);
    srq_tape_account(t, SRQ_TAPE_ROUND, true, since, 0);
    return 0;
}

/* ---- on the tape ---- */

static bool is_code(float v)
{
    return fabsf(v) < 4194303.0f && v == rintf(v);
}

/* Nothing will be done, whatever the values are. */
static bool is_idle(const struct srq_rounding *r)
{
    return srq_rounding_off(r) && r->observe == NULL;
}

bool srq_tape_grid(struct srq_tape *t, const struct srq_var *x, struct srq_rounding *r)
{
    if (srq_tape_measuring(t))
        return true;
    if (r->observe != NULL)
        r->observe(r->ctx, r, &x->value);
    if (srq_rounding_off(r))
        return true;
    if (isfinite(r->scale) && is_code(r->low) && is_code(r->high) && is_code(r->zero) && r->low <= r->high)
        return true;
    srq_tape_fail(t, -SRQ_EINVAL, "codes %g to %g with zero at %g and steps of %g are no grid to round to",
                  (double)r->low, (double)r->high, (double)r->zero, (double)r->scale);
    return false;
}

/* Without a scale all that remains is a copy, all of it inside. */
static void run(struct srq_tape *t, const struct srq_rounding *r, const void *x, void *y, const struct round_blocks *as)
{
    struct round_blocks c = *as;
    size_t size = srq_dtype_size(c.dtype);

    c.x = x;
    c.y = y;
    c.to = (struct srq_code_range){ r->scale, r->zero, r->low, r->high };
    if (srq_tape_measuring(t))
        return;
    if (!srq_rounding_off(r)) {
        srq_parallel(blocks(c.n), GRAIN, round_share, &c);
        return;
    }
    if (x != y && c.n > 0)
        memcpy(y, x, (size_t)c.n * size);
    if (c.inside != NULL)
        memset(c.inside, 0xff, (size_t)srq_mask_words(c.n) * sizeof(uint32_t));
}

/* y holds room for the result; `x` is where the values are. */
static struct srq_var *finish(struct srq_tape *t, struct srq_var *x, const void *from, struct srq_value *y,
                              const struct srq_rounding *r)
{
    struct round_blocks c = { .dtype = srq_tape_dtype(t), .n = srq_tensor_count(&y->var.value) };
    struct srq_block_mem mask = { 0, 0 };
    double since = srq_tape_clock(t);
    struct srq_node *n;

    if (y->var.wants_grad && srq_tape_take(t, (size_t)srq_mask_words(c.n) * sizeof(uint32_t), &mask, NULL) != 0)
        return NULL;
    c.inside = mask.size > 0 ? srq_tape_at(t, &mask) : NULL;
    run(t, r, from, y->var.value.data, &c);
    srq_tape_account(t, SRQ_TAPE_ROUND, false, since, 0);
    if (!y->var.wants_grad)
        return &y->var;
    n = srq_tape_node(t, SRQ_TAPE_ROUND, backward, y, x, NULL, NULL);
    if (n == NULL)
        return NULL;
    n->saved = mask;
    return &y->var;
}

struct srq_var *srq_op_round(struct srq_tape *t, struct srq_var *x, struct srq_rounding *r)
{
    struct srq_value *y;

    if (srq_tape_failed(t, x, x))
        return NULL;
    if (is_idle(r))
        return x;
    if (!srq_tape_grid(t, x, r))
        return NULL;
    y = srq_tape_value(t, srq_var_rows(x), srq_var_cols(x), x->wants_grad);
    return y != NULL ? finish(t, x, x->value.data, y, r) : NULL;
}

struct srq_var *srq_tape_round_here(struct srq_tape *t, struct srq_var *x, struct srq_rounding *r)
{
    struct srq_value *y;
    void *at;

    if (srq_tape_failed(t, x, x))
        return NULL;
    if (is_idle(r))
        return x;
    if (!srq_tape_grid(t, x, r))
        return NULL;
    at = x->value.data;
    y = srq_tape_take_over(t, (struct srq_value *)x);
    return y != NULL ? finish(t, x, at, y, r) : NULL;
}
