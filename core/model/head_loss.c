/* Next-token cross-entropy through final norm and head, and its gradient with respect to the hidden states.
 *
 * The vocabulary is gone through twice, a panel of the head's rows at a time: first for the log-sum-exp of every token,
 * then for softmax minus one-hot, which goes back through the panel at once. So memory does not grow with the
 * vocabulary, at the price of computing logits twice. */
#include "core/model/internal.h"

#include "core/base/alloc.h"
#include "core/math/gemm.h"
#include "core/math/kernels.h"
#include "core/math/team.h"

#include <math.h>

#define LOGIT_BYTES ((int64_t)16 << 20)

struct srq_head_loss {
    const struct srq_head *head;
    int64_t rows, tokens; /* of the vocabulary in a panel; of hidden states together */
    float *x;             /* [tokens, hidden] */
    float *y;             /* [tokens, hidden] after the norm */
    float *dy;            /* [tokens, hidden] */
    float *r;             /* [tokens] 1/rms */
    float *logits;        /* [tokens, rows] */
    float *most;          /* [tokens] largest logit so far */
    double *sum;          /* [tokens] of e^(logit - most); then the log-sum-exp */
    double *right;        /* [tokens] logit of the target */
    uint8_t *memory;
    size_t bytes;
};

/* One call's data, for the team. */
struct job {
    struct srq_head_loss *l;
    const uint8_t *hidden;
    uint8_t *grad;
    enum srq_dtype dtype;
    const int32_t *target;
    int64_t row, rows; /* of the panel */
    float factor;
};

static int64_t loss_rows(const struct srq_model *m)
{
    int64_t rows = ((int64_t)8 << 20) / ((int64_t)sizeof(float) * m->info.hidden);

    rows = rows < 16 ? 16 : rows > 8192 ? 8192 : rows / 16 * 16;
    return rows < m->info.vocab ? rows : m->info.vocab;
}

static int64_t loss_tokens(const struct srq_model *m)
{
    int64_t tokens = LOGIT_BYTES / ((int64_t)sizeof(float) * loss_rows(m));

    return tokens < 16 ? 16 : tokens > SRQ_HEAD_TOKENS ? SRQ_HEAD_TOKENS : tokens;
}

/* Where everything is for so many tokens; with `l` also sets its pointers. Returns the bytes. */
static size_t lay_out(const struct srq_model *m, size_t tokens, struct srq_head_loss *l)
{
    size_t rows = (size_t)loss_rows(m), width = (size_t)m->info.hidden;
    size_t states = tokens * width * sizeof(float), at = 2 * tokens * sizeof(double);

    if (l != NULL) {
        l->sum = (double *)(void *)l->memory;
        l->right = l->sum + tokens;
        l->x = (float *)(void *)(l->memory + at);
        l->y = l->x + tokens * width;
        l->dy = l->y + tokens * width;
        l->logits = l->dy + tokens * width;
        l->r = l->logits + tokens * rows;
        l->most = l->r + tokens;
    }
    return at + 3 * states + tokens * rows * sizeof(float) + 2 * tokens * sizeof(float);
}

size_t srq_head_loss_bytes(const struct srq_model *m, int64_t n)
{
    return lay_out(m, (size_t)(n < loss_tokens(m) ? n : loss_tokens(m)), NULL);
}

int srq_head_loss_create(const struct srq_head *h, int64_t n, struct srq_head_loss **out, struct srq_error *err)
{
    struct srq_head_loss *l = srq_calloc(1, sizeof(*l));

    *out = NULL;
    if (l == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for the loss");
    l->head = h;
    l->tokens = n < loss_tokens(h->model) ? n : loss_tokens(h->model);
    l->bytes = srq_head_loss_bytes(h->model, l->tokens);
    l->memory = srq_pages_alloc(l->bytes);
    if (l->memory == NULL) {
        int rc = srq_fail(err, -SRQ_ENOMEM, "out of memory for the loss (%zu bytes)", l->bytes);

        srq_free(l);
        return rc;
    }
    lay_out(h->model, (size_t)l->tokens, l);
    l->rows = loss_rows(h->model) < h->panel_rows ? loss_rows(h->model) : h->panel_rows;
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

/* ---- shares of the team -------------------------------------------------------------------------------------------
 */

static void begin_share(void *ctx, int64_t begin, int64_t end)
{
    const struct job *j = ctx;
    struct srq_head_loss *l = j->l;
    const struct srq_model_info *info = &l->head->model->info;
    size_t bytes = (size_t)info->hidden * srq_dtype_size(j->dtype);

    for (int64_t i = begin; i < end; i++) {
        float *x = l->x + i * info->hidden;

        srq_kernels()->load(j->dtype, j->hidden + (size_t)i * bytes, x, info->hidden);
        l->r[i] = srq_kernels()->rms_forward(SRQ_F32, x, l->head->norm, (float)info->rms_eps, l->y + i * info->hidden,
                                             info->hidden);
        l->most[i] = -INFINITY;
        l->sum[i] = l->right[i] = 0;
    }
}

/* The panel's logits join the log-sum-exp. */
static void sum_share(void *ctx, int64_t begin, int64_t end)
{
    const struct job *j = ctx;
    struct srq_head_loss *l = j->l;

    for (int64_t i = begin; i < end; i++) {
        float *z = l->logits + i * j->rows, top = srq_kernels()->row_max(z, 1.0f, j->rows);
        int64_t at = j->target[i] - j->row;

        if (j->target[i] < 0)
            continue;
        if (at >= 0 && at < j->rows)
            l->right[i] = (double)z[at];
        if (top > l->most[i]) {
            l->sum[i] *= exp((double)l->most[i] - (double)top);
            l->most[i] = top;
        }
        l->sum[i] += (double)srq_kernels()->row_exp(z, 1.0f, l->most[i], j->rows);
    }
}

/* Logits become softmax minus one-hot; rows of tokens that predict nothing become 0. */
static void slope_share(void *ctx, int64_t begin, int64_t end)
{
    const struct job *j = ctx;
    struct srq_head_loss *l = j->l;

    for (int64_t i = begin; i < end; i++) {
        float *z = l->logits + i * j->rows;
        int64_t at = j->target[i] - j->row;

        if (j->target[i] < 0) {
            memset(z, 0, (size_t)j->rows * sizeof(float));
            continue;
        }
        (void)srq_kernels()->row_exp(z, 1.0f, (float)l->sum[i], j->rows);
        if (at >= 0 && at < j->rows)
            z[at] -= 1.0f;
    }
}

/* Back through the norm, into the caller's gradient. */
static void end_share(void *ctx, int64_t begin, int64_t end)
{
    const struct job *j = ctx;
    struct srq_head_loss *l = j->l;
    int64_t width = l->head->linear.in;
    size_t bytes = (size_t)width * srq_dtype_size(j->dtype);

    for (int64_t i = begin; i < end; i++) {
        float *dx = l->y + i * width; /* what the norm gave is not needed any more */

        srq_kernels()->rms_backward(SRQ_F32, l->x + i * width, l->head->norm, l->r[i], l->dy + i * width, dx, width,
                                    false);
        srq_kernels()->store(j->dtype, dx, j->factor, j->grad + (size_t)i * bytes, width, false);
    }
}

/* ---- a chunk of tokens ----------------------------------------------------------------------------------------------
 */

/* Gives the logits of one panel for `n` tokens. */
static int panel_logits(struct job *j, int64_t n, const float **panel, struct srq_error *err)
{
    struct srq_head_loss *l = j->l;
    int64_t width = l->head->linear.in, left = l->head->linear.out - j->row;
    int rc;

    j->rows = left < l->rows ? left : l->rows;
    rc = srq_head_rows(l->head, j->row, j->rows, panel, err);
    if (rc == 0) {
        const struct srq_mat a = { l->y, SRQ_F32, width, false }, b = { *panel, SRQ_F32, width, true };

        srq_gemm(&(struct srq_product){ n, j->rows, width, a, b, .c = { l->logits, SRQ_F32, j->rows } });
    }
    return rc;
}

static int chunk(struct job *j, int64_t n, double *loss, struct srq_error *err)
{
    struct srq_head_loss *l = j->l;
    int64_t width = l->head->linear.in, vocab = l->head->linear.out;
    const float *panel;
    int rc = 0;

    srq_parallel(n, 8, begin_share, j);
    for (j->row = 0; rc == 0 && j->row < vocab; j->row += j->rows) {
        rc = panel_logits(j, n, &panel, err);
        if (rc == 0)
            srq_parallel(n, 1, sum_share, j);
    }
    for (int64_t i = 0; rc == 0 && i < n; i++) {
        l->sum[i] = (double)l->most[i] + log(l->sum[i]);
        if (j->target[i] >= 0)
            *loss += l->sum[i] - l->right[i];
    }
    for (j->row = 0; rc == 0 && j->grad != NULL && j->row < vocab; j->row += j->rows) {
        rc = panel_logits(j, n, &panel, err);
        if (rc == 0) {
            const struct srq_mat p = { l->logits, SRQ_F32, j->rows, false }, w = { panel, SRQ_F32, width, false };

            srq_parallel(n, 1, slope_share, j);
            srq_gemm(
                &(struct srq_product){ n, width, j->rows, p, w, .c = { l->dy, SRQ_F32, width }, .add = j->row > 0 });
        }
    }
    if (rc == 0 && j->grad != NULL)
        srq_parallel(n, 8, end_share, j);
    return rc;
}

int srq_head_loss_run(struct srq_head_loss *l, const void *hidden, enum srq_dtype dtype, int64_t n,
                      const int32_t *target, float factor, double *loss, void *grad, struct srq_error *err)
{
    size_t bytes = (size_t)l->head->linear.in * srq_dtype_size(dtype);
    int rc = 0;

    *loss = 0;
    if (dtype != SRQ_F32 && dtype != SRQ_BF16)
        return srq_fail(err, -SRQ_EINVAL, "hidden states are F32 or BF16, not %s", srq_dtype_name(dtype));
    for (int64_t i = 0; i < n; i++) {
        if (target[i] >= l->head->linear.out)
            return srq_fail(err, -SRQ_EINVAL, "token id %d is outside the model's vocabulary of %lld", target[i],
                            (long long)l->head->linear.out);
    }
    for (int64_t i = 0; rc == 0 && i < n; i += l->tokens) {
        struct job j = { .l = l,
                         .hidden = (const uint8_t *)hidden + (size_t)i * bytes,
                         .grad = grad != NULL ? (uint8_t *)grad + (size_t)i * bytes : NULL,
                         .dtype = dtype,
                         .target = target + i,
                         .factor = factor };

        rc = chunk(&j, n - i < l->tokens ? n - i : l->tokens, loss, err);
    }
    return rc;
}
