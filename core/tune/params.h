/* The arrays that a tunable plugin wants for a layer, as it declares them. */
#ifndef SRQ_TUNE_PARAMS_H
#define SRQ_TUNE_PARAMS_H

#include <srq/plugin.h>

struct srq_params {
    struct srq_param at[SRQ_MAX_PARAMS];
    int count;
    int wrong; /* the first that cannot be had, by its place; -1: none */
};

/* Asks the plugin: declare() for `layer`, of which shapes and scheme count. -SRQ_EINVAL naming plugin, layer and array
 * where one is not possible, or there are too many. */
int srq_params_ask(const struct srq_host *h, const struct srq_plugin *p, void *self, const struct srq_layer *layer,
                   struct srq_params *out, struct srq_error *err);
/* What declare() calls through struct srq_host. */
void srq_params_add(struct srq_params *to, const struct srq_param *param);

#endif
