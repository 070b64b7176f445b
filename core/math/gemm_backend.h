/* What gemm_backend.c and the backends say to each other; for core/math only. */
#ifndef SRQ_MATH_GEMM_BACKEND_H
#define SRQ_MATH_GEMM_BACKEND_H

#include "core/math/gemm.h"

static inline float srq_product_factor(const struct srq_product *p)
{
    return p->alpha != 0 ? p->alpha : 1;
}

struct srq_panel_kernel;

struct srq_gemm_engine {
    const char *name;
    /* Prepares; error when the library cannot be used at all. */
    int (*start)(struct srq_error *err);
    void (*stop)(void);
    /* Whether it multiplies operands of this dtype at all; and whether by the processor's own instructions for them. */
    bool (*takes)(enum srq_dtype dtype);
    bool (*native)(enum srq_dtype dtype);
    /* m, n, k > 0. False: this product is not for this engine (dtype); C is untouched. */
    bool (*run)(const struct srq_product *p);
    /* Its kernel of panels.h for operands of this dtype; NULL: it has none, of any or of this one. */
    const struct srq_panel_kernel *(*panels)(enum srq_dtype dtype);
    double error; /* of a sum, as a share of the sum of its terms' magnitudes, at most; 0: F32's */
    bool takers;  /* it gives rows to a taker itself; else `run` gets no product that has one */
    /* Makes the library take the memory that this product will need, its data pointers being NULL, in little time
     * however large the product is. NULL: the engine takes none that it does not hold from the start. */
    void (*rehearse)(const struct srq_product *p);
    void (*forget)(void); /* gives back what is kept for particular products; NULL: nothing is */
    /* The library's name, version and what it runs on. */
    void (*describe)(char *out, size_t cap);
};

extern const struct srq_gemm_engine srq_gemm_openblas, srq_gemm_plain, srq_gemm_panels;
#ifdef SRQ_PANEL_KERNELS
extern const struct srq_gemm_engine srq_gemm_amx, srq_gemm_avx512_bf16;
#endif
#ifdef SRQ_FP16_KERNEL
extern const struct srq_gemm_engine srq_gemm_avx512_fp16;
#endif
#ifdef SRQ_X86_KERNELS
extern const struct srq_gemm_engine srq_gemm_avx512, srq_gemm_avx2;
#endif
#ifdef HAVE_DNNL
extern const struct srq_gemm_engine srq_gemm_onednn;
#endif

/* Who computes products of this dtype. */
const struct srq_gemm_engine *srq_gemm_engine_for(enum srq_dtype dtype);
/* No shape is expected any more. */
void srq_gemm_forget(void);

/* Compares the engine's products (all three layouts, odd shapes, C in F32 and BF16) with a naive one in double.
 * 0, or -SRQ_ENUMERIC naming the first wrong product. */
int srq_gemm_check(const struct srq_gemm_engine *e, enum srq_dtype dtype, struct srq_error *err);

#endif
