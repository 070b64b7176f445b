/* Scales folded in: an overlay that changes weights as they are read. The file stays mapped and untouched. */
#include "core/model/internal.h"

#include "core/base/alloc.h"
#include "core/math/team.h"

#include <math.h>

#define SCALE_LEAST 1e-5f
#define COLUMNS 512 /* converted at a time */

struct srq_fold {
    float **scale; /* [pairs] alpha' of a channel; NULL: left alone */
    float **wide;  /* [pairs] alpha' of a consumer's input channel; the same array where nothing is repeated */
    float **norm;  /* [pairs] folded weight of a norm, as it is stored; NULL: a linear makes it */
    int pairs;
    float **weight;   /* [layers] folded weights of one block */
    int layers, unit; /* that they are of; -1: there are none */
    bool aside;
};

static void drop_weights(struct srq_fold *f, const struct srq_model *m)
{
    for (int i = 0; i < f->layers; i++) {
        const struct srq_layer_info *l = &m->layers[i].info;

        srq_pages_free(f->weight[i], (size_t)(l->out * l->in) * sizeof(float));
        f->weight[i] = NULL;
    }
}

static void fold_free(struct srq_fold *f, const struct srq_model *m)
{
    if (f == NULL)
        return;
    for (int i = 0; i < f->pairs; i++) {
        if (f->wide[i] != f->scale[i])
            srq_free(f->wide[i]);
        srq_free(f->scale[i]);
        srq_free(f->norm[i]);
    }
    if (f->weight != NULL)
        drop_weights(f, m);
    srq_free(f->scale);
    srq_free(f->wide);
    srq_free(f->norm);
    srq_free(f->weight);
    srq_free(f);
}

static struct srq_fold *fold_alloc(const struct srq_model *m)
{
    struct srq_fold *f = srq_calloc(1, sizeof(*f));
    size_t n = (size_t)m->pair_count + 1;

    if (f == NULL)
        return NULL;
    f->scale = srq_calloc(n, sizeof(*f->scale));
    f->wide = srq_calloc(n, sizeof(*f->wide));
    f->norm = srq_calloc(n, sizeof(*f->norm));
    f->weight = srq_calloc((size_t)m->layer_count + 1, sizeof(*f->weight));
    if (f->scale == NULL || f->wide == NULL || f->norm == NULL || f->weight == NULL) {
        f->layers = 0;
        fold_free(f, m);
        return NULL;
    }
    f->pairs = m->pair_count;
    f->layers = m->layer_count;
    f->unit = -1;
    return f;
}

static int check_scales(const struct srq_pair_info *p, const float *alpha, struct srq_error *err)
{
    for (int64_t j = 0; j < p->channels; j++) {
        if (!(alpha[j] >= SCALE_LEAST) || !isfinite(alpha[j]))
            return srq_fail_field(err, -SRQ_ENUMERIC, p->name,
                                  "the scale of %s, channel %lld, is %g; it must be finite and at least %g", p->name,
                                  (long long)j, (double)alpha[j], (double)SCALE_LEAST);
    }
    return 0;
}

/* What the norm that makes a pair adds to its stored weight. */
static float norm_offset(const struct srq_model *m, int pair)
{
    int unit = m->pairs[pair].block, vector = 0;

    if (unit < 0)
        unit = m->unit_count - 1;
    else
        vector = m->units[unit].kind->pairs[pair - m->units[unit].pair].producer;
    return srq_model_vector_offset(m, unit, vector);
}

/* A channel's gain `kept` over `scale`, less the offset, as the dtype holds it, into *stored; returns what that took
 * away: 0 where nothing finite and positive did. */
static float taken_away(float kept, float offset, float scale, enum srq_dtype dtype, float *stored)
{
    float rounded = kept / scale - offset, back;
    uint8_t bytes[sizeof(float)];

    (void)srq_convert(&rounded, SRQ_F32, bytes, dtype, 1);
    (void)srq_convert(bytes, dtype, stored, SRQ_F32, 1);
    back = kept / (*stored + offset);
    return back > 0 && isfinite(back) && isfinite(*stored) ? back : 0;
}

/* A norm's gain, the stored weight and its offset, divided by its scales, and that as it is stored, rounded to its
 * dtype; the scales become what that took away, so that the product is as it was (spec teq 3.3). Where the gain is 0
 * any scale is exact and stays: the channel's weights fit into their groups as was asked for. Where the dtype cannot
 * hold the quotient, the scale goes half the way towards 1 until it can. */
static int fold_norm(const struct srq_model *m, int pair, float *scale, float *norm, struct srq_error *err)
{
    const struct srq_pair_info *p = &m->pairs[pair];
    float offset = norm_offset(m, pair);
    struct srq_tensor t;

    if (!srq_model_module_tensor(m, p->name, &t))
        return srq_fail_field(err, -SRQ_ESTATE, p->name, "tensor %s.weight is gone", p->name);
    (void)srq_convert(t.data, t.dtype, norm, SRQ_F32, p->channels);
    for (int64_t j = 0; j < p->channels; j++) {
        float kept = norm[j] + offset, stored, back = 0;

        if (kept == 0)
            continue;
        for (float s = scale[j]; back == 0 && s != 1; s = s > 2 ? s / 2 : s < 0.5f ? s * 2 : 1)
            back = taken_away(kept, offset, s, t.dtype, &stored);
        if (back > 0)
            norm[j] = stored;
        scale[j] = back > 0 ? back : 1;
    }
    return 0;
}

static int add_scales(const struct srq_model *m, struct srq_fold *f, int pair, const float *alpha,
                      struct srq_error *err)
{
    const struct srq_pair_info *p = &m->pairs[pair];
    size_t bytes = (size_t)p->channels * sizeof(float);
    int rc = check_scales(p, alpha, err);

    if (rc != 0)
        return rc;
    f->scale[pair] = srq_malloc(bytes);
    f->wide[pair] = p->repeat > 1 ? srq_malloc((size_t)p->in * sizeof(float)) : f->scale[pair];
    if (p->producer < 0)
        f->norm[pair] = srq_malloc(bytes);
    if (f->scale[pair] == NULL || f->wide[pair] == NULL || (p->producer < 0 && f->norm[pair] == NULL))
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for the scales of %s", p->name);
    memcpy(f->scale[pair], alpha, bytes);
    if (p->producer < 0)
        rc = fold_norm(m, pair, f->scale[pair], f->norm[pair], err);
    for (int64_t c = 0; rc == 0 && p->repeat > 1 && c < p->in; c++)
        f->wide[pair][c] = f->scale[pair][srq_pair_channel(p, c)];
    return rc;
}

int srq_model_fold(struct srq_model *m, const float *const *alpha, struct srq_error *err)
{
    struct srq_fold *f;
    int rc = 0;

    if (m->quantized != NULL)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, m->info.path, "%s is quantized: its weights take no scales",
                              m->info.path);
    f = fold_alloc(m);
    if (f == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for the scales of %s", m->info.path);
    for (int i = 0; i < m->pair_count && rc == 0; i++)
        if (alpha[i] != NULL)
            rc = add_scales(m, f, i, alpha[i], err);
    if (rc != 0) {
        fold_free(f, m);
        return rc;
    }
    srq_model_unfold(m);
    m->fold = f;
    return 0;
}

void srq_model_unfold(struct srq_model *m)
{
    fold_free(m->fold, m);
    m->fold = NULL;
}

bool srq_model_folded(const struct srq_model *m)
{
    return m->fold != NULL;
}

const float *srq_model_folded_scale(const struct srq_model *m, int pair)
{
    return m->fold != NULL && pair >= 0 && pair < m->pair_count ? m->fold->scale[pair] : NULL;
}

uint64_t srq_model_fold_bytes(const struct srq_model *m)
{
    uint64_t scales = 0, most = 0;

    for (int i = 0; i < m->pair_count; i++) {
        const struct srq_pair_info *p = &m->pairs[i];

        scales += (uint64_t)(p->channels + (p->producer < 0 ? p->channels : 0) + (p->repeat > 1 ? p->in : 0));
    }
    for (int u = 0; u < m->unit_count; u++) {
        uint64_t weights = 0;

        for (int i = m->units[u].info.first; i < m->units[u].info.first + m->units[u].info.count; i++)
            weights += (uint64_t)(m->layers[i].info.out * m->layers[i].info.in);
        most = weights > most ? weights : most;
    }
    return (scales + most) * sizeof(float);
}

/* ---- reading through it ------------------------------------------------------------------------------------------ */

static bool folds(const struct srq_model *m)
{
    return m->fold != NULL && !m->fold->aside;
}

void srq_model_lay_aside(struct srq_model *m, bool aside)
{
    if (m->fold != NULL)
        m->fold->aside = aside;
}

/* What a layer's input channels are multiplied by, and what its rows are divided by; NULL: nothing. */
static const float *in_scale(const struct srq_model *m, int layer)
{
    int pair = m->layers[layer].made_by;

    return folds(m) && pair >= 0 ? m->fold->wide[pair] : NULL;
}

static const float *out_scale(const struct srq_model *m, int layer)
{
    int pair = m->layers[layer].makes;

    return folds(m) && pair >= 0 ? m->fold->scale[pair] : NULL;
}

bool srq_fold_changes(const struct srq_model *m, int layer)
{
    return in_scale(m, layer) != NULL || out_scale(m, layer) != NULL;
}

struct fold_job {
    const struct srq_tensor *src;
    const float *in, *out; /* `out` from the first row on */
    uint8_t *dst;
    enum srq_dtype dtype;
};

static void fold_share(void *ctx, int64_t begin, int64_t end)
{
    const struct fold_job *j = ctx;
    int64_t width = j->src->shape[1];
    size_t from = srq_dtype_size(j->src->dtype), to = srq_dtype_size(j->dtype);
    float part[COLUMNS];

    for (int64_t r = begin; r < end; r++) {
        for (int64_t c = 0; c < width; c += COLUMNS) {
            int64_t n = width - c < COLUMNS ? width - c : COLUMNS;
            size_t at = (size_t)(r * width + c);

            (void)srq_convert((const uint8_t *)j->src->data + at * from, j->src->dtype, part, SRQ_F32, n);
            for (int64_t k = 0; k < n && j->in != NULL; k++)
                part[k] *= j->in[c + k];
            for (int64_t k = 0; k < n && j->out != NULL; k++)
                part[k] /= j->out[r];
            (void)srq_convert(part, SRQ_F32, j->dst + at * to, j->dtype, n);
        }
    }
}

void srq_fold_rows(const struct srq_model *m, int layer, int64_t row, int64_t rows, const struct srq_tensor *src,
                   void *dst, enum srq_dtype dtype)
{
    const float *out = out_scale(m, layer);
    struct fold_job job = {
        .src = src, .in = in_scale(m, layer), .out = out != NULL ? out + row : NULL, .dst = dst, .dtype = dtype
    };

    srq_parallel(rows, 1 + 65536 / src->shape[1], fold_share, &job);
}

void srq_fold_bias(const struct srq_model *m, int layer, float *bias)
{
    const float *out = out_scale(m, layer);

    for (int64_t i = 0; out != NULL && i < m->layers[layer].info.out; i++)
        bias[i] /= out[i];
}

/* The pair that a norm makes, or -1. */
static int pair_of_vector(const struct srq_model *m, int unit, int vector)
{
    const struct srq_block_kind *k = m->units[unit].kind;
    int first = m->units[unit].pair;

    if (k == NULL)
        return m->pair_count > first ? first : -1;
    for (int i = 0; i < k->pair_count; i++)
        if (!k->pairs[i].linear && k->pairs[i].producer == vector)
            return first + i;
    return -1;
}

void srq_fold_vector(const struct srq_model *m, int unit, int vector, float *weight)
{
    int pair = folds(m) ? pair_of_vector(m, unit, vector) : -1;

    if (pair >= 0 && m->fold->norm[pair] != NULL)
        memcpy(weight, m->fold->norm[pair], (size_t)m->pairs[pair].channels * sizeof(float));
}

int srq_fold_weight(const struct srq_model *m, int layer, const struct srq_tensor *stored, struct srq_tensor *out,
                    struct srq_error *err)
{
    const struct srq_layer_info *l = &m->layers[layer].info;
    size_t bytes = (size_t)(l->out * l->in) * sizeof(float);
    struct srq_fold *f = m->fold;

    if (f->unit != l->unit)
        drop_weights(f, m);
    f->unit = l->unit;
    if (f->weight[layer] == NULL) {
        float *w = srq_pages_alloc(bytes);

        if (w == NULL)
            return srq_fail_field(err, -SRQ_ENOMEM, l->name, "out of memory for the scaled weight of %s (%zu bytes)",
                                  l->name, bytes);
        srq_fold_rows(m, layer, 0, l->out, stored, w, SRQ_F32);
        srq_tensors_release(m->tensors, stored);
        f->weight[layer] = w;
    }
    *out = srq_tensor_2d(f->weight[layer], SRQ_F32, l->out, l->in);
    return 0;
}

/* ---- any tensor -------------------------------------------------------------------------------------------------- */

/* Whether `name` is MODULE.suffix. */
static bool is_of(const char *name, const char *module, const char *suffix)
{
    size_t n = strlen(module);

    return strncmp(name, module, n) == 0 && name[n] == '.' && strcmp(name + n + 1, suffix) == 0;
}

/* The pair whose norm this is; -1: none. */
static int norm_of(const struct srq_model *m, const char *name)
{
    for (int i = 0; i < m->pair_count; i++)
        if (m->fold->norm[i] != NULL && is_of(name, m->pairs[i].name, "weight"))
            return i;
    return -1;
}

static int folded_vector(const struct srq_model *m, int layer, int pair, const struct srq_tensor *t, void *dst,
                         struct srq_error *err)
{
    float *wide;
    int rc;

    if (pair >= 0)
        return srq_convert(m->fold->norm[pair], SRQ_F32, dst, t->dtype, t->shape[0]);
    wide = srq_malloc((size_t)t->shape[0] * sizeof(*wide));
    if (wide == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for the bias of %s", m->layers[layer].info.name);
    rc = srq_convert(t->data, t->dtype, wide, SRQ_F32, t->shape[0]);
    srq_fold_bias(m, layer, wide);
    if (rc == 0)
        rc = srq_convert(wide, SRQ_F32, dst, t->dtype, t->shape[0]);
    srq_free(wide);
    return rc == 0 ? 0
                   : srq_fail_field(err, rc, m->layers[layer].info.name, "the bias of %s cannot be scaled as %s",
                                    m->layers[layer].info.name, srq_dtype_name(t->dtype));
}

/* A tensor that took the stored one's place, in the dtype and shape of that one. */
static int replaced_tensor(const struct srq_model *m, const char *name, struct srq_tensor *out, void **owned,
                           struct srq_error *err)
{
    struct srq_tensor now;
    size_t bytes;
    int rc;

    if (m->replaced == NULL || !srq_tensors_get(m->replaced, name, &now))
        return 0;
    if (!srq_tensor_bytes(out, &bytes) || (*owned = srq_malloc(bytes)) == NULL)
        return srq_fail_field(err, -SRQ_ENOMEM, name, "out of memory for the trained tensor %s", name);
    rc = srq_convert(now.data, now.dtype, *owned, out->dtype, srq_tensor_count(out));
    if (rc != 0) {
        srq_free(*owned);
        *owned = NULL;
        return srq_fail_field(err, rc, name, "the trained tensor %s cannot be stored as %s", name,
                              srq_dtype_name(out->dtype));
    }
    out->data = *owned;
    return 0;
}

int srq_model_tensor(const struct srq_model *m, const char *name, struct srq_tensor *out, void **owned,
                     struct srq_error *err)
{
    int layer = -1, pair = -1, rc = 0;
    bool weight = false, bias = false;
    size_t bytes;

    *owned = NULL;
    if (!srq_tensors_get(m->tensors, name, out))
        return srq_fail_field(err, -SRQ_EFORMAT, name, "tensor %s disappeared", name);
    if (m->fold == NULL)
        return replaced_tensor(m, name, out, owned, err);
    for (int i = 0; i < m->layer_count && !weight && !bias; i++) {
        layer = i;
        weight = srq_fold_changes(m, i) && is_of(name, m->layers[i].info.name, "weight");
        bias = m->layers[i].info.has_bias && out_scale(m, i) != NULL && is_of(name, m->layers[i].info.name, "bias");
    }
    if (!weight && !bias && (pair = norm_of(m, name)) < 0)
        return 0;
    if (!srq_tensor_bytes(out, &bytes) || (*owned = srq_malloc(bytes)) == NULL)
        return srq_fail_field(err, -SRQ_ENOMEM, name, "out of memory for the scaled tensor %s", name);
    if (weight)
        srq_fold_rows(m, layer, 0, out->shape[0], out, *owned, out->dtype);
    else
        rc = folded_vector(m, layer, pair, out, *owned, err);
    srq_tensors_release(m->tensors, out);
    out->data = *owned;
    if (rc != 0) {
        srq_free(*owned);
        *owned = NULL;
    }
    return rc;
}
