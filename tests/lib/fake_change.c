/* What the stand-in worker understands of changes. */
#include "tests/lib/fake_change.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"

#include <fnmatch.h>
#include <stdbool.h>

#define PLAN_MAX ((size_t)8 << 20)

static cJSON *get(const cJSON *o, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(o, name);
}

static const char *text(const cJSON *o, const char *name)
{
    return cJSON_IsString(get(o, name)) ? get(o, name)->valuestring : "";
}

/* The scheme that the request wants for a layer; NULL: it does not name it. */
static const char *wanted(const cJSON *params, const char *layer)
{
    const cJSON *item;
    const char *found = NULL;

    cJSON_ArrayForEach(item, get(params, "pins"))
    {
        if (fnmatch(text(item, "pattern"), layer, 0) == 0)
            found = text(item, "scheme");
    }
    cJSON_ArrayForEach(item, get(params, "patterns"))
    {
        if (fnmatch(item->valuestring, layer, 0) == 0)
            found = "w4g128";
    }
    return found;
}

static cJSON *size_json(double after)
{
    cJSON *o = cJSON_CreateObject();

    cJSON_AddNumberToObject(o, "before_bytes", 1000);
    cJSON_AddNumberToObject(o, "after_bytes", after);
    cJSON_AddNumberToObject(o, "average_bits", after / 60);
    return o;
}

/* Changes one layer of the plan; adds it to `changes`. */
static void change_layer(cJSON *layer, const char *scheme, const char *source, cJSON *changes)
{
    cJSON *row = cJSON_CreateObject();

    cJSON_AddStringToObject(row, "layer", text(layer, "name"));
    cJSON_AddStringToObject(row, "old", text(layer, "scheme"));
    cJSON_AddStringToObject(row, "new", scheme);
    cJSON_AddStringToObject(row, "source", source);
    cJSON_AddStringToObject(row, "state", "pending");
    cJSON_AddItemToArray(changes, row);
    cJSON_ReplaceItemInObjectCaseSensitive(layer, "scheme", cJSON_CreateString(scheme));
    cJSON_ReplaceItemInObjectCaseSensitive(layer, "source", cJSON_CreateString(source));
}

static int check(const char *job, const cJSON *plan, const cJSON *params, struct srq_error *err)
{
    const cJSON *revision = get(params, "revision");

    if (cJSON_IsNumber(revision) && revision->valuedouble != get(plan, "revision")->valuedouble)
        return srq_fail_field(err, -SRQ_ESTATE, "revision", "the plan of job %s has revision %.0f, not %.0f", job,
                              get(plan, "revision")->valuedouble, revision->valuedouble);
    if (strcmp(text(params, "op"), "budget") == 0)
        return srq_fail_field(err, -SRQ_ESTATE, "job", "job %s has no sensitivity scores; submit it with --budget",
                              job);
    return 0;
}

static cJSON *make_event(const cJSON *params, const cJSON *changes, const cJSON *retunes, double revision, double after)
{
    cJSON *e = cJSON_CreateObject();

    cJSON_AddNumberToObject(e, "revision", revision);
    cJSON_AddItemToObject(e, "changes", cJSON_Duplicate(changes, true));
    cJSON_AddStringToObject(e, "by", text(params, "by"));
    cJSON_AddStringToObject(e, "op", text(params, "op"));
    cJSON_AddItemToObject(e, "retunes", cJSON_Duplicate(retunes, true));
    cJSON_AddNullToObject(e, "restarts");
    cJSON_AddItemToObject(e, "size", size_json(after));
    return e;
}

static void fill_reply(cJSON *reply, const char *job, double revision, bool applied, int matched, cJSON *changes,
                       cJSON *retunes, double after)
{
    cJSON_AddStringToObject(reply, "job", job);
    cJSON_AddNumberToObject(reply, "revision", revision);
    cJSON_AddBoolToObject(reply, "applied", applied);
    cJSON_AddNumberToObject(reply, "matched", matched);
    cJSON_AddNumberToObject(reply, "changed", cJSON_GetArraySize(changes));
    cJSON_AddItemToObject(reply, "changes", changes);
    cJSON_AddItemToObject(reply, "size", size_json(after));
    cJSON_AddItemToObject(reply, "size_now", size_json(300));
    cJSON_AddNumberToObject(reply, "moved", 0);
    cJSON_AddNullToObject(reply, "forecast");
    cJSON_AddNullToObject(reply, "forecast_missing");
    cJSON_AddNullToObject(reply, "restarts");
    cJSON_AddItemToObject(reply, "retunes", retunes);
    cJSON_AddNullToObject(reply, "cost_s");
    cJSON_AddItemToObject(reply, "options", cJSON_Parse("{\"lr\":null,\"hp_first\":null,\"hp_last\":null}"));
    cJSON_AddArrayToObject(reply, "warnings");
}

static int save(const cJSON *plan, struct srq_error *err)
{
    char *out = cJSON_PrintUnformatted(plan);
    int rc = srq_write_file_durable("plan.json", out, strlen(out), 0600, err);

    cJSON_free(out);
    return rc;
}

int fake_change(const char *job, const cJSON *params, cJSON **reply, cJSON **event, struct srq_error *err)
{
    bool retune = strcmp(text(params, "op"), "retune") == 0, dry = cJSON_IsTrue(get(params, "dry_run")), apply;
    cJSON *plan, *layer, *changes, *retunes;
    char *file;
    size_t len;
    double revision;
    int matched = 0, rc = srq_read_file("plan.json", PLAN_MAX, &file, &len, err);

    *reply = *event = NULL;
    if (rc != 0)
        return rc;
    plan = cJSON_ParseWithLength(file, len);
    srq_free(file);
    rc = check(job, plan, params, err);
    if (rc != 0) {
        cJSON_Delete(plan);
        return rc;
    }
    changes = cJSON_CreateArray();
    retunes = cJSON_CreateArray();
    cJSON_ArrayForEach(layer, get(plan, "layers"))
    {
        const char *scheme = wanted(params, text(layer, "name"));

        matched += scheme != NULL;
        if (scheme != NULL && retune)
            cJSON_AddItemToArray(retunes, cJSON_CreateNumber(get(layer, "block")->valuedouble));
        else if (scheme != NULL && strcmp(scheme, text(layer, "scheme")) != 0)
            change_layer(layer, scheme, strcmp(text(params, "op"), "pin") == 0 ? "pin" : "default", changes);
    }
    if (matched == 0)
        rc = srq_fail_field(err, -SRQ_ENOENT, "pins", "layer pattern matches nothing");
    apply = rc == 0 && !dry && (changes->child != NULL || retunes->child != NULL);
    revision = get(plan, "revision")->valuedouble + (apply ? 1 : 0);
    if (apply) {
        cJSON_SetNumberValue(get(plan, "revision"), revision);
        rc = save(plan, err);
        *event = make_event(params, changes, retunes, revision, 300 + 10 * cJSON_GetArraySize(changes));
    }
    *reply = cJSON_CreateObject();
    fill_reply(*reply, job, revision, apply, matched, changes, retunes, 300 + 10 * cJSON_GetArraySize(changes));
    cJSON_Delete(plan);
    return rc;
}
