/* Mean squared error (spec signround 5: mean over valid elements, in F32), the largest errors left out where asked for
 * (8.3: their squares count as 0, the mean is still over all). */
#include "core/tape/record.h"

#include "core/math/kernels.h"
#include "core/math/team.h"
#include "core/tape/largest_errors.h"

struct rows {
    const struct srq_tensor *x, *target;
    const uint8_t *mask;
    float *sums;            /* [rows] squared error of each, so that their sum has a fixed order */
    struct srq_tensor grad; /* data NULL: not wanted */
    int64_t cols;
    float factor;           /* 2 / valid elements */
    const int64_t *dropped; /* positions left out, ascending */
    int64_t dropped_count;
};

/* The first position left out that is not before `position`. */
static int64_t first_dropped(const struct rows *c, int64_t position)
{
    int64_t low = 0, high = c->dropped_count;

    while (low < high) {
        int64_t middle = low + (high - low) / 2;

        if (c->dropped[middle] < position)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Columns [from, to) of row i. */
static float square_part(const struct rows *c, int64_t i, int64_t from, int64_t to)
{
    size_t x = srq_dtype_size(c->x->dtype), y = srq_dtype_size(c->target->dtype), at = (size_t)(i * c->cols + from);
    void *grad = c->grad.data != NULL ? (char *)c->grad.data + at * x : NULL;

    return srq_kernels()->square_error(c->x->dtype, (const char *)c->x->data + at * x, c->target->dtype,
                                       (const char *)c->target->data + at * y, c->factor, grad, to - from);
}

/* A row in the parts between the elements that are left out, whose gradient is zero. */
static float square_row(const struct rows *c, int64_t i)
{
    size_t size = srq_dtype_size(c->x->dtype);
    int64_t from = 0;
    float sum = 0;

    for (int64_t d = first_dropped(c, i * c->cols); d < c->dropped_count && c->dropped[d] < (i + 1) * c->cols; d++) {
        int64_t at = c->dropped[d] - i * c->cols;

        sum += square_part(c, i, from, at);
        if (c->grad.data != NULL)
            memset((char *)c->grad.data + (size_t)c->dropped[d] * size, 0, size);
        from = at + 1;
    }
    return sum + square_part(c, i, from, c->cols);
}

static void square_rows(void *ctx, int64_t begin, int64_t end)
{
    const struct rows *c = ctx;
    size_t bytes = (size_t)c->cols * srq_dtype_size(c->x->dtype);

    for (int64_t i = begin; i < end; i++) {
        bool valid = c->mask == NULL || c->mask[i] != 0;

        c->sums[i] = valid ? square_row(c, i) : 0;
        if (!valid && c->grad.data != NULL)
            memset(srq_row(&c->grad, i, c->cols), 0, bytes);
    }
}

/* Scratch for finding what is left out. */
struct dropping {
    double share; /* 0: nothing is left out */
    struct srq_block_mem peaks, found;
};

/* How many of `valid` elements a share is. */
static int64_t drop_count(double share, int64_t valid)
{
    int64_t n = (int64_t)((double)valid * share);

    return share <= 0 || valid == 0 ? 0 : n < 1 ? 1 : n < valid ? n : valid;
}

static void find_dropped(struct srq_tape *t, struct rows *c, int64_t rows, int64_t valid, const struct dropping *d)
{
    struct srq_error_matrix m = { c->x, c->target, c->mask, rows, c->cols };
    int64_t *found = srq_tape_at(t, &d->found);

    if (d->share <= 0)
        return;
    c->dropped_count = srq_largest_errors(&m, drop_count(d->share, valid), srq_tape_at(t, &d->peaks), found);
    c->dropped = found;
}

static void forward(struct srq_tape *t, struct rows *c, int64_t rows, const struct dropping *d, float *loss)
{
    double since = srq_tape_clock(t), total = 0;
    struct srq_tape_work work;
    int64_t valid = rows;

    if (c->mask != NULL) {
        valid = 0;
        for (int64_t i = 0; i < rows; i++)
            valid += c->mask[i] != 0;
    }
    valid *= c->cols;
    c->factor = valid > 0 ? (float)(2.0 / (double)valid) : 0.0f;
    find_dropped(t, c, rows, valid, d);
    srq_parallel(rows, 1 + 8192 / (c->cols + 1), square_rows, c);
    for (int64_t i = 0; i < rows; i++)
        total += c->sums[i];
    *loss = valid > 0 ? (float)(total / (double)valid) : 0.0f;
    work = srq_pass_work(c->x, c->grad.data != NULL ? 2 : 1, c->grad.data != NULL ? 4 : 3);
    work.bytes += srq_pass_work(c->target, 1, 0).bytes;
    srq_tape_account(t, SRQ_TAPE_MSE, false, since, work);
}

/* The forward pass has made the gradient already. */
static int backward(struct srq_tape *t, struct srq_node *n, struct srq_error *err)
{
    return srq_tape_adopt_grad(t, n->in[0], &n->saved, err);
}

static int take_scratch(struct srq_tape *t, int64_t rows, int64_t cols, struct srq_block_mem *sums, struct dropping *d)
{
    int rc = srq_tape_take(t, (size_t)rows * sizeof(float), sums, NULL);

    if (rc == 0 && d->share > 0)
        rc = srq_tape_take(t, (size_t)srq_error_peaks(rows, cols) * sizeof(float), &d->peaks, NULL);
    if (rc == 0 && d->share > 0)
        rc = srq_tape_take(t, (size_t)drop_count(d->share, rows * cols) * sizeof(int64_t), &d->found, NULL);
    return rc;
}

struct srq_var *srq_op_mse(struct srq_tape *t, struct srq_var *x, const struct srq_tensor *target, const uint8_t *mask)
{
    return srq_op_mse_dropping(t, x, target, mask, 0);
}

struct srq_var *srq_op_mse_dropping(struct srq_tape *t, struct srq_var *x, const struct srq_tensor *target,
                                    const uint8_t *mask, double drop_largest)
{
    struct srq_block_mem saved = { 0, 0 }, sums = { 0, 0 };
    struct dropping drop = { .share = drop_largest };
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
    if (!(drop_largest >= 0 && drop_largest < 1))
        return srq_tape_fail(t, -SRQ_EINVAL, "a share of %g of the errors cannot be left out", drop_largest);
    (void)srq_tensor_bytes(&x->value, &bytes);
    loss = srq_tape_value(t, 1, 2, x->wants_grad); /* room for one F32 in either dtype */
    if (loss == NULL)
        return NULL;
    loss->var.value.dtype = SRQ_F32;
    loss->var.value.rank = 0;
    loss->kept = true;
    if ((loss->var.wants_grad && srq_tape_take(t, bytes, &saved, NULL) != 0) ||
        take_scratch(t, rows, cols, &sums, &drop) != 0)
        return NULL;
    if (!srq_tape_measuring(t)) {
        struct rows c = { .x = &x->value, .target = target, .mask = mask, .sums = srq_tape_at(t, &sums), .cols = cols };

        c.grad = x->value;
        c.grad.data = saved.size > 0 ? srq_tape_at(t, &saved) : NULL;
        forward(t, &c, rows, &drop, loss->var.value.data);
    }
    srq_tape_give(t, &sums);
    srq_tape_give(t, &drop.peaks);
    srq_tape_give(t, &drop.found);
    if (!loss->var.wants_grad)
        return &loss->var;
    n = srq_tape_node(t, SRQ_TAPE_MSE, backward, loss, x, NULL, NULL);
    if (n == NULL)
        return NULL;
    n->saved = saved;
    return &loss->var;
}
