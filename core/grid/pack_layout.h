/* Packed integer layouts of Hugging Face side runtimes: codes, zero-points and scales of one layer as the tensors
 * qweight, qzeros and scales (spec formats 4.2, 4.3). Packing and unpacking are written separately, so that one
 * can check the other. */
#ifndef SRQ_GRID_PACK_LAYOUT_H
#define SRQ_GRID_PACK_LAYOUT_H

#include "core/grid/grid.h"
#include "core/grid/plane.h"

/* GPTQ: fields of `bits` bits as one continuous little-endian bit stream, down the input axis for qweight
 * [in*bits/32, out] and along the output axis for qzeros [groups, out*bits/32]; bits 2, 3, 4, 8.
 * v1 stores zero-1 and its readers add 1; v2 stores the zero-point as it is.
 * AWQ: 4 bits, eight columns a word along the output axis in the order 0,2,4,6,1,3,5,7: qweight [in, out/8],
 * qzeros [groups, out/8]; zero-point as it is. */
enum srq_pack_layout { SRQ_PACK_GPTQ_V1, SRQ_PACK_GPTQ_V2, SRQ_PACK_AWQ };

/* One packed layer. `groups` = in/group; scales are [groups, out] F16. */
struct srq_packed {
    enum srq_pack_layout layout;
    int bits;
    int64_t out, in;
    int64_t group; /* elements of a group, in where there is one group a row */
    int64_t groups;
    int64_t qweight_shape[2], qzeros_shape[2];
    uint32_t *qweight, *qzeros;
    uint16_t *scales;
};

/* Fills everything but the arrays. `group` as in a scheme: > 0, or -1 for one group a row; a group longer than the row
 * is one group a row. -SRQ_EUNSUPPORTED with the reason when this layout cannot hold such a layer: bits, group 0, a
 * short last group, dims that do not fill words. */
int srq_packed_init(struct srq_packed *p, enum srq_pack_layout layout, int bits, int group, int64_t out, int64_t in,
                    struct srq_error *err);
int srq_packed_alloc(struct srq_packed *p, struct srq_error *err); /* the arrays, after srq_packed_init */
void srq_packed_fini(struct srq_packed *p);                        /* frees arrays made by srq_packed_alloc */
size_t srq_packed_qweight_bytes(const struct srq_packed *p);
size_t srq_packed_qzeros_bytes(const struct srq_packed *p);
size_t srq_packed_scales_bytes(const struct srq_packed *p);

/* Its tensors, with their data where that is there: qweight, qzeros, scales and, where readers want to know every
 * column's group, g_idx [in] (NULL with `indexed`: without data). Returns how many. */
int srq_packed_planes(const struct srq_packed *p, bool indexed, const int32_t *g_idx, struct srq_plane out[SRQ_PLANES]);
/* Codes → arrays of `p` (allocated, same shape, bits and group). A zero-point 0 in v1, a scale that F16 does not hold
 * exactly, or a code out of range: -SRQ_ENUMERIC naming row and group. Parallel. */
int srq_pack(const struct srq_codes *c, struct srq_packed *p, struct srq_error *err);
/* Rows [row, row+rows) of the arrays of `p` → codes [rows, in], scale and zero [rows, groups]. A zero field that v1
 * cannot mean (all ones: 2^bits would be read) gives -SRQ_ENUMERIC. One thread; may be called from several. */
int srq_unpack_rows(const struct srq_packed *p, int64_t row, int64_t rows, uint8_t *codes, float *scale, uint8_t *zero,
                    struct srq_error *err);

#endif
