/* The steps of a normalizer or pre-tokenizer as tokenizer.json spells them, for who compares them with known ones. */
#ifndef SRQ_TEXT_STEPS_H
#define SRQ_TEXT_STEPS_H

#include <jansson.h>
#include <stdbool.h>

#define SRQ_STEPS_MAX 8

struct srq_steps {
    const json_t *step[SRQ_STEPS_MAX]; /* borrowed from the value */
    int count;
};

/* Adds the steps of `value`, none where it is NULL or null, to `out`: those of a Sequence, whose list is its member
 * `members`, in its place. `depth`: how many Sequences may stand inside one another. false: there are more, or more
 * steps than there is room for. */
bool srq_steps_flatten(const json_t *value, const char *members, int depth, struct srq_steps *out);

/* What cuts words in the families of Llama 3 and Qwen2, which differ in how they cut numbers. */
#define SRQ_PATTERN_AROUND_DIGITS(digits)                                \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

#endif
