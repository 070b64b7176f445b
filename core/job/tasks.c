/* Tasks and changes under one lock. */
#include "core/job/tasks.h"

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/base/fs.h"
#include "core/base/hash.h"
#include "core/flow/snapshot.h"
#include "core/job/budget.h"
#include "core/job/change_json.h"
#include "core/job/history.h"
#include "core/job/footprint.h"
#include "core/job/high_steps.h"
#include "core/job/plan_file.h"
#include "core/job/run.h"
#include "core/job/scores_json.h"
#include "core/job/size.h"
#include "core/job/train.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>

struct srq_tasks {
    struct srq_run *run;
    pthread_mutex_t lock;
    char *path;     /* plan.json */
    cJSON *history; /* of it, up to its revision */
    struct srq_live_plan plan;
    struct srq_live_state state;
    int again_unit; /* the fact: what is being tuned again; -1: nothing */
    int64_t again_generation;
    double began; /* the running task, monotonic */
    struct srq_solver solver;
    bool has_solver, scores_expected;
    char closed[160];              /* why changes are refused; empty: they are not */
    void *planner;                 /* a second instance of the quantizer, to ask while the first one computes */
    struct srq_needs memory, disk; /* of the change being worked out */
    uint64_t planned_bytes, planned_disk_bytes;
    bool weighed;   /* these are known */
    bool replanned; /* `memory` holds for `plan`, and the run does not know it yet */
    /* seen by the computing thread without the lock */
    atomic_bool interrupted, unfinished;
    atomic_int done, total;
    atomic_llong iter;
};

/* ---- small questions --------------------------------------------------------------------------------------------- */

int srq_tasks_units(const struct srq_tasks *t)
{
    return t->plan.units;
}

int64_t srq_tasks_generation(const struct srq_tasks *t, int unit)
{
    return t->state.unit[unit].generation;
}

bool srq_tasks_interrupted(const struct srq_tasks *t)
{
    return atomic_load(&t->interrupted);
}

bool srq_tasks_unfinished(const struct srq_tasks *t)
{
    return atomic_load(&t->unfinished);
}

int srq_tasks_total(const struct srq_tasks *t)
{
    return atomic_load(&t->total);
}

int srq_tasks_done(const struct srq_tasks *t)
{
    return atomic_load(&t->done);
}

void srq_tasks_iteration(struct srq_tasks *t, int64_t iter)
{
    atomic_store(&t->iter, iter);
}

void srq_tasks_replayed(struct srq_tasks *t, double seconds)
{
    pthread_mutex_lock(&t->lock);
    t->state.replay_s = seconds;
    pthread_mutex_unlock(&t->lock);
}

const char *srq_tasks_state(const struct srq_tasks *t, int unit)
{
    return srq_unit_state_word(srq_live_unit(&t->plan, &t->state, unit));
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
    uint64_t both[2] = { hash, value };

    return srq_hash64(both, sizeof(both));
}

static uint64_t mix_scheme(uint64_t hash, const struct srq_scheme *s)
{
    char text[32];

    srq_scheme_text(s, text, sizeof(text));
    return mix(hash, srq_hash64(text, strlen(text)));
}

/* Only the computing thread changes generations, so it may look at them without the lock. */
uint64_t srq_tasks_inputs(void *tasks, int unit)
{
    const struct srq_tasks *t = tasks;
    uint64_t hash = 0;

    for (int u = 0; u < unit; u++)
        hash = mix(hash, (uint64_t)t->state.unit[u].generation);
    return hash;
}

uint64_t srq_tasks_plan_key(const struct srq_tasks *t)
{
    uint64_t hash = 0;

    for (int i = 0; i < t->run->job->layer_count; i++)
        hash = mix_scheme(hash, &t->run->resolved.choice.schemes[i]);
    return hash;
}

static uint64_t task_key(const struct srq_tasks *t, int unit, int64_t generation)
{
    uint64_t hash = mix(srq_tasks_inputs((void *)(uintptr_t)t, unit), (uint64_t)generation);

    for (int i = 0; i < t->plan.plan.count; i++) {
        if (srq_layer_unit(&t->plan, i) == unit)
            hash = mix_scheme(hash, &t->state.tuning[i]);
    }
    return hash;
}

/* ---- under the lock ---------------------------------------------------------------------------------------------- */

/* What the computing thread sees without the lock. */
static void publish(struct srq_tasks *t)
{
    int done = 0, total = 0;

    for (int u = 0; u < t->plan.units; u++) {
        enum srq_unit_state s = srq_live_unit(&t->plan, &t->state, u);
        bool counts = u < t->plan.units - 1 || s != SRQ_UNIT_FINISHED || t->state.unit[u].generation > 0;

        total += counts;
        done += counts && s == SRQ_UNIT_FINISHED;
    }
    atomic_store(&t->done, done);
    atomic_store(&t->total, total);
    atomic_store(&t->unfinished, t->state.running >= 0 || srq_live_next(&t->plan, &t->state) >= 0);
}

/* The schemes that the unit should be tuned under now. */
static bool as_tuned(const struct srq_tasks *t)
{
    int unit = t->state.running;
    const struct srq_scheme *held = srq_live_plan_held(&t->plan, unit, t->state.running_generation);

    for (int i = 0; i < t->plan.plan.count; i++) {
        const struct srq_scheme *want = held != NULL ? &held[i] : &t->plan.plan.layers[i].scheme;

        if (srq_layer_unit(&t->plan, i) == unit && !srq_scheme_equal(&t->state.tuning[i], want))
            return false;
    }
    return true;
}

/* Forgets what has come true. */
static void tidy(struct srq_tasks *t)
{
    bool stale = false;

    for (int u = 0; u < t->plan.units; u++) {
        if (t->plan.wanted[u] <= t->state.unit[u].generation)
            t->plan.wanted[u] = 0;
        stale = stale || srq_live_unit(&t->plan, &t->state, u) == SRQ_UNIT_STALE;
    }
    t->plan.back = t->plan.back && stale;
    if (t->plan.hold >= 0 && t->plan.hold_generation <= t->state.unit[t->plan.hold].generation)
        t->plan.hold = -1;
}

static int write_fact(struct srq_tasks *t, int unit, int64_t generation, struct srq_error *err)
{
    cJSON *fact = cJSON_CreateObject();
    int rc;

    if (fact == NULL || !srq_put_number(fact, "block", unit) || !srq_put_number(fact, "generation", (double)generation))
        rc = srq_fail(err, -SRQ_ENOMEM, "out of memory");
    else
        rc = srq_fact_write(t->run->ckpt, "again", fact, err);
    cJSON_Delete(fact);
    if (rc == 0) {
        t->again_unit = unit;
        t->again_generation = generation;
    }
    return rc;
}

static void drop_fact(struct srq_tasks *t)
{
    if (t->again_unit >= 0)
        srq_fact_remove(t->run->ckpt, "again");
    t->again_unit = -1;
}

static int begin_task(struct srq_tasks *t, int unit, struct srq_task *out, struct srq_error *err)
{
    int64_t generation = t->state.unit[unit].generation + 1;
    const struct srq_scheme *held;

    if (t->plan.wanted[unit] > generation)
        generation = t->plan.wanted[unit];
    if (unit == t->again_unit && t->again_generation > generation)
        generation = t->again_generation;
    if (t->state.unit[unit].generation > 0 && (unit != t->again_unit || generation != t->again_generation)) {
        int rc = write_fact(t, unit, generation, err);

        if (rc != 0)
            return rc;
    }
    held = srq_live_plan_held(&t->plan, unit, generation);
    for (int i = 0; i < t->plan.plan.count; i++)
        t->state.tuning[i] =
            held != NULL && srq_layer_unit(&t->plan, i) == unit ? held[i] : t->plan.plan.layers[i].scheme;
    t->state.running = unit;
    t->state.running_generation = generation;
    t->began = srq_clock_s();
    *out = (struct srq_task){ .unit = unit,
                              .generation = generation,
                              .again = t->state.unit[unit].generation > 0,
                              .schemes = t->state.tuning,
                              .key = task_key(t, unit, generation) };
    return 0;
}

int srq_tasks_next(struct srq_tasks *t, struct srq_task *out, struct srq_error *err)
{
    int unit, rc = 0;

    pthread_mutex_lock(&t->lock);
    t->state.running = -1;
    atomic_store(&t->interrupted, false);
    atomic_store(&t->iter, -1);
    unit = t->again_unit >= 0 ? t->again_unit : srq_live_next(&t->plan, &t->state);
    *out = (struct srq_task){ .unit = unit };
    if (unit >= 0)
        rc = begin_task(t, unit, out, err);
    publish(t);
    pthread_mutex_unlock(&t->lock);
    return rc;
}

/* ---- results ----------------------------------------------------------------------------------------------------- */

static int write_result(struct srq_tasks *t, const struct srq_task *task, const struct srq_codes *const *codes,
                        struct srq_block_result *result, struct srq_error *err)
{
    const struct srq_unit_info *u = srq_run_unit(t->run, task->unit);
    bool noted = t->plan.hold >= 0 || t->plan.wanted[task->unit] > 0 || task->again;
    int rc = 0;

    result->generation = task->generation;
    if (task->again) /* before the result: no snapshot may outlive what it was made with */
        rc = srq_snapshot_forget_behind(t->run->ckpt, task->unit, err);
    if (rc == 0)
        rc = srq_ckpt_block_write(t->run->ckpt, task->unit, t->run->job->layers + u->first, u->count, codes, result,
                                  err);
    if (rc != 0)
        return rc;
    t->state.unit[task->unit] = (struct srq_unit){ task->generation, result->elapsed_s };
    for (int i = u->first; i < u->first + u->count; i++)
        t->state.made[i] = task->schemes[i];
    t->state.running = -1;
    tidy(t);
    if (noted)
        rc = srq_live_plan_save(&t->plan, t->path, err);
    if (rc == 0)
        drop_fact(t);
    return rc;
}

int srq_tasks_commit(struct srq_tasks *t, const struct srq_task *task, const struct srq_codes *const *codes,
                     struct srq_block_result *result, bool *given_up, struct srq_error *err)
{
    int rc = 0;

    pthread_mutex_lock(&t->lock);
    *given_up = atomic_load(&t->interrupted);
    if (!*given_up)
        rc = write_result(t, task, codes, result, err);
    publish(t);
    pthread_mutex_unlock(&t->lock);
    return rc;
}

/* ---- the run's own copy ------------------------------------------------------------------------------------------ */

void srq_tasks_sync_options(struct srq_tasks *t)
{
    pthread_mutex_lock(&t->lock);
    memcpy(t->run->option, t->plan.option, sizeof(t->run->option));
    pthread_mutex_unlock(&t->lock);
}

int srq_tasks_sync(struct srq_tasks *t, struct srq_error *err)
{
    struct srq_resolved *r = &t->run->resolved;
    struct srq_plan copy;
    int rc;

    pthread_mutex_lock(&t->lock);
    rc = srq_plan_copy(&t->plan.plan, &copy, err);
    if (rc == 0) {
        memcpy(t->run->option, t->plan.option, sizeof(t->run->option));
        srq_plan_fini(&r->choice.plan);
        r->choice.plan = copy;
        for (int i = 0; i < r->job.layer_count; i++)
            r->choice.schemes[i] = copy.layers[i].scheme;
        srq_resolved_take_size(r);
        if (t->replanned && t->planned_bytes > r->footprint.planned_bytes) { /* what was needed once stays planned */
            r->footprint.memory = t->memory;
            r->footprint.planned_bytes = t->planned_bytes;
        }
        if (t->replanned && t->planned_disk_bytes > r->footprint.planned_disk_bytes) {
            r->footprint.disk = t->disk;
            r->footprint.planned_disk_bytes = t->planned_disk_bytes;
        }
        t->replanned = false;
    }
    pthread_mutex_unlock(&t->lock);
    return rc;
}

bool srq_tasks_seal(struct srq_tasks *t)
{
    bool done;

    pthread_mutex_lock(&t->lock);
    done = t->again_unit < 0 && srq_live_next(&t->plan, &t->state) < 0 &&
           srq_live_options_equal(t->run->option, t->plan.option);
    if (done && t->closed[0] == '\0')
        snprintf(t->closed, sizeof(t->closed), "is being exported");
    pthread_mutex_unlock(&t->lock);
    return done;
}

void srq_tasks_lock(struct srq_tasks *t)
{
    pthread_mutex_lock(&t->lock);
}

void srq_tasks_unlock(struct srq_tasks *t)
{
    pthread_mutex_unlock(&t->lock);
}

void srq_tasks_close(struct srq_tasks *t, const char *why)
{
    pthread_mutex_lock(&t->lock);
    snprintf(t->closed, sizeof(t->closed), "%s", why);
    pthread_mutex_unlock(&t->lock);
}

/* ---- changes ----------------------------------------------------------------------------------------------------- */

/* What the job would need under a plan; the quantizer's word on it. */
static int check_plan(void *ctx, const struct srq_plan *plan, struct srq_error *err)
{
    struct srq_tasks *t = ctx;
    struct srq_resolved tmp = t->run->resolved; /* only looked at, with another plan in it */
    struct srq_scheme *schemes = srq_calloc((size_t)plan->count + 1, sizeof(*schemes));
    int rc;

    if (schemes == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory changing the plan");
    for (int i = 0; i < plan->count; i++)
        schemes[i] = plan->layers[i].scheme;
    tmp.choice.plan = *plan;
    tmp.choice.schemes = schemes;
    tmp.job.self = t->planner;
    rc = srq_resolved_accepts(&tmp, err);
    if (rc == 0)
        rc = srq_job_train_check_plan(&tmp, err);
    if (rc == 0)
        rc = srq_footprint_again(&tmp, t->run->planned_samples, t->run->planned_windows, err);
    if (rc == 0) {
        t->memory = tmp.footprint.memory;
        t->disk = tmp.footprint.disk;
        t->planned_bytes = tmp.footprint.planned_bytes;
        t->planned_disk_bytes = tmp.footprint.planned_disk_bytes;
        t->weighed = true;
    }
    srq_free(schemes);
    return rc;
}

static void tell_change(struct srq_tasks *t, const struct srq_live_plan *lp, bool allocated, struct srq_error *err)
{
    struct srq_journal *j = t->run->events.journal;
    cJSON *change = cJSON_Duplicate(lp->last_change, true);

    if (change == NULL)
        srq_fail(err, -SRQ_ENOMEM, "out of memory telling of a change");
    else
        srq_journal_append(j, "plan.changed", change, true, err);
    if (allocated && lp->allocation != NULL && err->code == 0) {
        cJSON *data = cJSON_Duplicate(lp->allocation, true);

        if (data != NULL)
            srq_journal_append(j, "plan.allocated", data, false, err);
    }
}

/* Makes a worked-out change the plan. From the moment plan.json is there it holds, whatever fails behind it. */
static int adopt(struct srq_tasks *t, const struct srq_change *change, struct srq_change_result *r,
                 struct srq_error *err)
{
    struct srq_live_plan old;
    struct srq_error told = { 0 };
    int rc = srq_history_add(t->history, &t->plan, change, &r->next, srq_wall_s(), err);

    if (rc == 0)
        rc = srq_history_save(t->history, t->run->dir, err);
    if (rc == 0)
        rc = srq_live_plan_save(&r->next, t->path, err);
    if (rc != 0)
        return rc;
    old = t->plan;
    t->plan = r->next;
    memset(&r->next, 0, sizeof(r->next));
    srq_live_plan_fini(&old);
    t->replanned = true;
    tell_change(t, &t->plan, r->solved, &told);
    if (r->leave) { /* the next task is an earlier one; what is left is begun anew when its turn comes */
        drop_fact(t);
        t->state.running = -1;
        atomic_store(&t->interrupted, true);
    } else if (t->state.running >= 0) {
        atomic_store(&t->interrupted, !as_tuned(t));
    }
    publish(t);
    if (told.code != 0)
        return srq_fail(err, -told.code, "the plan was changed, but the journal could not be told: %s", told.text);
    return 0;
}

/* What the job would take, where the change moves layers. */
static bool put_needs(const struct srq_tasks *t, cJSON *answer)
{
    return !t->weighed || (cJSON_AddItemToObject(answer, "memory", srq_needs_json(&t->memory, t->planned_bytes)) &&
                           cJSON_AddItemToObject(answer, "disk", srq_needs_json(&t->disk, t->planned_disk_bytes)));
}

/* The answer, and what the journal is told: in the plan that is to be, so that it goes to disk with it. */
static int print_change(const struct srq_change_context *ctx, const struct srq_change *change,
                        struct srq_change_result *r, cJSON **answer, struct srq_error *err)
{
    cJSON *event = srq_change_event(ctx, change, r);

    cJSON_Delete(r->next.last_change);
    r->next.last_change = event;
    *answer = srq_change_reply(ctx, change, r);
    return event != NULL && *answer != NULL && srq_put_text(*answer, "job", ctx->job)
               ? 0
               : srq_fail(err, -SRQ_ENOMEM, "out of memory changing the plan");
}

/* What is tuned end to end begins again behind blocks that are tuned again. */
static void note_refine(const struct srq_tasks *t, struct srq_change_result *r)
{
    bool again = false;

    for (int u = 0; u < t->plan.units; u++)
        again = again || r->retunes[u];
    if (again && srq_run_refine_begun(t->run))
        srq_plan_note(r->warnings, "scales are tuned end to end again once these blocks are, from the beginning; that "
                                   "time is not counted");
}

static int check_options(const struct srq_tasks *t, const struct srq_change *change, struct srq_error *err)
{
    char *trained = srq_asprintf("%s/" SRQ_TRAINED_FILE ".safetensors", t->run->ckpt);
    int rc = trained != NULL ? srq_job_check_live(&t->run->resolved.job, change, err)
                             : srq_fail(err, -SRQ_ENOMEM, "out of memory changing options");

    if (rc == 0 && change->sets[SRQ_LIVE_LR] && srq_path_exists(trained))
        rc = srq_fail_field(err, -SRQ_ESTATE, "lr",
                            "the training of job %s is over; its learning rate no longer matters", t->run->id);
    srq_free(trained);
    return rc;
}

static int change_locked(struct srq_tasks *t, const struct srq_change *change, cJSON **reply, struct srq_error *err)
{
    struct srq_resolved *r = &t->run->resolved;
    struct srq_change_context ctx = { .job = t->run->id,
                                      .now = &t->plan,
                                      .state = &t->state,
                                      .model_bytes = r->job.info->bytes,
                                      .stored = srq_resolved_stored,
                                      .refuse_incompatible = r->job.spec.refuse_incompatible,
                                      .formats = srq_resolved_formats,
                                      .formats_ctx = r,
                                      .solver = t->has_solver ? &t->solver : NULL,
                                      .expect = t->scores_expected ? srq_budget_expect : NULL,
                                      .check = check_plan,
                                      .check_ctx = t };
    struct srq_change_result result;
    cJSON *answer = NULL;
    int rc;

    if (t->closed[0] != '\0' && !change->dry_run)
        return srq_fail(err, -SRQ_ESTATE, "job %s %s; its plan can no longer be changed", ctx.job, t->closed);
    rc = change->op == SRQ_CHANGE_SET ? check_options(t, change, err) : 0;
    if (rc != 0)
        return rc;
    t->state.iter = atomic_load(&t->iter);
    t->state.spent_s = srq_clock_s() - t->began;
    t->weighed = false;
    rc = srq_change_make(&ctx, change, &result, err);
    if (rc == 0)
        note_refine(t, &result);
    if (rc == 0)
        rc = print_change(&ctx, change, &result, &answer, err);
    if (rc == 0 && !put_needs(t, answer))
        rc = srq_fail(err, -SRQ_ENOMEM, "out of memory changing the plan");
    if (rc == 0 && !change->dry_run && !result.idle)
        rc = adopt(t, change, &result, err);
    if (rc == 0 && reply != NULL) {
        *reply = answer;
        answer = NULL;
    }
    cJSON_Delete(answer);
    srq_change_result_fini(&result);
    return rc;
}

static int find_past(const struct srq_tasks *t, struct srq_change *change, struct srq_error *err)
{
    change->past = srq_calloc(1, sizeof(*change->past));
    if (change->past == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory changing the plan");
    return srq_history_past(t->history, &t->plan, change->to, change->past, err);
}

int srq_tasks_change(struct srq_tasks *t, const cJSON *params, cJSON **reply, struct srq_error *err)
{
    struct srq_change change;
    int rc = srq_change_parse(params, &change, err);

    *reply = NULL;
    if (rc == 0) {
        pthread_mutex_lock(&t->lock);
        if (change.op == SRQ_CHANGE_REVERT)
            rc = find_past(t, &change, err);
        if (rc == 0)
            rc = change_locked(t, &change, reply, err);
        pthread_mutex_unlock(&t->lock);
    }
    srq_change_fini(&change);
    if (rc != 0) {
        cJSON_Delete(*reply);
        *reply = NULL;
    }
    return rc;
}

/* ---- the budget -------------------------------------------------------------------------------------------------- */

void srq_tasks_solver(struct srq_tasks *t, const struct srq_solver *solver)
{
    pthread_mutex_lock(&t->lock);
    t->has_solver = solver != NULL;
    if (solver != NULL)
        t->solver = *solver;
    pthread_mutex_unlock(&t->lock);
}

int srq_tasks_allocate(struct srq_tasks *t, const char *by, struct srq_error *err)
{
    struct srq_change change = { .op = SRQ_CHANGE_ALLOCATE, .bits = (double)NAN, .revision = -1 };
    int rc = 0;

    snprintf(change.by, sizeof(change.by), "%s", by);
    pthread_mutex_lock(&t->lock);
    if (t->plan.allocation == NULL && !isnan(t->plan.bits))
        rc = change_locked(t, &change, NULL, err);
    pthread_mutex_unlock(&t->lock);
    return rc == 0 ? srq_tasks_sync(t, err) : rc;
}

cJSON *srq_tasks_allocation(struct srq_tasks *t)
{
    cJSON *copy = NULL;

    pthread_mutex_lock(&t->lock);
    if (t->plan.allocation != NULL && !isnan(t->plan.bits))
        copy = cJSON_Duplicate(t->plan.allocation, true);
    pthread_mutex_unlock(&t->lock);
    return copy;
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static int make_state(struct srq_tasks *t, struct srq_error *err)
{
    struct srq_live_state *st = &t->state;
    size_t layers = (size_t)t->plan.plan.count + 1, units = (size_t)t->plan.units + 1;

    st->running = -1;
    st->iter = -1;
    st->spent_s = st->replay_s = (double)NAN;
    st->unit = srq_calloc(units, sizeof(st->unit[0]));
    st->made = srq_calloc(layers, sizeof(st->made[0]));
    st->tuning = srq_calloc(layers, sizeof(st->tuning[0]));
    return st->unit != NULL && st->made != NULL && st->tuning != NULL
               ? 0
               : srq_fail(err, -SRQ_ENOMEM, "out of memory starting the job");
}

/* What a unit's result says of itself. */
static int read_unit(struct srq_tasks *t, int unit, struct srq_error *err)
{
    struct srq_run *run = t->run;
    const struct srq_unit_info *u = srq_run_unit(run, unit);
    struct srq_ckpt_block *b = NULL;
    int rc;

    if (u->count == 0 || !srq_ckpt_block_exists(run->ckpt, unit))
        return 0;
    rc = srq_ckpt_block_open(run->ckpt, unit, run->job->layers + u->first, u->count, &b, err);
    if (rc != 0)
        return rc;
    t->state.unit[unit] =
        (struct srq_unit){ srq_ckpt_block_result(b)->generation, srq_ckpt_block_result(b)->elapsed_s };
    for (int i = 0; i < u->count; i++)
        t->state.made[u->first + i] = *srq_ckpt_block_scheme(b, i);
    srq_ckpt_block_close(b);
    return 0;
}

/* What was being tuned again, unless that came to its end. */
static void read_fact(struct srq_tasks *t)
{
    cJSON *fact = srq_fact_read(t->run->ckpt, "again");
    const cJSON *unit = cJSON_GetObjectItemCaseSensitive(fact, "block");
    const cJSON *generation = cJSON_GetObjectItemCaseSensitive(fact, "generation");

    t->again_unit = -1;
    if (cJSON_IsNumber(unit) && cJSON_IsNumber(generation) && unit->valueint >= 0 && unit->valueint < t->plan.units &&
        t->state.unit[unit->valueint].generation < (int64_t)generation->valuedouble) {
        t->again_unit = unit->valueint;
        t->again_generation = (int64_t)generation->valuedouble;
    }
    cJSON_Delete(fact);
}

static int read_plan(struct srq_tasks *t, int64_t told, struct srq_error *err)
{
    struct srq_resolved *r = &t->run->resolved;
    struct srq_error journal = { 0 };
    struct srq_plan plan;
    int rc = srq_plan_copy(&r->choice.plan, &plan, err);

    if (rc == 0)
        rc = srq_live_plan_init(&t->plan, &plan, r->job.spec.pins, r->job.spec.pin_count, err);
    t->plan.quant_lm_head = r->job.spec.quant_lm_head;
    t->plan.scheme = r->job.spec.scheme;
    t->scores_expected = srq_spec_has_budget(&r->job.spec);
    if (rc == 0 && t->scores_expected)
        rc = srq_live_plan_budget(&t->plan, r->job.spec.budget_bits, r->job.candidates.scheme, r->job.candidates.count,
                                  err);
    t->path = srq_path_join(t->run->dir, "plan.json");
    if (rc == 0 && t->path == NULL)
        rc = srq_fail(err, -SRQ_ENOMEM, "out of memory opening the plan");
    if (rc != 0)
        return rc;
    if (srq_path_exists(t->path))
        rc = srq_live_plan_load(&t->plan, t->path, err);
    else
        rc = srq_live_plan_save(&t->plan, t->path, err);
    if (rc == 0)
        rc = srq_history_load(t->run->dir, t->plan.plan.revision, &t->history, err);
    if (rc == 0 && t->plan.plan.revision > told && t->plan.last_change != NULL) {
        tell_change(t, &t->plan, false, &journal);
        if (journal.code != 0 && err != NULL)
            *err = journal;
        rc = -journal.code;
    }
    return rc;
}

/* A checkpoint says that a unit was begun; a change with no worker treats it as running. */
static void find_running(struct srq_tasks *t)
{
    int unit = t->again_unit >= 0 ? t->again_unit : srq_live_next(&t->plan, &t->state);
    struct srq_running running;
    struct srq_task task;

    if (unit < 0 || (t->again_unit < 0 && t->state.unit[unit].generation > 0) || begin_task(t, unit, &task, NULL) != 0)
        return;
    if (srq_running_open(t->run->ckpt, unit, task.key, &running)) {
        atomic_store(&t->iter, running.iter);
        t->began = srq_clock_s() - running.elapsed_s;
        srq_running_close(&running);
    } else {
        t->state.running = -1;
    }
}

/* Scores of an earlier run: without them the allocator waits for the score stage. */
static void find_scores(struct srq_tasks *t)
{
    struct srq_run *run = t->run;
    char *path = t->scores_expected && t->plan.allocation != NULL ? srq_path_join(run->ckpt, "scores.json") : NULL;

    if (path != NULL && srq_scores_load(path, run->job->layers, run->job->layer_count, &run->scores, NULL) == 0) {
        run->tasks = t;
        srq_run_offer_solver(run);
    }
    srq_free(path);
}

static int create_planner(struct srq_tasks *t, struct srq_error *err)
{
    const struct srq_spec *spec = &t->run->job->spec;
    const struct srq_plugin *p = srq_spec_quantizer(spec);

    return p->create != NULL ? p->create(srq_host_services(), spec->plugins[spec->quantizer].options, &t->planner, err)
                             : 0;
}

int srq_tasks_open(struct srq_run *run, int64_t told, struct srq_tasks **out, struct srq_error *err)
{
    struct srq_tasks *t = srq_calloc(1, sizeof(*t));
    int rc;

    *out = NULL;
    if (t == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory starting the job");
    pthread_mutex_init(&t->lock, NULL);
    t->run = run;
    t->again_unit = -1;
    t->began = (double)NAN;
    atomic_store(&t->iter, -1);
    rc = read_plan(t, told, err);
    if (rc == 0)
        rc = make_state(t, err);
    for (int u = 0; rc == 0 && u < t->plan.units; u++)
        rc = read_unit(t, u, err);
    if (rc == 0)
        rc = create_planner(t, err);
    if (rc == 0) {
        read_fact(t);
        tidy(t);
        find_running(t);
        find_scores(t);
        publish(t);
        rc = srq_tasks_sync(t, err);
    }
    *out = rc == 0 ? t : NULL;
    if (rc != 0)
        srq_tasks_free(t);
    return rc;
}

void srq_tasks_free(struct srq_tasks *t)
{
    const struct srq_plugin *p;

    if (t == NULL)
        return;
    p = srq_spec_quantizer(&t->run->job->spec);
    if (t->planner != NULL && p->destroy != NULL)
        p->destroy(srq_host_services(), t->planner);
    srq_live_plan_fini(&t->plan);
    cJSON_Delete(t->history);
    srq_free(t->state.unit);
    srq_free(t->state.made);
    srq_free(t->state.tuning);
    srq_free(t->path);
    pthread_mutex_destroy(&t->lock);
    srq_free(t);
}
