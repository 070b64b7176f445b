/* Where noisy pictures of blocks come from, and what they take. */
#include "core/job/noisy_pictures.h"

#include "core/base/alloc.h"
#include "core/job/train.h"

#define STATES_A_TRAJECTORY 4 /* of its steps: more of one say less than as many of several */

static int64_t pixels_of(const struct srq_job *job)
{
    struct srq_pictures p = srq_model_pictures(job->model);

    return p.height * p.width * p.channels;
}

size_t srq_noisy_pictures_bytes(const struct srq_job *job)
{
    return (size_t)job->spec.opt.nsamples * (sizeof(struct srq_moment) + (size_t)pixels_of(job) * sizeof(float));
}

struct srq_noisy_config srq_noisy_pictures_source(const struct srq_job *job)
{
    struct srq_noisy_config c = srq_job_noisy_config(job);

    c.set = job->pictures;
    c.trajectories = (job->spec.opt.nsamples + STATES_A_TRAJECTORY - 1) / STATES_A_TRAJECTORY;
    c.batch = c.trajectories < SRQ_SAMPLE_BATCH ? c.trajectories : SRQ_SAMPLE_BATCH;
    return c;
}

int srq_noisy_pictures_needs(const struct srq_resolved *r, struct srq_needs *memory, struct srq_error *err)
{
    const struct srq_noisy_config c = srq_noisy_pictures_source(&r->job);
    const struct srq_denoiser_config d = { .model = r->job.model, .compute = SRQ_F32, .batch = c.batch };
    size_t bytes = 0;
    int rc = c.set == NULL ? srq_denoiser_bytes(&d, &bytes, err) : 0;

    srq_needs_add(memory, "all", "noisy pictures", srq_noisy_pictures_bytes(&r->job));
    srq_needs_add(memory, "calibrate", "sampling: full precision", bytes);
    srq_needs_add(memory, "calibrate", "trajectories of the full-precision model", srq_noisy_bytes(&c));
    return rc;
}

double srq_noisy_pictures_passes(const struct srq_resolved *r)
{
    const struct srq_noisy_config c = srq_noisy_pictures_source(&r->job);

    return r->job.calibrates && c.set == NULL ? (double)(c.trajectories * c.steps) : 0;
}

void srq_noisy_pictures_fini(struct srq_noisy_pictures *p)
{
    srq_free(p->at);
    *p = (struct srq_noisy_pictures){ 0 };
}
