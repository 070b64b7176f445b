/* Products by srq's own kernels, of F32 or BF16 operands; some kernels multiply BF16 operands as F32, to which they are
 * widened when they are laid out. B lies in panels: strips of SRQ_PANEL_COLS columns, [steps][SRQ_PANEL_COLS]. A step
 * is four bytes of every column: one F32 element, or two BF16 elements of a column that follow each other; those beyond
 * the end are 0. A lies in rows, whose elements follow each other. A kernel gets a few rows of A and one panel;
 * everything else is done around it (gemm_panels.c). */
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
    return packed == SRQ_F32 ? 1 : 2;
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
};

/* A copy of a matrix for a kernel; what lies beyond its end is 0. */
struct srq_panel_source {
    const void *data;
    int64_t ld;
    bool across; /* element (r, i) of what is made is at data[i*ld + r], else at data[r*ld + i] */
};

/* Panel of columns [col, col + SRQ_PANEL_COLS) of n, its k elements padded to `steps`: column j of it are the elements
 * (j, 0 … k) of the source. */
typedef void (*srq_pack_panel)(const struct srq_panel_source *s, int64_t col, int64_t n, int64_t k, int64_t steps,
                               void *to);
/* Rows [row, row + rows) of m, `padded` of them made, each of k elements, padded to a row stride of `ld`. */
typedef void (*srq_pack_rows)(const struct srq_panel_source *s, int64_t row, int64_t rows, int64_t padded, int64_t k,
                              void *to, int64_t ld);

/* Rows of at most SRQ_PANEL_COLS sums, on their way to C: c[r][j] = alpha * sums[r][j] (+ c[r][j]). */
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
    enum srq_dtype packed; /* as which they are laid out: the same, or F32 */
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
};

/* The one that multiplies operands of this dtype; NULL: another library, or plain C, does that. */
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
/* The same in plain C, on any processor. */
extern const struct srq_panel_kernel srq_panels_plain;
void srq_pack_panel_plain(const struct srq_panel_source *s, int64_t col, int64_t n, int64_t k, int64_t steps, void *to);
void srq_pack_rows_plain(const struct srq_panel_source *s, int64_t row, int64_t rows, int64_t padded, int64_t k,
                         void *to, int64_t ld);

#endif
