/* Plain data that crosses the plugin boundary: element types, tensors, schemes. */
#ifndef SRQ_TYPES_H
#define SRQ_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
    void *data;
    enum srq_dtype dtype;
    int rank;
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
    SRQ_GRID_KIND_COUNT
};

/* How one layer is stored. `group` > 0: elements of one row that share a scale; -1: one group a row; 0: one a
 * tensor. */
struct srq_scheme {
    enum srq_grid_kind grid;
    int bits; /* 2 … 8 for integers; 16 where the grid is SRQ_GRID_NONE */
    int group;
    int act_bits;  /* 0: activations are not quantized */
    int act_group; /* as group; -1: per token */
};

#endif
