/* Pre-tokenizers of tokenizer.json: a text cut into the words that byte-pair encoding sees. */
#ifndef SRQ_TEXT_PRETOKENIZE_H
#define SRQ_TEXT_PRETOKENIZE_H

#include "core/base/buf.h"
#include "core/text/regex.h"

#include <jansson.h>
#include <stdint.h>

struct srq_pretokenizer;

/* `json`: the value of "pre_tokenizer"; null: the text is one word. Split, Digits, ByteLevel, Metaspace and Sequence of
 * them, ByteLevel last; others are refused by name. */
int srq_pretokenizer_read(const json_t *json, const char *what, struct srq_pretokenizer **out, struct srq_error *err);
void srq_pretokenizer_free(struct srq_pretokenizer *p);

bool srq_pretokenizer_byte_level(const struct srq_pretokenizer *p); /* words are bytes to be mapped by srq_byte_map */

/* Called for each word in turn; a code other than 0 stops the cutting and is returned. */
typedef int (*srq_word_fn)(void *ctx, const char *word, size_t len, struct srq_error *err);

/* Who gets the words, and what cutting works in. */
struct srq_word_taker {
    srq_word_fn take;
    void *ctx;
    struct srq_matcher *matcher;
    struct srq_buf *scratch;
};

/* `begins`: how many bytes of `text` stem from the first character of the document; pieces with one of them are the
 * first for Metaspace. */
int srq_pretokenizer_run(const struct srq_pretokenizer *p, const struct srq_word_taker *to, const char *text,
                         size_t len, size_t begins, struct srq_error *err);

/* The byte-level alphabet: one character for each byte. */
uint32_t srq_byte_to_char(unsigned char byte);
int srq_char_to_byte(uint32_t code); /* -1: not of the alphabet */
/* Replaces the contents of `out` with the characters of `len` bytes. */
void srq_byte_map(const char *bytes, size_t len, struct srq_buf *out);

#endif
