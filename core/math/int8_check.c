/* The self-test of an integer backend: products at shapes that end inside a vector, a tile, a strip and a block, of
 * codes at random and of those that saturate where products are added up in 16 bits, against sums in 64 bits. */
#include "core/math/int8_backend.h"

#include "core/base/alloc.h"
#include "core/base/rng.h"

#include <math.h>

/* m, n, k, kernel */
static const int64_t shapes[][4] = { { 1, 1, 1, 1 },       { 2, 3, 5, 1 },      { 5, 17, 4, 1 },     { 13, 16, 64, 1 },
                                     { 49, 33, 63, 1 },    { 61, 65, 7, 1 },    { 17, 130, 130, 1 }, { 3, 20, 1027, 1 },
                                     { 50, 31, 9 * 3, 3 }, { 28, 64, 9 * 8, 3 } };
#define LARGEST_A 8192  /* bytes that the rows of any of them reach into */
#define LARGEST_B 21000 /* codes of the largest weight */

enum filling { RANDOM, ALL_LOW, ALL_HIGH, MIXED, FILLINGS };

struct operands {
    uint8_t *a;
    int8_t *b;
    float *c;
    float scales[160], bias[160];
};

static uint64_t draw(uint64_t stream, int64_t i)
{
    return (uint64_t)(srq_rng_uniform(17, stream, (uint64_t)i) * 256);
}

/* Largest codes of rows by largest ones of weights, of either sign: a pair of them is beyond 16 bits. */
static void fill(struct operands *o, enum filling f)
{
    for (int64_t i = 0; i < LARGEST_A; i++)
        o->a[i] = (uint8_t)(f == RANDOM ? draw(1, i) : f == MIXED ? (uint64_t)i / 2 % 2 * 255 : 255);
    for (int64_t i = 0; i < LARGEST_B; i++) {
        uint64_t u = draw(2, i);

        o->b[i] = (int8_t)(f == RANDOM    ? (int64_t)u - 128
                           : f == ALL_LOW ? -128
                           : f == MIXED   ? (u % 2 == 0 ? -128 : 127)
                                          : 127);
    }
    for (int i = 0; i < 160; i++) {
        o->scales[i] = f == RANDOM ? 0.25f + (float)i : 1.0f;
        o->bias[i] = (float)(3 * i - 50);
    }
}

/* Lines of 7 rows with a gap between them, whose pieces overlap those of their neighbours. */
static struct srq_int8_rows rows_of(const struct operands *o, const struct srq_int8_weight *w)
{
    int64_t step = w->pieces > 1 ? w->piece / w->pieces : w->k + 1;

    return (struct srq_int8_rows){ o->a, step, 7, 7 * step + 1, 2, 15 * step, w->piece + 2 };
}

static int64_t sum_at(const struct srq_int8_product *p, const int8_t *b, int64_t i, int64_t j)
{
    const uint8_t *a = srq_int8_row(&p->a, i);
    int64_t kernel = p->b->kernel, channels = p->b->k / (kernel * kernel), sum = 0;

    b += j * p->b->k;
    for (int64_t y = 0; y < kernel; y++)
        for (int64_t x = 0; x < kernel; x++)
            for (int64_t c = 0; c < channels; c++)
                sum += (int64_t)(a[y * p->a.piece + x * channels + c] - p->zero_a) * b[(c * kernel + y) * kernel + x];
    return sum;
}

static int compare(const struct srq_int8_product *p, const struct operands *o, struct srq_error *err)
{
    for (int64_t i = 0; i < p->m; i++) {
        for (int64_t j = 0; j < p->c.ld; j++) {
            float got = o->c[i * p->c.ld + j];
            double want = 0.5, size = 0;

            if (j < p->b->n) {
                size = (double)sum_at(p, o->b, i, j) * (double)p->scale_a * (double)o->scales[j];
                want = size + (double)o->bias[j];
                size = fabs(size) + fabs(want);
            }
            if (!(fabs((double)got - want) <= 4e-7 * size))
                return srq_fail(err, -SRQ_ENUMERIC,
                                "a product of codes [%lld, %lld, %lld] gives %.9g in column %lld where %.9g is right",
                                (long long)p->m, (long long)p->b->n, (long long)p->b->k, (double)got, (long long)j,
                                want);
        }
    }
    return 0;
}

static int check_shape(const struct srq_int8_engine *e, const int64_t *shape, struct operands *o, struct srq_error *err)
{
    static const int32_t zeros[] = { 0, 93, 255 };
    const struct srq_int8_codes codes = { shape[1], shape[2], o->b, o->scales, (int)shape[3] };
    struct srq_int8_product p = { .m = shape[0], .scale_a = 0.5f, .bias = o->bias };
    struct srq_int8_weight *w;
    int rc = srq_int8_weight_create_for(e, &codes, &w, err);

    p.b = w;
    p.c = (struct srq_mat_out){ o->c, SRQ_F32, shape[1] + 2 };
    for (int z = 0; z < 3 && rc == 0; z++) {
        p.a = rows_of(o, w);
        p.zero_a = zeros[z];
        for (int64_t i = 0; i < p.m * p.c.ld; i++)
            o->c[i] = 0.5f;
        srq_int8_multiply(&p);
        rc = compare(&p, o, err);
    }
    srq_int8_weight_free(w);
    return rc;
}

int srq_int8_check(const struct srq_int8_engine *e, struct srq_error *err)
{
    struct operands *o = srq_calloc(1, sizeof(*o));
    int rc = 0;

    if (o != NULL) {
        o->a = srq_malloc(LARGEST_A);
        o->b = srq_malloc(LARGEST_B);
        o->c = srq_calloc(64 * 160, sizeof(float));
    }
    if (o == NULL || o->a == NULL || o->b == NULL || o->c == NULL)
        rc = srq_fail(err, -SRQ_ENOMEM, "no memory for the self-test of %s", e->name);
    for (int f = 0; f < FILLINGS && rc == 0; f++) {
        fill(o, (enum filling)f);
        for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]) && rc == 0; i++)
            rc = check_shape(e, shapes[i], o, err);
    }
    if (o != NULL) {
        srq_free(o->a);
        srq_free(o->b);
        srq_free(o->c);
    }
    srq_free(o);
    return rc;
}
