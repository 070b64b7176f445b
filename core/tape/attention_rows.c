/* Rows of attention's tiles, whatever multiplies: how they begin, what a risen maximum does to them, how they end. */
#include "core/tape/attention.h"

#include <math.h>

void srq_attention_begin(const struct srq_attention_job *j, const struct srq_attention_rows *w, int64_t rows)
{
    memset(w->out, 0, (size_t)(rows * j->width) * sizeof(float));
    for (int64_t r = 0; r < rows; r++) {
        w->most[r] = -INFINITY;
        w->sum[r] = 0;
    }
}

void srq_attention_rise(const struct srq_attention_job *j, const struct srq_attention_rows *w, int64_t r,
                        const float *logits, int64_t n)
{
    float *out = w->out + r * j->width, most = j->kern->row_max(logits, j->a.scale, n), factor;

    if (!(most > w->most[r]))
        return;
    factor = expf(w->most[r] - most); /* 0 the first time */
    if (factor != 0.0f)
        j->kern->store(SRQ_F32, out, factor, out, j->columns, false);
    w->sum[r] *= factor;
    w->most[r] = most;
}

void srq_attention_end(const struct srq_attention_job *j, const struct srq_attention_rows *w,
                       const struct srq_attention_span *s, int64_t b, int64_t head)
{
    const int64_t row = b * j->a.seq + s->q0;

    for (int64_t r = 0; r < s->nq; r++) {
        j->kern->store(j->dtype, w->out + r * j->width, 1.0f / w->sum[r],
                       (char *)srq_attention_row(j, j->y, row + r, j->a.heads, head), j->a.head_dim, false);
        if (j->lse != NULL)
            j->lse[(b * j->a.heads + head) * j->a.seq + s->q0 + r] = w->most[r] + logf(w->sum[r]);
    }
}

void srq_attention_recall(const struct srq_attention_job *j, const struct srq_attention_rows *w,
                          const struct srq_attention_span *s, int64_t b, int64_t head)
{
    const int64_t row = b * j->a.seq + s->q0;

    for (int64_t r = 0; r < s->nq; r++) {
        w->most[r] = j->lse[(b * j->a.heads + head) * j->a.seq + s->q0 + r];
        w->sum[r] = j->kern->dot(j->dtype, srq_attention_row(j, j->dout, row + r, j->a.heads, head),
                                 srq_attention_row(j, j->out, row + r, j->a.heads, head), j->a.head_dim);
    }
}

void srq_attention_store_queries(const struct srq_attention_job *j, const float *sums,
                                 const struct srq_attention_span *s, int64_t b, int64_t head)
{
    for (int64_t r = 0; r < s->nq && j->dq != NULL; r++)
        j->kern->store(j->dtype, sums + r * j->width, 1.0f,
                       (char *)srq_attention_row(j, j->dq, b * j->a.seq + s->q0 + r, j->a.heads, head), j->a.head_dim,
                       j->add_q);
}

static void store_keys(const struct srq_attention_job *j, const float *sums, char *base, bool add, int64_t b,
                       int64_t kv)
{
    for (int64_t k = 0; k < j->keys && base != NULL; k++)
        j->kern->store(j->dtype, sums + k * j->width, 1.0f,
                       (char *)srq_attention_row(j, base, b * j->keys + k, j->a.kv_heads, kv), j->a.head_dim, add);
}

void srq_attention_store_keys(const struct srq_attention_job *j, const float *dk, const float *dv, int64_t b,
                              int64_t kv)
{
    store_keys(j, dk, j->dk, j->add_k, b, kv);
    store_keys(j, dv, j->dv, j->add_v, b, kv);
}
