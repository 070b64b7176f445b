/* Sentences for people about a job. */
#include "core/job/resolve.h"

void srq_resolved_note(struct srq_resolved *r, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    cJSON_AddItemToArray(r->notes, cJSON_CreateString(text));
}
