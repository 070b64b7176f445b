/* How large an export is: all its tensors, with those of the model that a format for srq's own sampler has beside its
 * own for steps of full precision. */
#include "core/job/size.h"

#include "core/base/alloc.h"

uint64_t srq_resolved_stored(void *resolved, const struct srq_plan *plan)
{
    const struct srq_resolved *r = resolved;
    const struct srq_format *f = r->job.spec.format_count > 0 ? srq_format_find(r->job.spec.formats[0], NULL) : NULL;
    struct srq_scheme *schemes = srq_calloc((size_t)plan->count + 1, sizeof(*schemes));
    uint64_t bytes = 0;

    for (int i = 0; schemes != NULL && i < plan->count; i++)
        schemes[i] = plan->layers[i].scheme;
    if (f == NULL || schemes == NULL || srq_export_bytes(f, r->job.model, schemes, &bytes, NULL) != 0)
        bytes = 0;
    srq_free(schemes);
    return bytes == 0 ? 0 : bytes + srq_job_high_bytes(&r->job, r->job.spec.formats[0], srq_job_high_forecast(&r->job));
}

void srq_resolved_take_size(struct srq_resolved *r)
{
    uint64_t stored = srq_resolved_stored(r, &r->choice.plan);

    r->choice.size = srq_plan_size(&r->choice.plan, r->job.info->bytes);
    if (stored > 0)
        r->choice.size.after_bytes = stored;
}

uint64_t srq_resolved_size_made(const struct srq_resolved *r, struct srq_high_steps steps)
{
    const char *format = r->job.spec.format_count > 0 ? r->job.spec.formats[0] : "";

    return r->choice.size.after_bytes - srq_job_high_bytes(&r->job, format, srq_job_high_forecast(&r->job)) +
           srq_job_high_bytes(&r->job, format, steps);
}
