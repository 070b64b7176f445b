/* The quantize stage: task after task, until nothing is pending or stale. */
#include "core/job/loop.h"

#include "core/proto/words.h"

#include <inttypes.h>
#include <math.h>

#define FINISH "finish" /* fact: where the job was told to finish */

/* `unit`: the block that runs, -1 where it is no block's stage. */
static int keep_place(const struct srq_run *run, enum srq_stage stage, int unit, int64_t n, struct srq_error *err)
{
    cJSON *fact = cJSON_CreateObject();
    const double none = NAN;
    int rc;

    if (fact == NULL || !srq_put_text(fact, "stage", srq_stage_words[stage]) ||
        !srq_put_number(fact, "block", unit >= 0 ? unit : none) ||
        !srq_put_text(fact, "name", unit >= 0 ? srq_run_unit(run, unit)->name : NULL) ||
        !srq_put_number(fact, "iteration", unit >= 0 ? (double)n : none) ||
        !srq_put_number(fact, "step", unit >= 0 ? none : (double)n))
        rc = srq_fail(err, -SRQ_ENOMEM, "out of memory");
    else
        rc = srq_fact_write(run->ckpt, FINISH, fact, err);
    cJSON_Delete(fact);
    return rc;
}

int srq_run_keep_finish_step(struct srq_run *run, enum srq_stage stage, int64_t step, struct srq_error *err)
{
    return keep_place(run, stage, -1, step, err);
}

int64_t srq_run_finish_step(const struct srq_run *run, enum srq_stage stage)
{
    cJSON *fact = srq_fact_read(run->ckpt, FINISH);
    const char *at = srq_member_text(fact, "stage");
    const cJSON *step = cJSON_GetObjectItemCaseSensitive(fact, "step");
    int64_t n =
        at != NULL && strcmp(at, srq_stage_words[stage]) == 0 && cJSON_IsNumber(step) ? (int64_t)step->valuedouble : 0;

    cJSON_Delete(fact);
    return n;
}

int srq_run_keep_finish(struct srq_run *run, int unit, int64_t iter, struct srq_error *err)
{
    const char *name = srq_run_unit(run, unit)->name;
    int rc = keep_place(run, SRQ_STAGE_QUANTIZE, unit, iter, err);

    if (rc != 0)
        return rc;
    run->finish = true;
    if (iter > 0)
        srq_event_log(&run->events, SRQ_LOG_INFO,
                      "told to finish: %s keeps what %" PRId64 " iterations found, what follows is rounded plainly",
                      name, iter);
    else
        srq_event_log(&run->events, SRQ_LOG_INFO, "told to finish: what is left from %s on is rounded plainly", name);
    return 0;
}

cJSON *srq_run_finish_json(const struct srq_run *run)
{
    cJSON *fact = srq_fact_read(run->ckpt, FINISH);

    return fact != NULL ? fact : cJSON_CreateNull();
}

/* Results that a killed run wrote but could not tell any more. */
static int tell_missing(struct srq_run *run, struct srq_error *err)
{
    int rc = 0;

    for (int u = 0; rc == 0 && u < srq_tasks_units(run->tasks); u++) {
        const struct srq_unit_info *info = srq_run_unit(run, u);
        struct srq_ckpt_block *result = NULL;

        if (info->count == 0 || srq_tasks_generation(run->tasks, u) <= run->told[u])
            continue;
        rc = srq_ckpt_block_open(run->ckpt, u, run->job->layers + info->first, info->count, &result, err);
        if (rc != 0)
            break;
        rc = srq_run_tell_result(run, u, srq_ckpt_block_result(result), srq_ckpt_block_scheme(result, 0), err);
        srq_ckpt_block_close(result);
    }
    return rc;
}

/* A checkpoint of this very task: what its iterations found is kept. */
static bool has_begun(const struct srq_run *run, const struct srq_task *task)
{
    struct srq_running running;
    bool begun = srq_running_open(run->ckpt, task->unit, task->key, &running);

    srq_running_close(&running);
    return begun;
}

static int do_task(struct srq_run *run, struct srq_loop **loop, const struct srq_task *task, struct srq_error *err)
{
    int rc = 0;

    if ((run->finish && !has_begun(run, task)) || !run->job->calibrates)
        return srq_run_round_task(run, task, NULL, err);
    if (*loop == NULL)
        rc = srq_loop_create(run, loop, err);
    if (rc != 0)
        return rc;
    return run->job->tunes ? srq_loop_tune(*loop, task, err) : srq_loop_oneshot(*loop, task, err);
}

static int all_tasks(struct srq_run *run, struct srq_loop **loop, struct srq_error *err)
{
    bool again = false;

    for (;;) {
        struct srq_task task;
        int rc = srq_run_check(run, err);

        if (rc == 0)
            rc = srq_tasks_next(run->tasks, &task, err);
        if (rc != 0 || task.unit < 0)
            return rc;
        if (run->job->tunes && !run->finish && !has_begun(run, &task) && atomic_load(&run->flags->finish))
            rc = srq_run_keep_finish(run, task.unit, 0, err);
        if (task.again && !again) /* progress counts from here: what was done is to be done again */
            srq_event_stage(&run->events, SRQ_STAGE_QUANTIZE, srq_tasks_done(run->tasks), srq_tasks_total(run->tasks),
                            "blocks");
        again = task.again;
        if (rc == 0)
            rc = do_task(run, loop, &task, err);
        if (rc == -SRQ_ECANCELED && (atomic_load(&run->flags->finish) || srq_tasks_interrupted(run->tasks)))
            rc = srq_run_check(run, err); /* stopped for another task, not for good */
        if (rc != 0)
            return rc;
        srq_event_progress(&run->events, srq_tasks_done(run->tasks), srq_tasks_total(run->tasks), "blocks", NULL);
    }
}

int srq_stage_quantize(struct srq_run *run, struct srq_error *err)
{
    cJSON *finish = srq_fact_read(run->ckpt, FINISH);
    struct srq_loop *loop = NULL;
    int rc;

    /* What came before blocks and was cut short says nothing of them. */
    run->finish = cJSON_IsNumber(cJSON_GetObjectItemCaseSensitive(finish, "block")) ||
                  srq_run_finish_step(run, SRQ_STAGE_REFINE) > 0;
    cJSON_Delete(finish);
    rc = tell_missing(run, err);
    srq_event_stage(&run->events, SRQ_STAGE_QUANTIZE, srq_tasks_done(run->tasks), srq_tasks_total(run->tasks),
                    "blocks");
    if (rc == 0)
        rc = all_tasks(run, &loop, err);
    srq_loop_free(loop);
    if (rc == 0)
        rc = srq_tasks_sync(run->tasks, err);
    return rc;
}
