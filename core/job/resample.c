/* How many calibration samples there are with their copies, and what drawing these needs. */
#include "core/job/resample.h"

int64_t srq_job_copies(const struct srq_resolved *r, int64_t samples)
{
    const struct srq_job_options *o = &r->spec.opt;

    return r->calibrates ? srq_resample_copies(o->resample, samples, o->seqlen) : 0;
}

struct srq_resample_config srq_job_resample_config(const struct srq_resolved *r, int64_t nsamples)
{
    const struct srq_job_options *o = &r->spec.opt;
    int64_t read = nsamples / (1 + r->copies);

    return (struct srq_resample_config){ .model = r->model,
                                         .nsamples = read,
                                         .seq = o->seqlen,
                                         .batch = o->batch < read ? o->batch : read,
                                         .copies = r->copies,
                                         .seed = (uint64_t)o->seed,
                                         .compute = r->compute };
}

int srq_job_resample_needs(struct srq_resolved *r, int64_t nsamples, struct srq_error *err)
{
    struct srq_resample_config cfg = srq_job_resample_config(r, nsamples);
    struct srq_memory_rows rows = { .count = 0 };
    int rc = srq_resample_footprint(&cfg, &rows, err);

    if (rc == 0)
        srq_needs_add_all(&r->memory, "resample", &rows);
    return rc;
}
