/* Normalizers of tokenizer.json: text to text before it is split. */
#ifndef SRQ_TEXT_NORMALIZE_H
#define SRQ_TEXT_NORMALIZE_H

#include "core/base/buf.h"
#include "core/text/regex.h"

#include <jansson.h>

struct srq_normalizer; /* a list of steps */

/* `json`: the value of "normalizer"; null gives NULL in `*out`. NFC, NFD, NFKC, NFKD, Lowercase, Replace, Prepend,
 * Strip and Sequence of them; others are refused by name. */
int srq_normalizer_read(const json_t *json, const char *what, struct srq_normalizer **out, struct srq_error *err);
bool srq_normalizer_prepends(const struct srq_normalizer *n); /* something that is not of the text goes before it */
void srq_normalizer_free(struct srq_normalizer *n);

/* Replaces the contents of `out` with the normalized text. `spare` is scratch. `*begins` becomes false where characters
 * were taken off the beginning (it may be NULL). */
int srq_normalizer_run(const struct srq_normalizer *n, struct srq_matcher *m, const char *text, size_t len,
                       struct srq_buf *out, struct srq_buf *spare, bool *begins, struct srq_error *err);

#endif
