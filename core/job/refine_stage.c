/* The refine stage: scales of the finished result are tuned end to end, beside the results of blocks and never in them:
 * a block that is tuned again begins from its own. */
#include "core/job/run.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "core/job/pace.h"
#include "core/job/refine.h"
#include "core/job/tasks.h"

#include <inttypes.h>

#define SCALES "refined.bin"   /* in ckpt/: all scales, F32 */
#define RUNNING "refining.bin" /* the same while they are tuned: a head, then srq_refine_save */
#define FACT "refine"
#define MAGIC "srqrefi1"

struct running_head {
    char magic[8];
    uint64_t of, len, hash; /* of what; bytes of the state, its hash */
};

/* ---- what was found ---------------------------------------------------------------------------------------------- */

void srq_run_forget_refined(struct srq_run *run)
{
    srq_free(run->refined);
    srq_free(run->refined_at);
    run->refined = NULL;
    run->refined_at = NULL;
}

static uint64_t key_of(struct srq_run *run, char text[SRQ_HASH_HEX + 20])
{
    snprintf(text, SRQ_HASH_HEX + 20, "%s%016" PRIx64, run->basis,
             srq_tasks_inputs(run->tasks, srq_tasks_units(run->tasks)));
    return srq_hash64(text, strlen(text));
}

/* From here on results have these scales. */
static int adopt(struct srq_run *run, const float *scales, size_t count, struct srq_error *err)
{
    const struct srq_resolved *r = &run->resolved;

    srq_run_forget_refined(run);
    run->refined = srq_malloc(count * sizeof(float) + 1);
    run->refined_at = srq_calloc((size_t)r->job.layer_count + 1, sizeof(run->refined_at[0]));
    if (run->refined == NULL || run->refined_at == NULL) {
        srq_run_forget_refined(run);
        return srq_fail(err, -SRQ_ENOMEM, "out of memory keeping scales");
    }
    memcpy(run->refined, scales, count * sizeof(float));
    for (int i = 0; i < r->job.layer_count; i++)
        run->refined_at[i] = srq_refine_offset(r->job.model, r->choice.schemes, i);
    return 0;
}

static int keep(struct srq_run *run, const char *of, const struct srq_refine_outcome *o, const float *scales,
                size_t count, struct srq_error *err)
{
    char hash[SRQ_HASHED_HEX] = "";
    cJSON *fact = cJSON_CreateObject();
    int rc = fact != NULL ? 0 : srq_fail(err, -SRQ_ENOMEM, "out of memory keeping scales");

    srq_fact_remove(run->ckpt, FACT); /* never the old word about the new bytes */
    if (rc == 0 && o->kept)
        rc = srq_hashed_write(run->ckpt, SCALES, scales, count * sizeof(float), err);
    if (o->kept)
        srq_hashed_text(scales, count * sizeof(float), hash);
    if (rc == 0 &&
        (!srq_put_text(fact, "of", of) || !srq_put_text(fact, "hash", hash) ||
         !srq_put_number(fact, "steps", (double)o->steps) || !srq_put_number(fact, "loss_first", o->loss_first) ||
         !srq_put_number(fact, "loss_last", o->loss_last) || cJSON_AddBoolToObject(fact, "kept", o->kept) == NULL))
        rc = srq_fail(err, -SRQ_ENOMEM, "out of memory keeping scales");
    if (rc == 0)
        rc = srq_fact_write(run->ckpt, FACT, fact, err);
    cJSON_Delete(fact);
    return rc;
}

/* Whether this very result was refined before; then its scales are taken up. */
static int take_up(struct srq_run *run, const char *of, bool *known, struct srq_error *err)
{
    cJSON *fact = srq_fact_read(run->ckpt, FACT);
    const char *word = srq_member_text(fact, "of");
    const char *hash = srq_member_text(fact, "hash");
    bool kept = srq_member_true(fact, "kept");
    struct srq_map map;
    int rc = 0;

    *known = word != NULL && strcmp(word, of) == 0;
    if (*known && kept) {
        *known = srq_hashed_open(run->ckpt, SCALES, hash, &map);
        if (*known) {
            rc = adopt(run, (const float *)(const void *)map.data, map.size / sizeof(float), err);
            srq_map_close(&map);
        }
    }
    cJSON_Delete(fact);
    return rc;
}

cJSON *srq_run_refine_json(const struct srq_run *run)
{
    cJSON *fact = srq_job_refines(&run->resolved) ? srq_fact_read(run->ckpt, FACT) : NULL;

    if (fact == NULL)
        return cJSON_CreateNull();
    cJSON_DeleteItemFromObjectCaseSensitive(fact, "of");
    cJSON_DeleteItemFromObjectCaseSensitive(fact, "hash");
    return fact;
}

/* ---- the stage --------------------------------------------------------------------------------------------------- */

struct refining {
    struct srq_run *run;
    struct srq_refine *r;
    struct srq_results results;
    uint64_t of;
    struct srq_pace pace; /* of checkpoints */
    int64_t last;         /* step before which an earlier run was told to finish; 0: it was not */
    struct srq_error error;
};

static int checkpoint(struct refining *k, int64_t step)
{
    struct srq_refine_state state;
    struct running_head head = { .magic = MAGIC, .of = k->of };
    struct srq_part parts[1 + SRQ_REFINE_PARTS];
    char *path = srq_path_join(k->run->ckpt, RUNNING);
    int rc;

    srq_pace_begin(&k->pace);
    srq_refine_save(k->r, &state);
    parts[0] = (struct srq_part){ &head, sizeof(head) };
    for (size_t i = 0; i < state.count; i++) {
        parts[1 + i] = state.parts[i];
        head.len += state.parts[i].len;
    }
    rc = path != NULL && srq_hash64_parts(state.parts, state.count, &head.hash) == 0
             ? srq_write_parts_durable(path, "refining.tmp", parts, 1 + state.count, 0644, &k->error)
             : srq_fail(&k->error, -SRQ_ENOMEM, "out of memory writing a checkpoint");
    srq_free(path);
    return rc == 0 ? srq_pace_end(&k->pace, -1, step, head.len, &k->error) : rc;
}

/* Told to finish: what the steps found so far is weighed, also by a run after this one. */
static int end_here(struct refining *k, int64_t step)
{
    int rc = checkpoint(k, step);

    if (rc == 0)
        rc = srq_run_keep_finish_step(k->run, SRQ_STAGE_REFINE, step, &k->error);
    if (rc != 0)
        return rc;
    srq_event_log(&k->run->events, SRQ_LOG_INFO,
                  "told to finish: the tuning of scales end to end ends after %" PRId64 " steps", step);
    return 1;
}

/* Between steps: progress, requests, checkpoints. */
static int on_tick(void *ctx, int64_t step, int64_t steps)
{
    struct refining *k = ctx;
    struct srq_run *run = k->run;
    bool pause = atomic_load(&run->flags->pause), now = atomic_exchange(&run->flags->checkpoint, false);
    int rc = 0;

    srq_event_progress(&run->events, (double)step, (double)steps, "steps", NULL);
    (void)srq_usage_peak(run->usage); /* a short run may lie between two looks */
    if (k->last > 0 && step >= k->last)
        return 1;
    if (atomic_load(&run->flags->finish))
        return step > 0 ? end_here(k, step) : srq_fail(&k->error, -SRQ_ECANCELED, "told to finish");
    if (srq_tasks_unfinished(run->tasks))
        return srq_fail(&k->error, -SRQ_ECANCELED, "the plan changed");
    if ((pause || now || srq_pace_due(&k->pace)) && step > 0)
        rc = checkpoint(k, step);
    return rc == 0 ? srq_run_check(run, &k->error) : rc;
}

static int codes_of(void *ctx, int layer, const struct srq_codes **out, struct srq_error *err)
{
    struct refining *k = ctx;

    return srq_results_codes(&k->results, layer, out, err);
}

static bool open_running(const struct srq_run *run, uint64_t of, struct srq_map *map)
{
    char *path = srq_path_join(run->ckpt, RUNNING);
    struct running_head h;
    bool ok = path != NULL && srq_map_open(path, map, NULL) == 0;

    srq_free(path);
    if (!ok)
        return false;
    ok = map->size >= sizeof(h);
    if (ok) {
        memcpy(&h, map->data, sizeof(h));
        ok = memcmp(h.magic, MAGIC, sizeof(h.magic)) == 0 && h.of == of && h.len == map->size - sizeof(h) &&
             h.hash == srq_hash64(map->data + sizeof(h), h.len);
    }
    if (!ok)
        srq_map_close(map);
    return ok;
}

static int tune(struct srq_run *run, const char *of, uint64_t key, struct srq_error *err)
{
    struct refining k = { .run = run, .of = key, .last = srq_run_finish_step(run, SRQ_STAGE_REFINE) };
    struct srq_refine_config cfg = srq_job_refine_config(&run->resolved, run->calib.count);
    const struct srq_refine_caller caller = { &k, codes_of, on_tick };
    struct srq_refine_outcome outcome;
    struct srq_map map = { 0 };
    bool resumed = open_running(run, key, &map);
    struct srq_part state = { 0 };
    const float *scales;
    size_t count;
    int rc = srq_refine_create(&cfg, &k.r, err);

    srq_pace_init(&k.pace, &run->events, run->job->spec.opt.checkpoint_s);
    srq_results_init(&k.results, run);
    if (resumed)
        state = (struct srq_part){ map.data + sizeof(struct running_head), map.size - sizeof(struct running_head) };
    if (resumed)
        srq_event_log(&run->events, SRQ_LOG_INFO, "the tuning of scales end to end goes on");
    if (rc == 0)
        rc = srq_refine_run(k.r, &run->calib, &caller, resumed ? &state : NULL, &outcome, err);
    if (rc != 0 && k.error.code != 0 && err != NULL)
        *err = k.error;
    if (rc == 0) {
        scales = srq_refine_scales(k.r, &count);
        rc = keep(run, of, &outcome, scales, count, err);
        if (rc == 0 && outcome.kept)
            rc = adopt(run, scales, count, err);
        srq_event_log(&run->events, SRQ_LOG_INFO,
                      "scales tuned end to end in %" PRId64 " steps: KL of samples held out %.3g, "
                      "before %.3g%s",
                      outcome.steps, outcome.loss_last, outcome.loss_first,
                      outcome.kept ? "" : "; they stay as they were");
    }
    srq_results_fini(&k.results);
    srq_refine_free(k.r);
    if (resumed)
        srq_map_close(&map);
    return rc;
}

int srq_stage_refine(struct srq_run *run, struct srq_error *err)
{
    char of[SRQ_HASH_HEX + 20];
    uint64_t key = key_of(run, of);
    bool known;
    int rc;

    srq_run_forget_refined(run);
    if (!srq_job_refines(&run->resolved) || run->calib.count < 2 ||
        (run->finish && srq_run_finish_step(run, SRQ_STAGE_REFINE) == 0))
        return 0;
    rc = take_up(run, of, &known, err);
    if (rc != 0 || known)
        return rc;
    srq_event_stage(&run->events, SRQ_STAGE_REFINE, 0, 0, "steps");
    rc = tune(run, of, key, err);
    if (rc == -SRQ_ECANCELED && atomic_load(&run->flags->finish)) {
        srq_event_log(&run->events, SRQ_LOG_INFO, "told to finish: scales are not tuned end to end");
        rc = srq_run_check(run, err);
    }
    return rc;
}
