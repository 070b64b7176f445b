/* Members of JSON objects. What is not there, or of another type, is unknown: NULL or NaN here, null there. */
#ifndef SRQ_PROTO_MEMBERS_H
#define SRQ_PROTO_MEMBERS_H

#include <cjson/cJSON.h>
#include <stdbool.h>

const cJSON *srq_member(const cJSON *object, const char *name); /* NULL: none, or null */
const char *srq_member_text(const cJSON *object, const char *name);
double srq_member_number(const cJSON *object, const char *name);
bool srq_member_true(const cJSON *object, const char *name);

/* Each adds a member; false: out of memory, or `object` is NULL. */
bool srq_put_number(cJSON *object, const char *name, double value); /* NaN or infinite: null */
bool srq_put_text(cJSON *object, const char *name, const char *text);
bool srq_put_copy(cJSON *object, const char *name, const cJSON *value);
bool srq_put_member(cJSON *object, const char *name, const cJSON *from); /* a copy of the other's */

#endif
