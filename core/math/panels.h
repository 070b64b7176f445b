/* Products by srq's own kernels, of F32 or BF16 operands; some kernels multiply BF16 operands as F32, to which they are
 * widened when they are laid out, and one as F16, scaled to its range. B lies in panels: strips of SRQ_PANEL_COLS
 * columns, [steps][SRQ_PANEL_COLS]. A step is four bytes of every column: one F32 element, or two BF16 elements of a
 * column that follow each other; those beyond the end are 0. A lies in rows, whose elements follow each other. In F16 a
 * panel has twice the columns, so that a step is one element of each, and an element of A is there twice, for the same
 * four bytes. A kernel gets a few rows of A and one panel; everything else is done around it (gemm_panels.c). */
#ifndef SRQ_MATH_PANELS_H
#define SRQ_MATH_PANELS_H

#include "core/math/gemm.h"

#define SRQ_PANEL_COLS 32

static inline int64_t srq_round_up(int64_t n, int64_t to)
{
    return (n + to - 1) / to * to;
}

/* Elements of a step of what is laid out so. */
static inline int srq_step_elements(enum srq_dtype packed)
{
    return packed == SRQ_BF16 ? 2 : 1;
}

/* Bytes of an element of rows that are laid out so. */
static inline int64_t srq_row_element_bytes(enum srq_dtype packed)
{
    return packed == SRQ_BF16 ? 2 : 4;
}

/* c[r][j] (row stride ldc) = sum over i of a[r*lda + i] times element i of column j of the panel; `add`: to what c
 * holds. */
struct srq_panel_tile {
    int64_t steps;
    const void *a;
    int64_t lda; /* elements */
    const void *b;
    float *c;
    int64_t ldc;
    bool add;
    const float *a_scale, *b_scale; /* F16: what the sums of a row, and those of a column, are multiplied by */
};

/* A copy of a matrix for a kernel; what lies beyond its end is 0. */
struct srq_panel_source {
    const void *data;
    int64_t ld;
    bool across; /* element (r, i) of what is made is at data[i*ld + r], else at data[r*ld + i] */
};

/* Panel of columns [col, col + SRQ_PANEL_COLS) of n, its k elements padded to `steps`: column j of it are the elements
 * (j, 0 … k) of the source. F16: 2 SRQ_PANEL_COLS columns, whose scales follow behind the last step. */
typedef void (*srq_pack_panel)(const struct srq_panel_source *s, int64_t col, int64_t n, int64_t k, int64_t steps,
                               void *to);
/* Rows [row, row + rows) of m, `padded` of them made, each of k elements, padded to a row stride of `ld`. F16: their
 * scales follow behind the last row. */
typedef void (*srq_pack_rows)(const struct srq_panel_source *s, int64_t row, int64_t rows, int64_t padded, int64_t k,
                              void *to, int64_t ld);

/* Rows of at most a panel's columns of sums, on their way to C: c[r][j] = alpha * sums[r][j] (+ c[r][j]). */
struct srq_panel_out {
    const float *sums;
    int64_t ld, rows, cols;
    float alpha;
    bool add;
    enum srq_dtype dtype;
    void *c;
    int64_t ldc;
};

struct srq_panel_kernel {
    const char *name;
    enum srq_dtype dtype;  /* of the operands */
    enum srq_dtype packed; /* as which they are laid out: the same, F32 or F16 */
    int rows;              /* of a full tile */
    int row_step;          /* rows of a call are a multiple of it: those beyond the end are read, and written to c */
    int k_step;            /* so is k: a multiple of a step's elements */
    int tiles;             /* of rows that are multiplied by a panel while it is near */
    int stretch;           /* steps of a panel at a time, at most; a multiple of 32 */
    /* Whether processor and system let it run here. */
    bool (*usable)(void);
    /* Around the calls of one thread; NULL: nothing has to be done. */
    void (*enter)(void);
    void (*leave)(void);
    void (*tile)(const struct srq_panel_tile *t, int rows);
    srq_pack_panel pack_panel;
    srq_pack_rows pack_rows; /* to a row stride that is a multiple of 64 bytes */
    void (*store)(const struct srq_panel_out *o);
    const struct srq_panel_kernel *of_packed; /* for operands that are `packed` already */
    const struct srq_panel_kernel *in_f32;    /* F16: the one for who lays out operands himself, and needs F32's sums */
};

/* Bytes of the scale of a row or column, 0 where there is none. */
static inline int64_t srq_scale_bytes(const struct srq_panel_kernel *k)
{
    return k->packed == SRQ_F16 ? (int64_t)sizeof(float) : 0;
}

static inline int64_t srq_panel_cols(const struct srq_panel_kernel *k)
{
    return k->packed == SRQ_F16 ? 2 * SRQ_PANEL_COLS : SRQ_PANEL_COLS;
}

/* The one that multiplies operands of this dtype, which may lie as `packed` says, but never in F16; NULL: another
 * library, or plain C, does that. */
const struct srq_panel_kernel *srq_panels(enum srq_dtype dtype);

#ifdef SRQ_PANEL_KERNELS
extern const struct srq_panel_kernel srq_panels_amx, srq_panels_avx512;
/* Whether VDPBF16PS multiplies clearly more slowly here than F32 FMAs do, as on Golden Cove; measured, in well under a
 * millisecond. False where it cannot be run. */
bool srq_panels_avx512_slow(void);
/* So many rounds of VDPBF16PS, or of FMAs of 512 bits, on registers alone: the FLOPs that it was. *keep takes what was
 * summed up, so that it is summed up. For processors with AVX512-BF16, or with the AVX-512 of servers. */
double srq_loop_of_dots(int64_t rounds, float *keep);
double srq_loop_of_fmas(int64_t rounds, float *keep);

void srq_panel_store_avx512(const struct srq_panel_out *o);
void srq_pack_panel_avx512(const struct srq_panel_source *s, int64_t col, int64_t n, int64_t k, int64_t steps,
                           void *to);
void srq_pack_rows_avx512(const struct srq_panel_source *s, int64_t row, int64_t rows, int64_t padded, int64_t k,
                          void *to, int64_t ld);
#endif
#ifdef SRQ_X86_KERNELS
extern const struct srq_panel_kernel srq_panels_f32_avx512, srq_panels_f32_avx2;
/* BF16 operands by the same tiles. */
extern const struct srq_panel_kernel srq_panels_wide_avx512, srq_panels_wide_avx2;
#endif
#ifdef SRQ_FP16_KERNEL
/* BF16 operands by AVX512-FP16: chunks of 32 products are summed in F16, and these in F32. */
extern const struct srq_panel_kernel srq_panels_fp16;
/* So many rounds of its FMAs on registers alone, as the loops above. */
double srq_loop_of_halves(int64_t rounds, float *keep);
#endif
/* The same in plain C, on any processor. */
extern const struct srq_panel_kernel srq_panels_plain;
void srq_pack_panel_plain(const struct srq_panel_source *s, int64_t col, int64_t n, int64_t k, int64_t steps, void *to);
void srq_pack_rows_plain(const struct srq_panel_source *s, int64_t row, int64_t rows, int64_t padded, int64_t k,
                         void *to, int64_t ld);

#endif
