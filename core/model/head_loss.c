/* How far a model's words are from what they should be, through final norm and head, and what that says to the hidden
 * states: next-token cross-entropy, or the Kullback-Leibler divergence from a teacher's words.
 *
 * The vocabulary is gone through twice, a panel of the head's rows at a time: first for the log-sum-exp of every token,
 * then for the gradient of the logits (softmax minus one-hot; or q - p), which goes back through the panel at once. So
 * memory does not grow with the vocabulary, at the price of computing logits twice. Cross-entropy is computed in F32, a
 * divergence in the type of the states: what rounding them for it adds is a thousandth of what four bits cost. */
#include "core/model/internal.h"

#include "core/base/alloc.h"
#include "core/math/gemm.h"
#include "core/math/kernels.h"
#include "core/math/team.h"

#include <math.h>

#define PANEL_BYTES ((int64_t)8 << 20)  /* of a panel in F32 */
#define LOGIT_BYTES ((int64_t)16 << 20) /* of one model, or half as many of each of two */
#define ROWS_MOST 8192                  /* the same */
#define PIECE 256                       /* words of a row that are worked on together */

/* One of the two models. */
struct side {
    const struct srq_head *head;
    float *x, *y;  /* [tokens, hidden] before and after the norm */
    uint16_t *y16; /* [tokens, hidden] BF16 of y, where products may be in BF16 */
    float *r;      /* [tokens] 1/rms */
    float *logits; /* [tokens, rows] */
    float *most;   /* [tokens] largest logit so far */
    double *sum;   /* [tokens] of e^(logit - most); then the log-sum-exp */
};

struct srq_head_loss {
    struct side student, teacher; /* teacher.head NULL: cross-entropy */
    bool distils;
    int64_t rows, tokens; /* of the vocabulary in a panel; of hidden states together */
    float *dy;            /* [tokens, hidden] */
    uint16_t *panel;      /* [rows, hidden] BF16, where the weight is not stored so */
    double *own;          /* [tokens] logit of the target; or the divergence so far */
    uint8_t *memory;
    size_t bytes;
};

/* Some tokens of a batch, for the team. */
struct job {
    struct srq_head_loss *l;
    const uint8_t *hidden, *taught;
    uint8_t *grad;
    enum srq_dtype dtype, type; /* of the states; of products */
    const int32_t *target;
    int64_t row, rows; /* of the panel */
    float factor;
};

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static int64_t panel_rows(const struct srq_model *m, bool distils)
{
    int64_t rows = PANEL_BYTES / ((int64_t)sizeof(float) * m->info.hidden), most = ROWS_MOST / (distils ? 2 : 1);

    rows = rows < 16 ? 16 : rows > most ? most : rows / 16 * 16;
    return rows < m->info.vocab ? rows : m->info.vocab;
}

static int64_t tokens_at_once(const struct srq_model *m, bool distils, int64_t n)
{
    int64_t bytes = LOGIT_BYTES / (distils ? 2 : 1);
    int64_t tokens = bytes / ((int64_t)sizeof(float) * panel_rows(m, distils));

    tokens = tokens < 16 ? 16 : tokens > SRQ_HEAD_TOKENS ? SRQ_HEAD_TOKENS : tokens;
    return n < tokens ? n : tokens;
}

static void *take(const struct srq_head_loss *l, size_t *at, size_t count, size_t size)
{
    void *p = l->memory != NULL ? l->memory + *at : NULL;

    *at += (count * size + 3) / 4 * 4;
    return p;
}

static void lay_out_side(const struct srq_head_loss *l, struct side *s, size_t *at, size_t rows, size_t states)
{
    size_t tokens = (size_t)l->tokens;

    s->x = take(l, at, states, sizeof(float));
    s->y = take(l, at, states, sizeof(float));
    if (l->distils)
        s->y16 = take(l, at, states, sizeof(uint16_t));
    s->logits = take(l, at, tokens * rows, sizeof(float));
    s->r = take(l, at, tokens, sizeof(float));
    s->most = take(l, at, tokens, sizeof(float));
}

/* Where everything is; nowhere while there is no memory. Returns the bytes. */
static size_t lay_out(struct srq_head_loss *l, const struct srq_model *m)
{
    size_t rows = (size_t)panel_rows(m, l->distils), tokens = (size_t)l->tokens, at = 0;
    size_t states = tokens * (size_t)m->info.hidden;

    l->own = take(l, &at, tokens, sizeof(double));
    l->student.sum = take(l, &at, tokens, sizeof(double));
    if (l->distils)
        l->teacher.sum = take(l, &at, tokens, sizeof(double));
    lay_out_side(l, &l->student, &at, rows, states);
    if (l->distils)
        lay_out_side(l, &l->teacher, &at, rows, states);
    l->dy = take(l, &at, states, sizeof(float));
    if (l->distils)
        l->panel = take(l, &at, rows * (size_t)m->info.hidden, sizeof(uint16_t));
    return at;
}

size_t srq_head_loss_bytes(const struct srq_model *m, bool distils, int64_t n)
{
    struct srq_head_loss l = { .distils = distils, .tokens = tokens_at_once(m, distils, n) };

    return lay_out(&l, m);
}

int srq_head_loss_create(const struct srq_head *h, const struct srq_head *teacher, int64_t n,
                         struct srq_head_loss **out, struct srq_error *err)
{
    struct srq_head_loss *l = srq_calloc(1, sizeof(*l));

    *out = NULL;
    if (l == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for the loss");
    l->student.head = h;
    l->teacher.head = teacher;
    l->distils = teacher != NULL;
    l->tokens = tokens_at_once(h->model, l->distils, n);
    l->rows = panel_rows(h->model, l->distils);
    l->rows = l->rows < h->panel_rows ? l->rows : h->panel_rows;
    l->bytes = lay_out(l, h->model);
    l->memory = srq_pages_alloc(l->bytes);
    if (l->memory == NULL) {
        int rc = srq_fail(err, -SRQ_ENOMEM, "out of memory for the loss (%zu bytes)", l->bytes);

        srq_free(l);
        return rc;
    }
    lay_out(l, h->model);
    *out = l;
    return 0;
}

void srq_head_loss_free(struct srq_head_loss *l)
{
    if (l == NULL)
        return;
    srq_pages_free(l->memory, l->bytes);
    srq_free(l);
}

/* ---- shares of the team: log-sum-exps ---------------------------------------------------------------------------- */

static void begin_side(const struct job *j, struct side *s, const uint8_t *hidden, int64_t i)
{
    const struct srq_model_info *info = &s->head->model->info;
    float *x = s->x + i * info->hidden, *y = s->y + i * info->hidden;

    srq_kernels()->load(j->dtype, hidden + (size_t)(i * info->hidden) * srq_dtype_size(j->dtype), x, info->hidden);
    s->r[i] = srq_kernels()->rms_forward(SRQ_F32, x, s->head->norm, (float)info->rms_eps, y, info->hidden);
    if (j->type == SRQ_BF16)
        srq_kernels()->store(SRQ_BF16, y, 1.0f, s->y16 + i * info->hidden, info->hidden, false);
    s->most[i] = -INFINITY;
    s->sum[i] = 0;
}

static void begin_share(void *ctx, int64_t begin, int64_t end)
{
    const struct job *j = ctx;

    for (int64_t i = begin; i < end; i++) {
        begin_side(j, &j->l->student, j->hidden, i);
        if (j->l->distils)
            begin_side(j, &j->l->teacher, j->taught, i);
        j->l->own[i] = 0;
    }
}

/* The panel's logits join the log-sum-exp. */
static void add_panel(struct side *s, int64_t i, int64_t rows)
{
    float *z = s->logits + i * rows, top = srq_kernels()->row_max(z, 1.0f, rows);

    if (top > s->most[i]) {
        s->sum[i] *= exp((double)s->most[i] - (double)top);
        s->most[i] = top;
    }
    s->sum[i] += (double)srq_kernels()->row_exp(z, 1.0f, s->most[i], rows);
}

static void sum_share(void *ctx, int64_t begin, int64_t end)
{
    const struct job *j = ctx;
    struct srq_head_loss *l = j->l;

    for (int64_t i = begin; i < end; i++) {
        int64_t at = j->target[i] - j->row;

        if (j->target[i] < 0)
            continue;
        if (l->distils)
            add_panel(&l->teacher, i, j->rows);
        else if (at >= 0 && at < j->rows)
            l->own[i] = (double)l->student.logits[i * j->rows + at];
        add_panel(&l->student, i, j->rows);
    }
}

/* ---- shares of the team: gradients ------------------------------------------------------------------------------- */

/* Logits of a token become softmax minus one-hot. */
static void slope_of_target(const struct job *j, int64_t i)
{
    float *z = j->l->student.logits + i * j->rows;
    int64_t at = j->target[i] - j->row;

    (void)srq_kernels()->row_exp(z, 1.0f, (float)j->l->student.sum[i], j->rows);
    if (at >= 0 && at < j->rows)
        z[at] -= 1.0f;
}

/* q - p of n words from their logits, and sum p (log p - log q). sums: the two log-sum-exps. */
static double piece(float *p, float *q, const double sums[2], int64_t n)
{
    float ratio[PIECE], apart = (float)(sums[0] - sums[1]); /* log p - log q */

    for (int64_t k = 0; k < n; k++)
        ratio[k] = p[k] - q[k] - apart;
    srq_kernels()->row_exp(p, 1.0f, (float)sums[0], n);
    srq_kernels()->row_exp(q, 1.0f, (float)sums[1], n);
    for (int64_t k = 0; k < n; k++)
        q[k] -= p[k];
    return (double)srq_kernels()->dot(SRQ_F32, p, ratio, n);
}

/* The student's logits of a token become q - p, of the type of the states, in a row that begins where theirs did; what
 * the panel adds to the divergence. */
static void slope_of_teacher(const struct job *j, int64_t i)
{
    struct srq_head_loss *l = j->l;
    float *p = l->teacher.logits + i * j->rows, *q = l->student.logits + i * j->rows, copy[PIECE];
    const double sums[2] = { l->teacher.sum[i], l->student.sum[i] };

    for (int64_t k = 0; k < j->rows; k += PIECE) {
        int64_t n = j->rows - k < PIECE ? j->rows - k : PIECE;

        l->own[i] += piece(p + k, q + k, sums, n);
        if (j->type == SRQ_BF16) { /* never beyond what was read */
            memcpy(copy, q + k, (size_t)n * sizeof(float));
            srq_kernels()->store(SRQ_BF16, copy, 1.0f, (uint16_t *)(void *)q + k, n, false);
        }
    }
}

/* Rows of tokens that predict nothing become 0. */
static void slope_share(void *ctx, int64_t begin, int64_t end)
{
    const struct job *j = ctx;

    for (int64_t i = begin; i < end; i++) {
        if (j->target[i] < 0)
            memset(j->l->student.logits + i * j->rows, 0, (size_t)j->rows * sizeof(float));
        else if (j->l->distils)
            slope_of_teacher(j, i);
        else
            slope_of_target(j, i);
    }
}

/* Back through the norm, into the caller's gradient. */
static void end_share(void *ctx, int64_t begin, int64_t end)
{
    const struct job *j = ctx;
    struct side *s = &j->l->student;
    int64_t width = s->head->linear.in;

    for (int64_t i = begin; i < end; i++) {
        float *dx = s->y + i * width; /* what the norm gave is not needed any more */

        srq_kernels()->rms_backward(SRQ_F32, s->x + i * width, s->head->norm, s->r[i], j->l->dy + i * width, dx, width,
                                    false);
        srq_kernels()->store(j->dtype, dx, j->factor, j->grad + (size_t)(i * width) * srq_dtype_size(j->dtype), width,
                             false);
    }
}

/* ---- a chunk of tokens ------------------------------------------------------------------------------------------- */

/* Rows of a head's weight in the type of products. */
static int panel_of(const struct job *j, const struct srq_head *h, const void **out, struct srq_error *err)
{
    const struct srq_tensor *w = &h->linear.weight;
    const float *rows;
    int rc;

    if (j->type == SRQ_BF16 && w->data != NULL && w->dtype == SRQ_BF16) {
        *out = (const uint16_t *)w->data + j->row * h->linear.in;
        return 0;
    }
    rc = srq_head_rows(h, j->row, j->rows, &rows, err);
    *out = rows;
    if (rc == 0 && j->type == SRQ_BF16) {
        rc = srq_convert_parallel(rows, SRQ_F32, j->l->panel, SRQ_BF16, j->rows * h->linear.in, err);
        *out = j->l->panel;
    }
    return rc;
}

static void side_logits(const struct job *j, const struct side *s, const void *panel, int64_t n)
{
    int64_t width = s->head->linear.in;
    const void *y = j->type == SRQ_BF16 ? (const void *)s->y16 : s->y;
    const struct srq_mat a = { y, j->type, width, false }, b = { panel, j->type, width, true };

    srq_gemm(&(struct srq_product){ n, j->rows, width, a, b, .c = { s->logits, SRQ_F32, j->rows } });
}

/* Logits of one panel for `n` tokens, of both models; *panel: the student's rows. */
static int panel_logits(struct job *j, int64_t n, const void **panel, struct srq_error *err)
{
    struct srq_head_loss *l = j->l;
    int64_t left = l->student.head->linear.out - j->row;
    int rc = 0;

    j->rows = left < l->rows ? left : l->rows;
    if (l->distils)
        rc = panel_of(j, l->teacher.head, panel, err);
    if (rc == 0 && l->distils)
        side_logits(j, &l->teacher, *panel, n);
    if (rc == 0 && l->student.head != l->teacher.head)
        rc = panel_of(j, l->student.head, panel, err);
    if (rc == 0)
        side_logits(j, &l->student, *panel, n);
    return rc;
}

/* Both log-sum-exps. */
static int sum_up(struct job *j, int64_t n, struct srq_error *err)
{
    struct srq_head_loss *l = j->l;
    const void *panel;
    int rc = 0;

    srq_parallel(n, 8, begin_share, j);
    for (j->row = 0; rc == 0 && j->row < l->student.head->linear.out; j->row += j->rows) {
        rc = panel_logits(j, n, &panel, err);
        if (rc == 0)
            srq_parallel(n, 1, sum_share, j);
    }
    for (int64_t i = 0; rc == 0 && i < n; i++) {
        l->student.sum[i] = (double)l->student.most[i] + log(l->student.sum[i]);
        if (l->distils)
            l->teacher.sum[i] = (double)l->teacher.most[i] + log(l->teacher.sum[i]);
    }
    return rc;
}

/* The gradient of the states where it is wanted, and the divergence. */
static int go_back(struct job *j, int64_t n, struct srq_error *err)
{
    struct srq_head_loss *l = j->l;
    int64_t width = l->student.head->linear.in;
    int64_t stride = j->type == SRQ_BF16 ? 2 : 1; /* of rows of the logits' gradient, in places for a logit */
    const void *panel;
    int rc = 0;

    for (j->row = 0; rc == 0 && j->row < l->student.head->linear.out; j->row += j->rows) {
        rc = panel_logits(j, n, &panel, err);
        if (rc != 0)
            break;
        srq_parallel(n, 1, slope_share, j);
        if (j->grad != NULL) {
            const struct srq_mat d = { l->student.logits, j->type, stride * j->rows, false },
                                 w = { panel, j->type, width, false };

            srq_gemm(
                &(struct srq_product){ n, width, j->rows, d, w, .c = { l->dy, SRQ_F32, width }, .add = j->row > 0 });
        }
    }
    if (rc == 0 && j->grad != NULL)
        srq_parallel(n, 8, end_share, j);
    return rc;
}

static int chunk(struct job *j, int64_t n, double *loss, struct srq_error *err)
{
    const struct srq_head_loss *l = j->l;
    int rc = sum_up(j, n, err);

    if (rc == 0 && (l->distils || j->grad != NULL))
        rc = go_back(j, n, err);
    for (int64_t i = 0; rc == 0 && i < n; i++)
        if (j->target[i] >= 0)
            *loss += l->distils ? l->own[i] : l->student.sum[i] - l->own[i];
    return rc;
}

int srq_head_loss_run(struct srq_head_loss *l, const struct srq_head_words *w, double *loss, struct srq_error *err)
{
    size_t bytes = (size_t)l->student.head->linear.in * srq_dtype_size(w->dtype);
    int rc = 0;

    *loss = 0;
    if (w->dtype != SRQ_F32 && w->dtype != SRQ_BF16)
        return srq_fail(err, -SRQ_EINVAL, "hidden states are F32 or BF16, not %s", srq_dtype_name(w->dtype));
    for (int64_t i = 0; i < w->n; i++) {
        if (w->target[i] >= l->student.head->linear.out)
            return srq_fail(err, -SRQ_EINVAL, "token id %d is outside the model's vocabulary of %lld", w->target[i],
                            (long long)l->student.head->linear.out);
    }
    for (int64_t i = 0; rc == 0 && i < w->n; i += l->tokens) {
        size_t at = (size_t)i * bytes;
        struct job j = { .l = l,
                         .hidden = (const uint8_t *)w->hidden + at,
                         .taught = l->distils ? (const uint8_t *)w->taught + at : NULL,
                         .grad = w->grad != NULL ? (uint8_t *)w->grad + at : NULL,
                         .dtype = w->dtype,
                         .type = l->distils ? w->dtype : SRQ_F32,
                         .target = w->target + i,
                         .factor = w->factor };

        rc = chunk(&j, w->n - i < l->tokens ? w->n - i : l->tokens, loss, err);
    }
    return rc;
}
