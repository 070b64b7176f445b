/* See synthetic_layer.h. */
#include "tests/unit/test.h"

#include "tests/unit/synthetic_layer.h"

#include "core/base/alloc.h"
#include "core/base/rng.h"
#include "core/math/gemm.h"
#include "core/tune/quadratic.h"

#include <math.h>

double synthetic_normal(uint64_t seed, uint64_t stream, uint64_t index)
{
    double u = srq_rng_uniform(seed, stream, 2 * index), v = srq_rng_uniform(seed, stream, 2 * index + 1);

    return sqrt(-2 * log(1 - u)) * cos(2 * acos(-1.0) * v);
}

/* t with 5 degrees of freedom: a normal over the root of a chi-square over 5. */
static double student(uint64_t seed, uint64_t index)
{
    double chi = 0;

    for (uint64_t k = 1; k <= 5; k++)
        chi += pow(synthetic_normal(seed, 10 + k, index), 2);
    return synthetic_normal(seed, 10, index) / sqrt(chi / 5);
}

void synthetic_make(struct synthetic *s, uint64_t seed)
{
    const int64_t n = SYNTHETIC_IN, tokens = SYNTHETIC_TOKENS;
    double scale[SYNTHETIC_IN];
    struct srq_mat a, b;

    s->w = srq_malloc(SYNTHETIC_OUT * n * sizeof(float));
    s->x = srq_malloc((size_t)(tokens * n) * sizeof(float));
    s->hessian = srq_malloc((size_t)(n * n) * sizeof(float));
    s->mean = srq_calloc((size_t)n, sizeof(float));
    s->max = srq_calloc((size_t)n, sizeof(float));
    for (int64_t i = 0; i < SYNTHETIC_OUT * n; i++)
        s->w[i] = (float)student(seed, (uint64_t)i);
    for (int64_t j = 0; j < n; j++)
        scale[j] = exp(0.7 * synthetic_normal(seed, 30, (uint64_t)j)) * (j % 128 == 37 ? 20 : 1);
    for (int64_t t = 0; t < tokens; t++) {
        double state = synthetic_normal(seed, 40, (uint64_t)(t * n));

        for (int64_t j = 0; j < n; j++) {
            float v;

            if (j > 0)
                state = 0.9 * state + sqrt(1 - 0.81) * synthetic_normal(seed, 40, (uint64_t)(t * n + j));
            v = (float)(state * scale[j]);
            s->x[t * n + j] = v;
            s->mean[j] += fabsf(v) / (float)tokens;
            s->max[j] = fmaxf(s->max[j], fabsf(v));
        }
    }
    a = (struct srq_mat){ s->x, SRQ_F32, n, true };
    b = (struct srq_mat){ s->x, SRQ_F32, n, false };
    srq_gemm(
        &(struct srq_product){ n, n, tokens, a, b, .c = { s->hessian, SRQ_F32, n }, .alpha = 1.0f / (float)tokens });
}

void synthetic_free(struct synthetic *s)
{
    srq_free(s->w);
    srq_free(s->x);
    srq_free(s->hessian);
    srq_free(s->mean);
    srq_free(s->max);
}

void synthetic_give(const struct synthetic *s, struct bench *b, const char *scheme)
{
    bench_layer(b, scheme, s->w, SYNTHETIC_OUT, SYNTHETIC_IN, NULL);
    b->layer.hessian = s->hessian;
    b->layer.in_mean = s->mean;
    b->layer.in_max = s->max;
    b->layer.tokens = SYNTHETIC_TOKENS;
}

double synthetic_loss(const struct synthetic *s, const float *decoded)
{
    float *d = srq_malloc(SYNTHETIC_OUT * SYNTHETIC_IN * sizeof(*d));
    double loss;

    for (int64_t i = 0; i < SYNTHETIC_OUT * SYNTHETIC_IN; i++)
        d[i] = decoded[i] - s->w[i];
    loss = srq_quadratic(d, SYNTHETIC_OUT, s->hessian, SYNTHETIC_IN);
    srq_free(d);
    return loss;
}

double synthetic_loss_of(const struct synthetic *s, const struct srq_codes *c)
{
    float *decoded = srq_malloc(SYNTHETIC_OUT * SYNTHETIC_IN * sizeof(*decoded));
    struct srq_error err = { 0 };
    double loss;

    assert_ok(srq_codes_decode(c, decoded, SRQ_F32, &err), &err);
    loss = synthetic_loss(s, decoded);
    srq_free(decoded);
    return loss;
}

double synthetic_run(const struct synthetic *s, const char *plugin, const char *const *settings, const char *scheme)
{
    struct srq_error err = { 0 };
    struct srq_result r;
    struct bench b;
    double loss;

    bench_load(&b, plugin, settings);
    synthetic_give(s, &b, scheme);
    r = bench_result(&b);
    assert_ok(b.plugin.plugin->oneshot->quantize(srq_host_services(), b.self, &b.layer, &r, &err), &err);
    assert_ok(srq_codes_check(&b.codes, "layer", &err), &err);
    loss = synthetic_loss_of(s, &b.codes);
    bench_close(&b);
    return loss;
}
