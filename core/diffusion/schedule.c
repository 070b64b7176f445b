/* What follows from a noise schedule: times to visit, x_t from x_0, and back (spec diffusion-qat 7). */
#include "core/diffusion/schedule.h"

#include <math.h>
#include <stdlib.h>

int srq_schedule_timesteps(const struct srq_noise_schedule *s, int steps, int32_t *out, struct srq_error *err)
{
    double all = s->times, step;

    if (steps < 1 || steps > s->times)
        return srq_fail_field(err, -SRQ_EINVAL, "steps", "%d sampling steps are outside 1 … %d, the times of the model",
                              steps, s->times);
    for (int k = 0; k < steps; k++) {
        double t;

        if (s->spacing == SRQ_SPACING_LEADING) {
            t = (double)(steps - 1 - k) * (s->times / steps) + s->offset;
        } else if (s->spacing == SRQ_SPACING_LINSPACE) {
            step = steps > 1 ? (all - 1) / (steps - 1) : 0;
            t = nearbyint((steps - 1 - k) * step);
        } else {
            /* Ties fall where NumPy's arange puts them, whose stride is what is left after rounding its second value.
             */
            step = all - (all - all / steps);
            t = nearbyint(all - k * step) - 1;
        }
        if (t < 0 || t >= s->times)
            return srq_fail_field(err, -SRQ_EINVAL, "steps_offset",
                                  "%d steps with steps_offset %d lead to time %.0f, outside 0 … %d", steps, s->offset,
                                  t, s->times - 1);
        out[k] = (int32_t)t;
    }
    return 0;
}

double srq_schedule_snr(const struct srq_noise_schedule *s, int32_t t)
{
    return s->alpha_bar[t] / (1 - s->alpha_bar[t]);
}

/* Amplitudes of picture and noise at t. */
static void amplitudes(const struct srq_noise_schedule *s, int32_t t, double *picture, double *noise)
{
    *picture = sqrt(s->alpha_bar[t]);
    *noise = sqrt(1 - s->alpha_bar[t]);
}

void srq_schedule_noise(const struct srq_noise_schedule *s, int32_t t, const float *x0, const float *eps, int64_t count,
                        float *out)
{
    double a, b;

    amplitudes(s, t, &a, &b);
    for (int64_t i = 0; i < count; i++)
        out[i] = (float)(a * (double)x0[i] + b * (double)eps[i]);
}

void srq_schedule_target(const struct srq_noise_schedule *s, int32_t t, const float *x0, const float *eps,
                         int64_t count, float *out)
{
    double a, b;

    amplitudes(s, t, &a, &b);
    for (int64_t i = 0; i < count; i++)
        out[i] = s->prediction == SRQ_PREDICTS_EPS      ? eps[i]
                 : s->prediction == SRQ_PREDICTS_SAMPLE ? x0[i]
                                                        : (float)(a * (double)eps[i] - b * (double)x0[i]);
}

void srq_schedule_x0(const struct srq_noise_schedule *s, int32_t t, const float *xt, const float *said, int64_t count,
                     float *out)
{
    double a, b;

    amplitudes(s, t, &a, &b);
    for (int64_t i = 0; i < count; i++)
        out[i] = s->prediction == SRQ_PREDICTS_EPS      ? (float)(((double)xt[i] - b * (double)said[i]) / a)
                 : s->prediction == SRQ_PREDICTS_SAMPLE ? said[i]
                                                        : (float)(a * (double)xt[i] - b * (double)said[i]);
}

void srq_schedule_eps(const struct srq_noise_schedule *s, int32_t t, const float *xt, const float *said, int64_t count,
                      float *out)
{
    double a, b;

    amplitudes(s, t, &a, &b);
    for (int64_t i = 0; i < count; i++)
        out[i] = s->prediction == SRQ_PREDICTS_EPS      ? said[i]
                 : s->prediction == SRQ_PREDICTS_SAMPLE ? (float)(((double)xt[i] - a * (double)said[i]) / b)
                                                        : (float)(a * (double)said[i] + b * (double)xt[i]);
}

static int by_value(const void *left, const void *right)
{
    float a = *(const float *)left, b = *(const float *)right;

    return (a > b) - (a < b);
}

/* The quantile of |x|, linear between neighbours. */
static double quantile(const float *x, int64_t count, double ratio, float *scratch)
{
    double at = ratio * (double)(count - 1), low = floor(at);
    int64_t i = (int64_t)low;

    for (int64_t k = 0; k < count; k++)
        scratch[k] = fabsf(x[k]);
    qsort(scratch, (size_t)count, sizeof(*scratch), by_value);
    return i + 1 < count ? (double)scratch[i] + (at - low) * ((double)scratch[i + 1] - (double)scratch[i])
                         : (double)scratch[count - 1];
}

static void clamp(float *x, int64_t count, float range, float scale)
{
    for (int64_t i = 0; i < count; i++)
        x[i] = (x[i] < -range ? -range : x[i] > range ? range : x[i]) * scale;
}

void srq_schedule_limit(const struct srq_noise_schedule *s, float *x0, int64_t count, float *scratch)
{
    if (s->thresholding && count > 0) {
        double q = quantile(x0, count, s->threshold_ratio, scratch);

        q = q < 1 ? 1 : q;
        q = q > s->threshold_max ? s->threshold_max : q;
        clamp(x0, count, (float)q, (float)(1 / q));
    } else if (s->clip) {
        clamp(x0, count, (float)s->clip_range, 1);
    }
}
