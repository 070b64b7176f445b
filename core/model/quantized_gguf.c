/* Weights in blocks of a GGUF file, which a folder made of it has as bytes LAYER.q4_0 [out, bytes of a row] and so on
 * (import_gguf.h). */
#include "core/model/quantized_reader.h"

#include "core/base/alloc.h"
#include "core/grid/pack_gguf.h"
#include "core/model/gguf_names.h"

#include <inttypes.h>
#include <string.h>

/* Types by their names, as import_gguf.c has them. */
static const char *const suffixes[] = { "q4_0", "q4_1", "q5_0", "q5_1", "q8_0",  "q2_k",
                                        "q3_k", "q4_k", "q5_k", "q6_k", "mxfp4", NULL };

static int open_folder(const json_t *config, const struct srq_tensors *tensors, struct srq_quantized **out,
                       struct srq_error *err)
{
    struct srq_quantized *q = srq_calloc(1, sizeof(*q));

    (void)config;
    if (q == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory opening a GGUF file");
    q->tensors = tensors;
    *out = q;
    return 0;
}

static void close_folder(struct srq_quantized *q)
{
    srq_free(q);
}

static const char *method_of(const struct srq_quantized *q)
{
    (void)q;
    return SRQ_GGUF_METHOD;
}

/* The type of a layer's blocks and the bytes of its rows; NULL: it is none in blocks. */
static const struct srq_gguf_type *blocks_of(const struct srq_quantized *q, const char *layer, bool data,
                                             struct srq_tensor *out)
{
    for (const char *const *s = suffixes; *s != NULL; s++)
        if (srq_quantized_part(q, layer, *s, data, out))
            return srq_gguf_type_named(*s);
    return NULL;
}

static int has_layer(const struct srq_quantized *q, const char *layer, int64_t out, int64_t in, struct srq_error *err)
{
    struct srq_tensor t;
    const struct srq_gguf_type *type = blocks_of(q, layer, false, &t);
    uint64_t bytes = 0;

    if (type == NULL)
        return 0;
    if (t.dtype == SRQ_U8 && t.rank == 2 && t.shape[0] == out && srq_gguf_row_bytes(type, in, &bytes) &&
        (uint64_t)t.shape[1] == bytes)
        return 1;
    return srq_fail_field(err, -SRQ_EFORMAT, layer,
                          "%s is not [%" PRId64 ", %" PRId64 "] in blocks of %s, as its configuration means", layer,
                          out, in, type->name);
}

static int decode(const struct srq_quantized *q, const char *layer, int64_t row, int64_t rows, void *dst,
                  enum srq_dtype dtype, struct srq_error *err)
{
    struct srq_tensor t;
    const struct srq_gguf_type *type = blocks_of(q, layer, true, &t);
    const int64_t cols = type != NULL ? t.shape[1] / type->bytes * type->block : 0;
    float *values = srq_malloc((size_t)cols * sizeof(*values));
    int rc = 0;

    if (type == NULL || row < 0 || rows < 0 || rows > t.shape[0] - row)
        rc = srq_fail_field(err, -SRQ_EINVAL, layer, "there are no rows %" PRId64 " to %" PRId64 " of %s", row,
                            row + rows, layer);
    else if (values == NULL)
        rc = srq_fail(err, -SRQ_ENOMEM, "out of memory decoding %s", layer);
    for (int64_t r = 0; rc == 0 && r < rows; r++) {
        srq_gguf_unpack(type, (const uint8_t *)t.data + (size_t)((row + r) * t.shape[1]), cols, values);
        rc = srq_convert(values, SRQ_F32, (uint8_t *)dst + (size_t)(r * cols) * srq_dtype_size(dtype), dtype, cols);
        for (int64_t i = 0; rc == 0 && i < cols; i++)
            if (!(values[i] - values[i] == 0.0f))
                rc = srq_fail_field(err, -SRQ_ENUMERIC, layer, "row %" PRId64 " of %s is not finite", row + r, layer);
    }
    srq_free(values);
    return rc;
}

const struct srq_quantized_reader srq_quantized_gguf = {
    SRQ_GGUF_METHOD, open_folder, close_folder, method_of, has_layer, decode, suffixes, NULL, NULL,
};
