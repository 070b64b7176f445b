/* Headers of files that hold one array of pictures: IDX and NumPy. */
#ifndef SRQ_FORMAT_PICTURES_ARRAY_H
#define SRQ_FORMAT_PICTURES_ARRAY_H

#include "core/format/picture_shape.h"

#include <srq/error.h>

#include <stdbool.h>
#include <stddef.h>

#define SRQ_PICTURES_UNPACKED_MAX ((uint64_t)1 << 31) /* bytes that a compressed file may become */
#define SRQ_ARRAY_HEAD_MAX ((size_t)64 << 10)         /* bytes of a header at most */

struct srq_picture_array {
    struct srq_picture_shape shape;
    bool f32;       /* else u8 */
    bool planes;    /* channels before height and width */
    size_t at;      /* offset of the first element */
    size_t total;   /* bytes of the whole file: at and the elements */
    size_t picture; /* bytes of one picture */
};

/* Reads the header from the first `len` bytes of a file, all of it or at least SRQ_ARRAY_HEAD_MAX; `file` names it in
 * errors. Whether the file has `total` bytes is for the caller to see. */
int srq_picture_array_read(const uint8_t *data, size_t len, const char *file, struct srq_picture_array *out,
                           struct srq_error *err);

/* The same for NumPy alone: dimensions and type as they are written; `*rank` of them, at most 4. */
int srq_npy_head_read(const uint8_t *data, size_t len, const char *file, struct srq_picture_array *out, int64_t dims[4],
                      int *rank, struct srq_error *err);

/* Unpacks gzip data, `len` bytes at `data`, of a file that holds an array; its header says how much it may become.
 * `*out` [array->total], srq_free. */
int srq_picture_array_unpack(const uint8_t *data, size_t len, const char *file, uint8_t **out,
                             struct srq_picture_array *array, struct srq_error *err);

#endif
