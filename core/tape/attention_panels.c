/* Attention by the panel kernels: the same tiles and the same order of work as by the vector kernels, with sums in F32.
 * Logits, weights and their slopes are F32 until a product reads them, which takes them as BF16 if that is what its
 * kernel multiplies.
 *
 * Keys and values are laid out in panels once per item, queries and gradients once per tile; what a product sums over
 * queries is turned first, so that its rows are keys. */
#include "core/tape/attention.h"

#include "core/math/team.h"

#define QUERIES 64 /* most of a tile, a multiple of every k_step */
#define KEYS 256   /* a multiple of SRQ_PANEL_COLS */
#define ROW 320    /* of logits: KEYS and what tiles write beside them */
#define SLACK 32   /* rows that tiles write beyond the last */

/* Operands are what the kernel multiplies. */
struct panel_work {
    char *kt, *vt;                  /* columns are keys, sums go over dims */
    char *k, *v;                    /* columns are dims, sums go over keys */
    char *q, *dout;                 /* [QUERIES, dims] */
    char *q_panels, *dout_panels;   /* columns are dims, sums go over queries */
    float *logits, *slopes;         /* [QUERIES, ROW] */
    char *p, *ds;                   /* the same as operands: in the same place if they are F32 */
    char *turned;                   /* [KEYS, QUERIES] of either */
    float *dk, *dv;                 /* rows of `width` */
    struct srq_attention_rows rows; /* [QUERIES]; out: the sums of q's gradient too */
};

/* Dims of a head as products see them. */
static int64_t dims_of(const struct srq_attention_job *j)
{
    return j->width; /* a multiple of SRQ_PANEL_COLS, and so of every k_step */
}

/* Bytes of n elements that the kernel multiplies. */
static int64_t bytes_of(const struct srq_attention_job *j, int64_t n)
{
    return n * (int64_t)srq_dtype_size(j->panels->packed);
}

static char *operands(const struct srq_attention_job *j, struct srq_attention_cursor *c, int64_t n)
{
    return srq_attention_part(c, bytes_of(j, n));
}

static bool is_f32(const struct srq_attention_job *j)
{
    return j->panels->packed == SRQ_F32;
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
    w->kt = operands(j, &at, keys * dims);
    w->q = operands(j, &at, (QUERIES + SLACK) * dims);
    w->logits = floats(&at, (QUERIES + SLACK) * ROW);
    w->p = is_f32(j) ? (char *)w->logits : operands(j, &at, (QUERIES + SLACK) * ROW);
    w->rows.out = floats(&at, (QUERIES + SLACK) * dims);
    w->rows.most = floats(&at, QUERIES);
    w->rows.sum = floats(&at, QUERIES);
    if (!backward) {
        w->v = operands(j, &at, keys * dims);
        return at.len;
    }
    w->vt = operands(j, &at, keys * dims);
    w->k = operands(j, &at, keys * dims);
    w->dout = operands(j, &at, (QUERIES + SLACK) * dims);
    w->q_panels = operands(j, &at, QUERIES * dims);
    w->dout_panels = operands(j, &at, QUERIES * dims);
    w->slopes = floats(&at, (QUERIES + SLACK) * ROW);
    w->ds = is_f32(j) ? (char *)w->slopes : operands(j, &at, (QUERIES + SLACK) * ROW);
    w->turned = operands(j, &at, (KEYS + SLACK) * QUERIES);
    w->dk = floats(&at, (keys + SLACK) * dims);
    w->dv = floats(&at, (keys + SLACK) * dims);
    return at.len;
}

/* By whatever kernel, so that a plan holds on any machine: BF16 may be widened. */
int64_t srq_attention_panels_work(const struct srq_attention_job *j, bool backward)
{
    static const struct srq_panel_kernel wide = { .packed = SRQ_F32 }, narrow = { .packed = SRQ_BF16 };
    struct srq_attention_job any = *j;
    struct panel_work w;
    int64_t bytes;

    any.panels = &wide;
    bytes = lay_out(&any, backward, NULL, &w);
    any.panels = &narrow;
    return j->dtype == SRQ_F32 ? bytes : srq_greater(bytes, lay_out(&any, backward, NULL, &w));
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

/* What is at the n-th element of operands. */
static char *after(const struct srq_attention_job *j, const char *p, int64_t n)
{
    return (char *)(uintptr_t)p + bytes_of(j, n);
}

/* Steps of n elements. */
static int64_t steps_of(const struct srq_attention_job *j, int64_t n)
{
    return n / srq_step_elements(j->panels->packed);
}

/* All panels of a matrix of `n` columns, sums over `k` of them padded to `padded`. */
static void pack(const struct srq_attention_job *j, const struct srq_panel_kernel *kernel,
                 const struct srq_panel_source *s, const int64_t sizes[3], char *to)
{
    const int64_t n = sizes[0], k = sizes[1], padded = sizes[2];

    for (int64_t col = 0; col < n; col += SRQ_PANEL_COLS)
        kernel->pack_panel(s, col, n, k, steps_of(j, padded), after(j, to, col * padded));
}

/* A head's keys or values of one sequence: columns are keys, or dims if the sums go over keys. */
static void pack_keys(const struct srq_attention_job *j, const char *data, bool over, char *to)
{
    const int64_t hd = j->a.head_dim, by_key[] = { j->keys, hd, dims_of(j) },
                  by_dim[] = { hd, j->keys, j->keys_padded };
    const struct srq_panel_source s = { data, j->a.kv_heads * hd, over };

    pack(j, j->panels, &s, over ? by_dim : by_key, to);
}

/* Rows [row, row + nq) of one head, [QUERIES, dims] with zeros behind and beside them. */
static void load_rows(const struct srq_attention_job *j, const char *base, int64_t row, int64_t head, int64_t nq,
                      char *to)
{
    const int64_t dims = dims_of(j);
    const struct srq_panel_source s = { srq_attention_row(j, base, row, j->a.heads, head), j->a.heads * j->a.head_dim,
                                        false };

    j->panels->pack_rows(&s, 0, nq, QUERIES, j->a.head_dim, to, dims);
}

/* ---- products of a tile ---- */

static void query_key(const struct srq_attention_job *j, const struct srq_attention_span *s, const char *rows,
                      const char *packed, float *c)
{
    const int64_t tm = j->panels->rows, dims = dims_of(j);

    for (int64_t k = s->k0; k < s->k1; k += SRQ_PANEL_COLS) {
        for (int64_t r = 0; r < s->nq; r += tm) {
            const struct srq_panel_tile t = { .steps = steps_of(j, dims),
                                              .a = after(j, rows, r * dims),
                                              .lda = dims,
                                              .b = after(j, packed, k * dims),
                                              .c = c + r * ROW + (k - s->k0),
                                              .ldc = ROW };

            if (k < srq_last_key(j, s->q0 + r + tm - 1) && k + SRQ_PANEL_COLS > srq_first_key(j, s->q0 + r))
                j->panels->tile(&t, (int)srq_lesser(tm, srq_round_up(s->nq - r, j->panels->row_step)));
        }
    }
}

static void over_keys(const struct srq_attention_job *j, const struct srq_attention_span *s, const char *weights,
                      const char *packed, float *c)
{
    const int64_t tm = j->panels->rows, dims = dims_of(j), step = j->panels->k_step;

    for (int64_t r = 0; r < s->nq; r += tm) {
        int64_t from = down_to(srq_greater(s->k0, srq_first_key(j, s->q0 + r)), step);
        int64_t to = srq_round_up(srq_lesser(s->k1, srq_last_key(j, s->q0 + r + tm - 1)), step);

        for (int64_t d = 0; from < to && d < dims; d += SRQ_PANEL_COLS) {
            const struct srq_panel_tile t = { .steps = steps_of(j, to - from),
                                              .a = after(j, weights, r * ROW + (from - s->k0)),
                                              .lda = ROW,
                                              .b = after(j, packed, d * j->keys_padded + from * SRQ_PANEL_COLS),
                                              .c = c + r * dims + d,
                                              .ldc = dims,
                                              .add = true };

            j->panels->tile(&t, (int)srq_lesser(tm, srq_round_up(s->nq - r, j->panels->row_step)));
        }
    }
}

static void over_queries(const struct srq_attention_job *j, const struct srq_attention_span *s, struct panel_work *w,
                         const char *weights, const char *packed, float *c)
{
    const int64_t tm = j->panels->rows, dims = dims_of(j), step = j->panels->k_step, keys = s->k1 - s->k0;
    const struct srq_panel_source turn = { weights, ROW, true };

    j->panels->of_packed->pack_rows(&turn, 0, keys, srq_round_up(keys, j->panels->row_step), s->nq, w->turned, QUERIES);
    for (int64_t k = 0; k < keys; k += tm) {
        int64_t from = j->a.full ? 0 : srq_greater(0, s->k0 + k - s->q0), to = s->nq;

        if (j->a.window > 0)
            to = srq_lesser(to, s->k0 + k + tm - 1 + j->a.window - s->q0);
        from = down_to(from, step);
        to = srq_round_up(to, step);
        for (int64_t d = 0; from < to && d < dims; d += SRQ_PANEL_COLS) {
            const struct srq_panel_tile t = { .steps = steps_of(j, to - from),
                                              .a = after(j, w->turned, k * QUERIES + from),
                                              .lda = QUERIES,
                                              .b = after(j, packed, d * QUERIES + from * SRQ_PANEL_COLS),
                                              .c = c + (s->k0 + k) * dims + d,
                                              .ldc = dims,
                                              .add = true };

            j->panels->tile(&t, (int)srq_lesser(tm, srq_round_up(keys - k, j->panels->row_step)));
        }
    }
}

/* Zeros in a row outside of its allowed keys [a, b), as far as products read. */
static void clear_outside(const struct srq_attention_job *j, const struct srq_attention_span *s, char *row, int64_t a,
                          int64_t b)
{
    const int64_t end = srq_round_up(s->k1 - s->k0, SRQ_PANEL_COLS);

    memset(row, 0, (size_t)bytes_of(j, a - s->k0));
    memset(after(j, row, b - s->k0), 0, (size_t)bytes_of(j, end - (b - s->k0)));
}

/* ---- forward ---- */

/* p = e^(scale*x - shift); returns the sum. */
static float weights_of(const struct srq_attention_job *j, float *x, float shift, char *p, int64_t n)
{
    return is_f32(j) ? j->kern->row_exp(x, j->a.scale, shift, n)
                     : j->kern->row_weights(x, j->a.scale, shift, (uint16_t *)(void *)p, n);
}

static void soften(const struct srq_attention_job *j, const struct srq_attention_span *s, struct panel_work *w)
{
    const int64_t rows = srq_round_up(s->nq, j->panels->row_step);

    for (int64_t r = 0; r < rows; r++) {
        float *row = w->logits + r * ROW;
        char *p = after(j, w->p, r * ROW);
        int64_t a, b;

        srq_allowed_keys(j, s, r, &a, &b);
        if (a < b) {
            srq_attention_rise(j, &w->rows, r, row + (a - s->k0), b - a);
            w->rows.sum[r] += weights_of(j, row + (a - s->k0), w->rows.most[r], after(j, p, a - s->k0), b - a);
        }
        clear_outside(j, s, p, a, b);
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
    const int64_t b = item / j->a.kv_heads, kv = item % j->a.kv_heads;
    struct panel_work w;

    lay_out(j, false, j->work + thread * j->work_len, &w);
    pack_keys(j, srq_attention_row(j, j->k, b * j->keys, j->a.kv_heads, kv), false, w.kt);
    pack_keys(j, srq_attention_row(j, j->v, b * j->keys, j->a.kv_heads, kv), true, w.v);
    enter(j);
    for (int64_t h = kv * j->group; h < (kv + 1) * j->group; h++)
        for (int64_t q0 = 0; q0 < j->a.seq; q0 += step_of(j))
            forward_tile(j, &w, b, h, q0);
    leave(j);
}

/* ---- backward: the formulas are those of ops_attention.c ---- */

/* Weights of row r and what the loss says of its logits, `n` from element `at` on. */
static void slopes_of(const struct srq_attention_job *j, const struct panel_work *w, int64_t r, int64_t at, int64_t n)
{
    const struct srq_row_slope by = { j->a.scale, w->rows.most[r], w->rows.sum[r] };
    float *x = w->logits + at, *dp = w->slopes + at;

    if (is_f32(j)) {
        j->kern->row_exp(x, by.scale, by.shift, n);
        j->kern->row_slope(x, dp, by.mean, by.scale, n);
    } else
        j->kern->row_slopes(x, dp, &by, (uint16_t *)(void *)after(j, w->p, at), (uint16_t *)(void *)after(j, w->ds, at),
                            n);
}

static void slopes(const struct srq_attention_job *j, const struct srq_attention_span *s, struct panel_work *w)
{
    const int64_t rows = srq_round_up(s->nq, j->panels->row_step);

    for (int64_t r = 0; r < rows; r++) {
        char *p = after(j, w->p, r * ROW), *ds = after(j, w->ds, r * ROW);
        int64_t a, b;

        srq_allowed_keys(j, s, r, &a, &b);
        if (a < b)
            slopes_of(j, w, r, r * ROW + (a - s->k0), b - a);
        clear_outside(j, s, p, a, b);
        clear_outside(j, s, ds, a, b);
    }
}

static void load_tile(const struct srq_attention_job *j, struct panel_work *w, int64_t b, int64_t head,
                      const struct srq_attention_span *s)
{
    const int64_t row = b * j->a.seq + s->q0, dims = dims_of(j), sizes[] = { dims, s->nq, QUERIES };
    const struct srq_panel_source q = { w->q, dims, true }, dout = { w->dout, dims, true };

    load_rows(j, j->q, row, head, s->nq, w->q);
    load_rows(j, j->dout, row, head, s->nq, w->dout);
    pack(j, j->panels->of_packed, &q, sizes, w->q_panels);
    pack(j, j->panels->of_packed, &dout, sizes, w->dout_panels);
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
    const int64_t b = item / j->a.kv_heads, kv = item % j->a.kv_heads;
    const char *k = srq_attention_row(j, j->k, b * j->keys, j->a.kv_heads, kv);
    const char *v = srq_attention_row(j, j->v, b * j->keys, j->a.kv_heads, kv);
    const size_t sums = (size_t)(j->keys * dims_of(j)) * sizeof(float);
    struct panel_work w;

    lay_out(j, true, j->work + thread * j->work_len, &w);
    pack_keys(j, k, false, w.kt);
    pack_keys(j, v, false, w.vt);
    pack_keys(j, k, true, w.k);
    memset(w.dk, 0, sums);
    memset(w.dv, 0, sums);
    enter(j);
    for (int64_t h = kv * j->group; h < (kv + 1) * j->group; h++)
        for (int64_t q0 = 0; q0 < j->a.seq; q0 += step_of(j))
            backward_tile(j, &w, b, h, q0);
    leave(j);
    srq_attention_store_keys(j, w.dk, w.dv, b, kv);
}
