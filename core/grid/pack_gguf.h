/* Codes as blocks of GGUF, for the schemes that one of its types holds to the bit (spec formats 5.4): symmetric
 * integers of 4, 5 and 8 bits in groups of whole blocks (Q4_0, Q5_0, Q8_0), whose scale every block of a group repeats,
 * k-quants (Q2_K … Q6_K) and mxfp4 (MXFP4). */
#ifndef SRQ_GRID_PACK_GGUF_H
#define SRQ_GRID_PACK_GGUF_H

#include "core/grid/grid.h"
#include "core/tensor/gguf_type.h"

/* The type for a scheme and rows of `in` elements; NULL: none, and `err` has the reason (-SRQ_EUNSUPPORTED). */
const struct srq_gguf_type *srq_gguf_type_for(const struct srq_scheme *s, int64_t in, struct srq_error *err);

/* Row `row` of a layer's codes into dst, in / block * bytes of that type. One thread. */
void srq_gguf_pack_row(const struct srq_codes *c, const struct srq_gguf_type *type, int64_t row, uint8_t *dst);
/* The other way: n elements, whole blocks of a type that srq_gguf_unpacks (these, and Q4_1 and Q5_1), as F32. One
 * thread. */
bool srq_gguf_unpacks(const struct srq_gguf_type *type);
void srq_gguf_unpack(const struct srq_gguf_type *type, const uint8_t *src, int64_t n, float *dst);

#endif
