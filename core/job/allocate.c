/* The allocate stage, and the allocator as changes of the live plan ask it: schemes inside the budget, by the
 * scores. */
#include "core/job/run.h"

#include "core/base/alloc.h"
#include "core/job/budget.h"
#include "core/job/footprint.h"
#include "core/job/scores_json.h"
#include "core/job/tasks.h"

#include <math.h>

/* ---- an srq_solver; ctx is the run ------------------------------------------------------------------------------- */

static int solve(void *ctx, struct srq_plan *plan, const bool *fixed, double bits, struct srq_error *err)
{
    struct srq_run *run = ctx;
    struct srq_allocate_request req = srq_budget_request(&run->resolved, &run->scores, bits, fixed);

    return srq_allocate(&req, plan, &run->allocation, err);
}

static cJSON *describe(void *ctx)
{
    const struct srq_run *run = ctx;

    return srq_allocation_json(&run->allocation, &run->job->candidates);
}

static double score(void *ctx, int layer, const struct srq_scheme *scheme)
{
    const struct srq_run *run = ctx;

    return srq_scores_of(&run->scores, layer, scheme);
}

void srq_run_offer_solver(struct srq_run *run)
{
    const struct srq_solver solver = { run, solve, describe, score };

    srq_tasks_solver(run->tasks, &solver);
}

/* ---- the stage --------------------------------------------------------------------------------------------------- */

/* The stages that follow work with the plan as it is now, in the memory that it needs. */
static int follow(struct srq_run *run, struct srq_error *err)
{
    struct srq_resolved *r = &run->resolved;
    int rc = srq_tasks_sync(run->tasks, err);

    if (rc != 0)
        return rc;
    srq_tasks_lock(run->tasks);
    r->choice.allocated = true;
    rc = srq_footprint_settle(r, run->planned_samples, run->planned_windows, err);
    srq_tasks_unlock(run->tasks);
    return rc;
}

static int choose(struct srq_run *run, struct srq_error *err)
{
    const char *name = srq_spec_allocator(&run->job->spec)->name;
    const struct srq_allocation *a = &run->allocation;
    char bounds[40];
    int rc;

    memset(&run->allocation, 0, sizeof(run->allocation));
    srq_run_offer_solver(run);
    rc = srq_tasks_allocate(run->tasks, name, err);
    if (rc == 0 && a->target_bits > 0) /* it was asked now, and not in an earlier run */
        srq_event_log(&run->events, SRQ_LOG_INFO,
                      "%s: %.4f bits on average of %.6g allowed (%s possible), loss %.6g, at least %.6g possible", name,
                      a->average_bits, a->target_bits,
                      srq_allocate_bounds_text(a->least, a->most, bounds, sizeof(bounds)), a->loss, a->bound);
    return rc;
}

int srq_stage_allocate(struct srq_run *run, struct srq_error *err)
{
    int rc;

    srq_event_stage(&run->events, SRQ_STAGE_ALLOCATE, 0, 1, "plans");
    rc = choose(run, err);
    if (rc == 0)
        rc = follow(run, err);
    if (rc == 0)
        srq_event_progress(&run->events, 1, 1, "plans", NULL);
    return rc;
}
