/* What is to be tuned next, and changes of the plan while that goes on (design 5).
 *
 * The plan belongs to two threads: the control thread changes it, the computing thread takes one task after the other.
 * A lock makes every change fall wholly before or wholly after the moment in which a task begins or its result is
 * written, and everything that decides about the next task is on disk before anyone acts on it: plan.json, the results
 * with the schemes they were made with, and the fact that a unit is being tuned again (ckpt/again.json). So a worker
 * killed at any instant goes on as if it had not been.
 *
 * Where a kill may fall in a change: before plan.json is replaced there was no change; after it the change holds, and
 * the next start journals it from plan.json's last_change where the journal lacks it. In a task: before its result is
 * renamed into place the unit is tuned again from its checkpoint, whose key says what it depends on; after that a fact
 * that names a generation already reached is void, and so is a hold. */
#ifndef SRQ_JOB_TASKS_H
#define SRQ_JOB_TASKS_H

#include "core/budget/live.h"
#include "core/job/checkpoint.h"

struct srq_run;
struct srq_tasks;

/* One unit to be tuned or rounded. Valid until the next one is asked for. */
struct srq_task {
    int unit; /* -1: nothing is left to do */
    int64_t generation;
    bool again;                       /* it has a result already */
    const struct srq_scheme *schemes; /* [layers of the model]; those of the unit are the task's */
    uint64_t key;                     /* of all that its result depends on, for checkpoints */
};

/* Takes plan.json up, or makes it from the job's own plan; looks what results there are; tells the journal of a change
 * that it missed (`told`: the last revision that it has). The run's specification, model and directories are there. */
int srq_tasks_open(struct srq_run *run, int64_t told, struct srq_tasks **out, struct srq_error *err);
void srq_tasks_free(struct srq_tasks *t);

/* ---- the computing thread ---------------------------------------------------------------------------------------- */

/* Begins the next task; the one before is over, or is given up. */
int srq_tasks_next(struct srq_tasks *t, struct srq_task *out, struct srq_error *err);
/* Whether the plan changed so that the task has to be given up. */
bool srq_tasks_interrupted(const struct srq_tasks *t);
void srq_tasks_iteration(struct srq_tasks *t, int64_t iter);  /* where the task is */
void srq_tasks_replayed(struct srq_tasks *t, double seconds); /* time that the chains took through one block */
/* Writes the task's result. codes: [layers of the unit], NULL where left alone. *given_up: the plan changed meanwhile,
 * and nothing was written. */
int srq_tasks_commit(struct srq_tasks *t, const struct srq_task *task, const struct srq_codes *const *codes,
                     struct srq_block_result *result, bool *given_up, struct srq_error *err);
/* The run's plan, schemes, size and memory become those of the live plan. */
int srq_tasks_sync(struct srq_tasks *t, struct srq_error *err);
/* Nothing may be changed from here on. False: something is left to do, or the run was not told of options that were
 * changed; then changes go on. */
bool srq_tasks_seal(struct srq_tasks *t);
void srq_tasks_close(struct srq_tasks *t,
                     const char *why);                /* the same whatever is left; changes are refused with `why` */
bool srq_tasks_unfinished(const struct srq_tasks *t); /* something is left to do */

int srq_tasks_units(const struct srq_tasks *t);
int srq_tasks_total(const struct srq_tasks *t);                    /* units to be quantized in all */
int srq_tasks_done(const struct srq_tasks *t);                     /* those of them that need nothing any more */
int64_t srq_tasks_generation(const struct srq_tasks *t, int unit); /* of its result; 0: none */
/* Names the results of the units before `unit`: what its inputs came through. */
uint64_t srq_tasks_inputs(void *tasks, int unit);
uint64_t srq_tasks_plan_key(const struct srq_tasks *t); /* names the schemes of the run's plan */
/* The run's options become those of the live plan, as in srq_tasks_sync, which does that too. */
void srq_tasks_sync_options(struct srq_tasks *t);

/* How far a unit is, as messages say it. Under the lock, so that no change is told between the asking and the telling.
 */
const char *srq_tasks_state(const struct srq_tasks *t, int unit);

/* While the run's options and needs are changed. */
void srq_tasks_lock(struct srq_tasks *t);
void srq_tasks_unlock(struct srq_tasks *t);

/* ---- the budget -------------------------------------------------------------------------------------------------- */

/* From here on the allocator can be asked; `solver` is copied. NULL takes it away. */
void srq_tasks_solver(struct srq_tasks *t, const struct srq_solver *solver);
/* Has the allocator choose what is not pinned, once in a job's life: it is in the plan then. `by` is told. */
int srq_tasks_allocate(struct srq_tasks *t, const char *by, struct srq_error *err);
/* A copy of what the allocator said of the plan that holds, or NULL: there is no budget. */
cJSON *srq_tasks_allocation(struct srq_tasks *t);

/* ---- from outside ------------------------------------------------------------------------------------------------ */

/* worker.change: the reply for it. Safe from any thread. */
int srq_tasks_change(struct srq_tasks *t, const cJSON *params, cJSON **reply, struct srq_error *err);

#endif
