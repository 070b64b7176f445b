/* One step of sampling. Coefficients and sums are in double, pictures in F32. */
#include "core/diffusion/steps.h"

#include <math.h>

#define VARIANCE_MIN 1e-20

/* next = a x̂_0 + b other + sigma z, picture i. */
struct mix {
    double x0, other, sigma;
};

static void put(const struct srq_sample_step *s, int64_t i, const struct mix *m, const float *x0, const float *other)
{
    const float *z = s->z != NULL ? s->z + i * s->pixels : NULL;
    float *next = s->next + i * s->pixels;

    for (int64_t k = 0; k < s->pixels; k++) {
        double sum = m->x0 * (double)x0[k] + m->other * (double)other[k];

        next[k] = (float)(z != NULL ? sum + m->sigma * (double)z[k] : sum);
    }
}

/* x̂_0 of picture i into the first half of scratch. */
static float *predicted(const struct srq_sample_step *s, int64_t i)
{
    float *x0 = s->scratch;

    srq_schedule_x0(s->schedule, s->from, s->x + i * s->pixels, s->said + i * s->pixels, s->pixels, x0);
    srq_schedule_limit(s->schedule, x0, s->pixels, s->scratch + s->pixels);
    return x0;
}

void srq_step_ddpm(const struct srq_sample_step *s)
{
    double from = s->schedule->alpha_bar[s->from], to = s->to >= 0 ? s->schedule->alpha_bar[s->to] : 1;
    double a = from / to, b = 1 - a, small = b * (1 - to) / (1 - from);
    struct mix m = { sqrt(to) * b / (1 - from), sqrt(a) * (1 - to) / (1 - from), 0 };

    small = small > VARIANCE_MIN ? small : VARIANCE_MIN;
    if (s->from > 0)
        m.sigma = sqrt(s->schedule->variance == SRQ_VARIANCE_LARGE ? b : small);
    for (int64_t i = 0; i < s->n; i++)
        put(s, i, &m, predicted(s, i), s->x + i * s->pixels);
}

void srq_step_ddim(const struct srq_sample_step *s)
{
    const double *alpha_bar = s->schedule->alpha_bar;
    double from = alpha_bar[s->from];
    double to = s->to >= 0 ? alpha_bar[s->to] : s->schedule->alpha_to_one ? 1 : alpha_bar[0];
    double variance = s->eta * s->eta * (1 - to) / (1 - from) * (1 - from / to), left = 1 - to - variance;
    struct mix m = { sqrt(to), sqrt(left > 0 ? left : 0), sqrt(variance > 0 ? variance : 0) };

    for (int64_t i = 0; i < s->n; i++) {
        const float *x0 = predicted(s, i);
        float *eps = s->scratch + s->pixels;

        srq_schedule_eps(s->schedule, s->from, s->x + i * s->pixels, s->said + i * s->pixels, s->pixels, eps);
        put(s, i, &m, x0, eps);
    }
}

bool srq_step_is_high(int i, int n, int k_first, int k_last)
{
    return i < k_first || i > n - 1 - k_last;
}
