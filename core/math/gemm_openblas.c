/* Products by OpenBLAS: f32. */
#include "core/math/gemm_backend.h"

#include "core/base/alloc.h"
#include "core/math/team.h"

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

    return p->m <= top && p->n <= top && p->k <= top && p->a.ld <= top && p->b.ld <= top && p->c.ld <= top;
}

static bool run(const struct srq_product *p)
{
    if (p->a.dtype != SRQ_F32 || p->c.dtype != SRQ_F32 || !fits(p))
        return false;
    cblas_sgemm(CblasRowMajor, p->a.trans ? CblasTrans : CblasNoTrans, p->b.trans ? CblasTrans : CblasNoTrans,
                (blasint)p->m, (blasint)p->n, (blasint)p->k, srq_product_factor(p), p->a.data, (blasint)p->a.ld,
                p->b.data, (blasint)p->b.ld, p->add ? 1.0f : 0.0f, p->c.data, (blasint)p->c.ld);
    return true;
}

/* OpenBLAS packs panels of both operands into buffers of its threads, which it keeps. How much of them it touches
 * depends on m, n and k up to its own tile sizes: of k at most a few hundred at a time, of n about as many, of m a
 * thread's share. So two products of zeros that are long only where length counts touch all that the real one will; a
 * product that touches no more than one before it need not be run. */
#define TILE_K 1024 /* at least twice the library's largest tile */
#define TILE_N 1024 /* a thread */
#define NARROW \
    64 /* for several threads, which share what they packed; one alone keeps it only where n is above a tile */
#define NARROW_ALONE 832

static int64_t tall, wide; /* elements of the largest panels so far */

static void touch(int64_t m, int64_t n, int64_t k)
{
    size_t a = (size_t)(m * k), b = (size_t)(n * k), c = (size_t)(m * n), bytes = (a + b + c) * sizeof(float);
    float *zeros = srq_pages_alloc(bytes); /* operands are read, not written: their pages are never taken */

    if (zeros == NULL)
        return;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (blasint)m, (blasint)n, (blasint)k, 1, zeros, (blasint)k,
                zeros + a, (blasint)k, 0, zeros + a + b, (blasint)n);
    srq_pages_free(zeros, bytes);
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void rehearse(const struct srq_product *p)
{
    int64_t threads = srq_team_size(), narrow = threads > 1 ? NARROW * threads : NARROW_ALONE;
    int64_t k = least(p->k, TILE_K), n = least(p->n, TILE_N * threads);

    if (p->a.dtype != SRQ_F32 || p->c.dtype != SRQ_F32 || !fits(p))
        return;
    if (p->m * k > tall)
        touch(p->m, least(n, narrow), k);
    if (n * k > wide)
        touch(least(p->m, narrow), n, k);
    tall = p->m * k > tall ? p->m * k : tall;
    wide = n * k > wide ? n * k : wide;
}

static void forget(void)
{
    tall = wide = 0;
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
    .name = "openblas",
    .start = start,
    .stop = stop,
    .takes = native,
    .native = native,
    .run = run,
    .rehearse = rehearse,
    .forget = forget,
    .describe = describe,
};
