/* Tables of what GGUF says of tokenizers. */
#include "core/model/gguf_words.h"

#include "core/text/steps.h"

#include <stddef.h>

const struct srq_gguf_special_name srq_gguf_specials[SRQ_GGUF_SPECIALS] = {
    [SRQ_GGUF_BOS] = { "bos", "tokenizer.ggml.bos_token_id" },
    [SRQ_GGUF_EOS] = { "eos", "tokenizer.ggml.eos_token_id" },
    [SRQ_GGUF_UNK] = { "unk", "tokenizer.ggml.unknown_token_id" },
    [SRQ_GGUF_PAD] = { "pad", "tokenizer.ggml.padding_token_id" },
};

static const struct srq_gguf_pattern patterns[] = {
    { .names = { "gpt-2" } },
    { .names = { "smollm" }, .digits = true },
    { .names = { "qwen2" }, .regex = SRQ_PATTERN_AROUND_DIGITS("\\p{N}"), .composed = true },
    { .names = { "llama-bpe", "llama3", "llama-v3" },
      .regex = SRQ_PATTERN_AROUND_DIGITS("\\p{N}{1,3}"),
      .whole_words = true,
      .begins = true },
    { .names = { "dbrx" }, .regex = SRQ_PATTERN_AROUND_DIGITS("\\p{N}{1,3}") },
};

const struct srq_gguf_pattern *srq_gguf_pattern(int i)
{
    return i >= 0 && (size_t)i < sizeof(patterns) / sizeof(patterns[0]) ? &patterns[i] : NULL;
}
