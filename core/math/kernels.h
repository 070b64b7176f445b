/* The innermost loops, compiled once for each instruction set and chosen at run time.
 *
 * All work on one thread. Rows are contiguous; `dtype` is SRQ_F32 or SRQ_BF16 and holds for every `void *` of the call
 * unless said otherwise; arithmetic and `float *` are F32. An output may be the same memory as an input of the same
 * type (in place), but must not overlap one in part. `add`: the result is added to what the output holds. Sums have a
 * fixed order. */
#ifndef SRQ_MATH_KERNELS_H
#define SRQ_MATH_KERNELS_H

#include "core/tensor/tensor.h"

/* Largest tile of the product kernel in any instruction set, and a number of rows that every tile_m divides. */
#define SRQ_TILE_M_MAX 16
#define SRQ_TILE_N_MAX 32
#define SRQ_TILE_M_MULTIPLE 12

/* How the pairs of a head's dims turn. */
struct srq_turn {
    const float *cos, *sin; /* [rot/2] */
    int64_t rot, head_dim;  /* the first `rot` of head_dim dims turn */
    bool back;              /* with -sin */
};

/* Where a gradient goes: written there, or added to what is there; `to` NULL: nobody wants it. */
struct srq_grad_to {
    void *to;
    bool add;
};

/* Coefficients of channels, each [n] or NULL: y[j] = a[j] x[j] + b[j] z[j] + c[j]. */
struct srq_affine {
    const float *a, *b, *c;
};

/* What a row of attention's weights has in common. */
struct srq_row_slope {
    float scale, shift, mean;
};

/* Integer codes: round(x / scale) + zero, kept within [low, high]. All but `scale` are whole numbers, below 2^22 in
 * magnitude. */
struct srq_code_range {
    float scale, zero, low, high;
};

/* A block of sums of products of codes and what they stand for: y[i,j] = sum[i,j] * factor[j] + bias[j]. `factor` and
 * `bias` are as long as whole vectors of n. */
struct srq_sum_block {
    const int32_t *sums;
    int64_t rows, n, ld; /* ld: of the sums */
    const float *factor, *bias;
};

/* Elements that one 64-byte block of a mask of bits stands for. */
#define SRQ_MASK_BLOCK 512

/* Words of the mask of n elements. */
static inline int64_t srq_mask_words(int64_t n)
{
    return (n + SRQ_MASK_BLOCK - 1) / SRQ_MASK_BLOCK * (SRQ_MASK_BLOCK / 32);
}

/* What a gate goes through: x sigmoid(x), or the tanh form of GELU. */
enum srq_gate {
    SRQ_GATE_SILU,
    SRQ_GATE_GELU_TANH,
};

struct srq_kernels {
    const char *name; /* "base", "avx2", "avx512" */

    /* C[tile_m, tile_n] = sum over p < k of a[i*a_row + p*a_k] * b[p*tile_n + j]; C has row stride ldc. */
    int tile_m, tile_n;
    void (*tile)(int64_t k, const float *a, int64_t a_row, int64_t a_k, const float *b, float *c, int64_t ldc,
                 bool add);
    /* Packs a matrix [k, n] for `tile`: strips [ceil(n/tile_n)][k][tile_n], the last one filled with zeros. Element
     * (p, j) is at src[p*ld + j], or at src[j*ld + p] when `across`. */
    void (*pack)(enum srq_dtype dtype, const void *src, int64_t ld, bool across, int64_t k, int64_t n, float *dst);

    /* y = w * x * r, r = 1/sqrt(mean(x²) + eps), which is returned. */
    float (*rms_forward)(enum srq_dtype dtype, const void *x, const float *w, float eps, void *y, int64_t n);
    /* dx = r (w dy - x r² mean(w dy x)) */
    void (*rms_backward)(enum srq_dtype dtype, const void *x, const float *w, float r, const void *dy, void *dx,
                         int64_t n, bool add);
    /* One head: (a, b) = (x[i], x[i + rot/2]) becomes (a cos - b sin, b cos + a sin). The rest is copied. */
    void (*rope)(enum srq_dtype dtype, const void *x, const struct srq_turn *turn, void *y, bool add);
    /* y = act(gate) up, and what dy says of both. */
    void (*gated)(enum srq_dtype dtype, enum srq_gate act, const void *gate, const void *up, void *y, int64_t n);
    void (*gated_backward)(enum srq_dtype dtype, enum srq_gate act, const void *gate, const void *up, const void *dy,
                           struct srq_grad_to dgate, struct srq_grad_to dup, int64_t n);
    /* y = x sigmoid(x), and dx = dy times its derivative at x. */
    void (*silu)(enum srq_dtype dtype, const void *x, void *y, int64_t n);
    void (*silu_backward)(enum srq_dtype dtype, const void *x, const void *dy, void *dx, int64_t n, bool add);
    /* y[j] = a[j] x[j] + b[j] z[j] + c[j]. Without z no b is read; a NULL: 1, c NULL: 0. */
    void (*affine)(enum srq_dtype dtype, const void *x, const void *z, const struct srq_affine *by, void *y, int64_t n,
                   bool add);
    void (*scale)(enum srq_dtype dtype, const void *x, float factor, void *y, int64_t n, bool add);
    /* Sums over `rows` rows of stride ld, for each of n columns: of x, of x (z - center), and of (x - center)². In F32:
     * the caller adds up stretches of rows in something wider. */
    void (*column_sums)(enum srq_dtype dtype, const void *x, int64_t ld, int64_t rows, int64_t n, float *sum);
    void (*column_dots)(enum srq_dtype dtype, const void *x, const void *z, const float *center, int64_t ld,
                        int64_t rows, int64_t n, float *sum);
    void (*column_squares)(enum srq_dtype dtype, const void *x, const float *center, int64_t ld, int64_t rows,
                           int64_t n, float *sum);
    /* y: x as its code stands for it, (code - zero) scale. `inside` [srq_mask_words(n)], unless NULL, gets a bit for
     * each element, in an order of the kernel's own: whether its code lay within [low, high] by itself. */
    void (*round)(enum srq_dtype dtype, const void *x, const struct srq_code_range *to, void *y, uint32_t *inside,
                  int64_t n);
    /* The code itself, for a range within [0, 255]; 0 for what is not a number. */
    void (*code)(enum srq_dtype dtype, const void *x, const struct srq_code_range *to, uint8_t *y, int64_t n);
    /* Rows of y are ldc elements apart. */
    void (*scale_sums)(enum srq_dtype dtype, const struct srq_sum_block *b, void *y, int64_t ldc);
    /* dx = dy where `inside` has a bit, else 0. */
    void (*keep_inside)(enum srq_dtype dtype, const uint32_t *inside, const void *dy, void *dx, int64_t n, bool add);
    void (*add)(enum srq_dtype dtype, const void *a, const void *b, void *y, int64_t n);
    /* Returns sum (x - target)²; grad (may be NULL) = factor * (x - target). */
    float (*square_error)(enum srq_dtype dtype, const void *x, enum srq_dtype target_dtype, const void *target,
                          float factor, void *grad, int64_t n);
    /* Largest |x - target|; 0 when n is 0. What is not a number is passed over. */
    float (*largest_error)(enum srq_dtype dtype, const void *x, enum srq_dtype target_dtype, const void *target,
                           int64_t n);

    /* x[i] of a row of logits: the largest of scale*x. -inf when n is 0. */
    float (*row_max)(const float *x, float scale, int64_t n);
    /* x = e^(scale*x - shift); returns the sum. */
    float (*row_exp)(float *x, float scale, float shift, int64_t n);
    /* dp = p * (dp - mean) * scale */
    void (*row_slope)(const float *p, float *dp, float mean, float scale, int64_t n);
    /* The same for products of BF16: p = e^(scale*x - shift), whose sum (before it is rounded) is returned; and p with
     * ds = p * (dp - mean) * scale. */
    float (*row_weights)(const float *x, float scale, float shift, uint16_t *p, int64_t n);
    void (*row_slopes)(const float *x, const float *dp, const struct srq_row_slope *by, uint16_t *p, uint16_t *ds,
                       int64_t n);
    float (*dot)(enum srq_dtype dtype, const void *a, const void *b, int64_t n);
    /* y = factor * x, F32 rows to rows of `dtype`. */
    void (*store)(enum srq_dtype dtype, const float *x, float factor, void *y, int64_t n, bool add);
    void (*load)(enum srq_dtype dtype, const void *x, float *y, int64_t n);
};

/* The best set that this processor has; $SRQ_KERNELS names a lesser one (tests). */
const struct srq_kernels *srq_kernels(void);
/* By name; NULL when not built or not usable on this processor. */
const struct srq_kernels *srq_kernels_named(const char *name);

#endif
