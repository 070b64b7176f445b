/* What GGUF and a model folder call the same thing, and how its rows stand there (spec formats 5.2, 5.3). Inside
 * core/model. */
#ifndef SRQ_MODEL_GGUF_NAMES_H
#define SRQ_MODEL_GGUF_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SRQ_GGUF_METHOD "gguf" /* quant_method of a folder made of such a file whose weights are in blocks */

#define SRQ_GGUF_EMBED "token_embd"
#define SRQ_GGUF_NORM "output_norm"
#define SRQ_GGUF_HEAD "output"
#define SRQ_GGUF_DIVISORS "rope_freqs.weight" /* of frequencies, as llama3 scales them */

/* A family, and the architecture that llama.cpp computes it by. */
struct srq_gguf_arch {
    const char *family, *name, *class; /* the last: of transformers */
    bool permute;                      /* neighbouring rows of q and k are rotated there, not the halves of a head */
    bool biases;                       /* linears may have biases where the family does not always give them one */
};
const struct srq_gguf_arch *srq_gguf_arch_of(const char *family);              /* NULL: it has none */
const struct srq_gguf_arch *srq_gguf_arch_named(const char *name, size_t len); /* NULL: it is no family's */
/* "llama, qwen2, …"; returns out. */
char *srq_gguf_arch_names(char *out, size_t cap);

/* What stands behind "blk.N." for a module of a block, and the other way; NULL: there is no name for it. */
const char *srq_gguf_part(const char *module);
const char *srq_gguf_module(const char *part, size_t len);

/* Whose rows of `part` change places: so many heads; 0: they stay. */
int64_t srq_gguf_moved_heads(const struct srq_gguf_arch *a, const char *module, int64_t heads, int64_t kv_heads);
/* The model's row that is at place `row` of `rows` in the file, where rows of `heads` change places: of the halves of a
 * head, one after the other. */
int64_t srq_gguf_model_row(int64_t heads, int64_t rows, int64_t row);

#endif
