/* Element types of GGUF files: blocks of elements of one row, with what they share (spec formats 5.1, 5.4). */
#ifndef SRQ_TENSOR_GGUF_TYPE_H
#define SRQ_TENSOR_GGUF_TYPE_H

#include <stdbool.h>
#include <stdint.h>

/* Those that srq writes or decodes, by their numbers in a file. */
enum {
    SRQ_GGUF_F32 = 0,
    SRQ_GGUF_F16 = 1,
    SRQ_GGUF_Q4_0 = 2,
    SRQ_GGUF_Q4_1 = 3,
    SRQ_GGUF_Q5_0 = 6,
    SRQ_GGUF_Q5_1 = 7,
    SRQ_GGUF_Q8_0 = 8,
    SRQ_GGUF_Q2_K = 10,
    SRQ_GGUF_Q3_K = 11,
    SRQ_GGUF_Q4_K = 12,
    SRQ_GGUF_Q5_K = 13,
    SRQ_GGUF_Q6_K = 14,
    SRQ_GGUF_BF16 = 30,
    SRQ_GGUF_MXFP4 = 39,
};

struct srq_gguf_type {
    uint32_t id;
    const char *name;
    int block, bytes; /* elements of a block, and what it takes */
    int file_type;    /* general.file_type of a file most of whose weights have it; -1: there is none */
};

/* NULL: no type of a file's tensors has this number. */
const struct srq_gguf_type *srq_gguf_type(uint32_t id);
const struct srq_gguf_type *srq_gguf_type_named(const char *name); /* "Q4_0", in either case; NULL: there is none */
/* Bytes of a row of `cols` elements, or of any number of whole rows; false: it does not end with a block, or is too
 * long. */
bool srq_gguf_row_bytes(const struct srq_gguf_type *type, int64_t cols, uint64_t *bytes);

#endif
