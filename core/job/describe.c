/* What plugins there are, as `plugin.info` shows them. */
#include "core/job/spec.h"

#include "core/proto/members.h"
#include "core/proto/proto.h"

/* Rows of one recipe become {"name", "values": {key: value}}. */
static bool add_recipes(cJSON *list, const struct srq_plugin *p)
{
    cJSON *values = NULL;
    const char *now = NULL;

    for (uint32_t i = 0; i < p->recipe_count; i++) {
        const struct srq_recipe_row *row = &p->recipes[i];

        if (now == NULL || strcmp(now, row->recipe) != 0) {
            cJSON *o = cJSON_CreateObject();

            if (o == NULL || !cJSON_AddItemToArray(list, o) || !srq_put_text(o, "name", row->recipe))
                return false;
            values = cJSON_AddObjectToObject(o, "values");
            now = row->recipe;
        }
        if (values == NULL || !srq_put_text(values, row->key, row->value))
            return false;
    }
    return true;
}

static cJSON *plugin_json(const struct srq_plugin *p)
{
    static const char *const types[] = { "bool", "int", "float", "string", "choice" };
    cJSON *o = cJSON_CreateObject(), *parts, *options, *recipes;

    if (o == NULL || !srq_put_text(o, "name", p->name) || !srq_put_text(o, "version", p->version) ||
        !srq_put_text(o, "summary", p->summary))
        goto fail;
    parts = cJSON_AddArrayToObject(o, "parts");
    options = cJSON_AddArrayToObject(o, "options");
    recipes = cJSON_AddArrayToObject(o, "recipes");
    if (parts == NULL || options == NULL || recipes == NULL)
        goto fail;
    if (p->scorer != NULL)
        cJSON_AddItemToArray(parts, cJSON_CreateString("scorer"));
    if (p->allocator != NULL)
        cJSON_AddItemToArray(parts, cJSON_CreateString("allocator"));
    if (p->oneshot != NULL)
        cJSON_AddItemToArray(parts, cJSON_CreateString("oneshot"));
    if (p->tunable != NULL)
        cJSON_AddItemToArray(parts, cJSON_CreateString("tunable"));
    for (uint32_t i = 0; i < p->option_count; i++) {
        if (!cJSON_AddItemToArray(options, srq_option_json(&p->options[i], types[p->options[i].type])))
            goto fail;
    }
    if (!add_recipes(recipes, p))
        goto fail;
    return o;
fail:
    cJSON_Delete(o);
    return NULL;
}

static int add_plugin(cJSON *list, const char *name, struct srq_error *err)
{
    struct srq_plugin_handle handle;
    int rc = srq_plugin_load(name, &handle, err);
    cJSON *o;

    if (rc != 0)
        return rc;
    o = plugin_json(handle.plugin);
    if (o == NULL || !cJSON_AddItemToArray(list, o))
        rc = srq_fail(err, -SRQ_ENOMEM, "out of memory describing plugin %s", name);
    srq_plugin_unload(&handle);
    return rc;
}

/* One that cannot be loaded must not hide the others: its sentence goes to `broken`. */
static int add_any(cJSON *root, cJSON *list, const char *name, struct srq_error *err)
{
    struct srq_error why = { 0 };
    int rc = add_plugin(list, name, &why);
    cJSON *broken = cJSON_GetObjectItemCaseSensitive(root, "broken");

    if (rc == 0)
        return 0;
    if (rc != -SRQ_ENOMEM && (broken != NULL || (broken = cJSON_AddArrayToObject(root, "broken")) != NULL) &&
        cJSON_AddItemToArray(broken, cJSON_CreateString(why.text)))
        return 0;
    return srq_fail(err, -SRQ_ENOMEM, "out of memory describing plugins");
}

int srq_describe(const char *name, cJSON **out, struct srq_error *err)
{
    cJSON *root = cJSON_CreateObject(), *list = root != NULL ? cJSON_AddArrayToObject(root, "plugins") : NULL;
    char **names = NULL;
    int rc = 0;

    if (list == NULL || !cJSON_AddItemToObject(root, "job_options", srq_job_options_describe()))
        rc = srq_fail(err, -SRQ_ENOMEM, "out of memory describing plugins");
    else if (name != NULL)
        rc = add_plugin(list, name, err);
    else
        rc = srq_plugin_names(&names, err);
    for (char **n = names; rc == 0 && n != NULL && *n != NULL; n++)
        rc = add_any(root, list, *n, err);
    srq_plugin_names_free(names);
    if (rc == 0)
        *out = root;
    else
        cJSON_Delete(root);
    return rc;
}
