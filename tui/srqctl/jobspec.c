/* A job spec from a file and options. */
#include "tui/srqctl/jobspec.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int no_memory(struct srq_error *err)
{
    return srq_fail(err, -SRQ_ENOMEM, "out of memory");
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

/* `path` against `dir`; srq_free. */
static int against(const char *dir, const char *path, char **out, struct srq_error *err)
{
    char *joined;
    int rc;

    if (path[0] == '/' || dir == NULL)
        return srq_make_absolute(path, out, err);
    joined = srq_path_join(dir, path);
    rc = joined != NULL ? srq_make_absolute(joined, out, err) : no_memory(err);
    srq_free(joined);
    return rc;
}

static int make_absolute(cJSON *value, const char *dir, struct srq_error *err)
{
    char *path;
    int rc;

    if (!cJSON_IsString(value)) /* its type is for the worker's check to refuse */
        return 0;
    rc = against(dir, value->valuestring, &path, err);
    if (rc != 0)
        return rc;
    if (cJSON_SetValuestring(value, path) == NULL)
        rc = no_memory(err);
    srq_free(path);
    return rc;
}

static int file_paths(cJSON *spec, const char *dir, struct srq_error *err)
{
    static const char *const single[] = { "model", "output", "features" }, *const lists[] = { "calib", "eval" };
    cJSON *item;
    int rc = 0;

    for (size_t i = 0; i < 3 && rc == 0; i++)
        rc = make_absolute(cJSON_GetObjectItemCaseSensitive(spec, single[i]), dir, err);
    for (size_t i = 0; i < 2; i++)
        cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(spec, lists[i])) rc =
            rc != 0 ? rc : make_absolute(item, dir, err);
    return rc;
}

static int read_stdin(char **data, size_t *len, struct srq_error *err)
{
    char *text = srq_malloc(SRQ_FRAME_MAX + 1);

    if (text == NULL)
        return no_memory(err);
    *len = fread(text, 1, SRQ_FRAME_MAX + 1, stdin);
    if (ferror(stdin) || *len > SRQ_FRAME_MAX) {
        srq_free(text);
        return srq_fail_field(err, -SRQ_ELIMIT, "job", "cannot read a job of at most %zu bytes from standard input",
                              SRQ_FRAME_MAX);
    }
    *data = text;
    return 0;
}

static int read_file(const char *name, cJSON **spec, struct srq_error *err)
{
    bool from_stdin = strcmp(name, "-") == 0;
    struct srq_error why = { 0 };
    char *data = NULL, *dir = NULL, *slash;
    size_t len = 0;
    int rc = from_stdin ? read_stdin(&data, &len, err) : srq_read_file(name, SRQ_FRAME_MAX, &data, &len, err);

    if (rc != 0)
        return rc;
    rc = srq_json_parse(data, len, SRQ_DEPTH_MAX, spec, &why);
    srq_free(data);
    if (rc != 0)
        return srq_fail_field(err, rc, "job", "job file %s: %s", name, why.text);
    if (!cJSON_IsObject(*spec)) {
        cJSON_Delete(*spec);
        *spec = NULL;
        return srq_fail_field(err, -SRQ_EFORMAT, "job", "job file %s holds no JSON object", name);
    }
    if (!from_stdin && (slash = strrchr(name, '/')) != NULL)
        dir = srq_strndup(name, slash == name ? 1 : (size_t)(slash - name));
    rc = file_paths(*spec, dir, err);
    srq_free(dir);
    return rc;
}

/* ---- the options ------------------------------------------------------------------------------------------------- */

static void put(cJSON *object, const char *name, cJSON *value)
{
    cJSON_DeleteItemFromObjectCaseSensitive(object, name);
    cJSON_AddItemToObject(object, name, value);
}

static int put_path(cJSON *spec, const struct ctl_args *a, const char *name, const char *path, struct srq_error *err)
{
    char *absolute, flag[CTL_FLAG];
    int rc;

    if (path == NULL)
        return 0;
    if (path[0] == '\0')
        return srq_fail_field(err, -SRQ_EINVAL, name, "the path of %s is empty",
                              ctl_given(a, name) ? ctl_flag(a, name, flag) : name);
    rc = srq_make_absolute(path, &absolute, err);
    if (rc != 0)
        return rc;
    put(spec, name, cJSON_CreateString(absolute));
    srq_free(absolute);
    return 0;
}

static int put_paths(cJSON *spec, const char *name, const struct ctl_args *a, struct srq_error *err)
{
    const char *path;
    cJSON *list = NULL;
    size_t at = 0;

    while ((path = ctl_next_value(a, name, &at)) != NULL) {
        char *absolute = NULL;
        int rc = path[0] != '\0' ? srq_make_absolute(path, &absolute, err)
                                 : srq_fail_field(err, -SRQ_EINVAL, name, "--%s has an empty path", name);

        if (rc != 0) {
            cJSON_Delete(list);
            return rc;
        }
        if (list == NULL)
            list = cJSON_CreateArray();
        cJSON_AddItemToArray(list, cJSON_CreateString(absolute));
        srq_free(absolute);
    }
    if (list != NULL)
        put(spec, name, list);
    return 0;
}

static int put_formats(cJSON *spec, const struct ctl_args *a, struct srq_error *err)
{
    cJSON *list;
    int rc = ctl_names(a, "format", &list, err);

    if (list != NULL)
        put(spec, "formats", list);
    return rc;
}

/* A pattern may hold '=' (a regular expression's lookahead), a scheme does not: the last one divides. */
static int put_layers(cJSON *spec, const struct ctl_args *a, struct srq_error *err)
{
    const char *text;
    char flag[CTL_FLAG];
    cJSON *list = NULL;
    size_t at = 0;

    while ((text = ctl_next_value(a, "layer", &at)) != NULL) {
        const char *eq = strrchr(text, '=');
        char *pattern;
        cJSON *row;

        if (eq == NULL || eq == text || eq[1] == '\0') {
            cJSON_Delete(list);
            return srq_fail_field(err, -SRQ_EINVAL, "layer", "%s %s is not PATTERN=SCHEME, e.g. 'model.layers.0.*=w8'",
                                  ctl_flag(a, "layer", flag), text);
        }
        if (list == NULL)
            list = cJSON_CreateArray();
        pattern = srq_strndup(text, (size_t)(eq - text));
        row = cJSON_CreateObject();
        cJSON_AddStringToObject(row, "pattern", pattern != NULL ? pattern : "");
        cJSON_AddStringToObject(row, "scheme", eq + 1);
        if (ctl_given(a, "untied"))
            cJSON_AddTrueToObject(row, "untied");
        cJSON_AddItemToArray(list, row);
        srq_free(pattern);
    }
    if (list != NULL)
        put(spec, "layers", list);
    return 0;
}

/* {"bits", "candidates"}; either overrides its part of what the file says. */
static int put_budget(cJSON *spec, const struct ctl_args *a, struct srq_error *err)
{
    cJSON *budget = cJSON_GetObjectItemCaseSensitive(spec, "budget"), *list = NULL;
    double bits = 0;
    int rc = ctl_number(a, "budget", 0, 64, &bits, err);

    if (rc == 0)
        rc = ctl_names(a, "candidates", &list, err);
    if (rc == 0 && list != NULL && !ctl_given(a, "budget") && !cJSON_IsObject(budget))
        rc = srq_fail_field(err, -SRQ_EINVAL, "candidates", "--candidates goes with --budget BITS");
    if (rc != 0) {
        cJSON_Delete(list);
        return rc;
    }
    if ((ctl_given(a, "budget") || list != NULL) && !cJSON_IsObject(budget))
        put(spec, "budget", budget = cJSON_CreateObject());
    if (ctl_given(a, "budget"))
        put(budget, "bits", cJSON_CreateNumber(bits));
    if (list != NULL)
        put(budget, "candidates", list);
    return 0;
}

static int put_options(cJSON *spec, const struct ctl_args *a, struct srq_error *err)
{
    cJSON *options = cJSON_GetObjectItemCaseSensitive(spec, "options");
    const char *text;
    size_t at = 0;

    while ((text = ctl_next_value(a, "set", &at)) != NULL) {
        size_t n = strcspn(text, "=");
        char key[128];

        if (text[n] == '\0' || n == 0 || n >= sizeof(key))
            return srq_fail_field(err, -SRQ_EINVAL, "set", "--set %s is not KEY=VALUE, e.g. nsamples=128", text);
        snprintf(key, sizeof(key), "%.*s", (int)n, text);
        if (!cJSON_IsObject(options))
            put(spec, "options", options = cJSON_CreateObject());
        put(options, key, cJSON_CreateString(text + n + 1));
    }
    return 0;
}

static int put_plain(cJSON *spec, const struct ctl_args *a, struct srq_error *err)
{
    static const struct {
        const char *option, *key;
    } texts[] = { { "method", "method" }, { "scheme", "scheme" }, { "embedding", "embedding" },
                  { "name", "name" },     { "on-end", "on_end" }, { "incompatible", "incompatible" } },
      flags[] = { { "force", "force" }, { "lm-head", "quant_lm_head" }, { "accept-drift", "accept_drift" } };
    double priority = 0, limit = 0;
    int rc;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (ctl_value(a, texts[i].option) != NULL)
            put(spec, texts[i].key, cJSON_CreateString(ctl_value(a, texts[i].option)));
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
        if (ctl_given(a, flags[i].option))
            put(spec, flags[i].key, cJSON_CreateTrue());
    rc = put_path(spec, a, "features", ctl_value(a, "features"), err);
    if (rc != 0)
        return rc;
    rc = ctl_whole(a, "priority", -1000, 1000, &priority, err);
    if (rc == 0 && ctl_given(a, "priority"))
        put(spec, "priority", cJSON_CreateNumber(priority));
    if (rc == 0)
        rc = ctl_duration(a, "time-limit", 1, 31536000, &limit, err);
    if (rc == 0 && ctl_given(a, "time-limit"))
        put(spec, "time_limit_s", cJSON_CreateNumber(limit));
    return rc;
}

int ctl_jobspec(const struct ctl_args *a, cJSON **spec, struct srq_error *err)
{
    const char *file = ctl_value(a, "job");
    int rc = 0;

    *spec = NULL;
    if (file != NULL)
        rc = read_file(file, spec, err);
    else
        *spec = cJSON_CreateObject();
    if (rc == 0)
        rc = put_path(*spec, a, "model", a->positional_count > 0 ? a->positional[0] : NULL, err);
    if (rc == 0)
        rc = put_path(*spec, a, "output", ctl_value(a, "output"), err);
    if (rc == 0)
        rc = put_paths(*spec, "calib", a, err);
    if (rc == 0)
        rc = put_paths(*spec, "eval", a, err);
    if (rc == 0)
        rc = put_formats(*spec, a, err);
    if (rc == 0)
        rc = put_layers(*spec, a, err);
    if (rc == 0)
        rc = put_budget(*spec, a, err);
    if (rc == 0)
        rc = put_options(*spec, a, err);
    if (rc == 0)
        rc = put_plain(*spec, a, err);
    if (rc != 0) {
        cJSON_Delete(*spec);
        *spec = NULL;
    }
    return rc;
}
