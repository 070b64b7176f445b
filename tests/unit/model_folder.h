/* Model folders for tests: the reference models of tests/reference/models with their configuration or tensors
 * changed. */
#ifndef SRQ_TEST_MODEL_FOLDER_H
#define SRQ_TEST_MODEL_FOLDER_H

#include "core/tensor/tensor.h"

#include <jansson.h>

/* $top_srcdir/tests/reference/models/NAME; static buffer. */
const char *reference_path(const char *name);
/* CASE.json, parsed. The caller releases it. */
json_t *reference_config(const char *model);
/* The weights-NAME.safetensors that CASE.json goes with: "plain", "bias", "qwen3", "gemma" or "gptq". */
const char *reference_weights(const char *model);

/* A fresh folder with this config.json (NULL: none) and a link to weights-NAME.safetensors (NULL: none). Removed with
 * folder_remove. */
char *folder_create(const json_t *config, const char *weights);
char *folder_of(const char *model); /* both from the reference */
void folder_remove(char *folder);

/* One change to a safetensors file as it is copied. */
struct tensor_change {
    const char *name;
    bool drop;
    const char *dtype; /* another name of a dtype of the same size, or NULL */
    bool transpose;    /* swap the two dimensions in the header */
    int64_t nonfinite; /* this BF16 element becomes NaN; -1: none */
    bool zero;         /* no NaN: 0 */
};
/* Writes FOLDER/model.safetensors: weights-NAME.safetensors with the change. */
void folder_change_tensor(const char *folder, const char *weights, const struct tensor_change *change);

#endif
