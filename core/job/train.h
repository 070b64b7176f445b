/* A job on a diffusion model: what fits to one, with what pictures its trainer learns, in what memory; and how it is
 * sampled to see what came out. */
#ifndef SRQ_JOB_TRAIN_H
#define SRQ_JOB_TRAIN_H

#include "core/flow/denoise.h"
#include "core/job/noisy.h"
#include "core/job/resolved.h"

#define SRQ_SAMPLE_BATCH 32 /* pictures that go through the model together while they are sampled, at most */

/* After the plugins of the method were created: refuses what does not fit to the model, reads the scheduler, opens the
 * given pictures, asks the trainer how it works. */
int srq_job_train_open(struct srq_resolved *r, struct srq_error *err);
void srq_job_train_close(struct srq_resolved *r);
/* Why such a job can be planned but not run, a sentence in `out`; false: it can. */
bool srq_job_train_refused(const struct srq_job *job, char *out, size_t cap);
/* Once the plan is made: activations can only be rounded by what a trainer has observed. */
int srq_job_train_check_plan(const struct srq_resolved *r, struct srq_error *err);
struct srq_noisy_config srq_job_noisy_config(const struct srq_job *job);
struct srq_train_config srq_job_train_config(const struct srq_resolved *r);
int srq_job_train_needs(const struct srq_resolved *r, struct srq_needs *memory, struct srq_error *err);
/* Steps at each end of a trajectory that are computed in full precision in the mix. */
struct srq_high_steps {
    int first, last;
};
/* As the job says; or, with options.hp_sqnr, the fewest that leave no other step below it: sqnr [sample_steps] in dB,
 * INFINITY where there is no noise. sqnr NULL: not known yet, as if hp_sqnr were 0. */
struct srq_high_steps srq_job_high_steps(const struct srq_job *job, const double *sqnr);
enum srq_dtype srq_job_high_dtype(const struct srq_job *job); /* what they are computed in */

/* Whose steps a denoiser computes: the original's, the original's in the mix, the quantized model's. */
enum srq_sample_role { SRQ_SAMPLE_FULL, SRQ_SAMPLE_HIGH, SRQ_SAMPLE_QUANTIZED };
/* Its configuration, of the job's model. Roundings, where there are any, are to be pointed at the real ones, and
 * weights to be given. */
struct srq_denoiser_config srq_job_sample_config(const struct srq_job *job, enum srq_sample_role role);

#endif
