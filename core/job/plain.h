/* Rounding without tuning: by the host itself, or by a one-shot plugin. */
#ifndef SRQ_JOB_PLAIN_H
#define SRQ_JOB_PLAIN_H

#include "core/grid/grid.h"
#include "core/tune/plugin_host.h"

/* Every weight to the nearest value of its grid (spec signround 6, pure RTN): V = 0, α = β = 1. `out` is allocated for
 * weight and scheme (srq_codes_alloc), its tensor_scale set (srq_tensor_scale). Parallel. */
int srq_round_plain(const struct srq_tensor *weight, const char *layer, struct srq_codes *out, struct srq_error *err);

/* One layer by a one-shot plugin, its result checked. `layer` has its name, place, weight, and what is known of its
 * inputs; scheme, groups and tensor scale are set here, to those of `out`. */
int srq_round_oneshot(const struct srq_plugin *p, void *self, struct srq_layer *layer, struct srq_codes *out,
                      struct srq_error *err);

#endif
