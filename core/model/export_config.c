/* quantization_config of each format (spec formats 4.4) and the config.json that carries it. */
#include "core/model/export_parts.h"
#include "core/model/internal.h"

#include "core/base/alloc.h"
#include "core/base/buf.h"
#include "core/format/json.h"

#include <string.h>

/* The release of the auto-round loader whose configuration keys these are; loaders look at it to know old spellings. */
#define AUTOROUND_KEYS "0.9.0"

static bool is_sym(const struct srq_scheme *s)
{
    return s->grid == SRQ_GRID_INT_SYM;
}

/* Length of "model.layers" in "model.layers.3.mlp.down_proj": what stands before the block's number. */
static size_t block_prefix(const struct srq_layer_info *l)
{
    size_t name = strlen(l->name), module = strlen(l->module);
    char number[32];
    size_t digits = (size_t)snprintf(number, sizeof(number), ".%d.", l->block);

    return name > module + digits ? name - module - digits : 0;
}

/* Fields in which a layer differs from the folder's scheme; all of them when `full`. NULL: out of memory. */
static json_t *layer_fields(const struct srq_export_plan *p, int i, bool full)
{
    const struct srq_scheme *s = &p->schemes[i], *base = &p->base;
    int group = srq_export_group(s, srq_model_layer(p->model, i)->in);
    json_t *o = json_object();
    int rc = 0;

    if (full || s->bits != base->bits)
        rc |= json_object_set_new(o, "bits", json_integer(s->bits));
    if (full || group != base->group)
        rc |= json_object_set_new(o, "group_size", json_integer(group));
    if (full || is_sym(s) != is_sym(base))
        rc |= json_object_set_new(o, "sym", json_boolean(is_sym(s)));
    if (rc == 0)
        return o;
    json_decref(o);
    return NULL;
}

/* extra_config: layers of the blocks that differ or are left alone, and a quantized lm_head with every field. */
static json_t *extra_config(const struct srq_export_plan *p)
{
    json_t *extra = json_object();
    int rc = 0;

    for (int i = 0; i < p->layers && rc == 0; i++) {
        const struct srq_layer_info *l = srq_model_layer(p->model, i);
        json_t *o;

        if (srq_export_quantized(p, i)) {
            o = layer_fields(p, i, l->block < 0);
            if (o != NULL && l->block < 0)
                rc = json_object_set_new(o, "data_type", json_string("int"));
        } else if (l->block >= 0) {
            o = json_pack("{s:i}", "bits", 16);
        } else {
            continue;
        }
        if (o == NULL || rc != 0)
            rc = -1;
        else if (json_object_size(o) > 0)
            rc = json_object_set(extra, l->name, o);
        json_decref(o);
    }
    if (rc == 0)
        return extra;
    json_decref(extra);
    return NULL;
}

static const char *auto_round_packing(enum srq_pack_layout layout)
{
    switch (layout) {
    case SRQ_PACK_GPTQ_V1:
        return "auto_round:auto_gptq";
    case SRQ_PACK_AWQ:
        return "auto_round:auto_awq";
    case SRQ_PACK_GPTQ_V2:
        break;
    }
    return "auto_round";
}

json_t *srq_export_auto_round_config(const struct srq_export_plan *p)
{
    json_t *extra = extra_config(p), *o;
    const struct srq_layer_info *first = srq_model_layer(p->model, 0);
    int rc = 0;

    if (extra == NULL)
        return NULL;
    o = json_pack("{s:s, s:s, s:i, s:i, s:b, s:s, s:s%, s:s}", "quant_method", "auto-round", "packing_format",
                  auto_round_packing(p->layout), "bits", p->base.bits, "group_size", p->base.group, "sym",
                  is_sym(&p->base), "data_type", "int", "block_name_to_quantize", first->name, block_prefix(first),
                  "autoround_version", AUTOROUND_KEYS);
    if (o != NULL && json_object_size(extra) > 0)
        rc = json_object_set(o, "extra_config", extra);
    json_decref(extra);
    if (rc == 0)
        return o;
    json_decref(o);
    return NULL;
}

/* "^model\.layers\.3\.self_attn\.(?:q_proj|qkv_proj)$": runtimes that fuse layers ask for the fused name. Free with
 * srq_free. */
static char *layer_regex(const char *sign, const struct srq_layer_info *l)
{
    static const char *const fused[][2] = { { "qkv", "qkv_proj" }, { "gate_up", "gate_up_proj" } };
    const char *last = strrchr(l->name, '.'), *other = NULL;
    struct srq_buf b;

    for (size_t i = 0; i < sizeof(fused) / sizeof(fused[0]) && l->tie_name != NULL; i++)
        if (strcmp(l->tie_name, fused[i][0]) == 0)
            other = fused[i][1];
    last = last != NULL ? last + 1 : l->name;
    srq_buf_init(&b, 8192);
    srq_buf_printf(&b, "%s^", sign);
    for (const char *c = l->name; *c != '\0'; c++) {
        if (c == last && other != NULL) {
            srq_buf_printf(&b, "(?:%s|%s)", last, other);
            break;
        }
        if (strchr(".\\+*?[]^$(){}|", *c) != NULL)
            srq_buf_puts(&b, "\\");
        srq_buf_add(&b, c, 1);
    }
    srq_buf_puts(&b, "$");
    return srq_buf_take(&b);
}

static json_t *dynamic_config(const struct srq_export_plan *p)
{
    json_t *dynamic = json_object();
    int rc = 0;

    for (int i = 0; i < p->layers && rc == 0; i++) {
        const struct srq_layer_info *l = srq_model_layer(p->model, i);
        json_t *o = srq_export_quantized(p, i) ? layer_fields(p, i, false) : json_object();
        char *key = layer_regex(srq_export_quantized(p, i) ? "+:" : "-:", l);

        if (o == NULL || key == NULL)
            rc = -1;
        else if (!srq_export_quantized(p, i) || json_object_size(o) > 0)
            rc = json_object_set(dynamic, key, o);
        srq_free(key);
        json_decref(o);
    }
    if (rc == 0)
        return dynamic;
    json_decref(dynamic);
    return NULL;
}

/* Modules that are quantized in some block, for readers that know no "dynamic": one list each, in the model's order. */
static json_t *modules_in_block(const struct srq_export_plan *p)
{
    json_t *all = json_array();
    int rc = 0;

    for (int i = 0; i < p->layers && rc == 0; i++) {
        const struct srq_layer_info *l = srq_model_layer(p->model, i);
        bool seen = false;

        if (l->block < 0 || !srq_export_quantized(p, i))
            continue;
        for (size_t k = 0; k < json_array_size(all) && !seen; k++)
            seen = strcmp(json_string_value(json_array_get(json_array_get(all, k), 0)), l->module) == 0;
        if (!seen)
            rc = json_array_append_new(all, json_pack("[s]", l->module));
    }
    if (rc == 0)
        return all;
    json_decref(all);
    return NULL;
}

json_t *srq_export_gptq_config(const struct srq_export_plan *p)
{
    bool skipped = false, head = false;
    json_t *dynamic, *modules, *o;
    int rc = 0;

    for (int i = 0; i < p->layers; i++) {
        bool outside = srq_model_layer(p->model, i)->block < 0;

        skipped = skipped || (!outside && !srq_export_quantized(p, i));
        head = head || (outside && srq_export_quantized(p, i));
    }
    dynamic = dynamic_config(p);
    modules = modules_in_block(p);
    o = json_pack("{s:s, s:i, s:i, s:b, s:b, s:b, s:f, s:b, s:s, s:s, s:b}", "quant_method", "gptq", "bits",
                  p->base.bits, "group_size", p->base.group, "sym", is_sym(&p->base), "desc_act", 0, "true_sequential",
                  0, "damp_percent", 0.01, "lm_head", head, "checkpoint_format",
                  p->layout == SRQ_PACK_GPTQ_V1 ? "gptq" : "gptq_v2", "pack_dtype", "int32", "static_groups", 0);
    if (o == NULL || dynamic == NULL || modules == NULL)
        rc = -1;
    if (rc == 0 && json_object_size(dynamic) > 0)
        rc = json_object_set(o, "dynamic", dynamic);
    if (rc == 0 && skipped)
        rc = json_object_set(o, "modules_in_block_to_quantize", modules);
    json_decref(dynamic);
    json_decref(modules);
    if (rc == 0)
        return o;
    json_decref(o);
    return NULL;
}

json_t *srq_export_awq_config(const struct srq_export_plan *p)
{
    json_t *skip = json_array(), *o;
    bool head = false;
    int rc = 0;

    for (int i = 0; i < p->layers && rc == 0; i++) {
        const struct srq_layer_info *l = srq_model_layer(p->model, i);

        head = head || strcmp(l->name, "lm_head") == 0;
        if (!srq_export_quantized(p, i))
            rc = json_array_append_new(skip, json_string(l->name));
    }
    /* A tied head is no layer of the table, but loaders look for it. */
    if (rc == 0 && !head)
        rc = json_array_append_new(skip, json_string("lm_head"));
    o = rc != 0 ? NULL
                : json_pack("{s:s, s:i, s:i, s:b, s:s, s:O}", "quant_method", "awq", "bits", p->base.bits, "group_size",
                            p->base.group, "zero_point", !is_sym(&p->base), "version", "gemm", "modules_to_not_convert",
                            skip);
    json_decref(skip);
    return o;
}

int srq_export_quantization_config(const struct srq_export_plan *p, json_t **out, struct srq_error *err)
{
    *out = NULL;
    if (p->format->config == NULL)
        return 0;
    *out = p->format->config(p);
    return *out != NULL ? 0 : srq_fail(err, -SRQ_ENOMEM, "out of memory making a quantization_config");
}

/* The key of the weights' type has two spellings; whichever is there is kept. */
static int set_dtype(json_t *config, const char *dtype)
{
    static const char *const spelling[] = { "dtype", "torch_dtype" };
    bool found = false;
    int rc = 0;

    for (size_t i = 0; i < 2; i++) {
        if (json_object_get(config, spelling[i]) == NULL)
            continue;
        found = true;
        rc |= json_object_set_new(config, spelling[i], json_string(dtype));
    }
    return found ? rc : json_object_set_new(config, "torch_dtype", json_string(dtype));
}

/* A head that is not stored is the embedding, whatever the source's configuration says of it. */
static int set_tie(json_t *config, const struct srq_model *m)
{
    return m->info.tied_head && !m->config.tied ? json_object_set_new(config, "tie_word_embeddings", json_true()) : 0;
}

int srq_export_config(const struct srq_export_plan *p, json_t *quantization, json_t **out, struct srq_error *err)
{
    char *path = srq_path_join(srq_model_info(p->model)->network, "config.json");
    json_t *config = NULL;
    int rc;

    *out = NULL;
    if (path == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory making a configuration");
    rc = srq_json_read(path, SRQ_JSON_CONFIG_MAX, &config, err);
    srq_free(path);
    if (rc != 0)
        return rc;
    if ((quantization != NULL && json_object_set(config, "quantization_config", quantization) != 0) ||
        (p->format->f16 && set_dtype(config, "float16") != 0) || set_tie(config, p->model) != 0) {
        json_decref(config);
        return srq_fail(err, -SRQ_ENOMEM, "out of memory making a configuration");
    }
    *out = config;
    return 0;
}
