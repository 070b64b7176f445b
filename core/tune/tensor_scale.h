/* The scale that a whole weight and those that runtimes fuse with it share (spec signround 9.2): struct srq_layer and
 * struct srq_codes carry it. */
#ifndef SRQ_TUNE_TENSOR_SCALE_H
#define SRQ_TUNE_TENSOR_SCALE_H

#include "core/grid/grid.h"
#include "core/model/model.h"

/* For layer `layer` of the model's table under scheme `s`: with nvfp4, from the largest magnitude among the stored
 * weights of the layer and of those of its block with the same tie, whatever their schemes are; else 1. Parallel. */
int srq_tensor_scale(const struct srq_model *m, int layer, const struct srq_scheme *s, float *out,
                     struct srq_error *err);

#endif
