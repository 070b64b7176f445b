/* How far a picture is from another one, pixel by pixel; values are in [-1, 1], so their range is 2. */
#ifndef SRQ_EVAL_PICTURE_SCORES_H
#define SRQ_EVAL_PICTURE_SCORES_H

#include <srq/error.h>

#include <stdint.h>

/* Of `count` values. */
double srq_picture_mse(const float *a, const float *b, int64_t count); /* mean of (a - b)^2 */
double srq_picture_psnr(double mse);                                   /* 10 log10(2^2 / mse), in dB; infinity for 0 */
/* 10 log10(sum of reference^2 / sum of (other - reference)^2), in dB; infinity where both are equal. */
double srq_sqnr(const float *reference, const float *other, int64_t count);

/* Structural similarity of a and b [height, width, channels], -1 … 1 (Wang et al. 2004): Gaussian window of 11 x 11
 * with sigma 1.5, K1 0.01, K2 0.03, range 2, covariances of a population, mean over the places where the whole window
 * lies inside, then over channels: scikit-image's with gaussian_weights and use_sample_covariance=False, and
 * torchmetrics'. -SRQ_EINVAL for pictures smaller than the window. */
int srq_picture_ssim(const float *a, const float *b, int64_t height, int64_t width, int64_t channels, double *out,
                     struct srq_error *err);

#endif
