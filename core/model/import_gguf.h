/* A GGUF file as a model folder (spec formats 5). What of it are words and numbers becomes configuration and tokenizer
 * of a folder; weights stay in the file, mapped, but for those that stand there in another order or form than srq
 * computes with. Inside core/model. */
#ifndef SRQ_MODEL_IMPORT_GGUF_H
#define SRQ_MODEL_IMPORT_GGUF_H

#include "core/format/tensors.h"

/* The GGUF file that `path` is, or that is the only one in a folder without a configuration; *out (srq_free) is NULL
 * where there is none. -SRQ_EUNSUPPORTED where there are several. */
int srq_gguf_find(const char *path, char **out, struct srq_error *err);

/* Writes config.json, tokenizer.json, tokenizer_config.json and model.safetensors into `dir`, which is there. The last
 * holds what cannot be mapped: rows of q and k that the architecture has in another order, gains of norms that are
 * stored less 1 elsewhere, and an embedding in blocks, decoded to F32.
 *
 * -SRQ_EFORMAT naming a key or tensor that is missing or wrong, -SRQ_EUNSUPPORTED one that asks for what srq does not
 * compute. */
int srq_gguf_make_folder(const char *file, const char *dir, struct srq_error *err);

/* Adds the tensors that lie in the file to those of such a folder, under the names that folders have: F32, F16 and BF16
 * ones as they are, those in blocks as bytes [out, bytes of a row] called LAYER.q4_0 and so on. *note (srq_free)
 * becomes a sentence about keys that tensors contradict or that were not looked at, or NULL. */
int srq_gguf_add_tensors(const char *file, struct srq_tensors *ts, char **note, struct srq_error *err);

#endif
