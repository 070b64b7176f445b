/* Optional members of tokenizer.json: absent or of the right type, and refused by file and name otherwise. */
#ifndef SRQ_TEXT_MEMBERS_H
#define SRQ_TEXT_MEMBERS_H

#include <srq/error.h>

#include <jansson.h>
#include <stdbool.h>

/* `*value` stays as it is where `object` has no `key`, and where it is null and may be. `of` says in an error what the
 * object is ("the model"), `what` names the file. Return 0, or -SRQ_EFORMAT. */
int srq_member_flag(const json_t *object, const char *key, const char *of, bool *value, const char *what,
                    struct srq_error *err);
int srq_member_flag_or_null(const json_t *object, const char *key, const char *of, bool *value, const char *what,
                            struct srq_error *err);
int srq_member_text_or_null(const json_t *object, const char *key, const char *of, const char **value, const char *what,
                            struct srq_error *err);

/* "pattern": {"Regex": …} or {"String": …}, of which only one; `*literal` says which. */
int srq_member_pattern(const json_t *object, const char *of, const char **text, bool *literal, const char *what,
                       struct srq_error *err);

#endif
