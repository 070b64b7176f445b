/* Attention, causal or full, in tiles (after Dao et al. 2022, arXiv 2205.14135, and Dao 2023, arXiv 2307.08691).
 *
 * One item of work is one sequence and one key/value head, with all query heads that use it in order: so the sums into
 * dk and dv have a fixed order and no two threads share an output. Keys and values are packed for the product kernel
 * once per item. Of a tile [QUERIES, KEYS] of logits only the small tiles of the product kernel that touch the allowed
 * triangle (or band) are computed; the rest of each row is set to zero before the next product reads it. */
#include "core/tape/attention.h"

#include "core/math/team.h"

#define FLOAT ((int64_t)sizeof(float))
#define QUERIES 48                                         /* a multiple of SRQ_TILE_M_MULTIPLE */
#define KEYS 256                                           /* a multiple of every tile_n */
#define LOGITS_LD (KEYS + SRQ_TILE_N_MAX + SRQ_TILE_M_MAX) /* a row of logits and what products read beyond it */

_Static_assert(QUERIES % SRQ_TILE_M_MULTIPLE == 0 && KEYS % SRQ_TILE_N_MAX == 0, "tiles must fit");

/* Parts of a thread's workspace. */
struct work {
    float *q, *kt, *v, *logits; /* forward */
    float *q_packed, *dout, *dout_packed, *vt, *k, *slopes, *dq, *dk, *dv;
    struct srq_attention_rows rows; /* [QUERIES] */
};

/* Fills `w` from the memory at `base`; returns the length in bytes. */
static int64_t lay_out(const struct srq_attention_job *j, bool backward, char *base, struct work *w)
{
    int64_t hd = j->a.head_dim, rows = j->keys + SRQ_TILE_M_MAX;
    struct srq_attention_cursor at = { base, 0 };

    memset(w, 0, sizeof(*w));
    w->q = srq_attention_part(&at, QUERIES * hd * FLOAT);
    w->kt = srq_attention_part(&at, j->keys_padded * hd * FLOAT);
    w->logits = srq_attention_part(&at, QUERIES * LOGITS_LD * FLOAT);
    w->rows.most = srq_attention_part(&at, QUERIES * FLOAT);
    w->rows.sum = srq_attention_part(&at, QUERIES * FLOAT);
    if (!backward) {
        w->v = srq_attention_part(&at, j->keys * j->width * FLOAT);
        w->rows.out = srq_attention_part(&at, QUERIES * j->width * FLOAT);
        return at.len;
    }
    w->q_packed = srq_attention_part(&at, QUERIES * j->width * FLOAT);
    w->dout = srq_attention_part(&at, QUERIES * hd * FLOAT);
    w->dout_packed = srq_attention_part(&at, QUERIES * j->width * FLOAT);
    w->vt = srq_attention_part(&at, j->keys_padded * hd * FLOAT);
    w->k = srq_attention_part(&at, j->keys * j->width * FLOAT);
    w->slopes = srq_attention_part(&at, QUERIES * LOGITS_LD * FLOAT);
    w->dq = srq_attention_part(&at, QUERIES * j->width * FLOAT);
    w->dk = srq_attention_part(&at, rows * j->width * FLOAT);
    w->dv = srq_attention_part(&at, rows * j->width * FLOAT);
    return at.len;
}

/* Rows [q0, q0 + nq) of one head as F32 [QUERIES, head_dim], the rest zeros. */
static void load_rows(const struct srq_attention_job *j, const char *base, int64_t row, int64_t heads, int64_t head,
                      int64_t nq, float *dst)
{
    int64_t hd = j->a.head_dim;

    for (int64_t r = 0; r < nq; r++)
        j->kern->load(j->dtype, srq_attention_row(j, base, row + r, heads, head), dst + r * hd, hd);
    memset(dst + nq * hd, 0, (size_t)((QUERIES - nq) * hd) * sizeof(float));
}

/* ---- products of a tile ---- */

/* c[r, k - k0] = sum_d rows[r, d] packed[k, d], where some query of the small tile sees some key of it. */
static void query_key(const struct srq_attention_job *j, const struct srq_attention_span *s, const float *rows,
                      const float *packed, float *c)
{
    int64_t tm = j->kern->tile_m, tn = j->kern->tile_n, hd = j->a.head_dim;

    for (int64_t k = s->k0; k < s->k1; k += tn) {
        for (int64_t r = 0; r < s->nq; r += tm) {
            if (k >= srq_last_key(j, s->q0 + r + tm - 1) || k + tn <= srq_first_key(j, s->q0 + r))
                continue;
            j->kern->tile(hd, rows + r * hd, hd, 1, packed + k * hd, c + r * LOGITS_LD + (k - s->k0), LOGITS_LD, false);
        }
    }
}

/* c[r, d] += sum_k weights[r, k - k0] packed[k, d] over the keys that the small tile's queries see. */
static void over_keys(const struct srq_attention_job *j, const struct srq_attention_span *s, const float *weights,
                      const float *packed, float *c)
{
    int64_t tm = j->kern->tile_m, tn = j->kern->tile_n;

    for (int64_t r = 0; r < s->nq; r += tm) {
        int64_t from = srq_greater(s->k0, srq_first_key(j, s->q0 + r)),
                to = srq_lesser(s->k1, srq_last_key(j, s->q0 + r + tm - 1));

        if (from >= to)
            continue;
        for (int64_t d = 0; d < j->columns; d += tn)
            j->kern->tile(to - from, weights + r * LOGITS_LD + (from - s->k0), LOGITS_LD, 1,
                          packed + d * j->keys + from * tn, c + r * j->width + d, j->width, true);
    }
}

/* c[k, d] += sum_r weights[r, k - k0] packed[r, d] over the queries that see the small tile's keys. */
static void over_queries(const struct srq_attention_job *j, const struct srq_attention_span *s, const float *weights,
                         const float *packed, float *c)
{
    int64_t tm = j->kern->tile_m, tn = j->kern->tile_n;

    for (int64_t k = s->k0; k < s->k1; k += tm) {
        int64_t from = j->a.full ? 0 : srq_greater(0, k - s->q0), to = s->nq;

        if (j->a.window > 0)
            to = srq_lesser(to, k + tm - 1 + j->a.window - s->q0);
        if (from >= to)
            continue;
        for (int64_t d = 0; d < j->columns; d += tn)
            j->kern->tile(to - from, weights + from * LOGITS_LD + (k - s->k0), 1, LOGITS_LD,
                          packed + d * QUERIES + from * tn, c + k * j->width + d, j->width, true);
    }
}

/* Zeros in row r outside of its allowed keys [a, b), as far as products read. */
static void clear_outside(const struct srq_attention_span *s, float *row, int64_t a, int64_t b)
{
    int64_t end = s->k1 - s->k0 + SRQ_TILE_M_MAX;

    memset(row, 0, (size_t)(a - s->k0) * sizeof(float));
    memset(row + (b - s->k0), 0, (size_t)(end - (b - s->k0)) * sizeof(float));
}

/* ---- forward ---- */

/* Logits become weights relative to the row's running maximum; what is summed up already follows when that rises. */
static void soften(const struct srq_attention_job *j, const struct srq_attention_span *s, struct work *w)
{
    for (int64_t r = 0; r < QUERIES; r++) {
        float *row = w->logits + r * LOGITS_LD;
        int64_t a, b;

        srq_allowed_keys(j, s, r, &a, &b);
        if (a < b) {
            srq_attention_rise(j, &w->rows, r, row + (a - s->k0), b - a);
            w->rows.sum[r] += j->kern->row_exp(row + (a - s->k0), j->a.scale, w->rows.most[r], b - a);
        }
        clear_outside(s, row, a, b);
    }
}

/* One query head, queries from q0 of sequence b. */
static void forward_tile(const struct srq_attention_job *j, struct work *w, int64_t b, int64_t head, int64_t q0)
{
    int64_t seq = j->a.seq, row = b * seq + q0;
    struct srq_attention_span s = { .q0 = q0, .nq = srq_lesser(QUERIES, seq - q0) };
    int64_t first = srq_first_key(j, q0) / j->kern->tile_n * j->kern->tile_n, end = srq_last_key(j, s.q0 + s.nq - 1);

    load_rows(j, j->q, row, j->a.heads, head, s.nq, w->q);
    srq_attention_begin(j, &w->rows, QUERIES);
    for (s.k0 = first; s.k0 < end; s.k0 += KEYS) {
        s.k1 = srq_lesser(s.k0 + KEYS, end);
        query_key(j, &s, w->q, w->kt, w->logits);
        soften(j, &s, w);
        over_keys(j, &s, w->logits, w->v, w->rows.out);
    }
    srq_attention_end(j, &w->rows, &s, b, head);
}

static void forward_item(void *ctx, int64_t item, int thread)
{
    const struct srq_attention_job *j = ctx;
    int64_t b = item / j->a.kv_heads, kv = item % j->a.kv_heads, ld = j->a.kv_heads * j->a.head_dim;
    struct work w;

    lay_out(j, false, j->work + thread * j->work_len, &w);
    j->kern->pack(j->dtype, srq_attention_row(j, j->k, b * j->keys, j->a.kv_heads, kv), ld, true, j->a.head_dim,
                  j->keys, w.kt);
    j->kern->pack(j->dtype, srq_attention_row(j, j->v, b * j->keys, j->a.kv_heads, kv), ld, false, j->keys,
                  j->a.head_dim, w.v);
    for (int64_t h = kv * j->group; h < (kv + 1) * j->group; h++)
        for (int64_t q0 = 0; q0 < j->a.seq; q0 += QUERIES)
            forward_tile(j, &w, b, h, q0);
}

/* ---- backward ----
 * P = exp(scale S - lse), dP = dO Vᵀ, dS = P (dP - rowsum(dO O)) scale;
 * dq = dS K, dk = sum over query heads dSᵀ Q, dv = sum Pᵀ dO. */

static void slopes(const struct srq_attention_job *j, const struct srq_attention_span *s, struct work *w)
{
    for (int64_t r = 0; r < QUERIES; r++) {
        float *p = w->logits + r * LOGITS_LD, *ds = w->slopes + r * LOGITS_LD;
        int64_t a, b;

        srq_allowed_keys(j, s, r, &a, &b);
        if (a < b) {
            (void)j->kern->row_exp(p + (a - s->k0), j->a.scale, w->rows.most[r], b - a);
            j->kern->row_slope(p + (a - s->k0), ds + (a - s->k0), w->rows.sum[r], j->a.scale, b - a);
        }
        clear_outside(s, p, a, b);
        clear_outside(s, ds, a, b);
    }
}

static void load_tile(const struct srq_attention_job *j, struct work *w, int64_t b, int64_t head,
                      const struct srq_attention_span *s)
{
    int64_t row = b * j->a.seq + s->q0, hd = j->a.head_dim, heads = j->a.heads;

    load_rows(j, j->q, row, heads, head, s->nq, w->q);
    load_rows(j, j->dout, row, heads, head, s->nq, w->dout);
    j->kern->pack(SRQ_F32, w->q, hd, false, QUERIES, hd, w->q_packed);
    j->kern->pack(SRQ_F32, w->dout, hd, false, QUERIES, hd, w->dout_packed);
    srq_attention_recall(j, &w->rows, s, b, head);
}

static void backward_tile(const struct srq_attention_job *j, struct work *w, int64_t b, int64_t head, int64_t q0)
{
    struct srq_attention_span s = { .q0 = q0, .nq = srq_lesser(QUERIES, j->a.seq - q0) };
    int64_t first = srq_first_key(j, q0) / j->kern->tile_n * j->kern->tile_n, end = srq_last_key(j, s.q0 + s.nq - 1);

    load_tile(j, w, b, head, &s);
    memset(w->dq, 0, (size_t)(QUERIES * j->width) * sizeof(float));
    for (s.k0 = first; s.k0 < end; s.k0 += KEYS) {
        s.k1 = srq_lesser(s.k0 + KEYS, end);
        query_key(j, &s, w->q, w->kt, w->logits);
        query_key(j, &s, w->dout, w->vt, w->slopes);
        slopes(j, &s, w);
        if (j->dq != NULL)
            over_keys(j, &s, w->slopes, w->k, w->dq);
        if (j->dk != NULL)
            over_queries(j, &s, w->slopes, w->q_packed, w->dk);
        if (j->dv != NULL)
            over_queries(j, &s, w->logits, w->dout_packed, w->dv);
    }
    srq_attention_store_queries(j, w->dq, &s, b, head);
}

static void backward_item(void *ctx, int64_t item, int thread)
{
    const struct srq_attention_job *j = ctx;
    int64_t b = item / j->a.kv_heads, kv = item % j->a.kv_heads, hd = j->a.head_dim, ld = j->a.kv_heads * hd;
    const char *k = srq_attention_row(j, j->k, b * j->keys, j->a.kv_heads, kv);
    const char *v = srq_attention_row(j, j->v, b * j->keys, j->a.kv_heads, kv);
    size_t sums = (size_t)((j->keys + SRQ_TILE_M_MAX) * j->width) * sizeof(float);
    struct work w;

    lay_out(j, true, j->work + thread * j->work_len, &w);
    j->kern->pack(j->dtype, k, ld, true, hd, j->keys, w.kt);
    j->kern->pack(j->dtype, v, ld, true, hd, j->keys, w.vt);
    j->kern->pack(j->dtype, k, ld, false, j->keys, hd, w.k);
    memset(w.dk, 0, sums);
    memset(w.dv, 0, sums);
    for (int64_t h = kv * j->group; h < (kv + 1) * j->group; h++)
        for (int64_t q0 = 0; q0 < j->a.seq; q0 += QUERIES)
            backward_tile(j, &w, b, h, q0);
    srq_attention_store_keys(j, w.dk, w.dv, b, kv);
}

/* ---- on the tape ---- */

static void prepare(struct srq_tape *t, const struct srq_attention *a, bool backward, struct srq_attention_job *j)
{
    struct work w;

    memset(j, 0, sizeof(*j));
    j->a = *a;
    j->kern = srq_kernels();
    j->dtype = srq_tape_dtype(t);
    j->keys = a->keys > 0 ? a->keys : a->seq;
    j->group = a->heads / a->kv_heads;
    j->columns = srq_round_up(a->head_dim, j->kern->tile_n);
    j->width = srq_round_up(a->head_dim, SRQ_TILE_N_MAX);
    j->keys_padded = srq_round_up(j->keys, SRQ_TILE_N_MAX);
    j->panels = srq_panels(j->dtype);
    j->work_len = srq_greater(lay_out(j, backward, NULL, &w), srq_attention_panels_work(j, backward));
}

/* Multiplications and additions of `products` products over the allowed pairs. */
static double flops(const struct srq_attention *a, int products)
{
    double pairs = 0;

    for (int64_t q = 0; q < a->seq; q++)
        pairs += (double)(a->keys > 0                       ? a->keys
                          : a->full                         ? a->seq
                          : a->window > 0 && a->window <= q ? a->window
                                                            : q + 1);
    return 2.0 * products * pairs * (double)(a->batch * a->heads * a->head_dim);
}

/* Queries, keys, values and the output with the sums of its rows; backward the gradients of all four too. */
static struct srq_tape_work work_of(const struct srq_attention_job *j, bool backward)
{
    const struct srq_attention *a = &j->a;
    double queries = (double)(a->batch * a->seq * a->heads * a->head_dim),
           keys = (double)(a->batch * j->keys * a->kv_heads * a->head_dim);
    double values = (backward ? 2 : 1) * 2 * (queries + keys) + (j->add_q ? queries : 0) + (j->add_k ? keys : 0) +
                    (j->add_v ? keys : 0);
    double sums = j->lse != NULL ? (double)(a->batch * a->seq * a->heads) : 0;

    return (struct srq_tape_work){ flops(a, backward ? 5 : 2),
                                   values * (double)srq_dtype_size(j->dtype) + sums * sizeof(float) };
}

static int run(struct srq_tape *t, struct srq_attention_job *j, bool backward, struct srq_error *err)
{
    double since = srq_tape_clock(t);
    struct srq_block_mem work;
    int rc = srq_tape_take(t, (size_t)j->work_len * (size_t)srq_team_size(), &work, err);

    if (rc != 0)
        return rc;
    j->work = srq_tape_at(t, &work);
    if (!srq_tape_measuring(t)) {
        srq_parallel_items(j->a.batch * j->a.kv_heads,
                           j->panels == NULL ? (backward ? backward_item : forward_item)
                           : backward        ? srq_attention_panels_backward
                                             : srq_attention_panels_forward,
                           j);
        srq_tape_account(t, SRQ_TAPE_ATTENTION, backward, since, work_of(j, backward));
    }
    srq_tape_give(t, &work);
    return 0;
}

static int backward(struct srq_tape *t, struct srq_node *n, struct srq_error *err)
{
    struct srq_value *q = n->in[0], *k = n->in[1], *v = n->in[2];
    struct srq_attention_job j;
    int rc = 0;

    prepare(t, &n->as.attention, true, &j);
    j.q = q->var.value.data, j.k = k->var.value.data, j.v = v->var.value.data;
    j.out = n->out->var.value.data;
    j.dout = n->out->var.grad.data;
    j.lse = srq_tape_at(t, &n->saved);
    if (q->var.wants_grad)
        rc = srq_tape_grad(t, q, true, &j.add_q, err);
    if (rc == 0 && k->var.wants_grad)
        rc = srq_tape_grad(t, k, true, &j.add_k, err);
    if (rc == 0 && v->var.wants_grad)
        rc = srq_tape_grad(t, v, true, &j.add_v, err);
    if (rc != 0)
        return rc;
    j.dq = q->var.wants_grad ? q->var.grad.data : NULL;
    j.dk = k->var.wants_grad ? k->var.grad.data : NULL;
    j.dv = v->var.wants_grad ? v->var.grad.data : NULL;
    return run(t, &j, true, err);
}

static bool shapes_fit(const struct srq_attention *a, const struct srq_var *q, const struct srq_var *k,
                       const struct srq_var *v)
{
    int64_t rows = a->batch * a->seq, kv = a->kv_heads * a->head_dim;
    int64_t keys = a->keys > 0 ? a->batch * a->keys : rows;

    return a->batch > 0 && a->seq > 0 && a->heads > 0 && a->kv_heads > 0 && a->head_dim > 0 && a->window >= 0 &&
           !(a->full && a->window > 0) && a->keys >= 0 && (a->keys == 0 || a->full) && a->heads % a->kv_heads == 0 &&
           srq_var_rows(q) == rows && srq_var_rows(k) == keys && srq_var_rows(v) == keys &&
           srq_var_cols(q) == a->heads * a->head_dim && srq_var_cols(k) == kv && srq_var_cols(v) == kv;
}

struct srq_var *srq_op_attention(struct srq_tape *t, struct srq_var *q, struct srq_var *k, struct srq_var *v,
                                 const struct srq_attention *a)
{
    struct srq_block_mem lse = { 0, 0 };
    struct srq_value *y;
    struct srq_node *n;
    struct srq_attention_job j;

    if (srq_tape_failed(t, q, k) || srq_tape_failed(t, v, v))
        return NULL;
    if (!shapes_fit(a, q, k, v))
        return srq_tape_fail(t, -SRQ_EINVAL,
                             "%sattention of %lld x %lld tokens, %lld/%lld heads of %lld, window %lld, does not fit "
                             "q [%lld, %lld], k [%lld, %lld]",
                             a->full ? "full " : "", (long long)a->batch, (long long)a->seq, (long long)a->heads,
                             (long long)a->kv_heads, (long long)a->head_dim, (long long)a->window,
                             (long long)srq_var_rows(q), (long long)srq_var_cols(q), (long long)srq_var_rows(k),
                             (long long)srq_var_cols(k));
    y = srq_tape_value(t, srq_var_rows(q), srq_var_cols(q), q->wants_grad || k->wants_grad || v->wants_grad);
    if (y == NULL)
        return NULL;
    prepare(t, a, false, &j);
    if (y->var.wants_grad && srq_tape_take(t, (size_t)(a->batch * a->heads * a->seq) * sizeof(float), &lse, NULL) != 0)
        return NULL;
    j.q = q->value.data, j.k = k->value.data, j.v = v->value.data;
    j.y = y->var.value.data;
    j.lse = lse.size > 0 ? srq_tape_at(t, &lse) : NULL;
    if (run(t, &j, false, NULL) != 0)
        return NULL;
    if (!y->var.wants_grad)
        return &y->var;
    y->kept = true;
    n = srq_tape_node(t, SRQ_TAPE_ATTENTION, backward, y, q, k, v);
    if (n == NULL)
        return NULL;
    n->saved = lse;
    n->as.attention = *a;
    return &y->var;
}
