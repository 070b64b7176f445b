/* quantization_config of compressed-tensors (spec formats 4.4, 4.5): one group a scheme. With one scheme it has every
 * linear layer but those that are ignored; with several, each group names its layers, since runtimes that fuse layers
 * look for a class before they look for the parts. */
#include "core/model/export_parts.h"

#include <string.h>

static bool same_stored(const struct srq_scheme *a, const struct srq_scheme *b)
{
    return a->grid == b->grid && a->bits == b->bits && a->group == b->group && a->act_bits == b->act_bits;
}

/* A group longer than the row is one group a row. */
static struct srq_scheme stored_scheme(const struct srq_export_plan *p, int layer)
{
    struct srq_scheme s = p->schemes[layer];

    s.group = srq_export_group(&s, srq_model_layer(p->model, layer)->in);
    return s;
}

static json_t *weights_of(const struct srq_scheme *s)
{
    bool mx = s->grid == SRQ_GRID_MXFP4 || s->grid == SRQ_GRID_MXFP8;
    bool integer = srq_scheme_is_integer(s);
    const char *strategy = s->grid == SRQ_GRID_NVFP4 ? "tensor_group"
                           : s->group > 0            ? "group"
                           : s->group == 0           ? "tensor"
                                                     : "channel";
    json_t *o = json_pack("{s:i, s:s, s:b, s:s, s:o, s:b, s:n, s:n, s:s, s:{}}", "num_bits", s->bits, "type",
                          integer ? "int" : "float", "symmetric", s->grid != SRQ_GRID_INT_ASYM, "strategy", strategy,
                          "group_size", s->group > 0 ? json_integer(s->group) : json_null(), "dynamic", 0, "actorder",
                          "block_structure", "observer", "minmax", "observer_kwargs");

    if (o != NULL && mx &&
        (json_object_set_new(o, "scale_dtype", json_string("torch.uint8")) != 0 ||
         json_object_set_new(o, "zp_dtype", json_string("torch.uint8")) != 0)) {
        json_decref(o);
        return NULL;
    }
    return o;
}

/* Inputs of layers: integers with one dynamic range a token, or null. */
static json_t *inputs_of(const struct srq_scheme *s)
{
    return srq_scheme_has_act(s)
               ? json_pack("{s:i, s:s, s:b, s:s, s:n, s:b, s:n, s:n, s:n, s:{}}", "num_bits", s->act_bits, "type",
                           "int", "symmetric", 1, "strategy", "token", "group_size", "dynamic", 1, "actorder",
                           "block_structure", "observer", "observer_kwargs")
               : json_null();
}

/* The distinct schemes, that of most weights first; returns how many there are, at most `cap`. */
static int list_schemes(const struct srq_export_plan *p, struct srq_scheme *out, int cap)
{
    int n = 0, base = 0;

    for (int i = 0; i < p->layers; i++) {
        struct srq_scheme s = stored_scheme(p, i);
        int k = 0;

        while (k < n && !same_stored(&out[k], &s))
            k++;
        if (!srq_export_quantized(p, i) || k < n || n == cap)
            continue;
        base = same_stored(&p->schemes[i], &p->base) ? n : base;
        out[n++] = s;
    }
    if (n > 0) {
        struct srq_scheme first = out[base];

        memmove(&out[1], &out[0], (size_t)base * sizeof(*out));
        out[0] = first;
    }
    return n;
}

static json_t *targets_of(const struct srq_export_plan *p, const struct srq_scheme *s)
{
    json_t *list = json_array();
    int rc = list == NULL ? -1 : 0;

    for (int i = 0; i < p->layers && rc == 0; i++) {
        struct srq_scheme own = stored_scheme(p, i);

        if (srq_export_quantized(p, i) && same_stored(&own, s))
            rc = json_array_append_new(list, json_string(srq_model_layer(p->model, i)->name));
    }
    if (rc == 0)
        return list;
    json_decref(list);
    return NULL;
}

static json_t *groups_of(const struct srq_export_plan *p, const struct srq_scheme *schemes, int count, bool mixed)
{
    json_t *groups = json_object();
    int rc = groups == NULL ? -1 : 0;

    for (int k = 0; k < count && rc == 0; k++) {
        json_t *targets = count == 1 ? json_pack("[s]", "Linear") : targets_of(p, &schemes[k]);
        json_t *weights = weights_of(&schemes[k]), *group;
        char name[32];

        snprintf(name, sizeof(name), "group_%d", k);
        group = json_pack("{s:o, s:o, s:n, s:o}", "targets", targets, "input_activations", inputs_of(&schemes[k]),
                          "output_activations", "weights", weights);
        if (group != NULL && mixed)
            rc = json_object_set_new(group, "format", json_string(srq_ct_format(&schemes[k])));
        rc = group == NULL || rc != 0 ? -1 : json_object_set_new(groups, name, json_incref(group));
        json_decref(group);
    }
    if (rc == 0)
        return groups;
    json_decref(groups);
    return NULL;
}

/* Every linear layer that is left alone. A tied head is no layer of the table, but loaders look for it. */
static json_t *ignore_of(const struct srq_export_plan *p)
{
    json_t *list = json_array();
    bool head = false;
    int rc = list == NULL ? -1 : 0;

    for (int i = 0; i < p->layers && rc == 0; i++) {
        const char *name = srq_model_layer(p->model, i)->name;

        head = head || strcmp(name, "lm_head") == 0;
        if (!srq_export_quantized(p, i))
            rc = json_array_append_new(list, json_string(name));
    }
    if (rc == 0 && !head)
        rc = json_array_append_new(list, json_string("lm_head"));
    if (rc == 0)
        return list;
    json_decref(list);
    return NULL;
}

json_t *srq_export_ct_config(const struct srq_export_plan *p)
{
    enum { MOST = 64 }; /* there are fewer that this format holds: groups of integers are few */
    struct srq_scheme schemes[MOST];
    int count = list_schemes(p, schemes, MOST);
    bool mixed = false;
    json_t *groups, *ignore;

    for (int k = 1; k < count; k++)
        mixed = mixed || strcmp(srq_ct_format(&schemes[k]), srq_ct_format(&schemes[0])) != 0;
    groups = groups_of(p, schemes, count, mixed);
    ignore = ignore_of(p);
    return json_pack("{s:s, s:s, s:s, s:o, s:o, s:n, s:n}", "quant_method", "compressed-tensors", "format",
                     mixed ? "mixed-precision" : srq_ct_format(&schemes[0]), "quantization_status", "compressed",
                     "config_groups", groups, "ignore", ignore, "kv_cache_scheme", "global_compression_ratio");
}
