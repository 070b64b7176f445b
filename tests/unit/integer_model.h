/* A diffusion model whose layers are rounded the simplest way, for tests and benchmarks: weights to the nearest of 255
 * codes a row, inputs to the grid of 256 codes over the range that they were seen in. */
#ifndef SRQ_TEST_INTEGER_MODEL_H
#define SRQ_TEST_INTEGER_MODEL_H

#include "core/flow/denoise.h"

struct integer_model;

/* The model stays the caller's. */
int integer_model_create(const struct srq_model *m, struct integer_model **out, struct srq_error *err);
void integer_model_free(struct integer_model *im);
/* The rounded weights, and their codes for layers from `first` on. */
const struct srq_weights *integer_model_weights(struct integer_model *im);
void integer_model_from(struct integer_model *im, int first);
/* Grids of inputs, which see what passes until they are fixed. */
struct srq_layer_roundings *integer_model_roundings(struct integer_model *im);
void integer_model_fix(struct integer_model *im);
/* Times that the codes, and the rows, of a layer were asked for. */
int integer_model_asked(const struct integer_model *im, int layer, bool rows);

#endif
