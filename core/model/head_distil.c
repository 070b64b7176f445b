/* Kullback-Leibler divergence of a model's words from a teacher's, through final norm and head, and its gradient with
 * respect to the hidden states.
 *
 * As in head_loss.c the vocabulary is gone through twice, a panel of rows at a time: for both log-sum-exps, then for
 * sum p (log p - log q) and the gradient q - p, which goes back through the panel at once. Logits of neither model
 * exist for all words together. States in BF16 are multiplied in BF16: what rounding them for it adds to the divergence
 * is a thousandth of what four bits cost. */
#include "core/model/internal.h"

#include "core/base/alloc.h"
#include "core/math/gemm.h"
#include "core/math/kernels.h"
#include "core/math/team.h"

#include <math.h>

#define LOGIT_BYTES ((int64_t)8 << 20) /* of each of the two */
#define PIECE 256                      /* words of a row that are worked on together */

/* One of the two models. */
struct side {
    const struct srq_head *head;
    float *x, *y;  /* [tokens, hidden] before and after the norm */
    uint16_t *y16; /* [tokens, hidden] BF16 of y */
    float *r;      /* [tokens] 1/rms */
    float *logits; /* [tokens, rows] */
    float *most;   /* [tokens] largest logit so far */
    double *sum;   /* [tokens] of e^(logit - most); then the log-sum-exp */
};

struct srq_head_distil {
    struct side teacher, student;
    int64_t rows, tokens; /* of the vocabulary in a panel; of hidden states together */
    float *dy;            /* [tokens, hidden] */
    uint16_t *panel;      /* [rows, hidden] BF16, where the weight is not stored so */
    double *kl;           /* [tokens] */
    uint8_t *memory;
    size_t bytes;
};

struct job {
    struct srq_head_distil *l;
    const uint8_t *hidden[2]; /* teacher's, student's */
    uint8_t *grad;
    enum srq_dtype dtype;
    const int32_t *target;
    int64_t row, rows;
    float factor;
};

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static int64_t panel_rows(const struct srq_model *m)
{
    int64_t rows = ((int64_t)8 << 20) / ((int64_t)sizeof(float) * m->info.hidden);

    rows = rows < 16 ? 16 : rows > 4096 ? 4096 : rows / 16 * 16;
    return rows < m->info.vocab ? rows : m->info.vocab;
}

static int64_t tokens_at_once(const struct srq_model *m)
{
    int64_t tokens = LOGIT_BYTES / ((int64_t)sizeof(float) * panel_rows(m));

    return tokens < 16 ? 16 : tokens > SRQ_HEAD_TOKENS ? SRQ_HEAD_TOKENS : tokens;
}

static float *lay_out_side(struct side *s, float *at, size_t tokens, size_t rows, size_t width)
{
    s->x = at;
    s->y = s->x + tokens * width;
    s->y16 = (uint16_t *)(void *)(s->y + tokens * width);
    s->logits = s->y + tokens * width + (tokens * width + 1) / 2;
    s->r = s->logits + tokens * rows;
    s->most = s->r + tokens;
    return s->most + tokens;
}

/* Where everything is for so many tokens; with `l` also sets its pointers. Returns the bytes. */
static size_t lay_out(const struct srq_model *m, size_t tokens, struct srq_head_distil *l)
{
    size_t rows = (size_t)panel_rows(m), width = (size_t)m->info.hidden;

    if (l != NULL) {
        double *sums = (double *)(void *)l->memory;

        l->teacher.sum = sums;
        l->student.sum = sums + tokens;
        l->kl = sums + 2 * tokens;
        l->dy = lay_out_side(&l->student,
                             lay_out_side(&l->teacher, (float *)(void *)(sums + 3 * tokens), tokens, rows, width),
                             tokens, rows, width);
        l->panel = (uint16_t *)(void *)(l->dy + tokens * width);
    }
    return 3 * tokens * sizeof(double) + rows * width * sizeof(uint16_t) +
           (5 * tokens * width + 2 * ((tokens * width + 1) / 2) + 2 * tokens * rows + 4 * tokens) * sizeof(float);
}

size_t srq_head_distil_bytes(const struct srq_model *m, int64_t n)
{
    return lay_out(m, (size_t)(n < tokens_at_once(m) ? n : tokens_at_once(m)), NULL);
}

int srq_head_distil_create(const struct srq_head *teacher, const struct srq_head *student, int64_t n,
                           struct srq_head_distil **out, struct srq_error *err)
{
    struct srq_head_distil *l = srq_calloc(1, sizeof(*l));

    *out = NULL;
    if (l == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for the divergence");
    l->tokens = n < tokens_at_once(student->model) ? n : tokens_at_once(student->model);
    l->bytes = srq_head_distil_bytes(student->model, l->tokens);
    l->memory = srq_pages_alloc(l->bytes);
    if (l->memory == NULL) {
        int rc = srq_fail(err, -SRQ_ENOMEM, "out of memory for the divergence (%zu bytes)", l->bytes);

        srq_free(l);
        return rc;
    }
    lay_out(student->model, (size_t)l->tokens, l);
    l->teacher.head = teacher;
    l->student.head = student;
    l->rows = panel_rows(student->model) < student->panel_rows ? panel_rows(student->model) : student->panel_rows;
    *out = l;
    return 0;
}

void srq_head_distil_free(struct srq_head_distil *l)
{
    if (l == NULL)
        return;
    srq_pages_free(l->memory, l->bytes);
    srq_free(l);
}

/* ---- shares of the team ------------------------------------------------------------------------------------------ */

static void begin_side(struct side *s, const uint8_t *hidden, enum srq_dtype dtype, int64_t i)
{
    const struct srq_model_info *info = &s->head->model->info;
    float *x = s->x + i * info->hidden;

    srq_kernels()->load(dtype, hidden + (size_t)(i * info->hidden) * srq_dtype_size(dtype), x, info->hidden);
    s->r[i] = srq_kernels()->rms_forward(SRQ_F32, x, s->head->norm, (float)info->rms_eps, s->y + i * info->hidden,
                                         info->hidden);
    if (dtype == SRQ_BF16)
        srq_kernels()->store(SRQ_BF16, s->y + i * info->hidden, 1.0f, s->y16 + i * info->hidden, info->hidden, false);
    s->most[i] = -INFINITY;
    s->sum[i] = 0;
}

static void begin_share(void *ctx, int64_t begin, int64_t end)
{
    const struct job *j = ctx;

    for (int64_t i = begin; i < end; i++) {
        begin_side(&j->l->teacher, j->hidden[0], j->dtype, i);
        begin_side(&j->l->student, j->hidden[1], j->dtype, i);
        j->l->kl[i] = 0;
    }
}

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

    for (int64_t i = begin; i < end; i++) {
        if (j->target[i] < 0)
            continue;
        add_panel(&j->l->teacher, i, j->rows);
        add_panel(&j->l->student, i, j->rows);
    }
}

/* q - p of n words from their logits, and sum p (log p - log q). sums: the two log-sum-exps. */
static double piece(float *p, float *q, double sums[2], int64_t n)
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

/* The student's logits become q - p, of the type of the states, in rows that begin where they did; what the panel adds
 * to the divergence. */
static void slope_share(void *ctx, int64_t begin, int64_t end)
{
    const struct job *j = ctx;
    struct srq_head_distil *l = j->l;

    for (int64_t i = begin; i < end; i++) {
        float *p = l->teacher.logits + i * j->rows, *q = l->student.logits + i * j->rows, copy[PIECE];
        double sums[2] = { l->teacher.sum[i], l->student.sum[i] };

        if (j->target[i] < 0) {
            memset(q, 0, (size_t)j->rows * sizeof(float));
            continue;
        }
        for (int64_t k = 0; k < j->rows; k += PIECE) {
            int64_t n = j->rows - k < PIECE ? j->rows - k : PIECE;

            l->kl[i] += piece(p + k, q + k, sums, n);
            if (j->dtype == SRQ_BF16) { /* never beyond what was read */
                memcpy(copy, q + k, (size_t)n * sizeof(float));
                srq_kernels()->store(SRQ_BF16, copy, 1.0f, (uint16_t *)(void *)q + k, n, false);
            }
        }
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

/* Rows of a head's weight in the type of the states. */
static int panel_of(const struct job *j, const struct srq_head *h, const void **out, struct srq_error *err)
{
    const struct srq_tensor *w = &h->linear.weight;
    const float *rows;
    int rc;

    if (j->dtype == SRQ_BF16 && w->data != NULL && w->dtype == SRQ_BF16) {
        *out = (const uint16_t *)w->data + j->row * h->linear.in;
        return 0;
    }
    rc = srq_head_rows(h, j->row, j->rows, &rows, err);
    *out = rows;
    if (rc == 0 && j->dtype == SRQ_BF16) {
        srq_convert_parallel(rows, SRQ_F32, j->l->panel, SRQ_BF16, j->rows * h->linear.in);
        *out = j->l->panel;
    }
    return rc;
}

static void side_logits(const struct job *j, const struct side *s, const void *panel, int64_t n)
{
    int64_t width = s->head->linear.in;
    const void *y = j->dtype == SRQ_BF16 ? (const void *)s->y16 : s->y;
    const struct srq_mat a = { y, j->dtype, width, false }, b = { panel, j->dtype, width, true };

    srq_gemm(&(struct srq_product){ n, j->rows, width, a, b, .c = { s->logits, SRQ_F32, j->rows } });
}

/* Logits of one panel for `n` tokens, of both; *panel: the student's rows. */
static int panel_logits(struct job *j, int64_t n, const void **panel, struct srq_error *err)
{
    struct srq_head_distil *l = j->l;
    int64_t left = l->student.head->linear.out - j->row;
    int rc;

    j->rows = left < l->rows ? left : l->rows;
    rc = panel_of(j, l->teacher.head, panel, err);
    if (rc == 0)
        side_logits(j, &l->teacher, *panel, n);
    if (rc == 0 && l->student.head != l->teacher.head)
        rc = panel_of(j, l->student.head, panel, err);
    if (rc == 0)
        side_logits(j, &l->student, *panel, n);
    return rc;
}

static int chunk(struct job *j, int64_t n, double *loss, struct srq_error *err)
{
    struct srq_head_distil *l = j->l;
    int64_t width = l->student.head->linear.in, vocab = l->student.head->linear.out;
    int64_t stride = j->dtype == SRQ_BF16 ? 2 : 1; /* of rows of q - p, in places for a logit */
    const void *panel;
    int rc = 0;

    srq_parallel(n, 8, begin_share, j);
    for (j->row = 0; rc == 0 && j->row < vocab; j->row += j->rows) {
        rc = panel_logits(j, n, &panel, err);
        if (rc == 0)
            srq_parallel(n, 1, sum_share, j);
    }
    for (int64_t i = 0; rc == 0 && i < n; i++) {
        l->teacher.sum[i] = (double)l->teacher.most[i] + log(l->teacher.sum[i]);
        l->student.sum[i] = (double)l->student.most[i] + log(l->student.sum[i]);
    }
    for (j->row = 0; rc == 0 && j->row < vocab; j->row += j->rows) {
        rc = panel_logits(j, n, &panel, err);
        if (rc != 0)
            break;
        srq_parallel(n, 1, slope_share, j);
        if (j->grad != NULL) {
            const struct srq_mat d = { l->student.logits, j->dtype, stride * j->rows, false },
                                 w = { panel, j->dtype, width, false };

            srq_gemm(
                &(struct srq_product){ n, width, j->rows, d, w, .c = { l->dy, SRQ_F32, width }, .add = j->row > 0 });
        }
    }
    for (int64_t i = 0; rc == 0 && i < n; i++)
        *loss += j->target[i] >= 0 ? l->kl[i] : 0;
    if (rc == 0 && j->grad != NULL)
        srq_parallel(n, 8, end_share, j);
    return rc;
}

int srq_head_distil_run(struct srq_head_distil *l, const void *teacher, const void *hidden, enum srq_dtype dtype,
                        int64_t n, const int32_t *target, float factor, double *loss, void *grad, struct srq_error *err)
{
    size_t bytes = (size_t)l->student.head->linear.in * srq_dtype_size(dtype);
    int rc = 0;

    *loss = 0;
    if (dtype != SRQ_F32 && dtype != SRQ_BF16)
        return srq_fail(err, -SRQ_EINVAL, "hidden states are F32 or BF16, not %s", srq_dtype_name(dtype));
    for (int64_t i = 0; rc == 0 && i < n; i += l->tokens) {
        size_t at = (size_t)i * bytes;
        struct job j = { .l = l,
                         .hidden = { (const uint8_t *)teacher + at, (const uint8_t *)hidden + at },
                         .grad = grad != NULL ? (uint8_t *)grad + at : NULL,
                         .dtype = dtype,
                         .target = target + i,
                         .factor = factor };

        rc = chunk(&j, n - i < l->tokens ? n - i : l->tokens, loss, err);
    }
    return rc;
}
