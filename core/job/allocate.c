/* The allocate stage: schemes are chosen inside the budget, by the scores. */
#include "core/job/run.h"

#include "core/base/alloc.h"
#include "core/job/budget.h"

#include <math.h>

#define CHANGES_MAX 1000 /* told in one event */

/* {revision, changes, by, op, changed}: what the allocator made of the plan that was. */
static cJSON *change_json(const struct srq_run *run, const struct srq_scheme *before)
{
    const struct srq_plan *plan = &run->job.plan;
    cJSON *data = cJSON_CreateObject(), *list = data != NULL ? cJSON_AddArrayToObject(data, "changes") : NULL;
    int changed = 0;

    for (int i = 0; list != NULL && i < plan->count; i++) {
        char old[32], now[32];
        cJSON *o;

        if (srq_scheme_equal(&before[i], &plan->layers[i].scheme) || changed++ >= CHANGES_MAX)
            continue;
        o = cJSON_CreateObject();
        if (o == NULL || !cJSON_AddItemToArray(list, o))
            break;
        cJSON_AddStringToObject(o, "layer", plan->layers[i].info->name);
        cJSON_AddStringToObject(o, "old", srq_scheme_text(&before[i], old, sizeof(old)));
        cJSON_AddStringToObject(o, "new", srq_scheme_text(&plan->layers[i].scheme, now, sizeof(now)));
        cJSON_AddStringToObject(o, "source", srq_plan_source_name(plan->layers[i].source));
    }
    if (list != NULL) {
        cJSON_AddNumberToObject(data, "revision", (double)plan->revision);
        cJSON_AddStringToObject(data, "by", srq_spec_allocator(&run->job.spec)->name);
        cJSON_AddStringToObject(data, "op", "allocate");
        cJSON_AddNumberToObject(data, "changed", changed);
    }
    return data;
}

/* The plan is on disk before anyone hears of it; the fact that it was made comes last. */
static int keep(struct srq_run *run, const struct srq_scheme *before, cJSON *allocation, struct srq_error *err)
{
    struct srq_resolved *job = &run->job;
    char *path = srq_jobdir_name(&run->dir, "plan.json");
    int rc = path != NULL && allocation != NULL ? 0 : srq_fail(err, -SRQ_ENOMEM, "out of memory keeping the plan");

    job->plan.revision++;
    if (rc == 0)
        rc = srq_plan_save(&job->plan, path, err);
    if (rc == 0) {
        srq_event_send(&run->events, "plan.changed", change_json(run, before), true);
        srq_event_send(&run->events, "plan.allocated", cJSON_Duplicate(allocation, true), true);
        rc = srq_fact_write(run->ckpt, "allocation", allocation, err);
    }
    srq_free(path);
    return rc == 0 ? srq_events_check(&run->events, err) : rc;
}

static int solve(struct srq_run *run, bool *fixed, struct srq_scheme *before, struct srq_error *err)
{
    struct srq_resolved *job = &run->job;
    struct srq_allocate_request req = srq_budget_request(job, &job->plan, &run->scores, fixed);
    struct srq_allocation a;
    cJSON *allocation;
    int rc;

    for (int i = 0; i < job->layer_count; i++)
        before[i] = job->schemes[i];
    rc = srq_allocate(&req, &job->plan, &a, err);
    if (rc != 0)
        return rc;
    srq_event_log(&run->events, SRQ_LOG_INFO,
                  "%s: %.4f bits on average of %.6g allowed (%.4f to %.4f possible), loss %.6g, at least %.6g possible",
                  srq_spec_allocator(&job->spec)->name, a.average_bits, a.target_bits, a.least, a.most, a.loss, a.bound);
    allocation = srq_allocation_json(&a, &job->candidates);
    rc = keep(run, before, allocation, err);
    cJSON_Delete(allocation);
    return rc;
}

/* The stages that follow work with the plan as it is now, in the memory that it needs. */
static int follow(struct srq_run *run, struct srq_error *err)
{
    struct srq_resolved *job = &run->job;

    for (int i = 0; i < job->layer_count; i++)
        job->schemes[i] = job->plan.layers[i].scheme;
    job->size = srq_plan_size(&job->plan, job->info->bytes);
    job->allocated = true;
    return srq_needs_plan(job, run->calib.count > 0 ? run->calib.count : job->spec.opt.nsamples, run->eval.count, err);
}

int srq_stage_allocate(struct srq_run *run, struct srq_error *err)
{
    size_t n = (size_t)run->job.layer_count + 1;
    cJSON *known = srq_fact_read(run->ckpt, "allocation");
    bool *fixed = srq_calloc(n, sizeof(*fixed));
    struct srq_scheme *before = srq_calloc(n, sizeof(*before));
    int rc = 0;

    if (srq_spec_has_budget(&run->job.spec)) {
        srq_event_stage(&run->events, SRQ_STAGE_ALLOCATE, 0, 1, "plans");
        if (fixed == NULL || before == NULL)
            rc = srq_fail(err, -SRQ_ENOMEM, "out of memory allocating bits");
        else if (known == NULL)
            rc = solve(run, fixed, before, err);
        if (rc == 0)
            rc = follow(run, err);
        if (rc == 0)
            srq_event_progress(&run->events, 1, 1, "plans", NULL);
    }
    srq_free(before);
    srq_free(fixed);
    cJSON_Delete(known);
    return rc;
}
