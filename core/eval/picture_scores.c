/* Scores of pairs of pictures. */
#include "core/eval/picture_scores.h"

#include <inttypes.h>
#include <math.h>

#define RANGE 2.0
#define WINDOW 11
#define SIGMA 1.5
#define K1 0.01
#define K2 0.03

double srq_picture_mse(const float *a, const float *b, int64_t count)
{
    double sum = 0;

    for (int64_t i = 0; i < count; i++)
        sum += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    return count > 0 ? sum / (double)count : 0;
}

double srq_picture_psnr(double mse)
{
    return mse > 0 ? 10 * log10(RANGE * RANGE / mse) : INFINITY;
}

double srq_sqnr(const float *reference, const float *other, int64_t count)
{
    double power = 0, noise = srq_picture_mse(reference, other, count) * (double)count;

    for (int64_t i = 0; i < count; i++)
        power += (double)reference[i] * (double)reference[i];
    return noise > 0 ? 10 * log10(power / noise) : INFINITY;
}

/* ---- structural similarity --------------------------------------------------------------------------------------- */

static void make_window(double w[WINDOW * WINDOW])
{
    double line[WINDOW], sum = 0;

    for (int i = 0; i < WINDOW; i++) {
        double far = i - WINDOW / 2;

        line[i] = exp(-far * far / (2 * SIGMA * SIGMA));
        sum += line[i];
    }
    for (int i = 0; i < WINDOW * WINDOW; i++)
        w[i] = line[i / WINDOW] * line[i % WINDOW] / (sum * sum);
}

/* One place: a and b are the window's first values, `row` apart from line to line and `step` from pixel to pixel. */
static double similarity(const double *w, const float *a, const float *b, int64_t row, int64_t step)
{
    double ma = 0, mb = 0, aa = 0, bb = 0, ab = 0;
    double c1 = K1 * RANGE * K1 * RANGE, c2 = K2 * RANGE * K2 * RANGE;

    for (int i = 0; i < WINDOW * WINDOW; i++) {
        int64_t at = i / WINDOW * row + i % WINDOW * step;
        double x = (double)a[at], y = (double)b[at];

        ma += w[i] * x;
        mb += w[i] * y;
        aa += w[i] * x * x;
        bb += w[i] * y * y;
        ab += w[i] * x * y;
    }
    return (2 * ma * mb + c1) * (2 * (ab - ma * mb) + c2) /
           ((ma * ma + mb * mb + c1) * (aa - ma * ma + bb - mb * mb + c2));
}

int srq_picture_ssim(const float *a, const float *b, int64_t height, int64_t width, int64_t channels, double *out,
                     struct srq_error *err)
{
    int64_t rows = height - WINDOW + 1, columns = width - WINDOW + 1;
    double w[WINDOW * WINDOW], sum = 0;

    if (rows < 1 || columns < 1 || channels < 1)
        return srq_fail(err, -SRQ_EINVAL,
                        "pictures of %" PRId64 " x %" PRId64 " pixels are smaller than the window of SSIM (%d x %d)",
                        width, height, WINDOW, WINDOW);
    make_window(w);
    for (int64_t p = 0; p < rows * columns; p++) {
        int64_t at = (p / columns * width + p % columns) * channels;

        for (int64_t c = 0; c < channels; c++)
            sum += similarity(w, a + at + c, b + at + c, width * channels, channels);
    }
    *out = sum / (double)(rows * columns * channels);
    return 0;
}
