/* What int8_backend.c and those who compute sums of codes say to each other; for core/math only. */
#ifndef SRQ_MATH_INT8_BACKEND_H
#define SRQ_MATH_INT8_BACKEND_H

#include "core/math/int8.h"

/* Rows of a weight up to this length have all their sums, with and without the zero point, in int32. */
#define SRQ_INT8_NARROW ((int64_t)65536)
/* The largest block of sums: rows that all tiles divide, and columns that all strips divide. */
#define SRQ_INT8_BLOCK_ROWS 48
#define SRQ_INT8_BLOCK_COLS 64

struct srq_int8_weight {
    const struct srq_int8_engine *engine;
    int64_t n, k;
    int64_t pieces, piece; /* of a row, and codes of a piece: k = pieces * piece */
    int kernel;
    float *scales; /* [n] */
    int32_t *sums; /* [n], of the codes */
    int8_t *codes; /* as the engine wants them */
    size_t bytes;
};

/* Rows [first, first + rows) and columns [col, col + cols) of a product, at most SRQ_INT8_BLOCK_ROWS and _COLS, which
 * divides col. */
struct srq_int8_block {
    int64_t first, rows, col, cols;
    int32_t *sums;        /* [rows], of SRQ_INT8_BLOCK_COLS each */
    const int32_t *begin; /* [SRQ_INT8_BLOCK_COLS], what they begin with: the zero point's share */
};

struct srq_int8_engine {
    const char *name;
    int (*start)(struct srq_error *err); /* error when it cannot be used here */
    void (*stop)(void);
    /* Bytes of a weight's codes, and how they are to lie: `from` [n, k] has the pieces one after the other. */
    size_t (*bytes)(const struct srq_int8_weight *w);
    void (*pack)(const struct srq_int8_weight *w, const int8_t *from, int8_t *to);
    /* Sums of a block of rows and columns, on the caller alone. */
    void (*block)(const struct srq_int8_product *p, const struct srq_int8_block *b);
    /* Instead of that: the whole product, by srq_int8_finish. False: it cannot, and plain is to do it. */
    bool (*run)(const struct srq_int8_product *p);
};

extern const struct srq_int8_engine srq_int8_plain;
#ifdef SRQ_X86_KERNELS
extern const struct srq_int8_engine srq_int8_vnni, srq_int8_avx2;
#endif
#ifdef HAVE_DNNL
extern const struct srq_int8_engine srq_int8_onednn;
#endif

static inline const uint8_t *srq_int8_row(const struct srq_int8_rows *a, int64_t i)
{
    int64_t line = a->in_line > 0 ? i / a->in_line : 0, picture = a->in_picture > 0 ? line / a->in_picture : 0;

    return a->codes + (i - line * a->in_line) * a->step + (line - picture * a->in_picture) * a->line +
           picture * a->picture;
}

static inline void *srq_int8_out(const struct srq_int8_product *p, int64_t i, int64_t j)
{
    return (char *)p->c.data + (i * p->c.ld + j) * (p->c.dtype == SRQ_F32 ? 4 : 2);
}

/* As srq_int8_weight_create, for a particular engine. */
int srq_int8_weight_create_for(const struct srq_int8_engine *e, const struct srq_int8_codes *c,
                               struct srq_int8_weight **out, struct srq_error *err);
/* Columns of a product: what their sums begin with, and become in the end. */
struct srq_int8_columns {
    int32_t begin[SRQ_INT8_BLOCK_COLS];
    float factor[SRQ_INT8_BLOCK_COLS], bias[SRQ_INT8_BLOCK_COLS];
};
void srq_int8_columns(const struct srq_int8_product *p, int64_t col, int64_t cols, struct srq_int8_columns *out);
/* Sums with a row stride of ld, the zero point's share among them, become C's. They are read in whole vectors. */
void srq_int8_finish(const struct srq_int8_product *p, const struct srq_int8_block *b, const struct srq_int8_columns *c,
                     int64_t ld);
/* A block of C whose rows are longer than SRQ_INT8_NARROW; of plain weights. */
void srq_int8_wide_block(const struct srq_int8_product *p, const struct srq_int8_block *b);

/* Compares the engine's products with sums in 64 bits. 0, or -SRQ_ENUMERIC naming the first wrong product. */
int srq_int8_check(const struct srq_int8_engine *e, struct srq_error *err);

#endif
