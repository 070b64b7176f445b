/* Folders of the format int8, srq's own of diffusion models: LAYER.weight I8 in the shape of the original, and
 * LAYER.weight_scale F32 [out, groups of a row]; a weight is its code times its scale. */
#include "core/model/quantized_reader.h"

#include "core/base/alloc.h"

#include <inttypes.h>
#include <math.h>

#define FOLDER_VERSION 1
#define CHUNK 256 /* elements decoded at a time */

static void close_folder(struct srq_quantized *q)
{
    srq_free(q);
}

static int open_folder(const json_t *config, const struct srq_tensors *tensors, struct srq_quantized **out,
                       struct srq_error *err)
{
    const json_t *version = json_object_get(config, "version");
    struct srq_quantized *q;

    if (!json_is_integer(version) || json_integer_value(version) != FOLDER_VERSION)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, "version",
                              "quantization_config of " SRQ_INT8_METHOD " is not of version %d, which srq reads",
                              FOLDER_VERSION);
    q = srq_calloc(1, sizeof(*q));
    if (q == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory opening a quantized folder");
    q->tensors = tensors;
    *out = q;
    return 0;
}

static const char *method_of(const struct srq_quantized *q)
{
    (void)q;
    return SRQ_INT8_METHOD;
}

static int64_t rows_of(const struct srq_tensor *t)
{
    return t->rank >= 2 ? t->shape[0] : 0;
}

static int has_layer(const struct srq_quantized *q, const char *layer, int64_t out, int64_t in, struct srq_error *err)
{
    struct srq_tensor w, s;

    if (!srq_quantized_part(q, layer, "weight", false, &w) || w.dtype != SRQ_I8)
        return 0;
    if ((w.rank != 2 && w.rank != 4) || rows_of(&w) != out || srq_tensor_count(&w) != out * in)
        return srq_fail_field(err, -SRQ_EFORMAT, layer, "tensor %s.weight is not %" PRId64 " rows of %" PRId64 " codes",
                              layer, out, in);
    if (!srq_quantized_part(q, layer, "weight_scale", false, &s))
        return srq_fail_field(err, -SRQ_EFORMAT, layer, "codes of %s have no tensor %s.weight_scale", layer, layer);
    if (s.dtype != SRQ_F32 || s.rank != 2 || s.shape[0] != out || s.shape[1] < 1 || in % s.shape[1] != 0)
        return srq_fail_field(err, -SRQ_EFORMAT, layer,
                              "tensor %s.weight_scale is not F32 with %" PRId64 " rows of groups", layer, out);
    return 1;
}

/* Both tensors with their data; the scales of those rows are finite. */
static int get_parts(const struct srq_quantized *q, const char *layer, int64_t row, int64_t rows, struct srq_tensor *w,
                     struct srq_tensor *s, struct srq_error *err)
{
    const float *scale;

    if (!srq_quantized_part(q, layer, "weight", true, w) || !srq_quantized_part(q, layer, "weight_scale", true, s))
        return srq_fail_field(err, -SRQ_ENOENT, layer, "%s is not a layer of codes", layer);
    if (row < 0 || rows < 0 || row > rows_of(w) || rows > rows_of(w) - row)
        return srq_fail(err, -SRQ_EINVAL, "%" PRId64 " rows from %" PRId64 " of %s, which has %" PRId64, rows, row,
                        layer, rows_of(w));
    scale = s->data;
    for (int64_t i = row * s->shape[1]; i < (row + rows) * s->shape[1]; i++)
        if (!isfinite(scale[i]))
            return srq_fail_field(err, -SRQ_ENUMERIC, layer, "%s.weight_scale holds a value that is not finite", layer);
    return 0;
}

static int decode_layer(const struct srq_quantized *q, const char *layer, int64_t row, int64_t rows, void *dst,
                        enum srq_dtype dtype, struct srq_error *err)
{
    struct srq_tensor w, s;
    int rc = get_parts(q, layer, row, rows, &w, &s, err);
    int64_t in, len, end;
    float wide[CHUNK];

    if (rc != 0)
        return rc;
    in = srq_tensor_count(&w) / rows_of(&w);
    len = in / s.shape[1];
    end = (row + rows) * in;
    for (int64_t at = row * in; rc == 0 && at < end; at += CHUNK) {
        int64_t n = end - at < CHUNK ? end - at : CHUNK;

        for (int64_t i = 0; i < n; i++)
            wide[i] = (float)((const int8_t *)w.data)[at + i] * ((const float *)s.data)[(at + i) / len];
        rc = srq_convert(wide, SRQ_F32, (char *)dst + (size_t)(at - row * in) * srq_dtype_size(dtype), dtype, n);
    }
    return rc == 0 ? 0 : srq_fail(err, rc, "cannot decode %s to %s", layer, srq_dtype_name(dtype));
}

static bool int8_of(const struct srq_quantized *q, const char *layer, const int8_t **codes, const float **scales)
{
    struct srq_tensor w, s;

    if (!srq_quantized_part(q, layer, "weight_scale", false, &s) || s.shape[1] != 1 ||
        !srq_quantized_part(q, layer, "weight", false, &w) || get_parts(q, layer, 0, rows_of(&w), &w, &s, NULL) != 0)
        return false;
    *codes = w.data;
    *scales = s.data;
    return true;
}

static const char *const suffixes[] = { "weight", "weight_scale", NULL };

const struct srq_quantized_reader srq_quantized_int8_folder = {
    SRQ_INT8_METHOD, open_folder, close_folder, method_of, has_layer, decode_layer, suffixes, NULL, int8_of,
};
