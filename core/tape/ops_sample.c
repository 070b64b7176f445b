/* One vector for all rows of a sample: a sum, and a scale with a shift (embeddings of time steps and classes). */
#include "core/tape/column_sums.h"
#include "core/tape/record.h"

#include "core/math/kernels.h"
#include "core/math/team.h"

struct samples {
    enum srq_dtype dtype;
    struct srq_tensor x, y; /* [batch*rows, cols] */
    struct srq_tensor e;    /* [batch, cols], or [batch, 2 cols]: scale, shift */
    float *wide;            /* the same in F32, with 1 added to each scale */
    const void *with;       /* what the rows at x are multiplied with before they are summed, or NULL */
    int64_t batch, rows, cols, width;
    int64_t first; /* column of e at which the sums go */
    bool add;
};

static int64_t grain(int64_t cols)
{
    return 1 + 8192 / (cols + 1);
}

/* Sets the sizes of `c`; false (the tape has failed) when e is not `parts` vectors for each sample of x. */
static bool measure(struct srq_tape *t, const struct srq_var *x, const struct srq_var *e, int64_t batch, int parts,
                    struct samples *c)
{
    if (srq_tape_failed(t, x, e))
        return false;
    *c = (struct samples){
        .dtype = srq_tape_dtype(t), .x = x->value, .e = e->value, .batch = batch, .cols = srq_var_cols(x)
    };
    c->rows = batch > 0 ? srq_var_rows(x) / batch : 0;
    c->width = parts * c->cols;
    if (batch > 0 && srq_var_rows(x) % batch == 0 && srq_var_rows(e) == batch && srq_var_cols(e) == c->width)
        return true;
    srq_tape_fail(t, -SRQ_EINVAL, "%lld samples of [%lld, %lld] do not go with [%lld, %lld], %d for each channel",
                  (long long)batch, (long long)srq_var_rows(x), (long long)srq_var_cols(x), (long long)srq_var_rows(e),
                  (long long)srq_var_cols(e), parts);
    return false;
}

/* ---- de: sums over the rows of a sample, strip by strip of its columns ---- */

static void sum_strip(void *ctx, int64_t item, int thread)
{
    const struct samples *c = ctx;
    int64_t strips = (c->cols + SRQ_COLUMNS - 1) / SRQ_COLUMNS, sample = item / strips;
    int64_t col = item % strips * SRQ_COLUMNS, n = c->cols - col < SRQ_COLUMNS ? c->cols - col : SRQ_COLUMNS;
    struct srq_columns sums = { .dtype = c->dtype, .rows = c->rows, .ld = c->cols };
    size_t at = (size_t)(sample * c->rows * c->cols) * srq_dtype_size(c->dtype);
    double sum[SRQ_COLUMNS];
    float out[SRQ_COLUMNS];

    (void)thread;
    sums.x = (const char *)c->x.data + at;
    sums.with = c->with != NULL ? (const char *)c->with + at : NULL;
    srq_column_sums(&sums, col, n, sum);
    for (int64_t k = 0; k < n; k++)
        out[k] = (float)sum[k];
    srq_kernels()->store(c->dtype, out, 1.0f, srq_row(&c->e, 1, sample * c->width + c->first + col), n, c->add);
}

/* Columns [first, first + cols) of de get the sums of dy, or of dy with[.]. */
static void sum_samples(const struct samples *from, const struct srq_tensor *dy, const void *with, int64_t first)
{
    struct samples c = *from;

    c.x = *dy;
    c.with = with;
    c.first = first;
    srq_parallel_items(c.batch * ((c.cols + SRQ_COLUMNS - 1) / SRQ_COLUMNS), sum_strip, &c);
}

/* ---- y = x + e of the row's sample ---- */

static void add_rows(void *ctx, int64_t begin, int64_t end)
{
    const struct samples *c = ctx;

    for (int64_t r = begin; r < end; r++)
        srq_kernels()->add(c->dtype, srq_row(&c->x, r, c->cols), srq_row(&c->e, r / c->rows, c->cols),
                           srq_row(&c->y, r, c->cols), c->cols);
}

static int add_backward(struct srq_tape *t, struct srq_node *n, struct srq_error *err)
{
    double since = srq_tape_clock(t);
    struct srq_value *x = n->in[0], *e = n->in[1];
    struct samples c;
    bool add;
    int rc = 0;

    if (!measure(t, &x->var, &e->var, srq_var_rows(&e->var), 1, &c))
        return srq_tape_error(t, err);
    if (e->var.wants_grad) {
        rc = srq_tape_grad(t, e, true, &c.add, err);
        c.e = e->var.grad;
        if (rc == 0 && !srq_tape_measuring(t))
            sum_samples(&c, &n->out->var.grad, NULL, 0);
    }
    add = x->grad != NULL;
    if (rc == 0 && x->var.wants_grad)
        rc = srq_tape_pass_grad(t, n->out, x, err);
    srq_tape_account(t, SRQ_TAPE_SAMPLE, true, since,
                     srq_pass_work(&x->var.value, e->var.wants_grad + 3 * add, e->var.wants_grad + add));
    return rc;
}

struct srq_var *srq_op_add_each(struct srq_tape *t, struct srq_var *x, struct srq_var *e, int64_t batch)
{
    double since = srq_tape_clock(t);
    struct srq_value *y;
    struct samples c;

    if (!measure(t, x, e, batch, 1, &c))
        return NULL;
    y = srq_tape_value(t, srq_var_rows(x), c.cols, x->wants_grad || e->wants_grad);
    if (y == NULL)
        return NULL;
    c.y = y->var.value;
    if (!srq_tape_measuring(t)) {
        srq_parallel(c.batch * c.rows, grain(c.cols), add_rows, &c);
        srq_tape_account(t, SRQ_TAPE_SAMPLE, false, since, srq_pass_work(&x->value, 2, 1));
    }
    if (y->var.wants_grad && srq_tape_node(t, SRQ_TAPE_SAMPLE, add_backward, y, x, e, NULL) == NULL)
        return NULL;
    return &y->var;
}

/* ---- y = x (1 + scale) + shift ---- */

/* c->wide gets e in F32, and 1 added to the scales. */
static int widen(struct srq_tape *t, struct samples *c, struct srq_block_mem *mem, struct srq_error *err)
{
    int rc = srq_tape_take(t, (size_t)(c->batch * c->width) * sizeof(float), mem, err);

    c->wide = srq_tape_at(t, mem);
    if (rc != 0 || srq_tape_measuring(t))
        return rc;
    for (int64_t b = 0; b < c->batch; b++) {
        srq_kernels()->load(c->dtype, srq_row(&c->e, b, c->width), c->wide + b * c->width, c->width);
        for (int64_t k = 0; k < c->cols; k++)
            c->wide[b * c->width + k] += 1.0f;
    }
    return 0;
}

static void modulate_rows(void *ctx, int64_t begin, int64_t end)
{
    const struct samples *c = ctx;

    for (int64_t r = begin; r < end; r++) {
        const float *scale = c->wide + r / c->rows * c->width;
        const struct srq_affine by = { scale, NULL, scale + c->cols };

        srq_kernels()->affine(c->dtype, srq_row(&c->x, r, c->cols), NULL, &by, srq_row(&c->y, r, c->cols), c->cols,
                              false);
    }
}

/* dx = dy (1 + scale) */
static void modulate_back_rows(void *ctx, int64_t begin, int64_t end)
{
    const struct samples *c = ctx;

    for (int64_t r = begin; r < end; r++) {
        const struct srq_affine by = { c->wide + r / c->rows * c->width, NULL, NULL };

        srq_kernels()->affine(c->dtype, srq_row(&c->x, r, c->cols), NULL, &by, srq_row(&c->y, r, c->cols), c->cols,
                              c->add);
    }
}

static int modulated_input(struct srq_tape *t, struct srq_node *n, struct samples *c, struct srq_error *err)
{
    struct srq_value *x = n->in[0];

    c->add = false;
    if (!srq_tape_move_grad(t, n->out, x)) {
        int rc = srq_tape_grad(t, x, true, &c->add, err);

        if (rc != 0)
            return rc;
    }
    c->x = n->out->var.grad;
    c->y = x->var.grad;
    if (!srq_tape_measuring(t))
        srq_parallel(c->batch * c->rows, grain(c->cols), modulate_back_rows, c);
    return 0;
}

/* The values of x and e are read first, for de and for the scales; then dx and de may take their places. */
static int modulate_backward(struct srq_tape *t, struct srq_node *n, struct srq_error *err)
{
    double since = srq_tape_clock(t);
    struct srq_value *x = n->in[0], *e = n->in[1];
    struct srq_block_mem wide;
    struct samples c;
    int rc;

    if (!measure(t, &x->var, &e->var, srq_var_rows(&e->var), 2, &c))
        return srq_tape_error(t, err);
    rc = widen(t, &c, &wide, err);
    if (rc != 0)
        return rc;
    if (e->var.wants_grad) {
        rc = srq_tape_grad(t, e, true, &c.add, err);
        c.e = e->var.grad;
        if (rc == 0 && !srq_tape_measuring(t)) {
            sum_samples(&c, &n->out->var.grad, x->var.value.data, 0);
            sum_samples(&c, &n->out->var.grad, NULL, c.cols);
        }
    }
    if (rc == 0 && x->var.wants_grad)
        rc = modulated_input(t, n, &c, err);
    srq_tape_give(t, &wide);
    srq_tape_account(t, SRQ_TAPE_SAMPLE, true, since,
                     srq_pass_work(&x->var.value, 1 + e->var.wants_grad + (x->var.wants_grad ? 1 + c.add : 0),
                                   3 * e->var.wants_grad + (x->var.wants_grad ? 1 + c.add : 0)));
    return rc;
}

struct srq_var *srq_op_modulate(struct srq_tape *t, struct srq_var *x, struct srq_var *e, int64_t batch)
{
    double since = srq_tape_clock(t);
    struct srq_block_mem wide;
    struct srq_value *y;
    struct samples c;

    if (!measure(t, x, e, batch, 2, &c))
        return NULL;
    y = srq_tape_value(t, srq_var_rows(x), c.cols, x->wants_grad || e->wants_grad);
    if (y == NULL || widen(t, &c, &wide, NULL) != 0)
        return NULL;
    c.y = y->var.value;
    if (!srq_tape_measuring(t)) {
        srq_parallel(c.batch * c.rows, grain(c.cols), modulate_rows, &c);
        srq_tape_account(t, SRQ_TAPE_SAMPLE, false, since, srq_pass_work(&x->value, 2, 2));
    }
    srq_tape_give(t, &wide);
    if (y->var.wants_grad && srq_tape_node(t, SRQ_TAPE_SAMPLE, modulate_backward, y, x, e, NULL) == NULL)
        return NULL;
    return &y->var;
}
