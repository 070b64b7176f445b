/* quantization_config of the compressed-tensors kind, and decoding of its layers (spec formats 4.4, 4.5). Weights only:
 * a folder that quantizes activations is refused by name. */
#ifndef SRQ_MODEL_QUANTIZED_CT_H
#define SRQ_MODEL_QUANTIZED_CT_H

#include "core/format/tensors.h"
#include "core/grid/pack_ct.h"

#include <jansson.h>

struct srq_quantized_ct; /* owns copies of all it needs; `tensors` must stay open */

/* -SRQ_EUNSUPPORTED names a format or a kind of weights that srq does not decode, -SRQ_EFORMAT a value that is
 * wrong. */
int srq_quantized_ct_open(const json_t *config, const struct srq_tensors *tensors, struct srq_quantized_ct **out,
                          struct srq_error *err);
void srq_quantized_ct_close(struct srq_quantized_ct *q);

/* As srq_quantized_has, _decode and _release. */
int srq_quantized_ct_has(const struct srq_quantized_ct *q, const char *layer, int64_t out, int64_t in,
                         struct srq_error *err);
int srq_quantized_ct_decode(const struct srq_quantized_ct *q, const char *layer, int64_t row, int64_t rows, void *dst,
                            enum srq_dtype dtype, struct srq_error *err);
void srq_quantized_ct_release(const struct srq_quantized_ct *q, const char *layer);

#endif
