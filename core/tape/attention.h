/* What both kinds of attention work with: by panels where this machine has kernels for them (attention_panels.c), else
 * by the vector kernels (ops_attention.c). */
#ifndef SRQ_TAPE_ATTENTION_H
#define SRQ_TAPE_ATTENTION_H

#include "core/tape/record.h"

#include "core/math/kernels.h"
#include "core/math/panels.h"

struct srq_attention_job {
    struct srq_attention a;
    const struct srq_kernels *kern;
    enum srq_dtype dtype;
    const char *q, *k, *v, *out, *dout;
    char *y;            /* forward: the output */
    char *dq, *dk, *dv; /* backward; NULL: nobody wants it */
    bool add_q, add_k, add_v;
    float *lse; /* [batch, heads, seq]; NULL: not saved */
    char *work; /* a stretch of work_len bytes for each thread */
    int64_t work_len;
    const struct srq_panel_kernel *panels; /* NULL: by the vector kernels */
    int64_t keys;                          /* of a sequence */
    int64_t group;                         /* query heads per key/value head */
    int64_t columns;                       /* head_dim rounded up to tile_n: what products compute */
    int64_t width;       /* row stride of sums; it and keys_padded fit the widest kernels, so that a plan made */
    int64_t keys_padded; /* on one machine holds on another */
};

/* The tile at hand: queries [q0, q0 + nq) against keys [k0, k1). */
struct srq_attention_span {
    int64_t q0, nq, k0, k1;
};

static inline const char *srq_attention_row(const struct srq_attention_job *j, const char *base, int64_t row,
                                            int64_t heads, int64_t head)
{
    return base + (size_t)((row * heads + head) * j->a.head_dim) * srq_dtype_size(j->dtype);
}

/* The first key that query q sees. */
static inline int64_t srq_first_key(const struct srq_attention_job *j, int64_t q)
{
    return j->a.window > 0 && q >= j->a.window ? q - j->a.window + 1 : 0;
}

/* The end of the keys that query q sees. */
static inline int64_t srq_last_key(const struct srq_attention_job *j, int64_t q)
{
    return j->a.full ? j->keys : q + 1;
}

static inline int64_t srq_lesser(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t srq_greater(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* The allowed keys [*a, *b) of row r inside the tile; an empty range at k0 when there are none. */
static inline void srq_allowed_keys(const struct srq_attention_job *j, const struct srq_attention_span *s, int64_t r,
                                    int64_t *a, int64_t *b)
{
    *a = srq_greater(s->k0, srq_first_key(j, s->q0 + r));
    *b = srq_lesser(s->k1, srq_last_key(j, s->q0 + r));
    if (r >= s->nq || *a >= *b)
        *a = *b = s->k0;
}

/* Sums of a tile's rows, of row stride job->width, with what a row's weights are relative to: forward its largest
 * logit so far and the sum of its weights, backward its log-sum-exp and its mean slope. */
struct srq_attention_rows {
    float *out, *most, *sum;
};

/* Forward: nothing is summed up yet; row r sees `n` more logits, and what is summed up follows a larger one; the rows
 * of head `head` of sequence b go to y, their log-sum-exp is kept. */
void srq_attention_begin(const struct srq_attention_job *j, const struct srq_attention_rows *w, int64_t rows);
void srq_attention_rise(const struct srq_attention_job *j, const struct srq_attention_rows *w, int64_t r,
                        const float *logits, int64_t n);
void srq_attention_end(const struct srq_attention_job *j, const struct srq_attention_rows *w,
                       const struct srq_attention_span *s, int64_t b, int64_t head);
/* Backward: what forward kept of the rows; and the gradients, where somebody wants them. */
void srq_attention_recall(const struct srq_attention_job *j, const struct srq_attention_rows *w,
                          const struct srq_attention_span *s, int64_t b, int64_t head);
void srq_attention_store_queries(const struct srq_attention_job *j, const float *sums,
                                 const struct srq_attention_span *s, int64_t b, int64_t head);
void srq_attention_store_keys(const struct srq_attention_job *j, const float *dk, const float *dv, int64_t b,
                              int64_t kv);

/* A workspace as it is laid out; `base` NULL: only its length is wanted. */
struct srq_attention_cursor {
    char *base;
    int64_t len; /* bytes */
};

/* The next stretch of it, on a cache line of its own. */
static inline void *srq_attention_part(struct srq_attention_cursor *c, int64_t bytes)
{
    char *p = c->base != NULL ? c->base + c->len : NULL;

    c->len += (bytes + 63) / 64 * 64;
    return p;
}

/* By panels, of one sequence and one key/value head; and bytes of a thread's workspace, on any machine. */
void srq_attention_panels_forward(void *job, int64_t item, int thread);
void srq_attention_panels_backward(void *job, int64_t item, int thread);
int64_t srq_attention_panels_work(const struct srq_attention_job *j, bool backward);

#endif
