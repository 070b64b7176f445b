/* Products of integer codes: u8 rows times s8 weights, added up exactly, given out in F32 (spec/diffusion-qat.md,
 * section 2: what an exported 8-bit layer computes). Who computes them is chosen at run time, as in gemm.h. */
#ifndef SRQ_MATH_INT8_H
#define SRQ_MATH_INT8_H

#include "core/math/gemm.h"
#include "core/math/kernels.h"

/* Longest row of a weight. Sums are exact whatever the codes are: int32 holds those of 65793 products of 255 and -128,
 * and longer rows are added up in 64 bits, slowly. */
#define SRQ_INT8_K_MAX ((int64_t)1 << 20)

/* A weight of a layer as the products want it: its codes in the order of the kernels, scales, and the sum of each row.
 * Made once by whoever computes products at that time; then nobody changes it, and any number of threads may use it. */
struct srq_int8_weight;

struct srq_int8_codes {
    int64_t n, k;
    const int8_t *codes; /* [n, k], row-major; the whole range of the type */
    const float *scales; /* [n] */
    /* Rows of a convolution, in the order of checkpoints [k/(kernel*kernel)][kernel row][kernel column], are taken for
     * patches [kernel row][kernel column][channel] that lie in pieces, one for each row of the kernel. 0 stands for 1:
     * rows as they are, in one piece. */
    int kernel;
};

/* Copies what it needs. -SRQ_EINVAL: no such shape; -SRQ_ENOMEM. */
int srq_int8_weight_create(const struct srq_int8_codes *c, struct srq_int8_weight **out, struct srq_error *err);
void srq_int8_weight_free(struct srq_int8_weight *w);
size_t srq_int8_weight_bytes(const struct srq_int8_weight *w); /* that it takes */
/* As it was made. */
int64_t srq_int8_weight_n(const struct srq_int8_weight *w);
int64_t srq_int8_weight_k(const struct srq_int8_weight *w);
int srq_int8_weight_kernel(const struct srq_int8_weight *w);

/* Rows of u8 codes where they lie; patches of a picture need no copy of their own. Row i is row i % in_line of line
 * i / in_line, lines are counted through pictures in the same way, and a row is as many pieces as its weight has. */
struct srq_int8_rows {
    const uint8_t *codes;
    int64_t step;                /* bytes from a row to the next one of its line */
    int64_t in_line, line;       /* rows of a line, bytes from line to line; in_line 0: all rows are in one */
    int64_t in_picture, picture; /* lines of a picture, bytes from picture to picture; in_picture 0: all are in one */
    int64_t piece;               /* bytes from a piece to the next one of its row */
};

/* C[i,j] = (sum over p of (a[i,p] - zero_a) b[j,p]) scale_a scales[j] + bias[j]. */
struct srq_int8_product {
    int64_t m; /* any, 0 included */
    struct srq_int8_rows a;
    int32_t zero_a; /* 0 to 255 */
    float scale_a;
    const struct srq_int8_weight *b;
    const float *bias;           /* [n], or NULL */
    struct srq_mat_out c;        /* [m, n], F32 or BF16 */
    struct srq_code_range round; /* what C is rounded to in the end; scale 0: it is not */
};

/* Uses the team's threads; called from inside a parallel region it runs on the caller alone. The result is the same
 * with any number of threads. */
void srq_int8_multiply(const struct srq_int8_product *p);

/* What is asked for: "auto", "vnni" (AVX512-VNNI), "avx2", "onednn", "plain". NULL: $SRQ_INT8, else "auto": the first
 * of these that can be used here, found when the first weight is made. Tested are those that are considered, against
 * sums in 64 bits, over odd shapes and the codes that saturate where products are added up in 16 bits; a wrong one is
 * disabled with a warning. Error when the one asked for is unknown, not built in, or cannot be used. srq_gemm_start
 * calls it with NULL. */
int srq_int8_start(const char *backend, struct srq_error *err);
void srq_int8_stop(void);
/* Who computes products of weights made from now on; "plain" where nothing was started. */
const char *srq_int8_backend(void);

#endif
