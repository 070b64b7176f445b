/* Which steps of sampling the full-precision model computes where precisions are mixed (spec diffusion-qat 4). */
#ifndef SRQ_JOB_HIGH_STEPS_H
#define SRQ_JOB_HIGH_STEPS_H

#include "core/budget/live.h"
#include "core/job/resolved.h"

/* Steps at each end of a trajectory that are computed in full precision in the mix. */
struct srq_high_steps {
    int first, last;
};
/* As `option` [SRQ_LIVE_OPTIONS] says, where it is not NaN; else as the job says; or, with options.hp_sqnr, the fewest
 * that leave no other step below it: sqnr [sample_steps] in dB, INFINITY where there is no noise. sqnr NULL: not known
 * yet, as if hp_sqnr were 0. */
struct srq_high_steps srq_job_high_steps(const struct srq_job *job, const double *option, const double *sqnr);
/* Whether there is a mix at all: of a diffusion model that is trained or sampled. */
bool srq_job_mixes_steps(const struct srq_job *job);
/* Before sampling settles them; with options.hp_sqnr some, wherever it may find any. */
struct srq_high_steps srq_job_high_forecast(const struct srq_job *job);
/* Tensors of the model that `format`, where it is for srq's own sampler, has beside its own for such steps. */
uint64_t srq_job_high_bytes(const struct srq_job *job, const char *format, struct srq_high_steps steps);
enum srq_dtype srq_job_high_dtype(const struct srq_job *job); /* what they are computed in */
/* Whether a change of options (SRQ_CHANGE_SET) is one that this job can obey; else -SRQ_EINVAL naming the option. */
int srq_job_check_live(const struct srq_job *job, const struct srq_change *change, struct srq_error *err);

#endif
