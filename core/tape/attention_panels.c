/* Attention of BF16 operands by the panel kernels: the same tiles and the same order of work as in F32, with products
 * of BF16 and sums in F32. Logits, weights and their slopes are F32 until a product reads them.
 *
 * Keys and values are laid out in panels once per item, queries and gradients once per tile; what a product sums over
 * queries is turned first, so that its rows are keys. */
#include "core/tape/attention.h"

#include "core/math/team.h"

#define QUERIES 64 /* most of a tile, a multiple of every k_step */
#define KEYS 256   /* a multiple of SRQ_PANEL_COLS */
#define ROW 320    /* of logits: KEYS and what tiles write beside them */
#define SLACK 32   /* rows that tiles write beyond the last */

struct panel_work {
    uint16_t *kt, *vt;                /* columns are keys, sums go over dims */
    uint16_t *k, *v;                  /* columns are dims, sums go over keys */
    uint16_t *q, *dout;               /* [QUERIES, dims] */
    uint16_t *q_panels, *dout_panels; /* columns are dims, sums go over queries */
    float *logits, *slopes;           /* [QUERIES, ROW] */
    uint16_t *p, *ds;                 /* the same in BF16 */
    uint16_t *turned;                 /* [KEYS, QUERIES] of either */
    float *dk, *dv;                   /* rows of `width` */
    struct srq_attention_rows rows;   /* [QUERIES]; out: the sums of q's gradient too */
};

/* Dims of a head as products see them. */
static int64_t dims_of(const struct srq_attention_job *j)
{
    return j->width; /* a multiple of SRQ_PANEL_COLS, and so of every k_step */
}

static uint16_t *halves(struct srq_attention_cursor *c, int64_t n)
{
    return srq_attention_part(c, n * (int64_t)sizeof(uint16_t));
}

static float *floats(struct srq_attention_cursor *c, int64_t n)
{
    return srq_attention_part(c, n * (int64_t)sizeof(float));
}

static int64_t lay_out(const struct srq_attention_job *j, bool backward, char *base, struct panel_work *w)
{
    const int64_t dims = dims_of(j), keys = j->keys_padded;
    struct srq_attention_cursor at = { base, 0 };

    memset(w, 0, sizeof(*w));
    w->kt = halves(&at, keys * dims);
    w->q = halves(&at, (QUERIES + SLACK) * dims);
    w->logits = floats(&at, (QUERIES + SLACK) * ROW);
    w->p = halves(&at, (QUERIES + SLACK) * ROW);
    w->rows.out = floats(&at, (QUERIES + SLACK) * dims);
    w->rows.most = floats(&at, QUERIES);
    w->rows.sum = floats(&at, QUERIES);
    if (!backward) {
        w->v = halves(&at, keys * dims);
        return at.len;
    }
    w->vt = halves(&at, keys * dims);
    w->k = halves(&at, keys * dims);
    w->dout = halves(&at, (QUERIES + SLACK) * dims);
    w->q_panels = halves(&at, QUERIES * dims);
    w->dout_panels = halves(&at, QUERIES * dims);
    w->slopes = floats(&at, (QUERIES + SLACK) * ROW);
    w->ds = halves(&at, (QUERIES + SLACK) * ROW);
    w->turned = halves(&at, (KEYS + SLACK) * QUERIES);
    w->dk = floats(&at, (keys + SLACK) * dims);
    w->dv = floats(&at, (keys + SLACK) * dims);
    return at.len;
}

int64_t srq_attention_panels_work(const struct srq_attention_job *j, bool backward)
{
    struct panel_work w;

    return lay_out(j, backward, NULL, &w);
}

/* Queries of a tile: whole tiles of the kernel. */
static int64_t step_of(const struct srq_attention_job *j)
{
    return QUERIES / j->panels->rows * j->panels->rows;
}

static int64_t down_to(int64_t n, int64_t to)
{
    return n / to * to;
}

/* ---- panels ---- */

/* All panels of a matrix of `n` columns, sums over `k` of them padded to `padded`. */
static void pack(const struct srq_attention_job *j, const void *data, int64_t ld, bool across, int64_t n, int64_t k,
                 int64_t padded, uint16_t *to)
{
    const struct srq_panel_source s = { data, ld, across };

    for (int64_t col = 0; col < n; col += SRQ_PANEL_COLS)
        j->panels->pack_panel(&s, col, n, k, padded / 2, to + col * padded);
}

/* Rows [row, row + nq) of one head, [QUERIES, dims] with zeros behind and beside them. */
static void load_rows(const struct srq_attention_job *j, const char *base, int64_t row, int64_t head, int64_t nq,
                      uint16_t *to)
{
    const int64_t dims = dims_of(j);
    const struct srq_panel_source s = { (const void *)srq_attention_row(j, base, row, j->a.heads, head),
                                        j->a.heads * j->a.head_dim, false };

    j->panels->pack_rows(&s, 0, nq, QUERIES, j->a.head_dim, to, dims);
}

/* ---- products of a tile ---- */

static void query_key(const struct srq_attention_job *j, const struct srq_attention_span *s, const uint16_t *rows,
                      const uint16_t *packed, float *c)
{
    const int64_t tm = j->panels->rows, dims = dims_of(j);

    for (int64_t k = s->k0; k < s->k1; k += SRQ_PANEL_COLS) {
        for (int64_t r = 0; r < s->nq; r += tm) {
            const struct srq_panel_tile t = {
                dims / 2, rows + r * dims, dims, packed + k * dims, c + r * ROW + (k - s->k0), ROW, false
            };

            if (k < srq_last_key(j, s->q0 + r + tm - 1) && k + SRQ_PANEL_COLS > srq_first_key(j, s->q0 + r))
                j->panels->tile(&t, (int)srq_lesser(tm, srq_round_up(s->nq - r, j->panels->row_step)));
        }
    }
}

static void over_keys(const struct srq_attention_job *j, const struct srq_attention_span *s, const uint16_t *weights,
                      const uint16_t *packed, float *c)
{
    const int64_t tm = j->panels->rows, dims = dims_of(j), step = j->panels->k_step;

    for (int64_t r = 0; r < s->nq; r += tm) {
        int64_t from = down_to(srq_greater(s->k0, srq_first_key(j, s->q0 + r)), step);
        int64_t to = srq_round_up(srq_lesser(s->k1, srq_last_key(j, s->q0 + r + tm - 1)), step);

        for (int64_t d = 0; from < to && d < dims; d += SRQ_PANEL_COLS) {
            const struct srq_panel_tile t = { (to - from) / 2,
                                              weights + r * ROW + (from - s->k0),
                                              ROW,
                                              packed + d * j->keys_padded + from * SRQ_PANEL_COLS,
                                              c + r * dims + d,
                                              dims,
                                              true };

            j->panels->tile(&t, (int)srq_lesser(tm, srq_round_up(s->nq - r, j->panels->row_step)));
        }
    }
}

static void over_queries(const struct srq_attention_job *j, const struct srq_attention_span *s, struct panel_work *w,
                         const uint16_t *weights, const uint16_t *packed, float *c)
{
    const int64_t tm = j->panels->rows, dims = dims_of(j), step = j->panels->k_step, keys = s->k1 - s->k0;
    const struct srq_panel_source turn = { weights, ROW, true };

    j->panels->pack_rows(&turn, 0, keys, srq_round_up(keys, j->panels->row_step), s->nq, w->turned, QUERIES);
    for (int64_t k = 0; k < keys; k += tm) {
        int64_t from = j->a.full ? 0 : srq_greater(0, s->k0 + k - s->q0), to = s->nq;

        if (j->a.window > 0)
            to = srq_lesser(to, s->k0 + k + tm - 1 + j->a.window - s->q0);
        from = down_to(from, step);
        to = srq_round_up(to, step);
        for (int64_t d = 0; from < to && d < dims; d += SRQ_PANEL_COLS) {
            const struct srq_panel_tile t = { (to - from) / 2,
                                              w->turned + k * QUERIES + from,
                                              QUERIES,
                                              packed + d * QUERIES + from * SRQ_PANEL_COLS,
                                              c + (s->k0 + k) * dims + d,
                                              dims,
                                              true };

            j->panels->tile(&t, (int)srq_lesser(tm, srq_round_up(keys - k, j->panels->row_step)));
        }
    }
}

/* Zeros in a row outside of its allowed keys [a, b), as far as products read. */
static void clear_outside(const struct srq_attention_span *s, uint16_t *row, int64_t a, int64_t b)
{
    const int64_t end = srq_round_up(s->k1 - s->k0, SRQ_PANEL_COLS);

    memset(row, 0, (size_t)(a - s->k0) * sizeof(*row));
    memset(row + (b - s->k0), 0, (size_t)(end - (b - s->k0)) * sizeof(*row));
}

/* ---- forward ---- */

static void soften(const struct srq_attention_job *j, const struct srq_attention_span *s, struct panel_work *w)
{
    const int64_t rows = srq_round_up(s->nq, j->panels->row_step);

    for (int64_t r = 0; r < rows; r++) {
        float *row = w->logits + r * ROW;
        uint16_t *p = w->p + r * ROW;
        int64_t a, b;

        srq_allowed_keys(j, s, r, &a, &b);
        if (a < b) {
            srq_attention_rise(j, &w->rows, r, row + (a - s->k0), b - a);
            w->rows.sum[r] +=
                j->kern->row_weights(row + (a - s->k0), j->a.scale, w->rows.most[r], p + (a - s->k0), b - a);
        }
        clear_outside(s, p, a, b);
    }
}

static void forward_tile(const struct srq_attention_job *j, struct panel_work *w, int64_t b, int64_t head, int64_t q0)
{
    const int64_t seq = j->a.seq, row = b * seq + q0;
    struct srq_attention_span s = { .q0 = q0, .nq = srq_lesser(step_of(j), seq - q0) };
    const int64_t end = srq_last_key(j, s.q0 + s.nq - 1);

    load_rows(j, j->q, row, head, s.nq, w->q);
    srq_attention_begin(j, &w->rows, QUERIES);
    for (s.k0 = down_to(srq_first_key(j, q0), SRQ_PANEL_COLS); s.k0 < end; s.k0 += KEYS) {
        s.k1 = srq_lesser(s.k0 + KEYS, end);
        query_key(j, &s, w->q, w->kt, w->logits);
        soften(j, &s, w);
        over_keys(j, &s, w->p, w->v, w->rows.out);
    }
    srq_attention_end(j, &w->rows, &s, b, head);
}

static void enter(const struct srq_attention_job *j)
{
    if (j->panels->enter != NULL)
        j->panels->enter();
}

static void leave(const struct srq_attention_job *j)
{
    if (j->panels->leave != NULL)
        j->panels->leave();
}

void srq_attention_panels_forward(void *job, int64_t item, int thread)
{
    const struct srq_attention_job *j = job;
    const int64_t b = item / j->a.kv_heads, kv = item % j->a.kv_heads, hd = j->a.head_dim, ld = j->a.kv_heads * hd;
    struct panel_work w;

    lay_out(j, false, j->work + thread * j->work_len, &w);
    pack(j, srq_attention_row(j, j->k, b * j->keys, j->a.kv_heads, kv), ld, false, j->keys, hd, dims_of(j), w.kt);
    pack(j, srq_attention_row(j, j->v, b * j->keys, j->a.kv_heads, kv), ld, true, hd, j->keys, j->keys_padded, w.v);
    enter(j);
    for (int64_t h = kv * j->group; h < (kv + 1) * j->group; h++)
        for (int64_t q0 = 0; q0 < j->a.seq; q0 += step_of(j))
            forward_tile(j, &w, b, h, q0);
    leave(j);
}

/* ---- backward: the formulas are those of ops_attention.c ---- */

static void slopes(const struct srq_attention_job *j, const struct srq_attention_span *s, struct panel_work *w)
{
    const int64_t rows = srq_round_up(s->nq, j->panels->row_step);

    for (int64_t r = 0; r < rows; r++) {
        const struct srq_row_slope by = { j->a.scale, w->rows.most[r], w->rows.sum[r] };
        uint16_t *p = w->p + r * ROW, *ds = w->ds + r * ROW;
        int64_t a, b, at = r * ROW;

        srq_allowed_keys(j, s, r, &a, &b);
        at += a - s->k0;
        if (a < b)
            j->kern->row_slopes(w->logits + at, w->slopes + at, &by, w->p + at, w->ds + at, b - a);
        clear_outside(s, p, a, b);
        clear_outside(s, ds, a, b);
    }
}

static void load_tile(const struct srq_attention_job *j, struct panel_work *w, int64_t b, int64_t head,
                      const struct srq_attention_span *s)
{
    const int64_t row = b * j->a.seq + s->q0, dims = dims_of(j);

    load_rows(j, j->q, row, head, s->nq, w->q);
    load_rows(j, j->dout, row, head, s->nq, w->dout);
    pack(j, w->q, dims, true, dims, s->nq, QUERIES, w->q_panels);
    pack(j, w->dout, dims, true, dims, s->nq, QUERIES, w->dout_panels);
    srq_attention_recall(j, &w->rows, s, b, head);
}

static void backward_tile(const struct srq_attention_job *j, struct panel_work *w, int64_t b, int64_t head, int64_t q0)
{
    const int64_t dims = dims_of(j);
    struct srq_attention_span s = { .q0 = q0, .nq = srq_lesser(step_of(j), j->a.seq - q0) };
    const int64_t end = srq_last_key(j, s.q0 + s.nq - 1);

    load_tile(j, w, b, head, &s);
    memset(w->rows.out, 0, (size_t)(QUERIES * dims) * sizeof(float));
    for (s.k0 = down_to(srq_first_key(j, q0), SRQ_PANEL_COLS); s.k0 < end; s.k0 += KEYS) {
        s.k1 = srq_lesser(s.k0 + KEYS, end);
        query_key(j, &s, w->q, w->kt, w->logits);
        query_key(j, &s, w->dout, w->vt, w->slopes);
        slopes(j, &s, w);
        if (j->dq != NULL)
            over_keys(j, &s, w->ds, w->k, w->rows.out);
        if (j->dk != NULL)
            over_queries(j, &s, w, w->ds, w->q_panels, w->dk);
        if (j->dv != NULL)
            over_queries(j, &s, w, w->p, w->dout_panels, w->dv);
    }
    srq_attention_store_queries(j, w->rows.out, &s, b, head);
}

void srq_attention_panels_backward(void *job, int64_t item, int thread)
{
    const struct srq_attention_job *j = job;
    const int64_t b = item / j->a.kv_heads, kv = item % j->a.kv_heads, hd = j->a.head_dim, ld = j->a.kv_heads * hd;
    const char *k = srq_attention_row(j, j->k, b * j->keys, j->a.kv_heads, kv);
    const char *v = srq_attention_row(j, j->v, b * j->keys, j->a.kv_heads, kv);
    const size_t sums = (size_t)(j->keys * dims_of(j)) * sizeof(float);
    struct panel_work w;

    lay_out(j, true, j->work + thread * j->work_len, &w);
    pack(j, k, ld, false, j->keys, hd, dims_of(j), w.kt);
    pack(j, v, ld, false, j->keys, hd, dims_of(j), w.vt);
    pack(j, k, ld, true, hd, j->keys, j->keys_padded, w.k);
    memset(w.dk, 0, sums);
    memset(w.dv, 0, sums);
    enter(j);
    for (int64_t h = kv * j->group; h < (kv + 1) * j->group; h++)
        for (int64_t q0 = 0; q0 < j->a.seq; q0 += step_of(j))
            backward_tile(j, &w, b, h, q0);
    leave(j);
    srq_attention_store_keys(j, w.dk, w.dv, b, kv);
}
