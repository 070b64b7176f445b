/* Quantized folders: by their quant_method to the row that reads them. */
#include "core/model/quantized_reader.h"

#include <string.h>

static const struct srq_quantized_reader *const readers[] = { &srq_quantized_ct, &srq_quantized_int8_folder,
                                                              &srq_quantized_gguf, &srq_quantized_integers };

int srq_quantized_open(const json_t *config, const struct srq_tensors *tensors, struct srq_quantized **out,
                       struct srq_error *err)
{
    const char *method = json_string_value(json_object_get(config, "quant_method"));
    const struct srq_quantized_reader *const *r = readers;
    int rc;

    while ((*r)->method != NULL && (method == NULL || strcmp((*r)->method, method) != 0))
        r++;
    *out = NULL;
    rc = (*r)->open(config, tensors, out, err);
    if (rc == 0)
        (*out)->reader = *r;
    else
        *out = NULL;
    return rc;
}

void srq_quantized_close(struct srq_quantized *q)
{
    if (q != NULL)
        q->reader->close(q);
}

const char *srq_quantized_method(const struct srq_quantized *q)
{
    return q->reader->name(q);
}

int srq_quantized_has(const struct srq_quantized *q, const char *layer, int64_t out, int64_t in, struct srq_error *err)
{
    return q->reader->has(q, layer, out, in, err);
}

int srq_quantized_inputs(const struct srq_quantized *q, const char *layer, struct srq_scheme *out,
                         struct srq_error *err)
{
    *out = srq_scheme_none();
    return q->reader->inputs != NULL ? q->reader->inputs(q, layer, out, err) : 0;
}

int srq_quantized_decode(const struct srq_quantized *q, const char *layer, int64_t row, int64_t rows, void *dst,
                         enum srq_dtype dtype, struct srq_error *err)
{
    return q->reader->decode(q, layer, row, rows, dst, dtype, err);
}

bool srq_quantized_int8(const struct srq_quantized *q, const char *layer, const int8_t **codes, const float **scales)
{
    return q->reader->int8 != NULL && q->reader->int8(q, layer, codes, scales);
}

static bool says_something(const json_t *v)
{
    if (json_is_object(v))
        return json_object_size(v) > 0;
    if (json_is_array(v))
        return json_array_size(v) > 0;
    if (json_is_string(v))
        return json_string_length(v) > 0;
    return v != NULL && !json_is_null(v) && !json_is_false(v);
}

int srq_quantized_refuse_keys(const json_t *config, const char *const *keys, struct srq_error *err)
{
    for (; *keys != NULL; keys++)
        if (says_something(json_object_get(config, *keys)))
            return srq_fail_field(
                err, -SRQ_EUNSUPPORTED, *keys,
                "quantization_config has a \"%s\", which changes what the model computes: srq does not "
                "compute that",
                *keys);
    return 0;
}

bool srq_quantized_part(const struct srq_quantized *q, const char *layer, const char *suffix, bool data,
                        struct srq_tensor *out)
{
    char name[1200];

    if ((size_t)snprintf(name, sizeof(name), "%s.%s", layer, suffix) >= sizeof(name))
        return false;
    return data ? srq_tensors_get(q->tensors, name, out) : srq_tensors_describe(q->tensors, name, out);
}

const char *srq_quantized_suffix(const struct srq_quantized *q, int i)
{
    const char *const *s = q->reader->suffixes;

    for (int k = 0; k < i && *s != NULL; k++)
        s++;
    return *s;
}

void srq_quantized_release(const struct srq_quantized *q, const char *layer)
{
    struct srq_tensor t;

    for (const char *const *s = q->reader->suffixes; *s != NULL; s++)
        if (srq_quantized_part(q, layer, *s, true, &t))
            srq_tensors_release(q->tensors, &t);
}
