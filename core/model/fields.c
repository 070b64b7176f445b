/* Fields of config.json: typed reading with bounds. */
#include "core/model/fields.h"

#include <inttypes.h>
#include <math.h>

const json_t *srq_field(const struct srq_fields *f, const char *key)
{
    const json_t *v = json_object_get(f->object, key);

    return json_is_null(v) ? NULL : v;
}

int srq_field_fail(const struct srq_fields *f, const char *key, struct srq_error *err, const char *fmt, ...)
{
    char name[160], what[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    snprintf(name, sizeof(name), "%s%s", f->where, key);
    return srq_fail_field(err, -SRQ_EFORMAT, name, "config.json: %s: %s", name, what);
}

static int field_missing(const struct srq_fields *f, const char *key, bool required, struct srq_error *err)
{
    return required ? srq_field_fail(f, key, err, "is missing") : 0;
}

/* What stands there, for an error: a number or string as written, else the kind of value. */
static const char *value_text(const json_t *v, char *out, size_t cap)
{
    static const char *const kinds[] = { "an object", "an array", "a string", "an integer",
                                         "a number",  "true",     "false",    "null" };

    if (json_is_integer(v))
        snprintf(out, cap, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    else if (json_is_real(v))
        snprintf(out, cap, "%.9g", json_real_value(v));
    else if (json_is_string(v))
        snprintf(out, cap, "\"%.60s\"", json_string_value(v));
    else
        snprintf(out, cap, "%s", kinds[json_typeof(v)]);
    return out;
}

int srq_field_int(const struct srq_fields *f, const char *key, bool required, int64_t min, int64_t max, int64_t *out,
                  struct srq_error *err)
{
    const json_t *v = srq_field(f, key);
    char text[96];

    if (v == NULL)
        return field_missing(f, key, required, err);
    if (!json_is_integer(v))
        return srq_field_fail(f, key, err, "%s where an integer is due", value_text(v, text, sizeof(text)));
    if (json_integer_value(v) < min || json_integer_value(v) > max)
        return srq_field_fail(f, key, err, "%s is outside %" PRId64 " … %" PRId64, value_text(v, text, sizeof(text)),
                              min, max);
    *out = json_integer_value(v);
    return 0;
}

int srq_field_number(const struct srq_fields *f, const char *key, bool required, double min, double max, double *out,
                     struct srq_error *err)
{
    const json_t *v = srq_field(f, key);
    char text[96];
    double d;

    if (v == NULL)
        return field_missing(f, key, required, err);
    if (!json_is_number(v))
        return srq_field_fail(f, key, err, "%s where a number is due", value_text(v, text, sizeof(text)));
    d = json_number_value(v);
    if (!isfinite(d) || d < min || d > max)
        return srq_field_fail(f, key, err, "%s is outside %g … %g", value_text(v, text, sizeof(text)), min, max);
    *out = d;
    return 0;
}

int srq_field_bool(const struct srq_fields *f, const char *key, bool *out, struct srq_error *err)
{
    const json_t *v = srq_field(f, key);
    char text[96];

    if (v == NULL)
        return 0;
    if (!json_is_boolean(v))
        return srq_field_fail(f, key, err, "%s where true or false is due", value_text(v, text, sizeof(text)));
    *out = json_is_true(v);
    return 0;
}

int srq_field_string(const struct srq_fields *f, const char *key, const char **out, struct srq_error *err)
{
    const json_t *v = srq_field(f, key);
    char text[96];

    if (v == NULL)
        return 0;
    if (!json_is_string(v))
        return srq_field_fail(f, key, err, "%s where a string is due", value_text(v, text, sizeof(text)));
    *out = json_string_value(v);
    return 0;
}
