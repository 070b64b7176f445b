/* The regular expressions of tokenizer.json, written for Oniguruma (Ruby syntax), run by PCRE2 with the same
 * meaning. */
#ifndef SRQ_TEXT_REGEX_H
#define SRQ_TEXT_REGEX_H

#include <srq/error.h>

#include <stdbool.h>
#include <stddef.h>

struct srq_regex;
struct srq_matcher; /* what one thread needs to run patterns */

/* Compiles a regular expression, or `literal` text. A construct whose meaning differs between the two engines and that
 * is not translated is refused with -SRQ_EUNSUPPORTED, an expression that does not compile with -SRQ_EFORMAT; both name
 * `what` and the expression. */
int srq_regex_compile(const char *text, size_t len, bool literal, const char *what, struct srq_regex **out,
                      struct srq_error *err);
void srq_regex_free(struct srq_regex *p);

struct srq_matcher *srq_matcher_create(void); /* NULL: out of memory */
void srq_matcher_free(struct srq_matcher *m);

/* The first match in `text` (well-formed UTF-8) at or after `from`: 1 with its range, 0 when there is none, or a
 * negative code: -SRQ_ELIMIT where the expression takes more than the allowed steps on this text. */
int srq_regex_find(const struct srq_regex *p, struct srq_matcher *m, const char *text, size_t len, size_t from,
                   size_t *begin, size_t *end, struct srq_error *err);

#endif
