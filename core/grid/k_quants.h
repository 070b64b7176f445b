/* What the k-quants of GGUF are made of (spec signround 9.5, formats 5.4): super-blocks of 256 weights of one row, in
 * which groups of 16 or 32 share a scale s, and at 2, 4 and 5 bits a minimum m:
 *     e = clamp(rne((W + m)/s + V), lo, hi),   Ŵ = s e - m,   k = 1 if (W + m)/s + V lies in [lo, hi], else 0.
 * Scales are whole multiples S of d, minima whole multiples M of dmin; d and dmin are numbers of half precision. */
#ifndef SRQ_GRID_K_QUANTS_H
#define SRQ_GRID_K_QUANTS_H

#include "core/grid/ops.h"

#define K_SUPER 256      /* weights of a super-block */
#define K_GROUPS_MOST 16 /* groups of one */
#define K_LEAST 0x1p-24f /* what a scale is at least: above zero the first number of half precision */

/* One of q2_k … q6_k. */
struct k_type {
    int bits, len, groups; /* of a code; weights of a group; groups of a super-block */
    bool minima;
    int lo, hi;      /* least and greatest e; 0 … 2^bits - 1 with minima, else as symmetric integers */
    int least, most; /* multiples that a scale can be, 0 left out; a minimum is 0 … most times dmin */
    int stored;      /* bits a group beside its codes: its multiples, and its part of d and dmin */
};

/* NULL: there is none of so many bits. */
const struct k_type *k_type_of(int bits);

struct k_super {
    float d, dmin;
    float s[K_GROUPS_MOST], m[K_GROUPS_MOST]; /* as stored: S d and M dmin */
    int minimum[K_GROUPS_MOST];               /* M */
};

/* Rounds the scales and minima of a super-block's groups, `s` and `m` (at least 0; NULL where there are none), to what
 * is stored. A group's scale is never stored as zero: with the least that there is it can be rounded no worse. What
 * comes out of it goes through it unchanged. */
void k_super_round(const struct k_type *t, const float *s, const float *m, struct k_super *out);

/* The start of every group that a search finds (srq_grid_ops.search). */
void k_search(const struct srq_grid_args *a, const float *importance, int64_t row, int64_t rows, float *start);

#endif
