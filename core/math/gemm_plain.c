/* Products by srq's own kernels: any dtype, any processor.
 *
 * C is cut into tiles of at most BLOCK_M x BLOCK_N, handed to the team one by one. A tile is summed up over blocks of
 * BLOCK_K in F32; the operands' blocks are packed (and converted, when they are BF16) into strips that the kernel
 * reads in order. The order of the sums does not depend on the number of threads. */
#include "core/math/gemm_backend.h"

#include "core/base/alloc.h"
#include "core/math/kernels.h"
#include "core/math/team.h"

#define BLOCK_M 96 /* a multiple of every tile_m: 4, 6, 12 */
#define BLOCK_N 256
#define BLOCK_K 256

struct workspace {
    float a[BLOCK_M * BLOCK_K]; /* [m strips][k][tile_m] */
    float b[BLOCK_N * BLOCK_K]; /* [n strips][k][tile_n] */
    float c[BLOCK_M * BLOCK_N]; /* sums of the tile, row-major */
};

static struct workspace *workspaces; /* one for each thread of the team */
static int workspace_count;

static void stop(void)
{
    if (workspaces != NULL)
        srq_pages_free(workspaces, (size_t)workspace_count * sizeof(*workspaces));
    workspaces = NULL;
    workspace_count = 0;
}

static int start(struct srq_error *err)
{
    int n = srq_team_size();

    if (workspace_count >= n)
        return 0;
    stop();
    workspaces = srq_pages_alloc((size_t)n * sizeof(*workspaces));
    if (workspaces == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "no memory for the packed operands of %d threads", n);
    workspace_count = n;
    return 0;
}

static bool native(enum srq_dtype dtype)
{
    return dtype == SRQ_F32;
}

static bool takes(enum srq_dtype dtype)
{
    return dtype == SRQ_F32 || dtype == SRQ_BF16;
}

static inline float element(const struct srq_mat *x, int64_t i, int64_t j)
{
    int64_t at = x->trans ? j * x->ld + i : i * x->ld + j;

    return x->dtype == SRQ_F32 ? ((const float *)x->data)[at] : srq_bf16_to_f32(((const uint16_t *)x->data)[at]);
}

/* A run of `n` elements along the stored row, from element (row, col) of the stored matrix, into dst[i*step]. */
static inline void copy_run(const struct srq_mat *x, int64_t row, int64_t col, int64_t n, float *restrict dst,
                            int64_t step)
{
    if (x->dtype == SRQ_F32) {
        const float *src = (const float *)x->data + row * x->ld + col;

        for (int64_t i = 0; i < n; i++)
            dst[i * step] = src[i];
    } else {
        const uint16_t *src = (const uint16_t *)x->data + row * x->ld + col;

        for (int64_t i = 0; i < n; i++)
            dst[i * step] = srq_bf16_to_f32(src[i]);
    }
}

/* Packs `rows` x `k` of an operand whose element (r, p) is stored at (r, p), or at (p, r) when `across`. */
static void pack(const struct srq_mat *x, bool across, int64_t r0, int64_t rows, int64_t p0, int64_t k, int64_t tile,
                 float *restrict dst)
{
    for (int64_t r = 0; r < rows; r += tile, dst += tile * k) {
        int64_t n = rows - r < tile ? rows - r : tile;

        if (n < tile)
            memset(dst, 0, (size_t)(tile * k) * sizeof(float));
        if (across) {
            for (int64_t p = 0; p < k; p++)
                copy_run(x, p0 + p, r0 + r, n, dst + p * tile, 1);
        } else {
            for (int64_t i = 0; i < n; i++)
                copy_run(x, r0 + r + i, p0, k, dst + i, tile);
        }
    }
}

static void multiply_blocks(struct workspace *w, int64_t m, int64_t n, int64_t k, bool first)
{
    const struct srq_kernels *kern = srq_kernels();
    float acc[SRQ_TILE_M_MAX * SRQ_TILE_N_MAX];
    int64_t tm = kern->tile_m, tn = kern->tile_n;

    for (int64_t j = 0; j < n; j += tn) {
        int64_t cols = n - j < tn ? n - j : tn;

        for (int64_t i = 0; i < m; i += tm) {
            int64_t rows = m - i < tm ? m - i : tm;

            kern->tile(k, w->a + i * k, 1, tm, w->b + j * k, acc, tn, false);
            for (int64_t r = 0; r < rows; r++) {
                float *c = w->c + (i + r) * BLOCK_N + j;
                const float *s = acc + r * tn;

                for (int64_t q = 0; q < cols; q++)
                    c[q] = first ? s[q] : c[q] + s[q];
            }
        }
    }
}

static void store(const struct srq_product *p, const struct workspace *w, int64_t i0, int64_t j0, int64_t m, int64_t n)
{
    float alpha = srq_product_factor(p);

    for (int64_t i = 0; i < m; i++) {
        const float *s = w->c + i * BLOCK_N;

        if (p->c.dtype == SRQ_F32) {
            float *c = (float *)p->c.data + (i0 + i) * p->c.ld + j0;

            for (int64_t j = 0; j < n; j++)
                c[j] = p->add ? c[j] + alpha * s[j] : alpha * s[j];
        } else {
            uint16_t *c = (uint16_t *)p->c.data + (i0 + i) * p->c.ld + j0;

            for (int64_t j = 0; j < n; j++)
                c[j] = srq_f32_to_bf16(p->add ? srq_bf16_to_f32(c[j]) + alpha * s[j] : alpha * s[j]);
        }
    }
}

static void tile_item(void *ctx, int64_t item, int thread)
{
    const struct srq_product *p = ctx;
    const struct srq_kernels *kern = srq_kernels();
    struct workspace *w = &workspaces[thread];
    int64_t down = (p->m + BLOCK_M - 1) / BLOCK_M;
    int64_t i0 = item % down * BLOCK_M, j0 = item / down * BLOCK_N;
    int64_t m = p->m - i0 < BLOCK_M ? p->m - i0 : BLOCK_M, n = p->n - j0 < BLOCK_N ? p->n - j0 : BLOCK_N;

    for (int64_t k0 = 0; k0 < p->k; k0 += BLOCK_K) {
        int64_t k = p->k - k0 < BLOCK_K ? p->k - k0 : BLOCK_K;

        pack(&p->a, p->a.trans, i0, m, k0, k, kern->tile_m, w->a);
        pack(&p->b, !p->b.trans, j0, n, k0, k, kern->tile_n, w->b);
        multiply_blocks(w, m, n, k, k0 == 0);
    }
    store(p, w, i0, j0, m, n);
}

/* Without workspaces (before start): one element after the other. */
static void run_simply(const struct srq_product *p)
{
    for (int64_t i = 0; i < p->m; i++) {
        for (int64_t j = 0; j < p->n; j++) {
            float sum = 0, *cf = (float *)p->c.data + i * p->c.ld + j;
            uint16_t *ch = (uint16_t *)p->c.data + i * p->c.ld + j;

            for (int64_t k = 0; k < p->k; k++)
                sum += element(&p->a, i, k) * element(&p->b, k, j);
            sum *= srq_product_factor(p);
            if (p->add)
                sum += p->c.dtype == SRQ_F32 ? *cf : srq_bf16_to_f32(*ch);
            if (p->c.dtype == SRQ_F32)
                *cf = sum;
            else
                *ch = srq_f32_to_bf16(sum);
        }
    }
}

static bool run(const struct srq_product *p)
{
    int64_t down = (p->m + BLOCK_M - 1) / BLOCK_M, across = (p->n + BLOCK_N - 1) / BLOCK_N;

    if (srq_team_size() > workspace_count)
        run_simply(p);
    else
        srq_parallel_items(down * across, tile_item, (void *)p);
    return true;
}

/* The self-test has touched a part of it. */
static void rehearse(const struct srq_product *p)
{
    (void)p;
    if (workspaces != NULL)
        memset(workspaces, 0, (size_t)workspace_count * sizeof(*workspaces));
}

static void describe(char *out, size_t cap)
{
    snprintf(out, cap, "srq %s", srq_kernels()->name);
}

const struct srq_gemm_engine srq_gemm_plain = {
    .name = "plain",
    .start = start,
    .stop = stop,
    .takes = takes,
    .native = native,
    .run = run,
    .rehearse = rehearse,
    .describe = describe,
};
