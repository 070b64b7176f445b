/* Steps against the sign of the gradient. */
#include "core/tune/sign_step.h"

#include "core/base/simd.h"

SRQ_SIMD void srq_sign_step(float *p, const float *g, float lr, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        float up = g[i] < 0 ? lr : 0.0f, down = g[i] > 0 ? lr : 0.0f;

        p[i] += up - down;
    }
}

SRQ_SIMD void srq_sign_momentum_step(float *p, float *buf, const float *g, float lr, float mu, bool first, int64_t n)
{
    float keep = first ? 0.0f : mu;

    for (int64_t i = 0; i < n; i++) {
        float b = keep * buf[i] + g[i];
        float up = b < 0 ? lr : 0.0f, down = b > 0 ? lr : 0.0f;

        buf[i] = b;
        p[i] += up - down;
    }
}
