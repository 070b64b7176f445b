/* Pictures of a diffusion model: its noise schedule, what its network says of noisy pictures, and the steps of
 * sampling, in one. The first and last steps may be computed by another network (spec diffusion-qat 4), and either
 * network with weights and roundings of the caller's (core/flow/denoise.h). */
#ifndef SRQ_DIFFUSION_GENERATOR_H
#define SRQ_DIFFUSION_GENERATOR_H

#include "core/diffusion/sampler.h"
#include "core/flow/denoise.h"

struct srq_generator;

struct srq_generator_config {
    struct srq_denoiser_config denoiser;    /* of all steps but the high ones. Its batch: how many pictures are made at
                                               a time, which changes none where denoisers are `apart` */
    const struct srq_denoiser_config *high; /* of the first and last steps; its batch is not looked at. NULL: there are
                                               none */
    int high_first, high_last;              /* steps, at least 0; above 0 with `high` only */
    enum srq_scheduler scheduler;           /* whose steps are taken */
    int steps;                              /* 1 … the times of the model's schedule */
    double eta;                             /* DDIM only, 0 … 1 */
    uint64_t seed;
    bool one_class; /* all pictures are of `class`; else (and of models that are told none) classes take turns */
    int64_t class;
};

/* What create and run take at most, beside what run is given. */
int srq_generator_bytes(const struct srq_generator_config *c, size_t *bytes, struct srq_error *err);
/* What the configuration points to must stay until free. -SRQ_EUNSUPPORTED: a model of words, or one that says a
 * variance too; -SRQ_ENOENT: the folder has no scheduler; -SRQ_EINVAL: steps, eta or numbers of high steps out of
 * range, or two models that differ in their pictures or their noise, each named; what srq_schedule_read and the
 * denoisers return. */
int srq_generator_create(const struct srq_generator_config *c, struct srq_generator **out, struct srq_error *err);
void srq_generator_free(struct srq_generator *g);                                       /* NULL is fine */
const struct srq_noise_schedule *srq_generator_schedule(const struct srq_generator *g); /* of denoiser.model's folder */

/* Pictures first … first+n-1 of the endless row of pictures of the seed. */
struct srq_generation {
    int64_t first, n;
    const float *start; /* [n, height*width*channels]: what sampling starts from; NULL: noise of the seed */
    srq_seen *seen;     /* as in struct srq_sampler; each may be NULL */
    int (*tick)(void *ctx, int64_t done, int64_t total);
    void *ctx;
};
/* out [n, height*width*channels], F32, channels-last, values in about [-1, 1] (not clamped). Errors are srq_sample's
 * and srq_denoise's. */
int srq_generator_run(struct srq_generator *g, const struct srq_generation *run, float *out, struct srq_error *err);

#endif
