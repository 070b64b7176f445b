/* Plans printed and read. */
#include "core/job/plan_json.h"

#include "core/base/alloc.h"
#include "core/proto/members.h"
#include "core/proto/words.h"

#include <math.h>

_Static_assert((int)SRQ_SOURCE_DEFAULT == SRQ_BY_DEFAULT && (int)SRQ_SOURCE_ALLOCATOR == SRQ_BY_ALLOCATOR &&
                   (int)SRQ_SOURCE_PIN == SRQ_BY_PIN,
               "sources have the places of their words");

/* ---- schemes ----------------------------------------------------------------------------------------------------- */

bool srq_put_scheme(cJSON *o, const char *key, const struct srq_scheme *scheme)
{
    char text[32];

    return srq_put_text(o, key, srq_scheme_text(scheme, text, sizeof(text)));
}

bool srq_put_schemes(cJSON *o, const char *key, const struct srq_scheme *schemes, int count)
{
    cJSON *list = cJSON_AddArrayToObject(o, key);
    char text[32];

    for (int i = 0; list != NULL && i < count; i++) {
        if (!cJSON_AddItemToArray(list, cJSON_CreateString(srq_scheme_text(&schemes[i], text, sizeof(text)))))
            return false;
    }
    return list != NULL;
}

bool srq_put_decision(cJSON *o, const struct srq_plan_layer *l)
{
    return srq_put_scheme(o, "scheme", &l->scheme) && srq_put_text(o, "source", srq_decider_words[l->source]);
}

bool srq_put_pins(cJSON *o, const char *key, const struct srq_pin *pins, int count)
{
    cJSON *list = cJSON_AddArrayToObject(o, key);

    for (int i = 0; list != NULL && i < count; i++) {
        cJSON *row = cJSON_CreateObject();

        if (!cJSON_AddItemToArray(list, row) || !srq_put_text(row, "pattern", pins[i].pattern) ||
            !srq_put_scheme(row, "scheme", &pins[i].scheme) ||
            cJSON_AddBoolToObject(row, "untied", pins[i].untied) == NULL)
            return false;
    }
    return list != NULL;
}

int srq_read_scheme(const cJSON *name, struct srq_scheme *out, struct srq_error *err)
{
    const char *text = cJSON_GetStringValue(name);

    return text != NULL ? srq_scheme_parse(text, out, err)
                        : srq_fail(err, -SRQ_EFORMAT, "the name of a scheme is missing");
}

int srq_read_schemes(const cJSON *names, int most, struct srq_scheme *out, int *count, struct srq_error *err)
{
    const cJSON *item;
    int rc = 0;

    *count = 0;
    if (!cJSON_IsArray(names) || cJSON_GetArraySize(names) > most)
        return srq_fail(err, -SRQ_EFORMAT, "a list of schemes is missing, or longer than %d", most);
    cJSON_ArrayForEach(item, names)
    {
        if (rc == 0)
            rc = srq_read_scheme(item, &out[(*count)++], err);
    }
    return rc;
}

int srq_read_pin(const cJSON *o, struct srq_pin *out, struct srq_error *err)
{
    const char *pattern = srq_member_text(o, "pattern");
    const cJSON *scheme = cJSON_GetObjectItemCaseSensitive(o, "scheme"), *untied = srq_member(o, "untied");
    int rc;

    memset(out, 0, sizeof(*out));
    if (pattern == NULL || !cJSON_IsString(scheme))
        return srq_fail_field(err, -SRQ_EINVAL, "pins", "\"pins\" has elements {\"pattern\", \"scheme\"}");
    if (untied != NULL && !cJSON_IsBool(untied))
        return srq_fail_field(err, -SRQ_EINVAL, "pins", "\"untied\" is true or false");
    rc = srq_read_scheme(scheme, &out->scheme, err);
    if (rc != 0 && err != NULL)
        snprintf(err->field, sizeof(err->field), "pins");
    if (rc != 0)
        return rc;
    out->untied = cJSON_IsTrue(untied);
    out->pattern = srq_strdup(pattern);
    return out->pattern != NULL ? 0 : srq_fail(err, -SRQ_ENOMEM, "out of memory for a pin");
}

/* ---- layers ------------------------------------------------------------------------------------------------------ */

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
    cJSON *o = cJSON_CreateObject();
    bool ok = srq_put_text(o, "name", l->info->name) &&
              srq_put_number(o, "block", l->info->block >= 0 ? l->info->block : NAN) &&
              srq_put_text(o, "module", l->info->module) && srq_put_number(o, "out", (double)l->info->out) &&
              srq_put_number(o, "in", (double)l->info->in) && srq_put_decision(o, l) &&
              srq_put_text(o, "tie", l->info->tie_name) && add_widths(o, l->widths);

    if (ok && l->why[0] != '\0')
        ok = srq_put_text(o, "why", l->why) && srq_put_scheme(o, "asked", &l->asked);
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

    if (root == NULL || !srq_put_number(root, "revision", (double)p->revision))
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

static int layer_from_json(struct srq_plan_layer *l, const cJSON *o, struct srq_error *err)
{
    const char *name = srq_member_text(o, "name"), *scheme = srq_member_text(o, "scheme");
    const char *why = srq_member_text(o, "why"), *asked = srq_member_text(o, "asked");
    int source = srq_word_place(srq_decider_words, srq_member_text(o, "source")), rc;
    const cJSON *bits;

    if (name == NULL || strcmp(name, l->info->name) != 0)
        return srq_fail_field(err, -SRQ_EFORMAT, "plan.json", "plan.json names layer \"%.200s\" where the model has %s",
                              name != NULL ? name : "", l->info->name);
    if (scheme == NULL || source < 0)
        return srq_fail_field(err, -SRQ_EFORMAT, "plan.json", "plan.json has no scheme or source for %s", name);
    l->source = (enum srq_plan_source)source;
    if (why != NULL)
        snprintf(l->why, sizeof(l->why), "%s", why);
    cJSON_ArrayForEach(bits, cJSON_GetObjectItemCaseSensitive(o, "widths"))
    {
        if (cJSON_IsNumber(bits) && bits->valuedouble >= 2 && bits->valuedouble <= 8)
            l->widths |= 1u << bits->valueint;
    }
    l->untied = srq_member_true(o, "untied");
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
