/* Losses and divergences of single positions.
 *
 * Sums over the vocabulary run in LANES partial sums of SEGMENT elements each, added up in double: the compiler
 * vectorizes them, their order is fixed, and 50,000 terms lose nothing. */
#include "core/eval/scores.h"

#include "core/base/simd.h"
#include "core/math/vec.h"

#include <math.h>

#define LANES 16
#define SEGMENT 1024

SRQ_SIMD static float highest(const float *z, int64_t n)
{
    float lane[LANES], top = z[0];
    int64_t i = 0;

    for (int k = 0; k < LANES; k++)
        lane[k] = z[0];
    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++)
            lane[k] = z[i + k] > lane[k] ? z[i + k] : lane[k];
    for (; i < n; i++)
        top = z[i] > top ? z[i] : top;
    for (int k = 0; k < LANES; k++)
        top = lane[k] > top ? lane[k] : top;
    return top;
}

static double fold(const float *lane)
{
    double sum = 0;

    for (int k = 0; k < LANES; k++)
        sum += (double)lane[k];
    return sum;
}

/* sum_i exp(z[i] - top) */
SRQ_SIMD static double sum_exp(const float *z, float top, int64_t n)
{
    double sum = 0;
    int64_t i = 0;

    while (i + LANES <= n) {
        int64_t stop = i + SEGMENT < n ? i + SEGMENT : n;
        float lane[LANES] = { 0 };

        for (; i + LANES <= stop; i += LANES)
            for (int k = 0; k < LANES; k++)
                lane[k] += srq_expf(z[i + k] - top);
        sum += fold(lane);
    }
    for (; i < n; i++)
        sum += (double)srq_expf(z[i] - top);
    return sum;
}

/* sum_i exp(p[i] - top) and, in *cross, sum_i exp(p[i] - top) * ((p[i] - top) - (q[i] - other)) */
SRQ_SIMD static double sum_cross(const float *p, float top, const float *q, float other, int64_t n, double *cross)
{
    double sum = 0, dot = 0;
    int64_t i = 0;

    while (i + LANES <= n) {
        int64_t stop = i + SEGMENT < n ? i + SEGMENT : n;
        float a[LANES] = { 0 }, b[LANES] = { 0 };

        for (; i + LANES <= stop; i += LANES) {
            for (int k = 0; k < LANES; k++) {
                float d = p[i + k] - top, e = srq_expf(d);

                a[k] += e;
                b[k] += e * (d - (q[i + k] - other));
            }
        }
        sum += fold(a);
        dot += fold(b);
    }
    for (; i < n; i++) {
        float d = p[i] - top, e = srq_expf(d);

        sum += (double)e;
        dot += (double)(e * (d - (q[i] - other)));
    }
    *cross = dot;
    return sum;
}

double srq_token_loss(const float *z, int64_t vocab, int32_t target)
{
    float top = highest(z, vocab);

    return log(sum_exp(z, top, vocab)) - ((double)z[target] - (double)top);
}

static int64_t first_equal(const float *z, float value, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (z[i] == value)
            return i;
    return -1;
}

/* With P and Q the sums of exp over shifted logits: KL = sum_i p_i (p - q shifted)_i / P - log P + log Q. */
double srq_token_kl(const float *p, const float *q, int64_t vocab, bool *same_top)
{
    float top = highest(p, vocab), other = highest(q, vocab);
    double cross, a = sum_cross(p, top, q, other, vocab, &cross), b = sum_exp(q, other, vocab);

    *same_top = first_equal(p, top, vocab) == first_equal(q, other, vocab);
    return cross / a - log(a) + log(b);
}
