/* One step of sampling, from a time to a less noisy one, and which steps are computed at high precision (spec
 * diffusion-qat 4 and 7). */
#ifndef SRQ_DIFFUSION_STEPS_H
#define SRQ_DIFFUSION_STEPS_H

#include "core/diffusion/schedule.h"

/* A step of n pictures of `pixels` values each (height * width * channels). */
struct srq_sample_step {
    const struct srq_noise_schedule *schedule;
    int32_t from, to; /* times, to < from; below 0: the clean picture */
    double eta;       /* DDIM's share of noise, 0 (none) … 1 (as DDPM with the small variance) */
    int64_t n, pixels;
    const float *x;    /* [n, pixels], at `from` */
    const float *said; /* [n, pixels]: the model's output for it */
    const float *z;    /* [n, pixels] standard normal noise; NULL: none is added */
    float *next;       /* [n, pixels], at `to`; may be x */
    float *scratch;    /* [2 * pixels] */
};

/* x_to = p x̂_0 + q x + sigma z, x̂_0 limited as the schedule asks for. With a = abar_from / abar_to and b = 1 - a:
 *     p = sqrt(abar_to) b / (1 - abar_from),  q = sqrt(a) (1 - abar_to) / (1 - abar_from),
 *     sigma^2 = b (1 - abar_to) / (1 - abar_from), or b with the large variance; 0 where `from` is 0.
 * abar below time 0 is 1. */
void srq_step_ddpm(const struct srq_sample_step *step);

/* x_to = sqrt(abar_to) x̂_0 + sqrt(1 - abar_to - sigma^2) ε̂ + sigma z, sigma = eta times DDPM's (small variance).
 * ε̂ is what the model's output says, also where x̂_0 was limited. abar below time 0 is 1, or abar[0] where
 * alpha_to_one is false. */
void srq_step_ddim(const struct srq_sample_step *step);

/* Step i = 0 … n-1 in the order of execution (0 is the noisiest) is one of high precision iff it is one of the first
 * `k_first` or the last `k_last`. */
bool srq_step_is_high(int i, int n, int k_first, int k_last);

#endif
