/* Arrays of a tunable layer: taking and checking what a plugin declares. */
#include "core/tune/params.h"

void srq_params_add(struct srq_params *to, const struct srq_param *param)
{
    struct srq_param p = { .size = sizeof(p) };
    int at = to->count++;

    srq_copy_known(&p, param);
    if (at < SRQ_MAX_PARAMS && p.count >= 1 && p.count <= INT64_MAX / (int64_t)sizeof(float) &&
        p.kind >= SRQ_PARAM_TUNED && p.kind <= SRQ_PARAM_SCRATCH)
        to->at[at] = p;
    else if (to->wrong < 0)
        to->wrong = at;
}

int srq_params_ask(const struct srq_host *h, const struct srq_plugin *p, void *self, const struct srq_layer *layer,
                   struct srq_params *out, struct srq_error *err)
{
    int rc;

    *out = (struct srq_params){ .wrong = -1 };
    rc = p->tunable->declare(h, self, layer, out, err);
    if (rc != 0)
        return rc;
    if (out->count > SRQ_MAX_PARAMS)
        return srq_fail_field(err, -SRQ_EINVAL, layer->name, "plugin %s declares %d arrays for %s; %d are possible",
                              p->name, out->count, layer->name, SRQ_MAX_PARAMS);
    if (out->wrong >= 0)
        return srq_fail_field(err, -SRQ_EINVAL, layer->name, "plugin %s declares array %d of %s wrongly", p->name,
                              out->wrong, layer->name);
    return 0;
}
