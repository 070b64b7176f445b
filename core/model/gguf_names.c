/* Names of GGUF beside those of model folders. */
#include "core/model/gguf_names.h"

#include <stdio.h>
#include <string.h>

/* Of an architecture that several families share, the first is what a file of it is read as. */
static const struct srq_gguf_arch arches[] = {
    { .family = "llama", .name = "llama", .class = "LlamaForCausalLM", .permute = true, .biases = true },
    { .family = "mistral", .name = "llama", .class = "MistralForCausalLM", .permute = true, .biases = true },
    { .family = "qwen2", .name = "qwen2", .class = "Qwen2ForCausalLM" },
    { .family = "qwen3", .name = "qwen3", .class = "Qwen3ForCausalLM" },
    { .family = "gemma", .name = "gemma", .class = "GemmaForCausalLM" },
};
#define ARCHES (sizeof(arches) / sizeof(arches[0]))

static const struct {
    const char *module, *part;
} parts[] = {
    { "self_attn.q_proj", "attn_q" },
    { "self_attn.k_proj", "attn_k" },
    { "self_attn.v_proj", "attn_v" },
    { "self_attn.o_proj", "attn_output" },
    { "mlp.gate_proj", "ffn_gate" },
    { "mlp.up_proj", "ffn_up" },
    { "mlp.down_proj", "ffn_down" },
    { "input_layernorm", "attn_norm" },
    { "self_attn.q_norm", "attn_q_norm" },
    { "self_attn.k_norm", "attn_k_norm" },
    { "post_attention_layernorm", "ffn_norm" },
};
#define PARTS (sizeof(parts) / sizeof(parts[0]))

const struct srq_gguf_arch *srq_gguf_arch_of(const char *family)
{
    for (size_t i = 0; i < ARCHES; i++)
        if (strcmp(arches[i].family, family) == 0)
            return &arches[i];
    return NULL;
}

static bool same(const char *known, const char *text, size_t len)
{
    return strlen(known) == len && memcmp(known, text, len) == 0;
}

const struct srq_gguf_arch *srq_gguf_arch_named(const char *name, size_t len)
{
    for (size_t i = 0; i < ARCHES; i++)
        if (same(arches[i].name, name, len))
            return &arches[i];
    return NULL;
}

char *srq_gguf_arch_names(char *out, size_t cap)
{
    size_t len = 0;

    for (size_t i = 0; i < ARCHES && len < cap; i++)
        if (srq_gguf_arch_named(arches[i].name, strlen(arches[i].name)) == &arches[i])
            len += (size_t)snprintf(out + len, cap - len, "%s%s", i > 0 ? ", " : "", arches[i].name);
    return out;
}

const char *srq_gguf_part(const char *module)
{
    for (size_t i = 0; i < PARTS; i++)
        if (strcmp(parts[i].module, module) == 0)
            return parts[i].part;
    return NULL;
}

const char *srq_gguf_module(const char *part, size_t len)
{
    for (size_t i = 0; i < PARTS; i++)
        if (same(parts[i].part, part, len))
            return parts[i].module;
    return NULL;
}

int64_t srq_gguf_moved_heads(const struct srq_gguf_arch *a, const char *module, int64_t heads, int64_t kv_heads)
{
    if (!a->permute)
        return 0;
    return strcmp(module, "self_attn.q_proj") == 0 ? heads : strcmp(module, "self_attn.k_proj") == 0 ? kv_heads : 0;
}

int64_t srq_gguf_model_row(int64_t heads, int64_t rows, int64_t row)
{
    int64_t dim, head, at;

    if (heads == 0)
        return row;
    dim = rows / heads;
    head = row / dim;
    at = row % dim;
    return head * dim + at % 2 * (dim / 2) + at / 2;
}
