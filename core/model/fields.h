/* Fields of config.json: typed reading with bounds, errors that name the field and the value. null counts as absent. */
#ifndef SRQ_MODEL_FIELDS_H
#define SRQ_MODEL_FIELDS_H

#include <srq/error.h>

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* Where a field is and who asks: `where` is "" for the top level, "rope_parameters." for a nested object. */
struct srq_fields {
    const json_t *object;
    const char *where;
};

/* The value, or NULL where the key is absent or null. */
const json_t *srq_field(const struct srq_fields *f, const char *key);
/* -SRQ_EFORMAT naming the full field: "config.json: <where><key>: <what>". Returns the code. */
int srq_field_fail(const struct srq_fields *f, const char *key, struct srq_error *err, const char *fmt, ...)
    SRQ_PRINTF(4, 5);

/* Each: absent leaves `*out` alone, or is an error with `required`. Bounds are inclusive. */
int srq_field_int(const struct srq_fields *f, const char *key, bool required, int64_t min, int64_t max, int64_t *out,
                  struct srq_error *err);
int srq_field_number(const struct srq_fields *f, const char *key, bool required, double min, double max, double *out,
                     struct srq_error *err);
int srq_field_bool(const struct srq_fields *f, const char *key, bool *out, struct srq_error *err);
int srq_field_string(const struct srq_fields *f, const char *key, const char **out, struct srq_error *err);

#endif
