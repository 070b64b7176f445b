/* Rounding without tuning: by the host itself, or by a one-shot plugin. */
#ifndef SRQ_JOB_PLAIN_H
#define SRQ_JOB_PLAIN_H

#include "core/grid/round_plain.h"
#include "core/tune/plugin_host.h"

/* One layer by a one-shot plugin, its result checked. `layer` has its name, place, weight, and what is known of its
 * inputs; scheme, groups and tensor scale are set here, to those of `out`. */
int srq_round_oneshot(const struct srq_plugin *p, void *self, struct srq_layer *layer, struct srq_codes *out,
                      struct srq_error *err);

#endif
