/* A member of a wrong type taken for an absent one would give other ids without a word. */
#include "core/text/members.h"

static int refuse(const json_t *value, const char *key, const char *of, const char *wanted, const char *what,
                  struct srq_error *err)
{
    static const char *const names[] = {
        [JSON_OBJECT] = "an object", [JSON_ARRAY] = "a list", [JSON_STRING] = "a string", [JSON_INTEGER] = "a number",
        [JSON_REAL] = "a number",    [JSON_TRUE] = "true",    [JSON_FALSE] = "false",     [JSON_NULL] = "null"
    };

    return srq_fail_field(err, -SRQ_EFORMAT, what, "%s: \"%s\" of %s is %s, not %s", what, key, of,
                          names[json_typeof(value)], wanted);
}

int srq_member_flag(const json_t *object, const char *key, const char *of, bool *value, const char *what,
                    struct srq_error *err)
{
    const json_t *member = json_object_get(object, key);

    if (member == NULL)
        return 0;
    if (!json_is_boolean(member))
        return refuse(member, key, of, "true or false", what, err);
    *value = json_is_true(member);
    return 0;
}

int srq_member_flag_or_null(const json_t *object, const char *key, const char *of, bool *value, const char *what,
                            struct srq_error *err)
{
    return json_is_null(json_object_get(object, key)) ? 0 : srq_member_flag(object, key, of, value, what, err);
}

int srq_member_text_or_null(const json_t *object, const char *key, const char *of, const char **value, const char *what,
                            struct srq_error *err)
{
    const json_t *member = json_object_get(object, key);

    if (member == NULL || json_is_null(member))
        return 0;
    if (!json_is_string(member))
        return refuse(member, key, of, "a string", what, err);
    *value = json_string_value(member);
    return 0;
}

int srq_member_pattern(const json_t *object, const char *of, const char **text, bool *literal, const char *what,
                       struct srq_error *err)
{
    const json_t *pattern = json_object_get(object, "pattern");
    const json_t *regex = json_object_get(pattern, "Regex"), *string = json_object_get(pattern, "String");

    if (json_object_size(pattern) != 1 || (!json_is_string(regex) && !json_is_string(string)))
        return srq_fail_field(err, -SRQ_EFORMAT, what,
                              "%s: the \"pattern\" of %s is neither {\"Regex\": …} nor {\"String\": …}", what, of);
    *literal = regex == NULL;
    *text = json_string_value(*literal ? string : regex);
    return 0;
}
