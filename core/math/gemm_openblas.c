/* Products by OpenBLAS: f32. */
#include "core/math/gemm_backend.h"

#include <cblas.h>

static int start(struct srq_error *err)
{
    (void)err;
    return 0;
}

static void stop(void)
{
}

static bool native(enum srq_dtype dtype)
{
    return dtype == SRQ_F32;
}

static bool fits(const struct srq_product *p)
{
    const int64_t top = INT32_MAX;

    return p->m <= top && p->n <= top && p->k <= top && p->a.ld <= top && p->b.ld <= top && p->ldc <= top;
}

static bool run(const struct srq_product *p)
{
    if (p->a.dtype != SRQ_F32 || p->c_dtype != SRQ_F32 || !fits(p))
        return false;
    cblas_sgemm(CblasRowMajor, p->a.trans ? CblasTrans : CblasNoTrans, p->b.trans ? CblasTrans : CblasNoTrans,
                (blasint)p->m, (blasint)p->n, (blasint)p->k, p->alpha, p->a.data, (blasint)p->a.ld, p->b.data,
                (blasint)p->b.ld, p->beta, p->c, (blasint)p->ldc);
    return true;
}

/* "OpenBLAS 0.3.21 Zen" */
static void describe(char *out, size_t cap)
{
    const char *config = openblas_get_config(); /* "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH …" */
    size_t len = strcspn(config, " ");

    if (config[len] != '\0')
        len += 1 + strcspn(config + len + 1, " ");
    snprintf(out, cap, "%.*s %s", (int)len, config, openblas_get_corename());
}

const struct srq_gemm_engine srq_gemm_openblas = {
    .name = "openblas", .start = start, .stop = stop, .native = native, .run = run, .describe = describe,
};
