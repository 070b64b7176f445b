/* How many calibration samples there are with their copies, and what drawing these needs. */
#include "core/job/resample.h"

int64_t srq_job_copies(const struct srq_resolved *r, int64_t samples)
{
    const struct srq_job_options *o = &r->job.spec.opt;

    return r->job.calibrates && !r->job.info->pictures ? srq_resample_copies(o->resample, samples, o->seqlen) : 0;
}

struct srq_resample_config srq_job_resample_config(const struct srq_resolved *r, int64_t nsamples)
{
    const struct srq_job_options *o = &r->job.spec.opt;
    int64_t read = nsamples / (1 + r->choice.copies);

    return (struct srq_resample_config){ .model = r->job.model,
                                         .nsamples = read,
                                         .seq = o->seqlen,
                                         .batch = r->choice.batch < read ? r->choice.batch : read,
                                         .copies = r->choice.copies,
                                         .seed = (uint64_t)o->seed,
                                         .compute = r->job.compute };
}

int srq_job_resample_needs(const struct srq_resolved *r, struct srq_needs *memory, int64_t nsamples,
                           struct srq_error *err)
{
    struct srq_resample_config cfg = srq_job_resample_config(r, nsamples);
    struct srq_memory_rows rows = { .count = 0 };
    int rc = srq_resample_footprint(&cfg, &rows, err);

    if (rc == 0)
        srq_needs_add_all(memory, "resample", &rows);
    return rc;
}
