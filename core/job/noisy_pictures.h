/* What the blocks of a diffusion model are tuned on (spec diffusion-qat 11): as many noisy pictures, each with its
 * time, as the job has samples. Of given pictures with noise of a random time, where there are some; else of what the
 * full-precision model passes through while it samples. */
#ifndef SRQ_JOB_NOISY_PICTURES_H
#define SRQ_JOB_NOISY_PICTURES_H

#include "core/job/noisy.h"
#include "core/job/resolved.h"

/* All in one piece of memory. */
struct srq_noisy_pictures {
    int64_t n;
    struct srq_moment *at; /* [n] */
    float *x;              /* [n, height*width*channels] */
};

/* Adds to the plan what making them and keeping them takes. */
int srq_noisy_pictures_needs(const struct srq_resolved *r, struct srq_needs *memory, struct srq_error *err);
/* Passes of a picture through the model that making them takes. */
double srq_noisy_pictures_passes(const struct srq_resolved *r);
/* Where they are drawn from: the job's pictures, or trajectories. */
struct srq_noisy_config srq_noisy_pictures_source(const struct srq_job *job);
size_t srq_noisy_pictures_bytes(const struct srq_job *job); /* of all, with their times */
void srq_noisy_pictures_fini(struct srq_noisy_pictures *p);

#endif
