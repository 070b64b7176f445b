/* Largest magnitude of fused weights. */
#include "core/tune/tensor_scale.h"

static int widen(const struct srq_model *m, int layer, bool release, float *top, struct srq_error *err)
{
    const struct srq_layer_info *l = srq_model_layer(m, layer);
    struct srq_tensor weight;
    struct srq_groups whole = srq_groups_of(l->out, l->in, 0);
    struct srq_grid_args a = { .size = sizeof(a), .weight = &weight, .groups = &whole };
    float lo, hi;
    int rc = srq_model_weight(m, layer, &weight, err);

    if (rc != 0)
        return rc;
    rc = srq_grid(SRQ_GRID_NVFP4)->extrema(&a, &lo, &hi);
    if (release)
        srq_tensors_release(srq_model_tensors(m), &weight);
    if (rc != 0)
        return srq_fail_field(err, rc, l->name, "the range of %s could not be found", l->name);
    *top = -lo > *top ? -lo : *top;
    *top = hi > *top ? hi : *top;
    return 0;
}

int srq_tensor_scale(const struct srq_model *m, int layer, const struct srq_scheme *s, float *out,
                     struct srq_error *err)
{
    const struct srq_layer_info *l = srq_model_layer(m, layer);
    const struct srq_unit_info *u = srq_model_unit(m, l->unit);
    float top = 0;
    int rc;

    *out = 1;
    if (s->grid != SRQ_GRID_NVFP4)
        return 0;
    rc = widen(m, layer, false, &top, err);
    for (int i = u->first; rc == 0 && i < u->first + u->count; i++)
        if (i != layer && srq_layers_tied(srq_model_layer(m, i), l))
            rc = widen(m, i, true, &top, err);
    if (rc == 0)
        *out = srq_nvfp4_tensor_scale(top);
    return rc;
}
