/* Sums over the rows of a pass, a strip of columns at a time. */
#include "core/tape/vector_grad.h"

#include "core/math/team.h"

#define STRIP 64    /* columns at a time: a cache line or more of every row */
#define STRETCH 128 /* rows summed in F32 at a time */

struct columns {
    const struct srq_tensor *dy, *x;
    const float *scale;
    int64_t rows, n;
    float *sum;
};

/* Elements [col, col+n) of a row, in F32. */
static void widen(const struct srq_tensor *t, int64_t at, int64_t n, float *out)
{
    (void)srq_convert((const char *)t->data + (size_t)at * srq_dtype_size(t->dtype), t->dtype, out, SRQ_F32, n);
}

static void add_strip(const struct columns *c, int64_t col, int64_t n)
{
    double total[STRIP] = { 0 };
    float dy[STRIP], x[STRIP], part[STRIP];

    for (int64_t row = 0; row < c->rows; row += STRETCH) {
        memset(part, 0, sizeof(part));
        for (int64_t i = row; i < c->rows && i < row + STRETCH; i++) {
            widen(c->dy, i * c->n + col, n, dy);
            if (c->x != NULL)
                widen(c->x, i * c->n + col, n, x);
            for (int64_t k = 0; k < n; k++)
                part[k] += c->x != NULL ? dy[k] * x[k] * c->scale[i] : dy[k];
        }
        for (int64_t k = 0; k < n; k++)
            total[k] += (double)part[k];
    }
    for (int64_t k = 0; k < n; k++)
        c->sum[col + k] = (float)total[k];
}

static void add_columns(void *ctx, int64_t begin, int64_t end)
{
    const struct columns *c = ctx;

    for (int64_t col = begin; col < end; col += STRIP)
        add_strip(c, col, end - col < STRIP ? end - col : STRIP);
}

int srq_vector_gradient(struct srq_tape *t, const struct srq_vector *v, const struct srq_tensor *dy,
                        const struct srq_tensor *x, const float *scale, int64_t rows, struct srq_error *err)
{
    struct columns c = { dy, x, scale, rows, v->n, NULL };
    struct srq_block_mem mem;
    int rc = srq_tape_take(t, (size_t)v->n * sizeof(float), &mem, err);

    if (rc == 0 && !srq_tape_measuring(t)) {
        c.sum = srq_tape_at(t, &mem);
        srq_parallel(v->n, STRIP, add_columns, &c);
        v->sink(v->sink_ctx, c.sum);
    }
    srq_tape_give(t, &mem);
    return rc;
}
