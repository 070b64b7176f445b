/* One-shot plugins. */
#include "core/job/plain.h"

int srq_round_oneshot(const struct srq_plugin *p, void *self, struct srq_layer *layer, struct srq_codes *out,
                      struct srq_error *err)
{
    struct srq_result result = srq_codes_result(out);
    int rc;

    layer->scheme = &out->scheme;
    layer->groups = &out->groups;
    layer->tensor_scale = out->tensor_scale;
    rc = p->oneshot->quantize(srq_host_services(), self, layer, &result, err);
    if (rc != 0)
        return rc < 0 ? rc : -SRQ_EINVAL;
    return srq_codes_check(out, layer->name, err);
}
