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

/* Rows of two parts, each with a grid and a mask of its own; the masks of a row stand one behind the other. */
struct round_rows {
    struct round_blocks all;
    struct srq_code_range rest;
    int64_t cols, split;
};

static int64_t row_words(int64_t cols, int64_t split)
{
    return srq_mask_words(split) + srq_mask_words(cols - split);
}

static bool splits(const struct srq_rounding *r, int64_t cols)
{
    return r->split > 0 && r->split < cols && !srq_rounding_off(r);
}

/* Of the mask of x. */
static int64_t mask_words(const struct srq_rounding *r, const struct srq_var *x)
{
    int64_t cols = srq_var_cols(x);

    return splits(r, cols) ? srq_var_rows(x) * row_words(cols, r->split) : srq_mask_words(srq_tensor_count(&x->value));
}

/* ---- y = (clamp(round(x/scale) + zero, low, high) - zero) scale ---- */

static void round_two(void *ctx, int64_t begin, int64_t end)
{
    const struct round_rows *c = ctx;
    size_t size = srq_dtype_size(c->all.dtype);

    for (int64_t row = begin; row < end; row++) {
        uint32_t *inside = c->all.inside != NULL ? c->all.inside + row * row_words(c->cols, c->split) : NULL;
        size_t at = (size_t)(row * c->cols) * size, rest = at + (size_t)c->split * size;

        srq_kernels()->round(c->all.dtype, c->all.x + at, &c->all.to, c->all.y + at, inside, c->split);
        inside = inside != NULL ? inside + srq_mask_words(c->split) : NULL;
        srq_kernels()->round(c->all.dtype, c->all.x + rest, &c->rest, c->all.y + rest, inside, c->cols - c->split);
    }
}

static void keep_two(void *ctx, int64_t begin, int64_t end)
{
    const struct round_rows *c = ctx;
    size_t size = srq_dtype_size(c->all.dtype);

    for (int64_t row = begin; row < end; row++) {
        const uint32_t *inside = c->all.inside + row * row_words(c->cols, c->split);
        size_t at = (size_t)(row * c->cols) * size, rest = at + (size_t)c->split * size;

        srq_kernels()->keep_inside(c->all.dtype, inside, c->all.x + at, c->all.y + at, c->split, c->all.add);
        srq_kernels()->keep_inside(c->all.dtype, inside + srq_mask_words(c->split), c->all.x + rest, c->all.y + rest,
                                   c->cols - c->split, c->all.add);
    }
}

static int64_t rows_grain(int64_t cols)
{
    return 1 + GRAIN * SRQ_MASK_BLOCK / (cols + 1);
}

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
    if (n->as.split > 0) {
        struct round_rows two = { .all = c, .cols = srq_var_cols(&x->var), .split = n->as.split };

        srq_parallel(srq_var_rows(&x->var), rows_grain(two.cols), keep_two, &two);
    } else {
        srq_parallel(blocks(c.n), GRAIN, keep_share, &c);
    }
    srq_tape_account(t, SRQ_TAPE_ROUND, true, since, srq_pass_work(&x->var.grad, 2 + c.add, c.add));
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

static bool is_grid(float scale, float low, float high, float zero)
{
    return isfinite(scale) && scale != 0 && is_code(low) && is_code(high) && is_code(zero) && low <= high;
}

bool srq_tape_grid(struct srq_tape *t, const struct srq_var *x, struct srq_rounding *r)
{
    if (srq_tape_measuring(t))
        return true;
    if (r->observe != NULL)
        r->observe(r->ctx, r, &x->value);
    if (srq_rounding_off(r))
        return true;
    if (!is_grid(r->scale, r->low, r->high, r->zero))
        srq_tape_fail(t, -SRQ_EINVAL, "codes %g to %g with zero at %g and steps of %g are no grid to round to",
                      (double)r->low, (double)r->high, (double)r->zero, (double)r->scale);
    else if (splits(r, srq_var_cols(x)) && !is_grid(r->rest.scale, r->rest.low, r->rest.high, r->rest.zero))
        srq_tape_fail(t, -SRQ_EINVAL,
                      "codes %g to %g with zero at %g and steps of %g are no grid to round columns from %lld on to",
                      (double)r->rest.low, (double)r->rest.high, (double)r->rest.zero, (double)r->rest.scale,
                      (long long)r->split);
    else
        return true;
    return false;
}

/* Without a scale all that remains is a copy, all of it inside. */
static void run(struct srq_tape *t, const struct srq_rounding *r, const void *x, struct srq_tensor *y,
                const struct round_blocks *as)
{
    struct round_rows two = { .all = *as,
                              .rest = { r->rest.scale, r->rest.zero, r->rest.low, r->rest.high },
                              .cols = y->shape[1],
                              .split = r->split };
    struct round_blocks c = *as;
    size_t size = srq_dtype_size(c.dtype);

    c.x = x;
    c.y = y->data;
    c.to = (struct srq_code_range){ r->scale, r->zero, r->low, r->high };
    if (srq_tape_measuring(t))
        return;
    if (splits(r, two.cols)) {
        two.all = c;
        srq_parallel(y->shape[0], rows_grain(two.cols), round_two, &two);
        return;
    }
    if (!srq_rounding_off(r)) {
        srq_parallel(blocks(c.n), GRAIN, round_share, &c);
        return;
    }
    if (x != c.y && c.n > 0)
        memcpy(c.y, x, (size_t)c.n * size);
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

    if (y->var.wants_grad && srq_tape_take(t, (size_t)mask_words(r, &y->var) * sizeof(uint32_t), &mask, NULL) != 0)
        return NULL;
    c.inside = mask.size > 0 ? srq_tape_at(t, &mask) : NULL;
    run(t, r, from, &y->var.value, &c);
    srq_tape_account(t, SRQ_TAPE_ROUND, false, since, srq_pass_work(&y->var.value, 2, 5));
    if (!y->var.wants_grad)
        return &y->var;
    n = srq_tape_node(t, SRQ_TAPE_ROUND, backward, y, x, NULL, NULL);
    if (n == NULL)
        return NULL;
    n->saved = mask;
    n->as.split = splits(r, srq_var_cols(&y->var)) ? r->split : 0;
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
