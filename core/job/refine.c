/* Whether scales of the result are tuned end to end, and what that needs. */
#include "core/job/refine.h"

bool srq_job_refines(const struct srq_resolved *r)
{
    if (r->spec.opt.refine == 0 || !r->calibrates)
        return false;
    for (int i = 0; i < r->layer_count; i++) {
        if (srq_refine_tunes(r->layers[i], &r->schemes[i]))
            return true;
    }
    return false;
}

struct srq_refine_config srq_job_refine_config(const struct srq_resolved *r, int64_t nsamples)
{
    const struct srq_job_options *o = &r->spec.opt;

    return (struct srq_refine_config){ .model = r->model,
                                       .schemes = r->schemes,
                                       .nsamples = nsamples,
                                       .seq = o->seqlen,
                                       .batch = o->batch < nsamples ? o->batch : nsamples,
                                       .epochs = o->refine,
                                       .seed = (uint64_t)o->seed,
                                       .compute = r->compute };
}

int srq_job_refine_needs(struct srq_resolved *r, int64_t nsamples, struct srq_error *err)
{
    struct srq_refine_config cfg = srq_job_refine_config(r, nsamples);
    struct srq_memory_rows rows = { .count = 0 };
    int rc;

    if (!srq_job_refines(r))
        return 0;
    rc = srq_refine_footprint(&cfg, &rows, err);
    if (rc == 0)
        srq_needs_add_all(&r->memory, "refine", &rows);
    return rc;
}

uint64_t srq_job_refine_disk(const struct srq_resolved *r)
{
    uint64_t groups = 0;

    for (int i = 0; srq_job_refines(r) && i < r->layer_count; i++) {
        if (srq_refine_tunes(r->layers[i], &r->schemes[i]))
            groups += (uint64_t)srq_groups_of(r->layers[i]->out, r->layers[i]->in, r->schemes[i].group).count;
    }
    return (1 + 2 * 3) * groups * sizeof(float); /* scales; a state and the one being written */
}
