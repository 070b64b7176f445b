/* Rounding to the nearest. */
#ifndef SRQ_GRID_ROUND_PLAIN_H
#define SRQ_GRID_ROUND_PLAIN_H

#include "core/grid/grid.h"

/* Every weight to the nearest value of its grid (spec signround 6, pure RTN): V = 0, α = β = 1. `out` is allocated for
 * weight and scheme (srq_codes_alloc), its tensor_scale set. Parallel. `layer` names it in errors. */
int srq_round_plain(const struct srq_tensor *weight, const char *layer, struct srq_codes *out, struct srq_error *err);

#endif
