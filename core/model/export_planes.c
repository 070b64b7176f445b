/* Layers as formats store them: packed integers, compressed-tensors, plain weights. */
#include "core/model/export_parts.h"

#include "core/base/alloc.h"

static const struct srq_layer_info *info_of(const struct srq_export_layer *l)
{
    return srq_model_layer(l->plan->model, l->layer);
}

/* ---- packed integers --------------------------------------------------------------------------------------------- */

int srq_export_packed_describe(struct srq_export_layer *l, struct srq_error *err)
{
    const struct srq_export_plan *p = l->plan;
    const struct srq_scheme *s = &p->schemes[l->layer];
    int rc = srq_packed_init(&l->packed, p->layout, s->bits, s->group, info_of(l)->out, info_of(l)->in, err);

    l->count = rc == 0 ? srq_packed_planes(&l->packed, p->g_idx, NULL, l->plane) : 0;
    return rc;
}

int srq_export_packed_fill(struct srq_export_layer *l, const struct srq_codes *codes, struct srq_error *err)
{
    struct srq_packed *k = &l->packed;
    const char *name = info_of(l)->name;
    struct srq_error why = { 0 };
    int rc = srq_packed_alloc(k, err);

    if (rc != 0)
        return rc;
    rc = srq_pack(codes, k, &why);
    if (rc != 0)
        return srq_fail_field(err, rc, name, "%s: %s", name, why.text);
    if (l->plan->g_idx && (l->g_idx = srq_malloc((size_t)k->in * sizeof(*l->g_idx))) == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory packing %s", name);
    for (int64_t i = 0; l->g_idx != NULL && i < k->in; i++)
        l->g_idx[i] = (int32_t)(i / k->group);
    l->count = srq_packed_planes(k, l->plan->g_idx, l->g_idx, l->plane);
    return 0;
}

void srq_export_packed_drop(struct srq_export_layer *l)
{
    srq_packed_fini(&l->packed);
    srq_free(l->g_idx);
}

/* ---- compressed-tensors ------------------------------------------------------------------------------------------ */

static void take_planes(struct srq_export_layer *l)
{
    l->count = l->ct.count;
    memcpy(l->plane, l->ct.part, sizeof(l->plane));
}

int srq_export_ct_describe(struct srq_export_layer *l, struct srq_error *err)
{
    int rc = srq_ct_init(&l->ct, &l->plan->schemes[l->layer], info_of(l)->out, info_of(l)->in, err);

    if (rc == 0)
        take_planes(l);
    return rc;
}

int srq_export_ct_fill(struct srq_export_layer *l, const struct srq_codes *codes, struct srq_error *err)
{
    int rc = srq_ct_alloc(&l->ct, err);

    if (rc == 0)
        rc = srq_ct_pack(codes, &l->ct, err);
    if (rc == 0)
        take_planes(l);
    return rc;
}

void srq_export_ct_drop(struct srq_export_layer *l)
{
    srq_ct_fini(&l->ct);
}

/* ---- plain weights: Ŵ in the dtype of the source ----------------------------------------------------------------- */

int srq_export_plain_describe(struct srq_export_layer *l, struct srq_error *err)
{
    const struct srq_layer_info *info = info_of(l);
    int64_t k = info->kernel > 0 ? info->kernel : 1;
    const int64_t shape[4] = { info->out, info->in / (k * k), k, k };

    (void)err;
    l->count = 1;
    l->plane[0] = (struct srq_plane){ "weight", srq_tensor_make(NULL, info->dtype, info->kernel > 0 ? 4 : 2, shape) };
    return 0;
}

int srq_export_plain_fill(struct srq_export_layer *l, const struct srq_codes *codes, struct srq_error *err)
{
    const struct srq_layer_info *info = info_of(l);
    size_t bytes = (size_t)(info->out * info->in) * srq_dtype_size(info->dtype);

    l->weight = srq_malloc(bytes);
    if (l->weight == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory decoding %s (%zu bytes)", info->name, bytes);
    l->plane[0].t.data = l->weight;
    return srq_codes_decode(codes, l->weight, info->dtype, err);
}

void srq_export_plain_drop(struct srq_export_layer *l)
{
    srq_free(l->weight);
}
