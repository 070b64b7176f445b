/* Reading and adding members. */
#include "core/proto/members.h"

#include <math.h>

const cJSON *srq_member(const cJSON *object, const char *name)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(object, name);

    return cJSON_IsNull(v) ? NULL : v;
}

const char *srq_member_text(const cJSON *object, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
}

double srq_member_number(const cJSON *object, const char *name)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(object, name);

    return cJSON_IsNumber(v) ? v->valuedouble : (double)NAN;
}

bool srq_member_true(const cJSON *object, const char *name)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, name));
}

/* Takes the item over. */
static bool put(cJSON *object, const char *name, cJSON *item)
{
    if (cJSON_AddItemToObject(object, name, item))
        return true;
    cJSON_Delete(item);
    return false;
}

bool srq_put_number(cJSON *object, const char *name, double value)
{
    return put(object, name, isfinite(value) ? cJSON_CreateNumber(value) : cJSON_CreateNull());
}

bool srq_put_text(cJSON *object, const char *name, const char *text)
{
    return put(object, name, text != NULL ? cJSON_CreateString(text) : cJSON_CreateNull());
}

bool srq_put_copy(cJSON *object, const char *name, const cJSON *value)
{
    return put(object, name, value != NULL ? cJSON_Duplicate(value, true) : cJSON_CreateNull());
}

bool srq_put_member(cJSON *object, const char *name, const cJSON *from)
{
    return srq_put_copy(object, name, cJSON_GetObjectItemCaseSensitive(from, name));
}
