/* Sums of codes on any processor: rows of weights as they are, one sum after the other. */
#include "core/math/int8_backend.h"

static int start(struct srq_error *err)
{
    (void)err;
    return 0;
}

static void stop(void)
{
}

static size_t bytes(const struct srq_int8_weight *w)
{
    return (size_t)(w->n * w->k);
}

static void pack(const struct srq_int8_weight *w, const int8_t *from, int8_t *to)
{
    memcpy(to, from, bytes(w));
}

static int32_t sum_of(const uint8_t *a, const int8_t *b, int64_t n)
{
    int32_t sum = 0;

    for (int64_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

static void block(const struct srq_int8_product *p, const struct srq_int8_block *t)
{
    const struct srq_int8_weight *w = p->b;

    for (int64_t i = 0; i < t->rows; i++) {
        const uint8_t *a = srq_int8_row(&p->a, t->first + i);

        for (int64_t j = 0; j < t->cols; j++) {
            const int8_t *b = w->codes + (t->col + j) * w->k;
            int32_t sum = 0;

            for (int64_t s = 0; s < w->pieces; s++)
                sum += sum_of(a + s * p->a.piece, b + s * w->piece, w->piece);
            t->sums[i * SRQ_INT8_BLOCK_COLS + j] = sum + t->begin[j];
        }
    }
}

/* A row in stretches that int32 holds. */
static int64_t wide_sum(const struct srq_int8_product *p, const uint8_t *a, const int8_t *b)
{
    const struct srq_int8_weight *w = p->b;
    int64_t sum = 0;

    for (int64_t s = 0; s < w->pieces; s++) {
        for (int64_t at = 0; at < w->piece; at += SRQ_INT8_NARROW) {
            int64_t n = w->piece - at < SRQ_INT8_NARROW ? w->piece - at : SRQ_INT8_NARROW;

            sum += sum_of(a + s * p->a.piece + at, b + s * w->piece + at, n);
        }
    }
    return sum;
}

void srq_int8_wide_block(const struct srq_int8_product *p, const struct srq_int8_block *t)
{
    const struct srq_int8_weight *w = p->b;
    const struct srq_kernels *kern = srq_kernels();
    float row[SRQ_INT8_BLOCK_COLS];

    for (int64_t i = t->first; i < t->first + t->rows; i++) {
        void *c = srq_int8_out(p, i, t->col);

        for (int64_t j = t->col; j < t->col + t->cols; j++) {
            int64_t sum = wide_sum(p, srq_int8_row(&p->a, i), w->codes + j * w->k);

            sum -= (int64_t)p->zero_a * w->sums[j];
            row[j - t->col] = (float)sum * (p->scale_a * w->scales[j]) + (p->bias != NULL ? p->bias[j] : 0);
        }
        kern->store(p->c.dtype, row, 1.0f, c, t->cols, false);
        if (p->round.scale != 0)
            kern->round(p->c.dtype, c, &p->round, c, NULL, t->cols);
    }
}

const struct srq_int8_engine srq_int8_plain = {
    .name = "plain",
    .start = start,
    .stop = stop,
    .bytes = bytes,
    .pack = pack,
    .block = block,
};
