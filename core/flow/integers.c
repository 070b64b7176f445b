/* Codes of layers, made ready for integer products. */
#include "core/flow/integers.h"

#include "core/base/alloc.h"
#include "core/math/int8.h"

struct srq_integers {
    const struct srq_model *model;
    struct srq_int8_weight **weights; /* [layers] */
    struct srq_weights own;
};

/* Code and zero-point of a row as one signed byte; false: they do not fit. */
static bool sign_row(const uint8_t *codes, int zero, int64_t n, int8_t *out)
{
    for (int64_t i = 0; i < n; i++) {
        int q = (int)codes[i] - zero;

        if (q < INT8_MIN || q > INT8_MAX)
            return false;
        out[i] = (int8_t)q;
    }
    return true;
}

static int take_codes(const struct srq_codes *c, int kernel, struct srq_int8_weight **out, struct srq_error *err)
{
    bool integer = srq_scheme_is_integer(&c->scheme);
    int64_t n = c->groups.out, k = c->groups.in;
    bool fits = integer && c->scheme.group != 0 && c->groups.per_row == 1 && k <= SRQ_INT8_K_MAX;
    int8_t *bytes;
    int rc = 0;

    if (!fits)
        return 0;
    bytes = srq_malloc((size_t)(n * k));
    if (bytes == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for the codes of a layer");
    for (int64_t r = 0; fits && r < n; r++)
        fits = sign_row(c->codes + r * k, c->zero[r], k, bytes + r * k);
    if (fits)
        rc = srq_int8_weight_create(&(struct srq_int8_codes){ n, k, bytes, c->scale, kernel }, out, err);
    srq_free(bytes);
    return rc;
}

static int take_stored(const struct srq_model *m, int layer, struct srq_int8_weight **out, struct srq_error *err)
{
    struct srq_int8_codes c;

    return srq_model_int8(m, layer, &c) && c.k <= SRQ_INT8_K_MAX ? srq_int8_weight_create(&c, out, err) : 0;
}

static int none_has(void *ctx, int layer, struct srq_error *err)
{
    (void)ctx;
    (void)layer;
    (void)err;
    return 0;
}

static const struct srq_int8_weight *integer_of(void *ctx, int layer)
{
    return srq_integers_get(ctx, layer);
}

int srq_integers_create(const struct srq_model *m, const struct srq_codes *const *codes, struct srq_integers **out,
                        struct srq_error *err)
{
    struct srq_integers *s = srq_calloc(1, sizeof(*s));
    int count = srq_model_layer_count(m), rc = 0;

    *out = NULL;
    if (s == NULL || (s->weights = srq_calloc((size_t)count + 1, sizeof(*s->weights))) == NULL) {
        srq_free(s);
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for codes");
    }
    s->model = m;
    s->own = (struct srq_weights){ .ctx = s, .has = none_has, .integer = integer_of };
    for (int i = 0; rc == 0 && i < count; i++) {
        if (codes == NULL)
            rc = take_stored(m, i, &s->weights[i], err);
        else if (codes[i] != NULL)
            rc = take_codes(codes[i], srq_model_layer(m, i)->kernel, &s->weights[i], err);
    }
    if (rc != 0)
        srq_integers_free(s);
    else
        *out = s;
    return rc;
}

void srq_integers_free(struct srq_integers *s)
{
    if (s == NULL)
        return;
    for (int i = 0; i < srq_model_layer_count(s->model); i++)
        srq_int8_weight_free(s->weights[i]);
    srq_free(s->weights);
    srq_free(s);
}

const struct srq_int8_weight *srq_integers_get(const struct srq_integers *s, int layer)
{
    return s->weights[layer];
}

int srq_integers_count(const struct srq_integers *s, const struct srq_layer_roundings *roundings)
{
    int n = 0;

    for (int i = 0; i < srq_model_layer_count(s->model); i++)
        n += s->weights[i] != NULL && srq_rounding_fits_bytes(&roundings[i].input);
    return n;
}

const struct srq_weights *srq_integers_weights(const struct srq_integers *s)
{
    return &s->own;
}

/* Rows and columns are filled up to whole vectors of the kernels. */
uint64_t srq_integers_bytes(const struct srq_model *m)
{
    uint64_t sum = 0;

    for (int i = 0; i < srq_model_layer_count(m); i++) {
        const struct srq_layer_info *l = srq_model_layer(m, i);
        uint64_t n = (uint64_t)(l->out + 63) / 64 * 64, k = (uint64_t)(l->in + 63) / 64 * 64;

        sum += n * k + 8 * (uint64_t)l->out;
    }
    return sum;
}
