/* The ends of a model: embedding rows in, final norm and logits out.
 *
 * The head is the widest matrix of a model, so it is never held in F32: it stays mapped and is converted a panel of
 * rows at a time, against as many tokens as fit beside it. */
#include "core/model/internal.h"

#include "core/base/alloc.h"
#include "core/base/simd.h"
#include "core/math/gemm.h"
#include "core/math/kernels.h"
#include "core/math/team.h"

#include <math.h>

#define PANEL_BYTES ((int64_t)8 << 20)
#define TOKENS_AT_ONCE SRQ_HEAD_TOKENS

/* ---- embedding --------------------------------------------------------------------------------------------------- */

struct embed_job {
    const struct srq_tensor *table;
    const int32_t *ids;
    uint8_t *dst;
    enum srq_dtype dtype;
    float factor;
};

/* sqrt(hidden), of the precision of what it multiplies, as transformers has it: 55.5 in BF16 for 3072. */
static float embed_factor(const struct srq_model *m, enum srq_dtype dtype)
{
    float root = (float)sqrt((double)m->info.hidden);

    return dtype == SRQ_BF16 ? srq_bf16_to_f32(srq_f32_to_bf16(root)) : root;
}

static void embed_share(void *ctx, int64_t begin, int64_t end)
{
    const struct embed_job *j = ctx;
    int64_t width = j->table->shape[1];
    const uint8_t *src = j->table->data;
    size_t from = (size_t)width * srq_dtype_size(j->table->dtype), to = (size_t)width * srq_dtype_size(j->dtype);

    for (int64_t i = begin; i < end; i++) {
        uint8_t *row = j->dst + (size_t)i * to;

        (void)srq_convert(src + (size_t)j->ids[i] * from, j->table->dtype, row, j->dtype, width);
        if (j->factor != 1)
            srq_kernels()->scale(j->dtype, row, j->factor, row, width, false);
    }
}

int srq_model_embed(const struct srq_model *m, const int32_t *ids, int64_t n, void *dst, enum srq_dtype dtype,
                    struct srq_error *err)
{
    struct srq_tensor table;
    struct embed_job job = { &table, ids, dst, dtype, m->family->embed_scaled ? embed_factor(m, dtype) : 1 };

    if (dtype != SRQ_F32 && dtype != SRQ_BF16)
        return srq_fail(err, -SRQ_EINVAL, "hidden states are F32 or BF16, not %s", srq_dtype_name(dtype));
    if (!srq_model_module_tensor(m, m->family->embed, &table))
        return srq_fail_field(err, -SRQ_ENOENT, m->family->embed, "tensor %s.weight is missing from %s",
                              m->family->embed, m->info.path);
    for (int64_t i = 0; i < n; i++) {
        if (ids[i] < 0 || ids[i] >= m->info.vocab)
            return srq_fail_field(err, -SRQ_EINVAL, "vocab_size",
                                  "token id %d at %lld is outside the model's vocabulary of %lld", ids[i], (long long)i,
                                  (long long)m->info.vocab);
    }
    srq_parallel(n, 16, embed_share, &job);
    return 0;
}

/* ---- head -------------------------------------------------------------------------------------------------------- */

static int64_t panel_rows(const struct srq_model *m)
{
    int64_t rows = PANEL_BYTES / ((int64_t)sizeof(float) * m->info.hidden);

    rows = rows < 16 ? 16 : rows / 16 * 16;
    return rows < m->info.vocab ? rows : m->info.vocab;
}

size_t srq_head_bytes(const struct srq_model *m, int64_t n)
{
    return (size_t)(panel_rows(m) + (n < TOKENS_AT_ONCE ? n : TOKENS_AT_ONCE) + 1) * (size_t)m->info.hidden *
           sizeof(float);
}

int srq_head_create(const struct srq_model *m, struct srq_head **out, struct srq_error *err)
{
    struct srq_head *h = srq_calloc(1, sizeof(*h));
    struct srq_tensor norm;

    *out = NULL;
    if (!srq_model_module_tensor(m, m->family->norm, &norm)) {
        srq_free(h);
        return srq_fail_field(err, -SRQ_ENOENT, m->family->norm, "tensor %s.weight is missing from %s", m->family->norm,
                              m->info.path);
    }
    if (h == NULL)
        goto fail;
    h->model = m;
    h->layer = m->info.tied_head ? -1 : m->layer_count - 1;
    h->linear = (struct srq_linear){ .name = m->family->head, .out = m->info.vocab, .in = m->info.hidden };
    if (!srq_model_head_tensor(m, &h->linear.weight) || (h->layer >= 0 && srq_fold_changes(m, h->layer)))
        h->linear.weight = srq_tensor_2d(NULL, SRQ_F32, m->info.vocab, m->info.hidden);
    h->panel_rows = panel_rows(m);
    h->bytes = srq_head_bytes(m, TOKENS_AT_ONCE);
    h->memory = srq_pages_alloc(h->bytes);
    if (h->memory == NULL)
        goto fail;
    h->norm = h->memory;
    h->tokens = h->norm + m->info.hidden;
    h->panel = h->tokens + TOKENS_AT_ONCE * m->info.hidden;
    if (srq_convert(norm.data, norm.dtype, h->norm, SRQ_F32, m->info.hidden) != 0) {
        srq_head_free(h);
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, m->family->norm,
                              "tensor %s.weight is %s; weights must be F32, F16 "
                              "or BF16",
                              m->family->norm, srq_dtype_name(norm.dtype));
    }
    srq_model_vector_use(m, m->unit_count - 1, 0, h->norm, m->info.hidden);
    *out = h;
    return 0;
fail:
    srq_head_free(h);
    return srq_fail(err, -SRQ_ENOMEM, "out of memory for the head of %zu bytes", srq_head_bytes(m, TOKENS_AT_ONCE));
}

void srq_head_free(struct srq_head *h)
{
    struct srq_tensor weight;

    if (h == NULL)
        return;
    srq_pages_free(h->memory, h->bytes);
    if (srq_model_head_tensor(h->model, &weight))
        srq_tensors_release(h->model->tensors, &weight);
    else if (h->layer >= 0 && h->model->layers[h->layer].packed)
        srq_quantized_release(h->model->quantized, h->linear.name);
    srq_free(h);
}

struct srq_linear *srq_head_linear(struct srq_head *h)
{
    return h->layer >= 0 ? &h->linear : NULL;
}

#define LANES 16

/* y = w * x * rsqrt(mean(x²) + eps). The sum is kept in LANES partial sums, so that it vectorizes in a fixed order. */
SRQ_SIMD static void norm_row(const float *x, const float *w, float eps, float *y, int64_t n)
{
    float lane[LANES] = { 0 }, sum = 0, scale;
    int64_t i = 0;

    for (; i + LANES <= n; i += LANES) {
        for (int k = 0; k < LANES; k++)
            lane[k] += x[i + k] * x[i + k];
    }
    for (; i < n; i++)
        sum += x[i] * x[i];
    for (int k = 0; k < LANES; k++)
        sum += lane[k];
    scale = 1 / sqrtf(sum / (float)n + eps);
    for (i = 0; i < n; i++)
        y[i] = w[i] * (x[i] * scale);
}

struct norm_job {
    const struct srq_head *head;
    const uint8_t *src;
    enum srq_dtype dtype;
};

static void norm_share(void *ctx, int64_t begin, int64_t end)
{
    const struct norm_job *j = ctx;
    const struct srq_model_info *info = &j->head->model->info;
    size_t row_bytes = (size_t)info->hidden * srq_dtype_size(j->dtype);

    for (int64_t i = begin; i < end; i++) {
        float *row = j->head->tokens + i * info->hidden;

        (void)srq_convert(j->src + (size_t)i * row_bytes, j->dtype, row, SRQ_F32, info->hidden);
        norm_row(row, j->head->norm, (float)info->rms_eps, row, info->hidden);
    }
}

int srq_head_rows(const struct srq_head *h, int64_t row, int64_t rows, const float **out, struct srq_error *err)
{
    const struct srq_tensor *w = &h->linear.weight;
    const uint8_t *src = w->data;

    *out = h->panel;
    if (src == NULL)
        return srq_model_read_rows(h->model, h->layer, row, rows, h->panel, SRQ_F32, err);
    src += (size_t)row * (size_t)h->linear.in * srq_dtype_size(w->dtype);
    if (w->dtype != SRQ_F32)
        return srq_convert_parallel(src, w->dtype, h->panel, SRQ_F32, rows * h->linear.in, err);
    *out = (const float *)(const void *)src;
    return 0;
}

static int logits_of(const struct srq_head *h, int64_t n, float *logits, struct srq_error *err)
{
    int64_t width = h->linear.in, vocab = h->linear.out;

    for (int64_t row = 0; row < vocab; row += h->panel_rows) {
        int64_t rows = vocab - row < h->panel_rows ? vocab - row : h->panel_rows;
        const struct srq_mat a = { h->tokens, SRQ_F32, width, false };
        struct srq_mat b = { NULL, SRQ_F32, width, true };
        const float *panel;
        int rc = srq_head_rows(h, row, rows, &panel, err);

        if (rc != 0)
            return rc;
        b.data = panel;
        srq_gemm(&(struct srq_product){ n, rows, width, a, b, .c = { logits + row, SRQ_F32, vocab } });
    }
    return 0;
}

struct feed_job {
    const struct srq_linear *linear;
    struct srq_tensor x;
};

static void feed_share(void *ctx, int64_t begin, int64_t end)
{
    const struct feed_job *j = ctx;

    j->linear->feed(j->linear->feed_ctx, &j->x, begin, end - begin, (float *)j->x.data + begin * j->linear->in);
}

/* The normalised states as the head's product gets them. */
static void feed(const struct srq_head *h, int64_t tokens)
{
    struct feed_job job = { &h->linear, srq_tensor_2d(h->tokens, SRQ_F32, tokens, h->linear.in) };

    srq_parallel(tokens, 16, feed_share, &job);
}

int srq_head_norm(const struct srq_head *h, void *hidden, enum srq_dtype dtype, int64_t n, struct srq_error *err)
{
    struct norm_job job = { h, NULL, dtype };
    size_t row_bytes = (size_t)h->linear.in * srq_dtype_size(dtype);

    if (dtype != SRQ_F32 && dtype != SRQ_BF16)
        return srq_fail(err, -SRQ_EINVAL, "hidden states are F32 or BF16, not %s", srq_dtype_name(dtype));
    for (int64_t i = 0; i < n; i += TOKENS_AT_ONCE) {
        int64_t tokens = n - i < TOKENS_AT_ONCE ? n - i : TOKENS_AT_ONCE;
        uint8_t *at = (uint8_t *)hidden + (size_t)i * row_bytes;

        job.src = at;
        srq_parallel(tokens, 8, norm_share, &job);
        (void)srq_convert(h->tokens, SRQ_F32, at, dtype, tokens * h->linear.in);
    }
    return 0;
}

int srq_head_logits(const struct srq_head *h, const void *hidden, enum srq_dtype dtype, int64_t n, float *logits,
                    struct srq_error *err)
{
    struct norm_job job = { h, hidden, dtype };
    size_t row_bytes = (size_t)h->linear.in * srq_dtype_size(dtype);

    if (dtype != SRQ_F32 && dtype != SRQ_BF16)
        return srq_fail(err, -SRQ_EINVAL, "hidden states are F32 or BF16, not %s", srq_dtype_name(dtype));
    for (int64_t i = 0; i < n; i += TOKENS_AT_ONCE) {
        int64_t tokens = n - i < TOKENS_AT_ONCE ? n - i : TOKENS_AT_ONCE;
        int rc;

        job.src = (const uint8_t *)hidden + (size_t)i * row_bytes;
        srq_parallel(tokens, 8, norm_share, &job);
        if (h->linear.feed != NULL)
            feed(h, tokens);
        rc = logits_of(h, tokens, logits + i * h->linear.out, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}
