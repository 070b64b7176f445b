/* Validation of parameters, replies and events against the table. */
#include "core/proto/proto.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define INT_MOST 9007199254740992.0 /* 2^53: beyond it a double skips whole numbers */

const char *srq_field_type_name(enum srq_field_type type)
{
    static const char *const names[] = { "string", "integer", "number",           "boolean",
                                         "object", "array",   "array of strings", "array of integers",
                                         "value" };

    return (unsigned)type < sizeof(names) / sizeof(names[0]) ? names[type] : "value";
}

static bool bounded(const struct srq_field *f)
{
    return f->min != 0 || f->max != 0;
}

static int check_range(const struct srq_field *f, double v, const char *path, struct srq_error *err)
{
    if (!bounded(f) || (v >= f->min && v <= f->max))
        return 0;
    return srq_fail_field(err, -SRQ_EINVAL, path, "%s is %.15g, not between %.15g and %.15g", path, v, f->min, f->max);
}

static int check_length(const struct srq_field *f, size_t n, const char *path, struct srq_error *err)
{
    if (!bounded(f) || ((double)n >= f->min && (double)n <= f->max))
        return 0;
    return srq_fail_field(err, -SRQ_EINVAL, path, "%s has length %zu, not between %.15g and %.15g", path, n, f->min,
                          f->max);
}

bool srq_proto_is_one_of(const char *name, size_t n, const char *words)
{
    for (const char *p = words; p != NULL && n > 0; p++) {
        size_t len = strcspn(p, "|");

        if (len == n && memcmp(p, name, n) == 0)
            return true;
        p += len;
        if (*p == '\0')
            break;
    }
    return false;
}

static int check_choice(const struct srq_field *f, const char *value, const char *path, struct srq_error *err)
{
    char words[200];

    if (f->choices == NULL || srq_word_place(f->choices, value) >= 0)
        return 0;
    return srq_fail_field(err, -SRQ_EINVAL, path, "%s is \"%.100s\", not one of %s", path, value,
                          srq_words_text(f->choices, words, sizeof(words)));
}

static bool has_type(enum srq_field_type type, const cJSON *v)
{
    switch (type) {
    case SRQ_T_STRING:
        return cJSON_IsString(v);
    case SRQ_T_INT:
        return cJSON_IsNumber(v) && v->valuedouble == floor(v->valuedouble) && fabs(v->valuedouble) <= INT_MOST;
    case SRQ_T_NUMBER:
        return cJSON_IsNumber(v);
    case SRQ_T_BOOL:
        return cJSON_IsBool(v);
    case SRQ_T_OBJECT:
        return cJSON_IsObject(v);
    case SRQ_T_ARRAY:
    case SRQ_T_STRINGS:
    case SRQ_T_INTS:
    case SRQ_T_NUMBERS:
        return cJSON_IsArray(v);
    case SRQ_T_ANY:
        return true;
    }
    return false;
}

static int check_members(const struct srq_field *fields, const cJSON *object, const char *prefix,
                         struct srq_error *err);

static int check_elements(const struct srq_field *f, const cJSON *array, const char *path, struct srq_error *err)
{
    const cJSON *item;
    char sub[160];
    size_t i = 0;
    int rc;

    cJSON_ArrayForEach(item, array)
    {
        snprintf(sub, sizeof(sub), "%.120s[%zu]", path, i++);
        if (f->type == SRQ_T_STRINGS && !cJSON_IsString(item))
            return srq_fail_field(err, -SRQ_EINVAL, sub, "%s is not a string", sub);
        if (f->type == SRQ_T_STRINGS && (rc = check_choice(f, item->valuestring, sub, err)) != 0)
            return rc;
        if (f->type == SRQ_T_INTS && !has_type(SRQ_T_INT, item))
            return srq_fail_field(err, -SRQ_EINVAL, sub, "%s is not a whole number", sub);
        if (f->type == SRQ_T_NUMBERS && !cJSON_IsNumber(item) && !cJSON_IsNull(item))
            return srq_fail_field(err, -SRQ_EINVAL, sub, "%s is neither a number nor null", sub);
        if (f->members != NULL) {
            if (!cJSON_IsObject(item))
                return srq_fail_field(err, -SRQ_EINVAL, sub, "%s is not an object", sub);
            rc = check_members(f->members, item, sub, err);
            if (rc != 0)
                return rc;
        }
    }
    return check_length(f, i, path, err);
}

static int check_value(const struct srq_field *f, const cJSON *v, const char *path, struct srq_error *err)
{
    int rc;

    if (cJSON_IsNull(v) && (f->nullable || f->type == SRQ_T_ANY))
        return 0;
    if (!has_type(f->type, v))
        return srq_fail_field(err, -SRQ_EINVAL, path, "%s must be of type %s%s", path, srq_field_type_name(f->type),
                              f->nullable ? " or null" : "");
    switch (f->type) {
    case SRQ_T_STRING:
        rc = check_length(f, strlen(v->valuestring), path, err);
        return rc == 0 ? check_choice(f, v->valuestring, path, err) : rc;
    case SRQ_T_INT:
    case SRQ_T_NUMBER:
        return check_range(f, v->valuedouble, path, err);
    case SRQ_T_ARRAY:
    case SRQ_T_STRINGS:
    case SRQ_T_INTS:
    case SRQ_T_NUMBERS:
        return check_elements(f, v, path, err);
    case SRQ_T_OBJECT:
        return f->members != NULL ? check_members(f->members, v, path, err) : 0;
    default:
        return 0;
    }
}

static const struct srq_field *find_field(const struct srq_field *fields, const char *name)
{
    for (const struct srq_field *f = fields; f->name != NULL; f++) {
        if (strcmp(f->name, name) == 0)
            return f;
    }
    return NULL;
}

static void join(char out[160], const char *prefix, const char *name)
{
    snprintf(out, 160, "%.90s%s%.60s", prefix, prefix[0] != '\0' ? "." : "", name);
}

/* With the members that there are, as many as fit in a sentence. */
static int unknown(const struct srq_field *fields, const char *path, struct srq_error *err)
{
    char list[160] = "";
    size_t at = 0;

    for (const struct srq_field *f = fields; f->name != NULL && at + strlen(f->name) + 3 < sizeof(list); f++)
        at += (size_t)snprintf(list + at, sizeof(list) - at, "%s%s", at > 0 ? ", " : "", f->name);
    return srq_fail_field(err, -SRQ_EINVAL, path, "unknown member \"%s\"; there are: %s", path, at > 0 ? list : "none");
}

static int check_members(const struct srq_field *fields, const cJSON *object, const char *prefix, struct srq_error *err)
{
    const cJSON *item;
    char path[160];
    int rc;

    cJSON_ArrayForEach(item, object)
    {
        const struct srq_field *f = find_field(fields, item->string);

        join(path, prefix, item->string);
        if (f == NULL)
            return unknown(fields, path, err);
        rc = check_value(f, item, path, err);
        if (rc != 0)
            return rc;
    }
    for (const struct srq_field *f = fields; f->name != NULL; f++) {
        if (f->required && cJSON_GetObjectItemCaseSensitive(object, f->name) == NULL) {
            join(path, prefix, f->name);
            return srq_fail_field(err, -SRQ_EINVAL, path, "member \"%s\" is missing", path);
        }
    }
    return 0;
}

static int check_object(const struct srq_field *fields, const char *owner, const char *what, const cJSON *v,
                        struct srq_error *err)
{
    cJSON empty = { .type = cJSON_Object };
    int rc;

    if (v == NULL)
        v = &empty;
    if (!cJSON_IsObject(v))
        return srq_fail_field(err, -SRQ_EINVAL, what, "%s: %s must be an object with named members", owner, what);
    rc = check_members(fields, v, "", err);
    if (rc != 0 && err != NULL) {
        char text[sizeof(err->text)];

        memcpy(text, err->text, sizeof(text));
        snprintf(err->text, sizeof(err->text), "%s: %.900s", owner, text);
    }
    return rc;
}

int srq_proto_check_params(const struct srq_method *m, const cJSON *params, struct srq_error *err)
{
    return check_object(m->params, m->name, "params", params, err);
}

int srq_proto_check_reply(const struct srq_method *m, const cJSON *result, struct srq_error *err)
{
    return check_object(m->reply, m->name, "result", result, err);
}

int srq_proto_check_event(const struct srq_event *e, const cJSON *params, struct srq_error *err)
{
    return check_object(e->fields, e->name, "params", params, err);
}
