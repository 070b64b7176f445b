/* Layers rounded to codes. */
#include "tests/unit/integer_model.h"

#include "core/base/alloc.h"
#include "core/math/int8.h"
#include "core/tensor/dtype.h"

#include <math.h>
#include <stdatomic.h>

struct layer {
    int64_t in;
    float *rounded; /* [out, in], what the codes stand for */
    struct srq_int8_weight *codes;
    float low, high; /* of its inputs so far */
    _Atomic int asked, rows;
};

struct integer_model {
    const struct srq_model *model;
    struct layer *layers;
    struct srq_layer_roundings *roundings;
    struct srq_weights weights;
    int count, first;
};

/* ---- weights ---- */

static float round_row(const float *w, int64_t n, int8_t *codes, float *rounded)
{
    float most = 0, scale;

    for (int64_t i = 0; i < n; i++)
        most = fmaxf(most, fabsf(w[i]));
    scale = most > 0 ? most / 127 : 1;
    for (int64_t i = 0; i < n; i++) {
        codes[i] = (int8_t)rintf(w[i] / scale);
        rounded[i] = (float)codes[i] * scale;
    }
    return scale;
}

static int round_layer(const struct srq_model *m, int i, struct layer *l, struct srq_error *err)
{
    const struct srq_layer_info *info = srq_model_layer(m, i);
    int64_t count = info->out * info->in;
    struct srq_tensor w;
    int8_t *codes = srq_malloc((size_t)count);
    float *scales = srq_malloc((size_t)info->out * sizeof(*scales)), *values = srq_malloc((size_t)count * 4);
    int rc = srq_model_weight(m, i, &w, err);

    l->in = info->in;
    l->rounded = srq_malloc((size_t)count * sizeof(*l->rounded));
    if (rc == 0 && (codes == NULL || scales == NULL || values == NULL || l->rounded == NULL))
        rc = srq_fail(err, -SRQ_ENOMEM, "out of memory for the codes of %s", info->name);
    if (rc == 0)
        rc = srq_convert(w.data, w.dtype, values, SRQ_F32, count);
    for (int64_t r = 0; rc == 0 && r < info->out; r++)
        scales[r] = round_row(values + r * l->in, l->in, codes + r * l->in, l->rounded + r * l->in);
    if (rc == 0)
        rc = srq_int8_weight_create(&(struct srq_int8_codes){ info->out, info->in, codes, scales, info->kernel },
                                    &l->codes, err);
    srq_free(codes);
    srq_free(scales);
    srq_free(values);
    return rc;
}

static int has(void *ctx, int layer, struct srq_error *err)
{
    (void)ctx;
    (void)layer;
    (void)err;
    return 1;
}

static void rows(void *ctx, int layer, int64_t row, int64_t n, void *dst, enum srq_dtype dtype)
{
    struct layer *l = &((struct integer_model *)ctx)->layers[layer];

    (void)srq_convert(l->rounded + row * l->in, SRQ_F32, dst, dtype, n * l->in);
    atomic_fetch_add(&l->rows, 1);
}

static const struct srq_int8_weight *integer(void *ctx, int layer)
{
    struct integer_model *im = ctx;

    atomic_fetch_add(&im->layers[layer].asked, 1);
    return layer >= im->first ? im->layers[layer].codes : NULL;
}

/* ---- inputs ---- */

/* The grid that has 0 on it and reaches over all that was seen (spec diffusion-qat 2). */
static void see(void *ctx, struct srq_rounding *r, const struct srq_tensor *x)
{
    struct layer *l = ctx;
    float v;

    for (int64_t i = 0; i < srq_tensor_count(x); i++) {
        v = x->dtype == SRQ_F32 ? ((const float *)x->data)[i] : srq_bf16_to_f32(((const uint16_t *)x->data)[i]);
        l->low = fminf(l->low, v);
        l->high = fmaxf(l->high, v);
    }
    r->scale = l->high > l->low ? (l->high - l->low) / 255 : 1;
    r->zero = fminf(fmaxf(-rintf(l->low / r->scale), 0), 255);
}

/* ---- life ---- */

int integer_model_create(const struct srq_model *m, struct integer_model **out, struct srq_error *err)
{
    struct integer_model *im = srq_calloc(1, sizeof(*im));
    int rc = 0;

    *out = NULL;
    if (im == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for a model of codes");
    im->model = m;
    im->count = srq_model_layer_count(m);
    im->layers = srq_calloc((size_t)im->count, sizeof(*im->layers));
    im->roundings = srq_calloc((size_t)im->count, sizeof(*im->roundings));
    im->weights = (struct srq_weights){ .ctx = im, .has = has, .rows = rows, .integer = integer };
    if (im->layers == NULL || im->roundings == NULL)
        rc = srq_fail(err, -SRQ_ENOMEM, "out of memory for a model of codes");
    for (int i = 0; rc == 0 && i < im->count; i++) {
        im->roundings[i].input = (struct srq_rounding){ .low = 0, .high = 255, .observe = see, .ctx = &im->layers[i] };
        rc = round_layer(m, i, &im->layers[i], err);
    }
    if (rc != 0)
        integer_model_free(im);
    else
        *out = im;
    return rc;
}

void integer_model_free(struct integer_model *im)
{
    for (int i = 0; im != NULL && im->layers != NULL && i < im->count; i++) {
        srq_free(im->layers[i].rounded);
        srq_int8_weight_free(im->layers[i].codes);
    }
    if (im != NULL) {
        srq_free(im->layers);
        srq_free(im->roundings);
    }
    srq_free(im);
}

const struct srq_weights *integer_model_weights(struct integer_model *im)
{
    return &im->weights;
}

void integer_model_from(struct integer_model *im, int first)
{
    im->first = first;
}

struct srq_layer_roundings *integer_model_roundings(struct integer_model *im)
{
    return im->roundings;
}

void integer_model_fix(struct integer_model *im)
{
    for (int i = 0; i < im->count; i++)
        im->roundings[i].input.observe = NULL;
}

int integer_model_asked(const struct integer_model *im, int layer, bool for_rows)
{
    return for_rows ? im->layers[layer].rows : im->layers[layer].asked;
}
