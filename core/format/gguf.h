/* GGUF files, version 3: keys with values, then tensors of block types (spec formats 5.1). Hostile input stops here. */
#ifndef SRQ_FORMAT_GGUF_H
#define SRQ_FORMAT_GGUF_H

#include "core/base/buf.h"
#include "core/tensor/gguf_type.h"

#include <srq/error.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SRQ_GGUF_RANK_MAX 4
#define SRQ_GGUF_NAME_MAX 63 /* bytes of a tensor's name */

/* Types of values, by their numbers in a file. */
enum srq_gguf_value {
    SRQ_GGUF_U32 = 4,
    SRQ_GGUF_I32 = 5,
    SRQ_GGUF_FLOAT = 6,
    SRQ_GGUF_BOOL = 7,
    SRQ_GGUF_TEXT = 8,
    SRQ_GGUF_ARRAY = 9,
};

/* ---- writing ---- */

/* Keys are given and tensors declared first, in the order in which the file has them; then the file is laid out, and
 * filled in any order. The file is not there for others before it is finished only if its folder is not either. */
struct srq_gguf_writer;

int srq_gguf_writer_create(struct srq_gguf_writer **out, struct srq_error *err);
void srq_gguf_writer_free(struct srq_gguf_writer *w); /* an unfinished file stays as it is */

/* A failure (memory) stays in the writer: srq_gguf_begin tells it. Keys are ASCII. */
void srq_gguf_key_u32(struct srq_gguf_writer *w, const char *key, uint32_t value);
void srq_gguf_key_float(struct srq_gguf_writer *w, const char *key, float value);
void srq_gguf_key_bool(struct srq_gguf_writer *w, const char *key, bool value);
void srq_gguf_key_text(struct srq_gguf_writer *w, const char *key, const char *text);
/* An array; its `count` elements follow by the functions below, which are of its type. */
void srq_gguf_key_array(struct srq_gguf_writer *w, const char *key, enum srq_gguf_value type, uint64_t count);
void srq_gguf_add_i32(struct srq_gguf_writer *w, int32_t value);
void srq_gguf_add_float(struct srq_gguf_writer *w, float value);
void srq_gguf_add_text(struct srq_gguf_writer *w, const char *text, size_t len);

/* shape: outermost first, as everywhere in srq (the file has it the other way round). Rows are whole blocks. */
int srq_gguf_declare(struct srq_gguf_writer *w, const char *name, uint32_t type, int rank, const int64_t *shape,
                     struct srq_error *err);
/* All bytes in front of the tensors' data, once the file was begun. */
const struct srq_buf *srq_gguf_head(const struct srq_gguf_writer *w);
/* Creates the file, which must not exist, at its full size: -SRQ_ENOSPC where there is too little. */
int srq_gguf_begin(struct srq_gguf_writer *w, const char *path, struct srq_error *err);
/* Bytes of tensor i, in the order of their declaration, from byte `offset`; parts must not overlap. From any thread. */
int srq_gguf_put(struct srq_gguf_writer *w, int64_t i, uint64_t offset, const void *data, size_t bytes,
                 struct srq_error *err);
/* -SRQ_ESTATE naming a tensor that was not filled. On disk when it returns 0. */
int srq_gguf_finish(struct srq_gguf_writer *w, struct srq_error *err);

/* ---- reading ---- */

struct srq_gguf;

struct srq_gguf_tensor {
    char name[SRQ_GGUF_NAME_MAX + 1];
    const struct srq_gguf_type *type;
    int rank;
    int64_t shape[SRQ_GGUF_RANK_MAX]; /* outermost first */
    const uint8_t *data;              /* in the map */
    uint64_t bytes;
};

/* Maps a file and checks all that it says: -SRQ_EFORMAT, -SRQ_EUNSUPPORTED (version 1, the other byte order, a type
 * that is not in the table) or -SRQ_ELIMIT with the key or tensor and the value that was wrong. */
int srq_gguf_open(const char *path, struct srq_gguf **out, struct srq_error *err);
void srq_gguf_close(struct srq_gguf *g);
int64_t srq_gguf_count(const struct srq_gguf *g);
const struct srq_gguf_tensor *srq_gguf_tensor(const struct srq_gguf *g, int64_t i);  /* in the order of the file */
const uint8_t *srq_gguf_head_read(const struct srq_gguf *g, size_t *len);            /* as srq_gguf_head */
uint64_t srq_gguf_offset(const struct srq_gguf *g, const struct srq_gguf_tensor *t); /* of its data in the file */
void srq_gguf_release(const struct srq_gguf *g, const struct srq_gguf_tensor *t);    /* drops its pages from memory */
int srq_gguf_check(const struct srq_gguf *g, struct srq_error *err);                 /* it did not shrink meanwhile */

/* ---- keys of a file that was opened ---- */

int64_t srq_gguf_key_count(const struct srq_gguf *g);
/* The name of key i, in no order that means anything; of *len bytes, without a NUL. */
const char *srq_gguf_key_name(const struct srq_gguf *g, int64_t i, size_t *len);
bool srq_gguf_has(const struct srq_gguf *g, const char *key);

/* Each: a key that is absent leaves `*out` alone, or is -SRQ_EFORMAT with `required`; so is one of another type. */
int srq_gguf_read_int(const struct srq_gguf *g, const char *key, bool required, int64_t *out,
                      struct srq_error *err); /* of any type of integer */
int srq_gguf_read_float(const struct srq_gguf *g, const char *key, bool required, double *out, struct srq_error *err);
int srq_gguf_read_bool(const struct srq_gguf *g, const char *key, bool required, bool *out, struct srq_error *err);

/* A text in the map: UTF-8 without a NUL in it, and without one behind it. */
struct srq_gguf_text {
    const char *text; /* NULL: there is none */
    size_t len;
};
static inline bool srq_gguf_text_is(const struct srq_gguf_text *t, const char *word)
{
    return t->len == strlen(word) && memcmp(t->text, word, t->len) == 0;
}
int srq_gguf_read_text(const struct srq_gguf *g, const char *key, bool required, struct srq_gguf_text *out,
                       struct srq_error *err);

/* An array, whose elements are taken one after the other. */
struct srq_gguf_array {
    const struct srq_gguf *g;
    const char *key;
    uint32_t type; /* enum srq_gguf_value of the elements */
    uint64_t count, taken;
    const uint8_t *at;
};
/* `type`: of the elements. Absent: count 0. */
int srq_gguf_read_array(const struct srq_gguf *g, const char *key, bool required, enum srq_gguf_value type,
                        struct srq_gguf_array *out, struct srq_error *err);
/* The next element, of which there must be one more. */
int32_t srq_gguf_take_i32(struct srq_gguf_array *a);
float srq_gguf_take_float(struct srq_gguf_array *a);
int srq_gguf_take_text(struct srq_gguf_array *a, struct srq_gguf_text *out, struct srq_error *err); /* -SRQ_EFORMAT */

#endif
