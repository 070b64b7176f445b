/* Questions about a concrete job: what formats and quantizer say to its plan. */
#include "core/job/resolved.h"

#include "core/base/alloc.h"

void srq_resolved_note(struct srq_resolved *r, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    cJSON_AddItemToArray(r->notes, cJSON_CreateString(text));
}

int64_t srq_job_seqlen(const struct srq_job *job)
{
    return job->info->pictures ? 1 : job->spec.opt.seqlen;
}

bool srq_job_observes(const struct srq_job *job)
{
    return srq_spec_trainer(&job->spec) != NULL;
}

/* All export formats about one plan: a layer keeps the first reason against it. */
int srq_resolved_formats(void *resolved, const struct srq_scheme *schemes, char (*reason)[SRQ_PLAN_REASON_MAX],
                         struct srq_error *err)
{
    const struct srq_resolved *r = resolved;
    char(*each)[SRQ_FORMAT_REASON_MAX] = srq_calloc((size_t)r->job.layer_count + 1, sizeof(*each));
    int total = 0, rc = 0;

    if (each == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory asking formats");
    for (int f = 0; rc >= 0 && f < r->job.spec.format_count; f++) {
        const struct srq_format *format = srq_format_find(r->job.spec.formats[f], err);

        memset(each, 0, ((size_t)r->job.layer_count + 1) * sizeof(*each));
        rc = format != NULL ? srq_format_plan(format, r->job.model, schemes, each, err) : -SRQ_EINVAL;
        for (int i = 0; rc > 0 && i < r->job.layer_count; i++) {
            if (each[i][0] == '\0' || reason[i][0] != '\0')
                continue;
            snprintf(reason[i], SRQ_PLAN_REASON_MAX, "%.*s", SRQ_PLAN_REASON_MAX - 1, each[i]);
            total++;
        }
    }
    srq_free(each);
    return rc < 0 ? rc : total;
}

bool srq_resolved_rounds_inputs(const struct srq_resolved *r)
{
    for (int i = 0; i < r->job.layer_count; i++)
        if (srq_scheme_has_act(&r->choice.schemes[i]))
            return true;
    return false;
}

static int accepted_by(const struct srq_resolved *r, const struct srq_plugin *p, void *self, struct srq_error *err)
{
    for (int i = 0, index = 0; p->accepts != NULL && i < r->job.layer_count; i++) {
        const struct srq_layer_info *info = r->job.layers[i];
        struct srq_tensor weight = srq_tensor_2d(NULL, info->dtype, info->out, info->in);
        struct srq_groups groups = srq_groups_of(info->out, info->in, r->choice.schemes[i].group);
        struct srq_layer l = { .size = sizeof(l),
                               .name = info->name,
                               .block = info->block,
                               .weight = &weight,
                               .scheme = &r->choice.schemes[i],
                               .groups = &groups,
                               .tensor_scale = 1 };
        int rc;

        index = i > 0 && r->job.layers[i - 1]->block == info->block ? index + 1 : 0;
        l.index = index;
        if (r->choice.schemes[i].grid == SRQ_GRID_NONE)
            continue;
        rc = p->accepts(srq_host_services(), self, &l, err);
        if (rc != 0)
            return rc < 0 ? rc : -SRQ_EUNSUPPORTED;
    }
    return 0;
}

int srq_resolved_accepts(const struct srq_resolved *r, struct srq_error *err)
{
    const struct srq_plugin *quantizer = srq_spec_quantizer(&r->job.spec), *trainer = srq_spec_trainer(&r->job.spec);
    int rc = accepted_by(r, quantizer, r->job.self, err);

    return rc == 0 && trainer != NULL && trainer != quantizer ? accepted_by(r, trainer, r->job.trainer_self, err) : rc;
}
