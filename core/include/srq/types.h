/* Plain data that crosses the plugin boundary: element types, tensors, schemes, groups. */
#ifndef SRQ_TYPES_H
#define SRQ_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Takes what both sides know of a struct that begins with its size: as many bytes as the smaller one has. `*to` keeps
 * its own size, and its other members stay as they are. */
static inline void srq_copy_known(void *to, const void *from)
{
    uint32_t mine, theirs;

    memcpy(&mine, to, sizeof(mine));
    memcpy(&theirs, from, sizeof(theirs));
    theirs = theirs < mine ? theirs : mine;
    if (theirs > sizeof(mine))
        memcpy((char *)to + sizeof(mine), (const char *)from + sizeof(mine), theirs - sizeof(mine));
}

/* Element types. Values are part of the plugin interface: append only. */
enum srq_dtype {
    SRQ_F32 = 0,
    SRQ_F16,
    SRQ_BF16,
    SRQ_F64,
    SRQ_I8,
    SRQ_U8,
    SRQ_I16,
    SRQ_U16,
    SRQ_I32,
    SRQ_U32,
    SRQ_I64,
    SRQ_U64,
    SRQ_BOOL,
    SRQ_F8_E4M3,
    SRQ_F8_E5M2,
    SRQ_F8_E8M0,
    SRQ_DTYPE_COUNT
};

#define SRQ_MAX_RANK 8

/* A dense row-major tensor that somebody else owns. A scalar has rank 0. */
struct srq_tensor {
    uint32_t size;
    enum srq_dtype dtype;
    int rank;
    void *data;
    int64_t shape[SRQ_MAX_RANK];
};

/* Sets of representable values. Append only. */
enum srq_grid_kind {
    SRQ_GRID_NONE = 0, /* "bf16": the layer is left alone */
    SRQ_GRID_INT_SYM,  /* full-range symmetric integers, signed scale (spec signround 2.1) */
    SRQ_GRID_INT_ASYM, /* asymmetric integers with an integer zero-point (spec signround 2.2) */
    SRQ_GRID_MXFP4,
    SRQ_GRID_MXFP8,
    SRQ_GRID_NVFP4,
    SRQ_GRID_FP8,
    SRQ_GRID_K, /* k-quants of GGUF: groups whose scales, and minima at 2, 4 and 5 bits, are whole multiples of two F16
                   numbers of every 256 weights of a row (spec signround 9.5, formats 5.4) */
    SRQ_GRID_KIND_COUNT
};

/* How one layer is stored. `group` > 0: elements of one row that share a scale; -1: one group a row; 0: one a
 * tensor. */
struct srq_scheme {
    uint32_t size;
    enum srq_grid_kind grid;
    int bits; /* 2 … 8 for integers; 16 where the grid is SRQ_GRID_NONE */
    int group;
    int act_bits;  /* 0: activations are not quantized */
    int act_group; /* as group; -1: per token */
};

/* Where a layer's groups are. `per_row` groups in each of `out` rows, the last one short by `pad` elements (as if the
 * row were padded with zeros); with group 0, one group for the whole tensor and per_row is 1. */
struct srq_groups {
    uint32_t size;
    int64_t out, in;
    int64_t len;     /* elements in a group along `in` (in for -1 and 0) */
    int64_t per_row; /* groups in one row */
    int64_t count;   /* all groups of the layer: out * per_row, or 1 with group 0 */
};

#endif
