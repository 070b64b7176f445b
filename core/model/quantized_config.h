/* What a quantization_config says of each layer: widths, groups and which packed layout (spec formats 4.4). */
#ifndef SRQ_MODEL_QUANTIZED_CONFIG_H
#define SRQ_MODEL_QUANTIZED_CONFIG_H

#include "core/format/tensors.h"
#include "core/grid/pack_layout.h"

#include <jansson.h>

struct srq_quantized_config; /* owns copies of all it needs */

struct srq_quantized_scheme {
    bool plain; /* the configuration says that this layer is not quantized */
    int bits, group;
    bool indexed; /* columns may be of any group: where there is more than one, a layer has an index of them */
};

/* Refuses methods, layouts and values that srq does not decode; `tensors` tells exact layer names from patterns. */
int srq_quantized_config_read(const json_t *config, const struct srq_tensors *tensors,
                              struct srq_quantized_config **out, struct srq_error *err);
void srq_quantized_config_free(struct srq_quantized_config *c);
const char *srq_quantized_config_method(const struct srq_quantized_config *c);
enum srq_pack_layout srq_quantized_config_layout(const struct srq_quantized_config *c);
int srq_quantized_config_scheme(const struct srq_quantized_config *c, const char *layer,
                                struct srq_quantized_scheme *out, struct srq_error *err);

#endif
