/* Sampling pictures from noise with a diffusion model (spec diffusion-qat 7). The model is a function of the caller. */
#ifndef SRQ_DIFFUSION_SAMPLER_H
#define SRQ_DIFFUSION_SAMPLER_H

#include "core/diffusion/steps.h"

/* What the model is asked: about pictures first … first+n-1 of the row, x [n, pixels], at time t. `step` 0 … steps-1 is
 * the place in the trajectory, for whoever chooses precision by it. */
struct srq_asked {
    int step;
    double t;
    int64_t first, n;
    const float *x;
};
/* What it says, into out [n, pixels]: noise, picture or v, as the schedule's prediction says. 0, or a negative code
 * with `err` filled, which ends the sampling and is passed on. */
typedef int srq_predict(void *ctx, const struct srq_asked *q, float *out, struct srq_error *err);
/* Sees what the model is about to be asked. */
typedef void srq_seen(void *ctx, const struct srq_asked *q);

struct srq_sampler {
    const struct srq_noise_schedule *schedule;
    enum srq_scheduler scheduler; /* whose steps are taken, whatever the schedule's own class */
    int steps;                    /* 1 … schedule->times */
    double eta;                   /* DDIM only, 0 … 1 */
    uint64_t seed;
    int64_t pixels;     /* values of a picture: height * width * channels */
    int64_t batch;      /* pictures computed at once, at least 1; the result does not depend on it */
    const float *start; /* [n, pixels] of a run: what sampling starts from; NULL: noise of the seed */
    srq_predict *predict;
    srq_seen *seen;                                      /* NULL: nobody looks */
    int (*tick)(void *ctx, int64_t done, int64_t total); /* after each step of a batch; total = n * steps, in pictures
                                                            times steps. Not 0: stop. NULL: none */
    void *ctx;                                           /* of all three */
};

/* Pictures first … first+n-1 of the endless row of pictures of this seed, out [n, pixels], values in about [-1, 1]
 * (not clamped). A picture depends on seed, its index and the model, not on how many are made with it.
 * -SRQ_EINVAL: settings out of range; -SRQ_ECANCELED: tick said stop; -SRQ_ENUMERIC: the model's output is not finite,
 * naming the step; what predict returned. */
int srq_sample(const struct srq_sampler *s, int64_t first, int64_t n, float *out, struct srq_error *err);

/* Memory that it takes for a batch, beside `out` and what predict takes. */
size_t srq_sampler_bytes(int64_t pixels, int64_t batch, int steps);

/* Standard normal noise of one picture, out [pixels]: step -1 is what sampling starts from, 0 … what its steps add. A
 * function of (seed, picture, step) alone: pixels 2k and 2k+1 are srq_rng_normals of stream 0x6e7a·2^48 + picture at
 * index (step + 1)·2^32 + k. */
void srq_picture_noise(uint64_t seed, int64_t picture, int step, int64_t pixels, float *out);

#endif
