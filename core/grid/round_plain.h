/* Rounding to the nearest, with each group's range as it is or searched for. */
#ifndef SRQ_GRID_ROUND_PLAIN_H
#define SRQ_GRID_ROUND_PLAIN_H

#include "core/grid/grid.h"

/* Every weight to the nearest value of its grid (spec signround 6, pure RTN): V = 0, α = β = 1. `out` is allocated for
 * weight and scheme (srq_codes_alloc), its tensor_scale set. Parallel. `layer` names it in errors. */
int srq_round_plain(const struct srq_tensor *weight, const char *layer, struct srq_codes *out, struct srq_error *err);

/* The same with the start of every group that a search finds to give the least squared error (spec signround 8.1), each
 * column's weighed by importance [in] or, NULL, all alike; where the grid has a search and it is worth it: asymmetric
 * integers, integers of 8 bits and fp8 are rounded plainly. */
int srq_round_searched(const struct srq_tensor *weight, const char *layer, const float *importance,
                       struct srq_codes *out, struct srq_error *err);

#endif
