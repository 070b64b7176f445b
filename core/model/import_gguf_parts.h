/* The parts of reading GGUF files as models, for one another: configuration, words, tensors. Not for other files. */
#ifndef SRQ_MODEL_IMPORT_GGUF_PARTS_H
#define SRQ_MODEL_IMPORT_GGUF_PARTS_H

#include "core/format/gguf.h"
#include "core/model/gguf_names.h"
#include "core/model/internal.h"

struct srq_gguf_import {
    struct srq_gguf *g;
    const char *file;
    const struct srq_gguf_arch *arch;
    const struct srq_family *family;
    int64_t heads, kv_heads;
    char key[96]; /* of srq_gguf_arch_key */
};

/* "ARCH.name", until the next call. */
const char *srq_gguf_arch_key(struct srq_gguf_import *m, const char *name);
const struct srq_gguf_tensor *srq_gguf_tensor_named(const struct srq_gguf *g, const char *name); /* NULL: none */

/* import_gguf_config.c */
int srq_gguf_config(struct srq_gguf_import *m, json_t **out, struct srq_error *err); /* config.json */
/* The sentence of srq_gguf_add_tensors, or NULL with 0. */
int srq_gguf_keys_note(struct srq_gguf_import *m, char **out, struct srq_error *err);

/* import_gguf_words.c: tokenizer.json and tokenizer_config.json. `rows`: of the embedding. */
int srq_gguf_words(const struct srq_gguf_import *m, int64_t rows, json_t **tokenizer, json_t **config,
                   struct srq_error *err);

#endif
