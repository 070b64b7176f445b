/* Whether scales of the result are tuned end to end, and what that needs. */
#include "core/job/refine.h"

bool srq_job_refines(const struct srq_resolved *r)
{
    if (r->job.spec.opt.refine == 0 || !r->job.calibrates || r->job.info->pictures)
        return false;
    for (int i = 0; i < r->job.layer_count; i++) {
        if (srq_refine_tunes(r->job.layers[i], &r->choice.schemes[i]))
            return true;
    }
    return false;
}

struct srq_refine_config srq_job_refine_config(const struct srq_resolved *r, int64_t nsamples)
{
    const struct srq_job_options *o = &r->job.spec.opt;

    return (struct srq_refine_config){ .model = r->job.model,
                                       .schemes = r->choice.schemes,
                                       .nsamples = nsamples,
                                       .seq = o->seqlen,
                                       .batch = r->choice.batch < nsamples ? r->choice.batch : nsamples,
                                       .epochs = o->refine,
                                       .seed = (uint64_t)o->seed,
                                       .compute = r->job.compute };
}

int srq_job_refine_needs(const struct srq_resolved *r, struct srq_needs *memory, int64_t nsamples,
                         struct srq_error *err)
{
    struct srq_refine_config cfg = srq_job_refine_config(r, nsamples);
    struct srq_memory_rows rows = { .count = 0 };
    int rc;

    if (!srq_job_refines(r))
        return 0;
    rc = srq_refine_footprint(&cfg, &rows, err);
    if (rc == 0)
        srq_needs_add_all(memory, "refine", &rows);
    return rc;
}

uint64_t srq_job_refine_disk(const struct srq_resolved *r)
{
    uint64_t groups = 0;

    for (int i = 0; srq_job_refines(r) && i < r->job.layer_count; i++) {
        if (srq_refine_tunes(r->job.layers[i], &r->choice.schemes[i]))
            groups +=
                (uint64_t)srq_groups_of(r->job.layers[i]->out, r->job.layers[i]->in, r->choice.schemes[i].group).count;
    }
    return (1 + 2 * 3) * groups * sizeof(float); /* scales; a state and the one being written */
}
