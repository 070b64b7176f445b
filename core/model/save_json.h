/* JSON as model folders have it: two spaces of indentation, keys in their order, numbers as short as they can be. */
#ifndef SRQ_MODEL_SAVE_JSON_H
#define SRQ_MODEL_SAVE_JSON_H

#include <srq/error.h>

#include <jansson.h>

/* The text of `value` with a final newline; free with srq_free. Reading it back gives an equal value: reals are written
 * with the fewest digits that do. */
int srq_json_text(const json_t *value, char **text, size_t *len, struct srq_error *err);

#endif
