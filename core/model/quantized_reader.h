/* How packed folders are read: a row for each kind (spec formats 4.2 to 4.5). Inside core/model. */
#ifndef SRQ_MODEL_QUANTIZED_READER_H
#define SRQ_MODEL_QUANTIZED_READER_H

#include "core/model/quantized.h"

/* The functions do what those of quantized.h do that are called alike. */
struct srq_quantized_reader {
    const char *method; /* quant_method of its folders; NULL: whatever no other row has */
    int (*open)(const json_t *config, const struct srq_tensors *tensors, struct srq_quantized **out,
                struct srq_error *err);
    void (*close)(struct srq_quantized *q);
    const char *(*name)(const struct srq_quantized *q);
    int (*has)(const struct srq_quantized *q, const char *layer, int64_t out, int64_t in, struct srq_error *err);
    int (*decode)(const struct srq_quantized *q, const char *layer, int64_t row, int64_t rows, void *dst,
                  enum srq_dtype dtype, struct srq_error *err);
    const char *const *suffixes; /* of a layer's tensors; ends with NULL */
    int (*inputs)(const struct srq_quantized *q, const char *layer, struct srq_scheme *out, struct srq_error *err);
    bool (*int8)(const struct srq_quantized *q, const char *layer, const int8_t **codes, const float **scales);
};

extern const struct srq_quantized_reader srq_quantized_integers, srq_quantized_ct, srq_quantized_int8_folder,
    srq_quantized_gguf;

/* What every kind's own struct begins with. */
struct srq_quantized {
    const struct srq_quantized_reader *reader;
    const struct srq_tensors *tensors;
};

/* Refuses, by its name, the first of these keys (NULL behind the last) that says something: they ask for a computation
 * that no row has. null, false and what is empty say nothing. */
int srq_quantized_refuse_keys(const json_t *config, const char *const *keys, struct srq_error *err);

/* The tensor LAYER.SUFFIX, with its data or only described. */
bool srq_quantized_part(const struct srq_quantized *q, const char *layer, const char *suffix, bool data,
                        struct srq_tensor *out);

#endif
