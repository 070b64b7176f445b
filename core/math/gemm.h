/* Matrix products behind one call, with the backend chosen at run time. Sums are F32; only "avx512_fp16" sums 32
 * products at a time in F16 before, of factors scaled to its range: an error of about 2^-10 of a sum of independent
 * terms, less than half of what their being BF16 makes. */
#ifndef SRQ_MATH_GEMM_H
#define SRQ_MATH_GEMM_H

#include <srq/error.h>
#include <srq/types.h>

/* One operand: element (i,j) of the stored matrix at data[i*ld + j]; `trans` means that op() transposes it. */
struct srq_mat {
    const void *data;
    enum srq_dtype dtype; /* SRQ_F32 or SRQ_BF16 */
    int64_t ld;
    bool trans;
};

/* What is written: element (i,j) at data[i*ld + j]. */
struct srq_mat_out {
    void *data;
    enum srq_dtype dtype; /* SRQ_F32 or SRQ_BF16 */
    int64_t ld;
};

/* Who gets the rows of a product as they come, instead of a C in memory: rows [row, row + rows), F32 [rows, n],
 * contiguous, which it may overwrite. Called from several threads for different rows; each thread's come in order, and
 * which are whose depends only on the product's shape and the team's size. */
struct srq_row_taker {
    void (*take)(void *ctx, int64_t row, int64_t rows, float *c);
    void *ctx;
    int64_t room; /* rows of the product's `c`, which is F32 [room, n], contiguous: for backends that work in it */
};

/* C[m,n] = alpha * op(A) op(B), row-major: what most products want is
 *     { m, n, k, a, b, .c = { y, SRQ_F32, n } } */
struct srq_product {
    int64_t m, n, k;     /* any, 0 included */
    struct srq_mat a, b; /* of the same dtype */
    struct srq_mat_out c;
    float alpha;                       /* 0 stands for 1 */
    bool add;                          /* to what C holds, which is not read otherwise */
    const struct srq_row_taker *taker; /* NULL: C is written; else nothing is added to */
};

/* Uses the team's threads; called from inside a parallel region it runs on the caller alone. */
void srq_gemm(const struct srq_product *p);

/* A product that will be run, by its shape; operands' data do not matter. Planning names products so. */
void srq_gemm_expect(const struct srq_product *p);
/* Makes the libraries take the memory that they need for the products expected so far (code, scratch, packed operands),
 * so that it can be measured before the work; in well under a second for shapes of any size. */
void srq_gemm_rehearse(void);

/* What is asked for: "amx", "avx512_fp16", "avx512_bf16" (srq's own kernels for BF16, beside the fastest for F32),
 * "avx512", "avx2" (own ones for F32, and for BF16 widened to it), "openblas", "onednn", "plain", "panels" (the own
 * kernels' way in plain C, for tests). NULL or "auto": $SRQ_GEMM, else the fastest that run here and are no wider than
 * the other kernels (kernels.h); where AVX512-BF16 multiplies more slowly than FMA, BF16 is widened. Runs the self-test
 * of every backend that is to be used over all three products, odd shapes and each dtype used, against a naive product
 * in double; a wrong answer disables that backend with a warning. Error when the one asked for is unknown, not built
 * in, or wrong. Starts products of codes too (int8.h). */
int srq_gemm_start(const char *backend, struct srq_error *err);
/* Whether who computes BF16 was found by timing, on a processor where both run: another start may find otherwise, so
 * who needs the same again asks for srq_gemm_backend(SRQ_BF16) by name. */
bool srq_gemm_timed(void);
/* Frees caches of primitives, and what was expected. */
void srq_gemm_stop(void);
/* "openblas", "onednn", …: who computes products of this dtype. */
const char *srq_gemm_backend(enum srq_dtype dtype);
/* The backend's own name for what it runs on, e.g. "OpenBLAS 0.3.21 Zen" (fingerprint, report). */
const char *srq_gemm_describe(void);
/* The dtype in which blocks should compute here: SRQ_BF16 where the processor has instructions for it (AMX or
 * AVX512-BF16) and the backend that was asked for does not exclude them, else SRQ_F32. "compute" job option overrides.
 */
enum srq_dtype srq_gemm_preferred(void);

#endif
