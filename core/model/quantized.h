/* Packed weights of quantized folders that srq can decode (spec formats 4.2 to 4.5): called by the model's loader. */
#ifndef SRQ_MODEL_QUANTIZED_H
#define SRQ_MODEL_QUANTIZED_H

#include "core/format/tensors.h"
#include "core/grid/grid.h"

#include <jansson.h>

#define SRQ_INT8_METHOD "srq-int8" /* quant_method of the format int8 */

struct srq_quantized; /* how the layers of one folder are packed */

/* `config` is the `quantization_config` of config.json; it may be released after the call, `tensors` must stay open.
 * -SRQ_EUNSUPPORTED names a quant_method or layout that srq cannot decode, -SRQ_EFORMAT a value that is wrong. */
int srq_quantized_open(const json_t *config, const struct srq_tensors *tensors, struct srq_quantized **out,
                       struct srq_error *err);
void srq_quantized_close(struct srq_quantized *q);
const char *srq_quantized_method(
    const struct srq_quantized *q); /* quant_method: "auto-round", "gptq", "awq", "compressed-tensors", "srq-int8" */

/* Whether `layer` (name without ".weight") is stored packed: 1, after checking every packed tensor's dtype and shape
 * against [out, in]; 0 when it is a plain ".weight"; negative with `err` naming the tensor that is wrong. */
int srq_quantized_has(const struct srq_quantized *q, const char *layer, int64_t out, int64_t in, struct srq_error *err);
/* Its scheme, whose act_bits say whether its inputs are to be rounded too; layouts that cannot say so leave them 0. */
int srq_quantized_inputs(const struct srq_quantized *q, const char *layer, struct srq_scheme *out,
                         struct srq_error *err);
/* Decodes rows [row, row+rows) of a packed layer into dst [rows, in], F32 or BF16. Called from several threads for
 * different rows. */
int srq_quantized_decode(const struct srq_quantized *q, const char *layer, int64_t row, int64_t rows, void *dst,
                         enum srq_dtype dtype, struct srq_error *err);
/* The codes of a layer where they are stored [out, in], a signed byte each, with one scale a row [out]; both are
 * mapped. False: the layer is stored in another way, or its scales are not finite. */
bool srq_quantized_int8(const struct srq_quantized *q, const char *layer, const int8_t **codes, const float **scales);
/* What stands behind the dot in names of a packed layer's tensors; NULL past the end. */
const char *srq_quantized_suffix(const struct srq_quantized *q, int i);
void srq_quantized_release(const struct srq_quantized *q, const char *layer); /* drops the mapped pages */

#endif
