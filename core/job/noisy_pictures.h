/* What the blocks of a diffusion model are tuned on (spec diffusion-qat 11): as many noisy pictures, each with its
 * time, as the job has samples. Of given pictures with noise of a random time, where there are some; else of what the
 * full-precision model passes through while it samples. */
#ifndef SRQ_JOB_NOISY_PICTURES_H
#define SRQ_JOB_NOISY_PICTURES_H

#include "core/job/resolved.h"

struct srq_run;

/* Adds to the plan what making them and keeping them takes. */
int srq_noisy_pictures_needs(const struct srq_resolved *r, struct srq_needs *memory, struct srq_error *err);
/* Passes of a picture through the model that making them takes. */
double srq_noisy_pictures_passes(const struct srq_resolved *r);
/* Makes those of a run, or takes up what an earlier run made on trajectories; run->calib says their number and hash.
 * Deterministic by the job's seed. */
int srq_noisy_pictures_make(struct srq_run *run, struct srq_error *err);

#endif
