/* The self-test of a GEMM backend: the three products of a linear layer and its gradients, at shapes that end inside
 * a vector, a tile and a block, against sums in double. */
#include "core/math/gemm_backend.h"

#include "core/base/alloc.h"
#include "core/base/rng.h"
#include "core/tensor/dtype.h"

#include <math.h>

static const int64_t shapes[][3] = { { 1, 1, 1 },    { 1, 7, 33 },   { 5, 3, 2 },    { 17, 1, 64 },
                                     { 33, 65, 31 }, { 64, 64, 64 }, { 129, 96, 7 }, { 100, 37, 300 } };
#define LARGEST 129
#define LARGEST_K 300

struct operands {
    float *a, *b, *c;   /* values as the operands hold them, row-major without transposition */
    void *sa, *sb, *sc; /* stored: dtype, layout, padding */
    double *sum, *size; /* of a's and b's products, [m, n]; of their magnitudes */
};

static void store(void *dst, enum srq_dtype dtype, int64_t at, float v)
{
    if (dtype == SRQ_F32)
        ((float *)dst)[at] = v;
    else
        ((uint16_t *)dst)[at] = srq_f32_to_bf16(v);
}

static float load(const void *src, enum srq_dtype dtype, int64_t at)
{
    return dtype == SRQ_F32 ? ((const float *)src)[at] : srq_bf16_to_f32(((const uint16_t *)src)[at]);
}

/* Values in [-1, 1) that bf16 holds exactly. */
static void fill(float *x, int64_t n, uint64_t stream)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = srq_bf16_to_f32(srq_f32_to_bf16((float)(2 * srq_rng_uniform(11, stream, (uint64_t)i) - 1)));
}

static void put(const float *x, int64_t rows, int64_t cols, struct srq_mat *m, void *dst)
{
    m->data = dst;
    m->ld = (m->trans ? rows : cols) + 3;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++)
            store(dst, m->dtype, m->trans ? j * m->ld + i : i * m->ld + j, x[i * cols + j]);
}

/* Once for a shape, whatever is done to the sums. */
static void add_up(const int64_t shape[3], const struct operands *o)
{
    const int64_t m = shape[0], n = shape[1];

    memset(o->sum, 0, (size_t)(m * n) * sizeof(*o->sum));
    memset(o->size, 0, (size_t)(m * n) * sizeof(*o->size));
    for (int64_t i = 0; i < m; i++) {
        for (int64_t k = 0; k < shape[2]; k++) {
            for (int64_t j = 0; j < n; j++) {
                double term = (double)o->a[i * shape[2] + k] * o->b[k * n + j];

                o->sum[i * n + j] += term;
                o->size[i * n + j] += fabs(term);
            }
        }
    }
}

static int compare(const struct srq_product *p, const struct operands *o, double error, struct srq_error *err)
{
    double slack = p->c.dtype == SRQ_BF16 ? 0x1p-8 : 0;

    for (int64_t i = 0; i < p->m; i++) {
        for (int64_t j = 0; j < p->n; j++) {
            double got = load(p->c.data, p->c.dtype, i * p->c.ld + j);
            double want = srq_product_factor(p) * o->sum[i * p->n + j] + (p->add ? o->c[i * p->n + j] : 0);
            double size = srq_product_factor(p) * o->size[i * p->n + j] + fabs(want);

            if (!(fabs(got - want) <= error * size + slack * fabs(want) + 1e-30))
                return srq_fail(err, -SRQ_ENUMERIC, "%s product [%lld, %lld, %lld] (%d%d%s) gives %g where %g is right",
                                srq_dtype_name(p->a.dtype), (long long)p->m, (long long)p->n, (long long)p->k,
                                p->a.trans, p->b.trans, p->add ? ", added" : "", got, want);
        }
    }
    return 0;
}

static int check_one(const struct srq_gemm_engine *e, struct srq_product *p, struct operands *o, struct srq_error *err)
{
    put(o->a, p->m, p->k, &p->a, o->sa);
    put(o->b, p->k, p->n, &p->b, o->sb);
    p->c.data = o->sc;
    p->c.ld = p->n + 2;
    for (int64_t i = 0; i < p->m; i++)
        for (int64_t j = 0; j < p->c.ld; j++)
            store(o->sc, p->c.dtype, i * p->c.ld + j, j >= p->n ? 0.5f : p->add ? o->c[i * p->n + j] : NAN);
    if (!e->run(p))
        return 0; /* declined: another engine computes it */
    for (int64_t i = 0; i < p->m; i++)
        for (int64_t j = p->n; j < p->c.ld; j++)
            if (load(o->sc, p->c.dtype, i * p->c.ld + j) != 0.5f)
                return srq_fail(err, -SRQ_ENUMERIC, "a product [%lld, %lld, %lld] writes beside its rows",
                                (long long)p->m, (long long)p->n, (long long)p->k);
    return compare(p, o, e->error > 0 ? e->error : 4e-6, err);
}

/* y = x Wᵀ, dx = dy W, dW = dyᵀ x; each overwriting, added, and scaled. */
static int check_shape(const struct srq_gemm_engine *e, const int64_t shape[3], enum srq_dtype dtype,
                       struct operands *o, struct srq_error *err)
{
    static const bool layout[3][2] = { { false, true }, { false, false }, { true, false } };
    static const struct {
        float alpha;
        bool add;
    } ways[3] = { { 1, false }, { 1, true }, { 0.25f, false } };
    int rc = 0;

    fill(o->a, shape[0] * shape[2], 1);
    fill(o->b, shape[1] * shape[2], 2);
    fill(o->c, shape[0] * shape[1], 3);
    add_up(shape, o);
    for (int l = 0; l < 3 && rc == 0; l++) {
        for (int f = 0; f < 3 && rc == 0; f++) {
            for (int out = 0; out < 2 && rc == 0; out++) {
                struct srq_product p = { shape[0],
                                         shape[1],
                                         shape[2],
                                         { NULL, dtype, 0, layout[l][0] },
                                         { NULL, dtype, 0, layout[l][1] },
                                         .c = { NULL, out == 0 ? SRQ_F32 : SRQ_BF16, 0 },
                                         .alpha = ways[f].alpha,
                                         .add = ways[f].add };

                rc = check_one(e, &p, o, err);
            }
        }
    }
    return rc;
}

int srq_gemm_check(const struct srq_gemm_engine *e, enum srq_dtype dtype, struct srq_error *err)
{
    size_t count = (size_t)(LARGEST + 3) * (LARGEST_K + 3);
    float *memory = srq_calloc(10 * count, sizeof(float));
    struct operands o;
    int rc = 0;

    if (memory == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "no memory for the self-test of %s", e->name);
    o.a = memory, o.b = memory + count, o.c = memory + 2 * count;
    o.sa = memory + 3 * count, o.sb = memory + 4 * count, o.sc = memory + 5 * count;
    o.sum = (double *)(void *)(memory + 6 * count), o.size = (double *)(void *)(memory + 8 * count);
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]) && rc == 0; i++)
        rc = check_shape(e, shapes[i], dtype, &o, err);
    srq_free(memory);
    return rc;
}
