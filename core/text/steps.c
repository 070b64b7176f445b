/* Steps of tokenizer.json laid out flat. */
#include "core/text/steps.h"

#include <string.h>

bool srq_steps_flatten(const json_t *value, const char *members, int depth, struct srq_steps *out)
{
    const char *type = json_string_value(json_object_get(value, "type"));
    const json_t *list = json_object_get(value, members);

    if (value == NULL || json_is_null(value))
        return true;
    if (type == NULL || strcmp(type, "Sequence") != 0) {
        if (out->count == SRQ_STEPS_MAX)
            return false;
        out->step[out->count++] = value;
        return true;
    }
    for (size_t i = 0; i < json_array_size(list); i++)
        if (depth == 0 || !srq_steps_flatten(json_array_get(list, i), members, depth - 1, out))
            return false;
    return true;
}
