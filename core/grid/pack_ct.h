/* Layers as compressed-tensors stores them (spec formats 4.5, 6): codes and scales of one layer as the tensors of its
 * format. Packing and unpacking are written separately, so that one can check the other.
 *
 *   pack-quantized        weight_packed I32 [out, in*bits/32], weight_scale F16 [out, groups], weight_shape I64 [2],
 *                         asymmetric: weight_zero_point I32 [out*bits/32, groups], packed along its first axis;
 *                         4 and 8 bits
 *   int-quantized         where inputs are quantized: weight I8 [out, in] of q, weight_scale F16 [out, groups];
 *                         symmetric, 4 and 8 bits
 *   float-quantized       weight F8_E4M3 [out, in], weight_scale F32 [out, 1] or [1]
 *   nvfp4-pack-quantized  weight_packed U8 [out, in/2], weight_scale F8_E4M3 [out, in/16],
 *                         weight_global_scale F32 [1]
 *   mxfp4-pack-quantized  weight_packed U8 [out, in/2], weight_scale U8 (E8M0) [out, in/32]
 *   mxfp8-quantized       weight F8_E4M3 [out, in], weight_scale U8 (E8M0) [out, in/32]
 *
 * Fields and nibbles lie in the order of the row, lowest bits first; integer fields are q + 2^(bits-1). */
#ifndef SRQ_GRID_PACK_CT_H
#define SRQ_GRID_PACK_CT_H

#include "core/grid/grid.h"
#include "core/grid/plane.h"

struct srq_ct {
    struct srq_scheme scheme;
    struct srq_groups groups;
    int count;
    struct srq_plane part[SRQ_PLANES]; /* weight or weight_packed, weight_scale, then the others */
    bool owned;                        /* data made by srq_ct_alloc */
};

/* "pack-quantized" …; NULL for a scheme that has none. */
const char *srq_ct_format(const struct srq_scheme *s);
/* Names, dtypes and shapes of the parts. -SRQ_EUNSUPPORTED with the reason where there is no such layout: 4 and 8 bits
 * only, no short last group, no integer group that spans the tensor; quantized activations with symmetric integers. */
int srq_ct_init(struct srq_ct *p, const struct srq_scheme *s, int64_t out, int64_t in, struct srq_error *err);
int srq_ct_alloc(struct srq_ct *p, struct srq_error *err); /* data of all parts, after srq_ct_init */
void srq_ct_fini(struct srq_ct *p);
/* Codes → data. Codes must have passed srq_codes_check and be of the same scheme and shape: else -SRQ_EINVAL.
 * Parallel. */
int srq_ct_pack(const struct srq_codes *c, struct srq_ct *p, struct srq_error *err);
/* Rows [row, row+rows) → codes [rows, in], scale and zero [rows, per_row] (one entry where one group spans the tensor),
 * and the tensor scale. The scale part may be F32, F16 or BF16 in the formats whose scale is no byte. Values that
 * cannot be decoded (NaN, E8M0 255, a scale that is not positive where it must be) give -SRQ_ENUMERIC. One thread; may
 * be called from several. */
int srq_ct_unpack_rows(const struct srq_ct *p, int64_t row, int64_t rows, uint8_t *codes, float *scale, uint8_t *zero,
                       float *tensor_scale, struct srq_error *err);

#endif
