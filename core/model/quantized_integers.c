/* Folders of packed integers: auto-round, gptq, awq. Layers are decoded a few rows at a time. */
#include "core/model/quantized_reader.h"

#include "core/base/alloc.h"
#include "core/model/quantized_config.h"

#include <inttypes.h>
#include <string.h>

struct integers {
    struct srq_quantized base;
    struct srq_quantized_config *config;
};

static const struct srq_quantized_config *config_of(const struct srq_quantized *q)
{
    return ((const struct integers *)(const void *)q)->config;
}

/* The tensors of one packed layer. */
struct parts {
    struct srq_packed packed;
    const int32_t *g_idx; /* [in] or NULL */
    struct srq_tensor qweight, qzeros, scales, index;
};

static void close_folder(struct srq_quantized *q)
{
    srq_quantized_config_free(((struct integers *)(void *)q)->config);
    srq_free(q);
}

static int open_folder(const json_t *config, const struct srq_tensors *tensors, struct srq_quantized **out,
                       struct srq_error *err)
{
    struct integers *q = srq_calloc(1, sizeof(*q));
    int rc;

    if (q == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory opening a quantized folder");
    rc = srq_quantized_config_read(config, tensors, &q->config, err);
    q->base.tensors = tensors;
    *out = &q->base;
    if (rc != 0)
        close_folder(&q->base);
    return rc;
}

static const char *method_of(const struct srq_quantized *q)
{
    return srq_quantized_config_method(config_of(q));
}

/* One part: `out` is as the layout demands it, and becomes what is there. */
static int want_part(const struct srq_quantized *q, const char *layer, const char *suffix, bool data,
                     struct srq_tensor *out, struct srq_error *err)
{
    const struct srq_tensor want = *out;
    char got[128], wanted[128];

    if (!srq_quantized_part(q, layer, suffix, data, out))
        return srq_fail_field(err, -SRQ_EFORMAT, layer, "packed layer %s has no tensor %s.%s", layer, layer, suffix);
    if (out->dtype == want.dtype && out->rank == want.rank &&
        memcmp(out->shape, want.shape, (size_t)want.rank * sizeof(want.shape[0])) == 0)
        return 0;
    return srq_fail_field(err, -SRQ_EFORMAT, layer, "tensor %s.%s is %s %s where its configuration means %s %s", layer,
                          suffix, srq_dtype_name(out->dtype), srq_tensor_shape_text(out, got, sizeof(got)),
                          srq_dtype_name(want.dtype), srq_tensor_shape_text(&want, wanted, sizeof(wanted)));
}

static int get_parts(const struct srq_quantized *q, const char *layer, int64_t out, int64_t in, bool data,
                     struct parts *p, struct srq_error *err)
{
    struct srq_quantized_scheme s;
    struct srq_packed *k = &p->packed;
    struct srq_error why = { 0 };
    int rc = srq_quantized_config_scheme(config_of(q), layer, &s, err);

    if (rc != 0)
        return rc;
    if (s.plain)
        return srq_fail_field(err, -SRQ_EFORMAT, layer, "%s is packed but its configuration says it is not", layer);
    rc = srq_packed_init(k, srq_quantized_config_layout(config_of(q)), s.bits, s.group, out, in, &why);
    if (rc != 0)
        return srq_fail_field(err, rc, layer, "%s: %s", layer, why.text);
    p->qweight = srq_tensor_make(NULL, SRQ_I32, 2, k->qweight_shape);
    p->qzeros = srq_tensor_make(NULL, SRQ_I32, 2, k->qzeros_shape);
    p->scales = srq_tensor_2d(NULL, SRQ_F16, k->groups, out);
    rc = want_part(q, layer, "qweight", data, &p->qweight, err);
    if (rc == 0)
        rc = want_part(q, layer, "qzeros", data, &p->qzeros, err);
    if (rc == 0)
        rc = want_part(q, layer, "scales", data, &p->scales, err);
    p->g_idx = NULL;
    p->index.data = NULL;
    if (rc == 0 && srq_quantized_part(q, layer, "g_idx", false, &p->index)) {
        p->index = srq_tensor_make(NULL, SRQ_I32, 1, &in);
        rc = want_part(q, layer, "g_idx", data, &p->index, err);
        p->g_idx = p->index.data;
    } else if (rc == 0 && s.indexed && k->groups > 1) {
        return srq_fail_field(err, -SRQ_EFORMAT, layer,
                              "packed layer %s has no tensor %s.g_idx, which \"desc_act\" of quantization_config means",
                              layer, layer);
    }
    if (rc != 0)
        return rc;
    k->qweight = p->qweight.data;
    k->qzeros = p->qzeros.data;
    k->scales = p->scales.data;
    return 0;
}

static int check_index(const char *layer, const struct parts *p, struct srq_error *err)
{
    for (int64_t i = 0; p->g_idx != NULL && i < p->packed.in; i++)
        if (p->g_idx[i] < 0 || p->g_idx[i] >= p->packed.groups)
            return srq_fail_field(err, -SRQ_EFORMAT, layer,
                                  "%s.g_idx[%" PRId64 "] is %" PRId32 "; the layer has %" PRId64 " groups", layer, i,
                                  p->g_idx[i], p->packed.groups);
    return 0;
}

static int has_layer(const struct srq_quantized *q, const char *layer, int64_t out, int64_t in, struct srq_error *err)
{
    struct srq_tensor t;
    struct parts p;
    int rc;

    if (!srq_quantized_part(q, layer, "qweight", false, &t))
        return 0;
    if (srq_quantized_part(q, layer, "weight", false, &t))
        return srq_fail_field(err, -SRQ_EFORMAT, layer, "%s is stored twice, as weight and as qweight", layer);
    rc = get_parts(q, layer, out, in, false, &p, err);
    return rc != 0 ? rc : 1;
}

/* Ŵ of `rows` unpacked rows: scale * (code - zero); the group of column i is g_idx[i] where there is one. */
static void dequantize(const struct parts *p, int64_t rows, const uint8_t *codes, const float *scale,
                       const uint8_t *zero, float *dst)
{
    int64_t in = p->packed.in, groups = p->packed.groups, len = p->packed.group;

    for (int64_t r = 0; r < rows; r++) {
        const uint8_t *c = codes + r * in, *z = zero + r * groups;
        const float *s = scale + r * groups;
        float *w = dst + r * in;

        if (p->g_idx != NULL) {
            for (int64_t i = 0; i < in; i++)
                w[i] = s[p->g_idx[i]] * (float)((int)c[i] - (int)z[p->g_idx[i]]);
            continue;
        }
        for (int64_t g = 0; g < groups; g++)
            for (int64_t i = g * len; i < (g + 1) * len; i++)
                w[i] = s[g] * (float)((int)c[i] - (int)z[g]);
    }
}

static int check_scales(const char *layer, const float *scale, int64_t n, struct srq_error *err)
{
    for (int64_t i = 0; i < n; i++)
        if (!(scale[i] - scale[i] == 0.0f))
            return srq_fail_field(err, -SRQ_ENUMERIC, layer, "%s.scales holds a value that is not finite", layer);
    return 0;
}

/* Rows that are unpacked at a time, and the room for them. */
#define ROWS_AT_ONCE 16

struct room {
    uint8_t *codes, *zero; /* [ROWS_AT_ONCE, in], [ROWS_AT_ONCE, groups] */
    float *scale, *wide;   /* [ROWS_AT_ONCE, groups], [ROWS_AT_ONCE, in] */
};

static void room_fini(struct room *m)
{
    srq_free(m->codes);
    srq_free(m->zero);
    srq_free(m->scale);
    srq_free(m->wide);
}

static int room_init(struct room *m, const struct srq_packed *p, struct srq_error *err)
{
    size_t in = (size_t)p->in, groups = (size_t)p->groups;

    m->codes = srq_malloc(ROWS_AT_ONCE * in);
    m->zero = srq_malloc(ROWS_AT_ONCE * groups);
    m->scale = srq_malloc(ROWS_AT_ONCE * groups * sizeof(float));
    m->wide = srq_malloc(ROWS_AT_ONCE * in * sizeof(float));
    if (m->codes != NULL && m->zero != NULL && m->scale != NULL && m->wide != NULL)
        return 0;
    room_fini(m);
    return srq_fail(err, -SRQ_ENOMEM, "out of memory decoding packed rows of %" PRId64 " elements", p->in);
}

/* [out, in] as the packed shape and the configured width imply them; get_parts checks everything else. */
static int layer_shape(const struct srq_quantized *q, const char *layer, int64_t *out, int64_t *in,
                       struct srq_error *err)
{
    struct srq_quantized_scheme s;
    struct srq_tensor t;
    int rc;

    if (!srq_quantized_part(q, layer, "qweight", false, &t) || t.rank != 2 || t.shape[0] > INT32_MAX ||
        t.shape[1] > INT32_MAX)
        return srq_fail_field(err, -SRQ_ENOENT, layer, "%s is not a packed layer", layer);
    rc = srq_quantized_config_scheme(config_of(q), layer, &s, err);
    if (rc != 0)
        return rc;
    if (srq_quantized_config_layout(config_of(q)) == SRQ_PACK_AWQ) {
        *in = t.shape[0];
        *out = t.shape[1] * 8;
    } else {
        *in = t.shape[0] * 32 / s.bits;
        *out = t.shape[1];
    }
    return 0;
}

static int decode_rows(const struct parts *p, const char *layer, int64_t row, int64_t rows, struct room *m, void *dst,
                       enum srq_dtype dtype, struct srq_error *err)
{
    int64_t in = p->packed.in;

    for (int64_t r = 0; r < rows; r += ROWS_AT_ONCE) {
        int64_t k = rows - r < ROWS_AT_ONCE ? rows - r : ROWS_AT_ONCE;
        int rc = srq_unpack_rows(&p->packed, row + r, k, m->codes, m->scale, m->zero, err);

        if (rc == 0)
            rc = check_scales(layer, m->scale, k * p->packed.groups, err);
        if (rc != 0)
            return rc;
        dequantize(p, k, m->codes, m->scale, m->zero, m->wide);
        rc = srq_convert(m->wide, SRQ_F32, (char *)dst + (size_t)(r * in) * srq_dtype_size(dtype), dtype, k * in);
        if (rc != 0)
            return srq_fail(err, rc, "cannot decode %s to %s", layer, srq_dtype_name(dtype));
    }
    return 0;
}

static int decode_layer(const struct srq_quantized *q, const char *layer, int64_t row, int64_t rows, void *dst,
                        enum srq_dtype dtype, struct srq_error *err)
{
    struct parts p;
    struct room m;
    int64_t out = 0, in = 0;
    int rc;

    rc = layer_shape(q, layer, &out, &in, err);
    if (rc == 0)
        rc = get_parts(q, layer, out, in, true, &p, err);
    if (rc == 0)
        rc = check_index(layer, &p, err);
    if (rc != 0)
        return rc;
    if (row < 0 || rows < 0 || row > out || rows > out - row)
        return srq_fail(err, -SRQ_EINVAL, "%" PRId64 " rows from %" PRId64 " of %s, which has %" PRId64, rows, row,
                        layer, out);
    rc = room_init(&m, &p.packed, err);
    if (rc != 0)
        return rc;
    rc = decode_rows(&p, layer, row, rows, &m, dst, dtype, err);
    room_fini(&m);
    return rc;
}

static const char *const suffixes[] = { "qweight", "qzeros", "scales", "g_idx", NULL };

const struct srq_quantized_reader srq_quantized_integers = {
    NULL, open_folder, close_folder, method_of, has_layer, decode_layer, suffixes, NULL, NULL,
};
