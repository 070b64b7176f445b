/* Static grids of activations in a folder of a quantized diffusion model: srq_activations.safetensors, with a tensor
 * LAYER.input (and LAYER.output where that is rounded) F32 [3] for every layer that has one: scale, zero and the
 * highest code, which is 2^bits-1; the lowest is 0. LAYER.input_rest F32 [4], where the columns of an input that came
 * by a skip have a grid of their own, has that and the first of those columns. */
#ifndef SRQ_FLOW_ROUNDINGS_H
#define SRQ_FLOW_ROUNDINGS_H

#include "core/flow/walk.h"

/* Writes the file of `dir`, durably; none where nothing is rounded. */
int srq_roundings_write(const struct srq_model *m, const struct srq_layer_roundings *all, const char *dir,
                        struct srq_error *err);
/* Those of the model's folder: *all [layers] is the caller's (srq_free); NULL where the folder has no such file.
 * -SRQ_EFORMAT naming file and tensor: values that are no grid, a layer that the model does not have. */
int srq_roundings_read(const struct srq_model *m, struct srq_layer_roundings **all, struct srq_error *err);

#endif
