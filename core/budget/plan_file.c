/* The plan as JSON: shown to people, and kept as plan.json. */
#include "core/budget/plan.h"

#include "core/base/alloc.h"

static bool add_widths(cJSON *o, unsigned widths)
{
    cJSON *list = cJSON_AddArrayToObject(o, "widths");

    for (int bits = 2; list != NULL && bits <= 8; bits++) {
        if (widths >> bits & 1 && !cJSON_AddItemToArray(list, cJSON_CreateNumber(bits)))
            return false;
    }
    return list != NULL;
}

static cJSON *layer_json(const struct srq_plan_layer *l)
{
    char text[32];
    cJSON *o = cJSON_CreateObject();
    bool ok = o != NULL && cJSON_AddStringToObject(o, "name", l->info->name) != NULL &&
              cJSON_AddItemToObject(o, "block",
                                    l->info->block >= 0 ? cJSON_CreateNumber(l->info->block) : cJSON_CreateNull()) &&
              cJSON_AddStringToObject(o, "module", l->info->module) != NULL &&
              cJSON_AddNumberToObject(o, "out", (double)l->info->out) != NULL &&
              cJSON_AddNumberToObject(o, "in", (double)l->info->in) != NULL &&
              cJSON_AddStringToObject(o, "scheme", srq_scheme_text(&l->scheme, text, sizeof(text))) != NULL &&
              cJSON_AddStringToObject(o, "source", srq_plan_source_name(l->source)) != NULL &&
              cJSON_AddItemToObject(
                  o, "tie", l->info->tie_name != NULL ? cJSON_CreateString(l->info->tie_name) : cJSON_CreateNull());

    if (ok)
        ok = add_widths(o, l->widths);
    if (ok && l->why[0] != '\0')
        ok = cJSON_AddStringToObject(o, "why", l->why) != NULL &&
             cJSON_AddStringToObject(o, "asked", srq_scheme_text(&l->asked, text, sizeof(text))) != NULL;
    if (ok && l->untied)
        ok = cJSON_AddTrueToObject(o, "untied") != NULL;
    if (ok)
        return o;
    cJSON_Delete(o);
    return NULL;
}

cJSON *srq_plan_json(const struct srq_plan *p)
{
    cJSON *root = cJSON_CreateObject(), *rows = NULL;

    if (root == NULL || cJSON_AddNumberToObject(root, "revision", (double)p->revision) == NULL)
        goto fail;
    rows = cJSON_AddArrayToObject(root, "layers");
    if (rows == NULL)
        goto fail;
    for (int i = 0; i < p->count; i++) {
        cJSON *o = layer_json(&p->layers[i]);

        if (o == NULL)
            goto fail;
        cJSON_AddItemToArray(rows, o);
    }
    return root;
fail:
    cJSON_Delete(root);
    return NULL;
}

static bool source_parse(const char *text, enum srq_plan_source *out)
{
    for (int s = SRQ_SOURCE_DEFAULT; s <= SRQ_SOURCE_PIN; s++) {
        if (strcmp(text, srq_plan_source_name((enum srq_plan_source)s)) == 0) {
            *out = (enum srq_plan_source)s;
            return true;
        }
    }
    return false;
}

static int layer_from_json(struct srq_plan_layer *l, const cJSON *o, struct srq_error *err)
{
    const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "name"));
    const char *scheme = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "scheme"));
    const char *source = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "source"));
    const char *why = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "why"));
    const char *asked = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "asked"));
    const cJSON *bits;
    int rc;

    if (name == NULL || strcmp(name, l->info->name) != 0)
        return srq_fail_field(err, -SRQ_EFORMAT, "plan.json", "plan.json names layer \"%.200s\" where the model has %s",
                              name != NULL ? name : "", l->info->name);
    if (scheme == NULL || source == NULL || !source_parse(source, &l->source))
        return srq_fail_field(err, -SRQ_EFORMAT, "plan.json", "plan.json has no scheme or source for %s", name);
    if (why != NULL)
        snprintf(l->why, sizeof(l->why), "%s", why);
    cJSON_ArrayForEach(bits, cJSON_GetObjectItemCaseSensitive(o, "widths"))
    {
        if (cJSON_IsNumber(bits) && bits->valuedouble >= 2 && bits->valuedouble <= 8)
            l->widths |= 1u << bits->valueint;
    }
    l->untied = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, "untied"));
    rc = srq_scheme_parse(scheme, &l->scheme, err);
    l->asked = l->scheme;
    return rc == 0 && asked != NULL ? srq_scheme_parse(asked, &l->asked, err) : rc;
}

int srq_plan_from_json(const struct srq_layer_info *const *layers, int count, const cJSON *json, struct srq_plan *out,
                       struct srq_error *err)
{
    const cJSON *rows = cJSON_GetObjectItemCaseSensitive(json, "layers"), *row;
    const cJSON *revision = cJSON_GetObjectItemCaseSensitive(json, "revision");
    int i = 0, rc = 0;

    memset(out, 0, sizeof(*out));
    if (!cJSON_IsArray(rows) || !cJSON_IsNumber(revision) || cJSON_GetArraySize(rows) != count)
        return srq_fail_field(err, -SRQ_EFORMAT, "plan.json", "plan.json does not hold this model's %d layers", count);
    out->layers = srq_calloc((size_t)count, sizeof(out->layers[0]));
    if (out->layers == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for a plan of %d layers", count);
    out->count = count;
    out->revision = (int64_t)revision->valuedouble;
    cJSON_ArrayForEach(row, rows)
    {
        out->layers[i].info = layers[i];
        out->layers[i].pin = -1;
        rc = layer_from_json(&out->layers[i++], row, err);
        if (rc != 0)
            break;
    }
    if (rc != 0)
        srq_plan_fini(out);
    return rc;
}
