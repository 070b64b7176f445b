/* Layers of the format int8 (spec formats has none for diffusion models, so this is srq's own): codes a byte and their
 * scales. */
#include "core/model/export_parts.h"

#include "core/base/alloc.h"

#include <inttypes.h>

int srq_export_int8_accepts(const struct srq_format *f, const struct srq_scheme *s, const struct srq_layer_info *layer,
                            struct srq_error *err)
{
    const char *why = NULL;

    if (!layer->picture)
        why = "is one of diffusion models; compressed-tensors holds int8 of language models";
    else if (s->grid != SRQ_GRID_INT_SYM || s->bits > 8)
        why = "holds symmetric integers of at most 8 bits";
    else if (s->group == 0 || (s->group > 0 && s->group < layer->in && layer->in % s->group != 0))
        why = "holds one scale a row, or groups that divide the rows";
    return why == NULL
               ? 0
               : srq_fail_field(err, -SRQ_EUNSUPPORTED, layer->name, "%s: format %s %s", layer->name, f->name, why);
}

json_t *srq_export_int8_config(const struct srq_export_plan *p)
{
    (void)p;
    return json_pack("{s:s, s:i}", "quant_method", SRQ_INT8_METHOD, "version", 1);
}

int srq_export_int8_describe(struct srq_export_layer *l, struct srq_error *err)
{
    const struct srq_layer_info *info = srq_model_layer(l->plan->model, l->layer);
    const struct srq_groups g = srq_groups_of(info->out, info->in, l->plan->schemes[l->layer].group);
    int rc = srq_export_plain_describe(l, err);

    l->plane[0].t.dtype = SRQ_I8;
    l->plane[1] = (struct srq_plane){ "weight_scale", srq_tensor_2d(NULL, SRQ_F32, info->out, g.per_row) };
    l->count = 2;
    return rc;
}

int srq_export_int8_fill(struct srq_export_layer *l, const struct srq_codes *c, struct srq_error *err)
{
    size_t n = (size_t)(c->groups.out * c->groups.in), scales = (size_t)c->groups.count * sizeof(float);
    int zero = 1 << (c->scheme.bits - 1);
    int8_t *codes;

    l->weight = srq_malloc(scales + n); /* the scales first, which want their alignment */
    if (l->weight == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory packing a weight of %" PRId64 " x %" PRId64, c->groups.out,
                        c->groups.in);
    memcpy(l->weight, c->scale, scales);
    codes = (int8_t *)l->weight + scales;
    for (size_t i = 0; i < n; i++)
        codes[i] = (int8_t)(c->codes[i] - zero);
    l->plane[0].t.data = codes;
    l->plane[1].t.data = l->weight;
    return 0;
}
