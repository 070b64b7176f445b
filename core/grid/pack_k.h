/* k-quants as super-blocks of GGUF (spec formats 5.4): of 256 weights the codes, the multiples of their groups, d and,
 * where there are minima, dmin. */
#ifndef SRQ_GRID_PACK_K_H
#define SRQ_GRID_PACK_K_H

#include "core/grid/k_quants.h"

/* Super-block `at` of a layer's codes, counted through its rows, into dst. */
void k_pack(const struct srq_codes *c, int64_t at, uint8_t *dst);
/* The other way, as F32. */
void k_unpack(const struct k_type *t, const uint8_t *src, float dst[K_SUPER]);

#endif
