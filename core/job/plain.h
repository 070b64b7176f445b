/* Rounding without tuning: by the host itself, or by a one-shot plugin. */
#ifndef SRQ_JOB_PLAIN_H
#define SRQ_JOB_PLAIN_H

#include "core/grid/grid.h"
#include "core/tune/plugin_host.h"

/* Every weight to the nearest value of its grid (spec signround 6, pure RTN): V = 0, α = β = 1. `out` is allocated for
 * weight and scheme (srq_codes_alloc), its tensor_scale set (srq_tensor_scale). Parallel. */
int srq_round_plain(const struct srq_tensor *weight, const char *layer, struct srq_codes *out, struct srq_error *err);

/* What is known of a layer's inputs; NULL, 0: not asked for. */
struct srq_layer_inputs {
    const float *importance; /* [in] sum of squares */
    const float *max, *mean; /* [in] of magnitudes */
    const float *hessian;    /* [in, in] mean of x xᵀ */
    int64_t tokens;
};

/* One layer by a one-shot plugin, its result checked. */
int srq_round_oneshot(const struct srq_plugin *p, void *self, const struct srq_tensor *weight, const char *layer,
                      int block, int index, const struct srq_layer_inputs *inputs, struct srq_codes *out,
                      struct srq_error *err);

#endif
