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
void srq_normalizer_free(struct srq_normalizer *n);

/* Replaces the contents of `out` with the normalized text. `spare` is scratch. Where `text` is the beginning of a
 * document, `*begins` becomes the number of bytes in `out` that stem from its very first character, or were put before
 * it; elsewhere it is NULL. */
int srq_normalizer_run(const struct srq_normalizer *n, struct srq_matcher *m, const char *text, size_t len,
                       struct srq_buf *out, struct srq_buf *spare, size_t *begins, struct srq_error *err);

#endif
