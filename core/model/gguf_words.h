/* What a GGUF file says of a tokenizer, for who writes and who reads it (spec formats 5.2). Inside core/model. */
#ifndef SRQ_MODEL_GGUF_WORDS_H
#define SRQ_MODEL_GGUF_WORDS_H

#include <stdbool.h>

#define SRQ_GGUF_SPACE "\xe2\x96\x81" /* U+2581, which stands for a blank in SentencePiece's pieces */

#define SRQ_GGUF_WORDS_MODEL "tokenizer.ggml.model" /* "gpt2": BPE of bytes by merges, "llama": pieces by scores */
#define SRQ_GGUF_WORDS_PATTERN "tokenizer.ggml.pre"
#define SRQ_GGUF_WORDS_TOKENS "tokenizer.ggml.tokens"
#define SRQ_GGUF_WORDS_TYPES "tokenizer.ggml.token_type" /* enum srq_gguf_word, a token each */
#define SRQ_GGUF_WORDS_SCORES "tokenizer.ggml.scores"
#define SRQ_GGUF_WORDS_MERGES "tokenizer.ggml.merges"
#define SRQ_GGUF_WORDS_PREFIX "tokenizer.ggml.add_space_prefix"
#define SRQ_GGUF_WORDS_BEGINS "tokenizer.ggml.add_bos_token"
#define SRQ_GGUF_WORDS_ENDS "tokenizer.ggml.add_eos_token"
#define SRQ_GGUF_WORDS_CHAT "tokenizer.chat_template"

enum srq_gguf_word {
    SRQ_GGUF_NORMAL = 1,
    SRQ_GGUF_UNKNOWN,
    SRQ_GGUF_CONTROL,
    SRQ_GGUF_USER,
    SRQ_GGUF_UNUSED,
    SRQ_GGUF_BYTE,
};

/* Tokens with a part of their own: "bos" is "bos_token" in tokenizer_config.json and "bos_token_id" in config.json. */
enum srq_gguf_special { SRQ_GGUF_BOS, SRQ_GGUF_EOS, SRQ_GGUF_UNK, SRQ_GGUF_PAD, SRQ_GGUF_SPECIALS };
struct srq_gguf_special_name {
    const char *name, *key;
};
extern const struct srq_gguf_special_name srq_gguf_specials[SRQ_GGUF_SPECIALS];

/* What cuts words before BPE of bytes. */
#define SRQ_GGUF_PATTERN_NAMES 3
struct srq_gguf_pattern {
    const char *names[SRQ_GGUF_PATTERN_NAMES]; /* llama.cpp's; the first is written; NULL behind the last */
    const char *regex;                         /* NULL: ByteLevel's own */
    bool digits;                               /* each digit is a word, before that */
    bool composed;                             /* text is composed first (NFC) */
    bool whole_words;                          /* a word that is a token is not cut */
    bool begins;                               /* texts begin with a token, unless the file says otherwise */
};
const struct srq_gguf_pattern *srq_gguf_pattern(int i); /* NULL past the end */

#endif
