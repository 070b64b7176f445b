/* Speed of the products of a block's layers. */
#include "bench.h"

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/math/gemm.h"
#include "core/tensor/dtype.h"

const char *const bench_product_names[BENCH_PRODUCTS] = { "y = x W'", "dx = dy W", "dW = dy' x" };

static const char *const backends[] = { "amx",  "avx512_fp16", "avx512_bf16", "avx512",
                                        "avx2", "openblas",    "onednn",      "plain" };

/* A layer with its tokens, and the room of all its operands. */
struct operands {
    enum srq_dtype dtype;
    int64_t tokens, out, in;
    void *x, *w, *dy, *y, *dx;
    float *dw;
};

static void multiply(const struct operands *o, enum bench_product p)
{
    enum srq_dtype d = o->dtype;
    struct srq_mat x = { o->x, d, o->in, false }, w = { o->w, d, o->in, p == BENCH_Y },
                   dy = { o->dy, d, o->out, p == BENCH_DW };

    if (p == BENCH_Y)
        srq_gemm(&(struct srq_product){ o->tokens, o->out, o->in, x, w, .c = { o->y, d, o->out } });
    else if (p == BENCH_DX)
        srq_gemm(&(struct srq_product){ o->tokens, o->in, o->out, dy, w, .c = { o->dx, d, o->in } });
    else
        srq_gemm(&(struct srq_product){ o->out, o->in, o->tokens, dy, x, .c = { o->dw, SRQ_F32, o->in } });
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

static bool make(struct operands *o)
{
    o->x = filled(o->dtype, o->tokens * o->in, 0);
    o->w = filled(o->dtype, o->out * o->in, 1);
    o->dy = filled(o->dtype, o->tokens * o->out, 2);
    o->y = filled(o->dtype, o->tokens * o->out, 3);
    o->dx = filled(o->dtype, o->tokens * o->in, 4);
    o->dw = filled(SRQ_F32, o->out * o->in, 5);
    return o->x != NULL && o->w != NULL && o->dy != NULL && o->y != NULL && o->dx != NULL && o->dw != NULL;
}

static void unmake(struct operands *o)
{
    size_t size = srq_dtype_size(o->dtype);

    srq_pages_free(o->x, (size_t)(o->tokens * o->in) * size);
    srq_pages_free(o->w, (size_t)(o->out * o->in) * size);
    srq_pages_free(o->dy, (size_t)(o->tokens * o->out) * size);
    srq_pages_free(o->y, (size_t)(o->tokens * o->out) * size);
    srq_pages_free(o->dx, (size_t)(o->tokens * o->in) * size);
    srq_pages_free(o->dw, (size_t)(o->out * o->in) * sizeof(float));
}

static double fastest(const struct operands *o, enum bench_product p, double budget)
{
    double best = 1e30, end;

    multiply(o, p);
    end = srq_clock_s() + budget;
    do {
        double since = srq_clock_s();

        multiply(o, p);
        since = srq_clock_s() - since;
        best = since < best ? since : best;
    } while (srq_clock_s() < end);
    return best;
}

static void time_row(struct bench_gemm_row *r, bool quick)
{
    struct operands o = { .dtype = r->dtype, .tokens = r->shape->batch * r->shape->seq, .out = r->out, .in = r->in };

    if (make(&o))
        for (int p = 0; p < BENCH_PRODUCTS; p++)
            r->seconds[p] = fastest(&o, (enum bench_product)p, quick ? 0.01 : 0.2);
    unmake(&o);
}

double bench_gemm_flops(const struct bench_gemm_row *r)
{
    return 2.0 * (double)(r->shape->batch * r->shape->seq) * (double)(r->out * r->in);
}

void bench_gemm(const struct bench_shape *s, bool quick, struct bench_gemm *g)
{
    struct bench_layer layers[BENCH_LAYERS];

    bench_layers_of(s, layers);
    for (size_t b = 0; b < sizeof(backends) / sizeof(backends[0]); b++) {
        if (srq_gemm_start(backends[b], NULL) != 0)
            continue;
        for (int d = 0; d < 2; d++) {
            enum srq_dtype dtype = d == 0 ? SRQ_F32 : SRQ_BF16;

            /* Who has no bf16 leaves it to plain: measured there, once. */
            for (int i = 0; strcmp(srq_gemm_backend(dtype), backends[b]) == 0 && i < BENCH_LAYERS; i++) {
                struct bench_gemm_row r = { s, backends[b], dtype, layers[i].out, layers[i].in, { 0 } };

                if (layers[i].alike != i || g->count == BENCH_GEMM_ROWS)
                    continue;
                time_row(&r, quick);
                g->rows[g->count++] = r;
            }
        }
        srq_gemm_stop();
    }
}

/* The least time of a product over all backends. */
static double best_of(const struct bench_gemm *g, const struct bench_shape *s, enum srq_dtype dtype,
                      const struct bench_layer *l, int product)
{
    double best = 0;

    for (int i = 0; i < g->count; i++) {
        const struct bench_gemm_row *r = &g->rows[i];

        if (r->shape == s && r->dtype == dtype && r->out == l->out && r->in == l->in &&
            (best == 0 || r->seconds[product] < best))
            best = r->seconds[product];
    }
    return best;
}

double bench_gemm_block(const struct bench_gemm *g, const struct bench_shape *s, enum srq_dtype dtype)
{
    struct bench_layer layers[BENCH_LAYERS];
    double sum = 0;

    bench_layers_of(s, layers);
    for (int i = 0; i < BENCH_LAYERS; i++)
        for (int p = 0; p < BENCH_PRODUCTS; p++)
            sum += p != BENCH_DX || layers[i].dx ? best_of(g, s, dtype, &layers[i], p) : 0;
    return sum;
}
