/* Reading of one pattern: shared by the parser of patterns, that of classes, and the names of properties. */
#ifndef SRQ_TEXT_REGEX_PARTS_H
#define SRQ_TEXT_REGEX_PARTS_H

#include "core/base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SRQ_REGEX_NAMES_MAX 32

struct srq_regex_name {
    const char *text;
    size_t len;
    bool closed; /* its group has ended: a reference to it is one to text */
};

struct srq_translation {
    const char *p, *end;
    struct srq_buf out;
    const char *malformed;   /* what is wrong with the pattern; Oniguruma does not take it either */
    const char *unsupported; /* what made the translation stop */
    char construct[24];      /* its text, where that is not a constant */
    bool fold;               /* (?i) holds */
    bool dotall;             /* (?m) holds, which is (?s) elsewhere */
    int depth;               /* groups around */
    uint32_t folded;         /* the letter just read under (?i), 0: something else */
    int groups, open_groups; /* captures seen, and those of them that have not ended */
    bool numbered_reference;
    struct srq_regex_name names[SRQ_REGEX_NAMES_MAX];
    int name_count;
};

/* Rewrites what is at t->p into t->out. Where it cannot, t->malformed or t->unsupported says what stands in the way. */
void srq_regex_translate(struct srq_translation *t);

static inline bool srq_regex_stopped(const struct srq_translation *t)
{
    return t->malformed != NULL || t->unsupported != NULL;
}

/* After '[': the class to its end, as an expression that matches one character. */
void srq_regex_class(struct srq_translation *t);

/* The contents of a class, for PCRE2, by what Oniguruma calls it; NULL: no such name. */
const char *srq_regex_type(char letter, bool in_class); /* s w d h, and upper case the same */
const char *srq_regex_posix(const char *name, size_t len);
/* After \p or \P, at '{': reads through '}'. False where srq has no such property. */
bool srq_regex_property(struct srq_translation *t, bool in_class, char *set, size_t cap, bool *negated);

/* After a backslash: reads the escapes that stand for one character. False, nothing read: another one. */
bool srq_regex_code(struct srq_translation *t, uint32_t *code);
void srq_regex_put_code(struct srq_buf *out, uint32_t code);
void srq_regex_refuse_escape(struct srq_translation *t, char letter);

#endif
