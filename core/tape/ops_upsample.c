/* Pictures twice as high and wide, by the nearest neighbour. */
#include "core/tape/record.h"

#include "core/math/kernels.h"
#include "core/math/team.h"

#define COLUMNS 256 /* channels that are summed at a time */

/* Rows of pixels: one of the small picture, two of the large one. */
struct pixel_rows {
    const struct srq_tensor *small, *large;
    int64_t width, channels; /* of the small picture */
    bool add;
};

static char *small_at(const struct pixel_rows *c, int64_t row, int64_t column)
{
    return srq_row(c->small, row * c->width + column, c->channels);
}

static char *large_at(const struct pixel_rows *c, int64_t row, int64_t column)
{
    return srq_row(c->large, row * 2 * c->width + column, c->channels);
}

/* ---- y[2i+a, 2j+b] = x[i, j] ---- */

static void spread_rows(void *ctx, int64_t begin, int64_t end)
{
    const struct pixel_rows *c = ctx;
    size_t bytes = (size_t)c->channels * srq_dtype_size(c->small->dtype);

    for (int64_t i = begin; i < end; i++) {
        for (int64_t j = 0; j < c->width; j++) {
            memcpy(large_at(c, 2 * i, 2 * j), small_at(c, i, j), bytes);
            memcpy(large_at(c, 2 * i, 2 * j + 1), small_at(c, i, j), bytes);
        }
        memcpy(large_at(c, 2 * i + 1, 0), large_at(c, 2 * i, 0), 2 * bytes * (size_t)c->width);
    }
}

/* ---- dx[i, j] = the sum of its four dy ---- */

static void sum_pixel(const struct pixel_rows *c, int64_t i, int64_t j)
{
    const struct srq_kernels *kern = srq_kernels();
    enum srq_dtype dtype = c->small->dtype;
    float top[COLUMNS], bottom[COLUMNS];

    for (int64_t k = 0; k < c->channels; k += COLUMNS) {
        int64_t n = c->channels - k < COLUMNS ? c->channels - k : COLUMNS;
        size_t at = (size_t)k * srq_dtype_size(dtype);

        kern->column_sums(dtype, large_at(c, 2 * i, 2 * j) + at, c->channels, 2, n, top);
        kern->column_sums(dtype, large_at(c, 2 * i + 1, 2 * j) + at, c->channels, 2, n, bottom);
        kern->add(SRQ_F32, top, bottom, top, n);
        kern->store(dtype, top, 1.0f, small_at(c, i, j) + at, n, c->add);
    }
}

static void sum_rows(void *ctx, int64_t begin, int64_t end)
{
    const struct pixel_rows *c = ctx;

    for (int64_t i = begin; i < end; i++)
        for (int64_t j = 0; j < c->width; j++)
            sum_pixel(c, i, j);
}

static int64_t grain(const struct pixel_rows *c)
{
    return 1 + 8192 / (c->width * c->channels + 1);
}

static int backward(struct srq_tape *t, struct srq_node *n, struct srq_error *err)
{
    double since = srq_tape_clock(t);
    struct srq_value *x = n->in[0];
    struct pixel_rows c = { &x->var.grad, &n->out->var.grad, n->as.picture.width, srq_var_cols(&x->var), false };
    int rc = srq_tape_grad(t, x, true, &c.add, err);

    if (rc != 0 || srq_tape_measuring(t))
        return rc;
    srq_parallel(n->as.picture.batch * n->as.picture.height, grain(&c), sum_rows, &c);
    srq_tape_account(t, SRQ_TAPE_UPSAMPLE, true, since, srq_pass_work(&x->var.grad, 5 + c.add, 3 + c.add));
    return 0;
}

struct srq_var *srq_op_upsample(struct srq_tape *t, struct srq_var *x, int64_t batch, int64_t height, int64_t width)
{
    double since = srq_tape_clock(t);
    struct srq_value *y;
    struct srq_node *n;

    if (srq_tape_failed(t, x, x))
        return NULL;
    if (batch <= 0 || height <= 0 || width <= 0 || srq_var_rows(x) != batch * height * width)
        return srq_tape_fail(t, -SRQ_EINVAL, "%lld pictures of %lld x %lld pixels are not [%lld, %lld]",
                             (long long)batch, (long long)height, (long long)width, (long long)srq_var_rows(x),
                             (long long)srq_var_cols(x));
    y = srq_tape_value(t, 4 * srq_var_rows(x), srq_var_cols(x), x->wants_grad);
    if (y == NULL)
        return NULL;
    if (!srq_tape_measuring(t)) {
        struct pixel_rows c = { &x->value, &y->var.value, width, srq_var_cols(x), false };

        srq_parallel(batch * height, grain(&c), spread_rows, &c);
        srq_tape_account(t, SRQ_TAPE_UPSAMPLE, false, since, srq_pass_work(&x->value, 5, 0));
    }
    if (!y->var.wants_grad)
        return &y->var;
    n = srq_tape_node(t, SRQ_TAPE_UPSAMPLE, backward, y, x, NULL, NULL);
    if (n == NULL)
        return NULL;
    n->as.picture.batch = batch;
    n->as.picture.height = height;
    n->as.picture.width = width;
    return &y->var;
}
