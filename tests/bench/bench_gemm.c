/* Speed of matrix products at the shapes of SmolLM2. */
#include "bench.h"

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/base/rng.h"
#include "core/tensor/dtype.h"

const char *const bench_product_names[BENCH_PRODUCTS] = { "y = x W'", "dx = dy W", "dW = dy' x" };

static const int64_t shapes[][2] = { { 576, 576 }, { 192, 576 }, { 1536, 576 }, { 576, 1536 } };
static const char *const backends[] = { "amx", "avx512_bf16", "openblas", "onednn", "plain" };

struct operands {
    void *x, *w, *dy, *y, *dx;
    float *dw;
};

static void multiply(const struct operands *o, enum srq_dtype d, int64_t out, int64_t in, enum bench_product p)
{
    struct srq_mat x = { o->x, d, in, false }, w = { o->w, d, in, p == BENCH_Y }, dy = { o->dy, d, out, p == BENCH_DW };

    if (p == BENCH_Y)
        srq_gemm(&(struct srq_product){ BENCH_TOKENS, out, in, x, w, .c = { o->y, d, out } });
    else if (p == BENCH_DX)
        srq_gemm(&(struct srq_product){ BENCH_TOKENS, in, out, dy, w, .c = { o->dx, d, in } });
    else
        srq_gemm(&(struct srq_product){ out, in, BENCH_TOKENS, dy, x, .c = { o->dw, SRQ_F32, in } });
}

static void *filled(enum srq_dtype d, int64_t n, uint64_t stream)
{
    size_t size = srq_dtype_size(d);
    char *p = srq_pages_alloc((size_t)n * size);

    for (int64_t i = 0; p != NULL && i < n; i++) {
        float v = (float)((double)((uint64_t)i * 2654435761u * (stream + 1) % 1000003) / 500001.5 - 1);
        uint16_t h = srq_f32_to_bf16(v);

        memcpy(p + (size_t)i * size, size == 4 ? (void *)&v : (void *)&h, size);
    }
    return p;
}

static bool make(struct operands *o, enum srq_dtype d, int64_t out, int64_t in)
{
    o->x = filled(d, BENCH_TOKENS * in, 0);
    o->w = filled(d, out * in, 1);
    o->dy = filled(d, BENCH_TOKENS * out, 2);
    o->y = filled(d, BENCH_TOKENS * out, 3);
    o->dx = filled(d, BENCH_TOKENS * in, 4);
    o->dw = filled(SRQ_F32, out * in, 5);
    return o->x != NULL && o->w != NULL && o->dy != NULL && o->y != NULL && o->dx != NULL && o->dw != NULL;
}

static void unmake(struct operands *o, enum srq_dtype d, int64_t out, int64_t in)
{
    size_t size = srq_dtype_size(d);

    srq_pages_free(o->x, (size_t)(BENCH_TOKENS * in) * size);
    srq_pages_free(o->w, (size_t)(out * in) * size);
    srq_pages_free(o->dy, (size_t)(BENCH_TOKENS * out) * size);
    srq_pages_free(o->y, (size_t)(BENCH_TOKENS * out) * size);
    srq_pages_free(o->dx, (size_t)(BENCH_TOKENS * in) * size);
    srq_pages_free(o->dw, (size_t)(out * in) * sizeof(float));
}

static double fastest(const struct operands *o, enum srq_dtype d, int64_t out, int64_t in, enum bench_product p,
                      double budget)
{
    double best = 1e30, end;

    multiply(o, d, out, in, p);
    end = srq_clock_s() + budget;
    do {
        double since = srq_clock_s();

        multiply(o, d, out, in, p);
        since = srq_clock_s() - since;
        best = since < best ? since : best;
    } while (srq_clock_s() < end);
    return best;
}

int bench_gemm(struct bench_gemm_row rows[BENCH_GEMM_ROWS], bool quick)
{
    int count = 0;

    for (size_t b = 0; b < sizeof(backends) / sizeof(backends[0]); b++) {
        if (srq_gemm_start(backends[b], NULL) != 0)
            continue;
        for (int d = 0; d < 2; d++) {
            enum srq_dtype dtype = d == 0 ? SRQ_F32 : SRQ_BF16;

            /* Who has no bf16 leaves it to plain: measured there, once. */
            if (strcmp(srq_gemm_backend(dtype), backends[b]) != 0)
                continue;
            for (size_t s = 0; s < sizeof(shapes) / sizeof(shapes[0]); s++) {
                struct bench_gemm_row *r = &rows[count];
                struct operands o;

                if (!make(&o, dtype, shapes[s][0], shapes[s][1]))
                    return count;
                *r = (struct bench_gemm_row){ backends[b], srq_gemm_backend(dtype), dtype, shapes[s][0], shapes[s][1],
                                              { 0 } };
                for (int p = 0; p < BENCH_PRODUCTS; p++)
                    r->seconds[p] = fastest(&o, dtype, r->out, r->in, (enum bench_product)p, quick ? 0.05 : 0.4);
                unmake(&o, dtype, r->out, r->in);
                count++;
            }
        }
        srq_gemm_stop();
    }
    return count;
}

double bench_gemm_best(const struct bench_gemm_row *rows, int count, enum srq_dtype dtype, int64_t out, int64_t in,
                       enum bench_product product)
{
    double best = 0;

    for (int i = 0; i < count; i++)
        if (rows[i].dtype == dtype && rows[i].out == out && rows[i].in == in &&
            (best == 0 || rows[i].seconds[product] < best))
            best = rows[i].seconds[product];
    return best;
}
