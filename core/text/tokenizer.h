/* tokenizer.json, or vocab.json and merges.txt: text to the ids that Hugging Face's tokenizers give (spec formats 3).
 */
#ifndef SRQ_TEXT_TOKENIZER_H
#define SRQ_TEXT_TOKENIZER_H

#include "core/text/bpe.h"

#include <srq/error.h>

#include <stdbool.h>
#include <stdint.h>

struct srq_tokenizer;

/* `dir`: a model folder with tokenizer.json, or with vocab.json and merges.txt of GPT-2 or Qwen2. Tokens that only
 * tokenizer_config.json, special_tokens_map.json or added_tokens.json have are added as transformers does. */
int srq_tokenizer_open(const char *dir, struct srq_tokenizer **out, struct srq_error *err);
void srq_tokenizer_free(struct srq_tokenizer *tk);
/* What words are encoded by. */
const struct srq_bpe *srq_tokenizer_model(const struct srq_tokenizer *tk);
int64_t srq_tokenizer_size(const struct srq_tokenizer *tk); /* highest id + 1 */

/* Encodes UTF-8 text. specials: add what the post-processor adds. Added tokens in the text become their ids; truncation
 * and padding of the file are not applied, as transformers does not. `*ids` is freed with srq_free. */
int srq_tokenizer_encode(const struct srq_tokenizer *tk, const char *text, size_t len, bool specials, int32_t **ids,
                         int64_t *count, struct srq_error *err);
/* Added tokens by number, from 0; false: no such one. */
struct srq_tokenizer_added {
    const char *text;
    int32_t id;
    bool special;
};
bool srq_tokenizer_added(const struct srq_tokenizer *tk, int32_t i, struct srq_tokenizer_added *out);
/* What transformers does otherwise than the file says, which srq follows; NULL: nothing that srq knows of. */
const char *srq_tokenizer_doubt(const struct srq_tokenizer *tk);
/* A token as its file spells it, words in the alphabet of bytes; NULL: there is none. */
const char *srq_tokenizer_token(const struct srq_tokenizer *tk, int32_t id);

#endif
