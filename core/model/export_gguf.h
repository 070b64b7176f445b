/* The parts of a GGUF export, for one another: keys, words, tensors. Not for other rooms. */
#ifndef SRQ_MODEL_EXPORT_GGUF_H
#define SRQ_MODEL_EXPORT_GGUF_H

#include "core/format/gguf.h"
#include "core/model/export_parts.h"
#include "core/model/gguf_names.h"

/* export_gguf_keys.c: all keys of the model but those of its words. -SRQ_EUNSUPPORTED where llama.cpp's architecture
 * does not compute what the configuration asks for. */
int srq_gguf_model_keys(const struct srq_model *m, int file_type, struct srq_gguf_writer *w, struct srq_error *err);
/* export_gguf_words.c: keys of the tokenizer, read from the model's folder. -SRQ_EUNSUPPORTED where llama.cpp would cut
 * text into other tokens. */
int srq_gguf_words_keys(const struct srq_model *m, struct srq_gguf_writer *w, struct srq_error *err);

/* export_gguf.c: a row of the table of formats */
int srq_gguf_accepts(const struct srq_format *f, const struct srq_scheme *s, const struct srq_layer_info *layer,
                     struct srq_error *err);
int srq_gguf_holds(const struct srq_model *m, struct srq_error *err);
int srq_gguf_bytes(const struct srq_export_plan *p, uint64_t *bytes, struct srq_error *err);
int srq_gguf_build(const struct srq_export_plan *p, const struct srq_export_request *r, const char *dir,
                   struct srq_error *err);

#endif
