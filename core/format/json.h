/* JSON of model files, read strictly: the files come from strangers (spec formats 7). */
#ifndef SRQ_FORMAT_JSON_H
#define SRQ_FORMAT_JSON_H

#include "core/base/buf.h"

#include <srq/error.h>

#include <jansson.h>

#define SRQ_JSON_DEPTH_MAX 64
#define SRQ_JSON_HEADER_MAX ((size_t)100 * 1000 * 1000) /* safetensors header, shard index */
#define SRQ_JSON_CONFIG_MAX ((size_t)64 * 1024 * 1024)  /* config.json and its like */
#define SRQ_JSON_TOKENIZER_MAX ((size_t)256 * 1024 * 1024)

/* Parses `len` bytes; `what` names them in errors. Refused with -SRQ_EFORMAT: duplicate keys, invalid UTF-8, lone
 * surrogates, NaN and Infinity, integers outside int64, anything after the value; with -SRQ_ELIMIT: nesting deeper than
 * SRQ_JSON_DEPTH_MAX. The caller releases `*out` with json_decref. */
int srq_json_read_text(const char *data, size_t len, const char *what, json_t **out, struct srq_error *err);

/* The same for a regular file of at most `max` bytes. */
int srq_json_read(const char *path, size_t max, json_t **out, struct srq_error *err);
/* The same with all numbers as reals, of any size: tokenizer_config.json says "no limit" by an integer beyond int64. */
int srq_json_read_reals(const char *path, size_t max, json_t **out, struct srq_error *err);

/* Adds `text` (UTF-8) as a JSON string; false when `out` failed. Writing goes through our own buffer, whose failures
 * stay visible. */
bool srq_json_quote(struct srq_buf *out, const char *text);

#endif
