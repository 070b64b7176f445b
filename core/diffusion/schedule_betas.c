/* The beta schedules of spec diffusion-qat 7, rounded to F32 at the places where diffusers' tensors are: a value that
 * is off by a bit is of no matter, one that was never rounded differs from what models were trained with. */
#include "core/diffusion/schedule_betas.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#define PI 3.14159265358979323846
#define COSINE_SHIFT 0.008
#define COSINE_BETA_MAX 0.999
#define SIGMOID_REACH 6.0f

/* i-th of n evenly spaced values, from whichever end is nearer. */
static float spaced(float start, float end, int n, int i)
{
    float step = n > 1 ? (end - start) / (float)(n - 1) : 0;

    return i < n / 2 || n == 1 ? start + step * (float)i : end - step * (float)(n - 1 - i);
}

static void linear(double start, double end, int times, float *betas)
{
    for (int i = 0; i < times; i++)
        betas[i] = spaced((float)start, (float)end, times, i);
}

static void scaled_linear(double start, double end, int times, float *betas)
{
    for (int i = 0; i < times; i++) {
        float root = spaced((float)sqrt(start), (float)sqrt(end), times, i);

        betas[i] = root * root;
    }
}

static double cosine_left(double u)
{
    double c = cos((u + COSINE_SHIFT) / (1 + COSINE_SHIFT) * PI / 2);

    return c * c;
}

/* beta_start and beta_end have no part in it. */
static void squaredcos(double start, double end, int times, float *betas)
{
    (void)start;
    (void)end;
    for (int i = 0; i < times; i++) {
        double beta = 1 - cosine_left((i + 1.0) / times) / cosine_left((double)i / times);

        betas[i] = (float)(beta < COSINE_BETA_MAX ? beta : COSINE_BETA_MAX);
    }
}

static void sigmoid(double start, double end, int times, float *betas)
{
    for (int i = 0; i < times; i++) {
        float u = spaced(-SIGMOID_REACH, SIGMOID_REACH, times, i);

        betas[i] = (float)(1 / (1 + exp(-(double)u))) * (float)(end - start) + (float)start;
    }
}

srq_beta_schedule *srq_beta_schedule_find(const char *name)
{
    static const struct {
        const char *name;
        srq_beta_schedule *fill;
    } rows[] = { { "linear", linear },
                 { "scaled_linear", scaled_linear },
                 { "squaredcos_cap_v2", squaredcos },
                 { "sigmoid", sigmoid } };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (strcmp(rows[i].name, name) == 0)
            return rows[i].fill;
    return NULL;
}

const char *srq_beta_schedule_names(void)
{
    return "linear, scaled_linear, squaredcos_cap_v2, sigmoid";
}

void srq_betas_product(const float *betas, int times, double *alpha_bar)
{
    double product = 1;

    for (int i = 0; i < times; i++) {
        product *= (double)(1.0f - betas[i]);
        alpha_bar[i] = (double)(float)product;
    }
}

void srq_betas_zero_snr(float *betas, int times, double *scratch)
{
    float first, last, stretch, before = 1;

    srq_betas_product(betas, times, scratch);
    first = sqrtf((float)scratch[0]);
    last = sqrtf((float)scratch[times - 1]);
    stretch = first / (first - last);
    for (int i = 0; i < times; i++) {
        float root = (sqrtf((float)scratch[i]) - last) * stretch;
        float left = root * root;

        betas[i] = 1 - left / before;
        before = left;
    }
}
