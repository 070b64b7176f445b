/* Running a job: journal, control from outside, then the stages in order. */
#include "core/job/job.h"

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/base/fs.h"
#include "core/base/log.h"
#include "core/job/estimate.h"
#include "core/job/resolve.h"
#include "core/job/run.h"
#include "core/job/tasks.h"
#include "core/job/train.h"
#include "core/math/gemm.h"
#include "core/math/team.h"

#include <inttypes.h>

#define SPEC_MAX ((size_t)16 << 20)

struct setting {
    const struct srq_job_request *req;
    struct srq_run run;
    struct srq_journal *journal;
    uint64_t cut;
    /* while the journal is read */
    double run_began, last_time;
    int stage;     /* that the run was in; -1: none yet */
    int64_t *told; /* [told_cap] generation of the last block.end of each unit */
    int told_cap;
    int64_t revision; /* of the last plan.changed */
};

/* ---- what the journal says of earlier runs ----------------------------------------------------------------------- */

static int remember_block(struct setting *s, const cJSON *block, const cJSON *generation)
{
    int unit = block->valueint;

    if (unit < 0 || unit > 1000000)
        return 0;
    if (unit >= s->told_cap) {
        int cap = unit + 64;
        int64_t *more = srq_reallocarray(s->told, (size_t)cap, sizeof(*more));

        if (more == NULL)
            return -SRQ_ENOMEM;
        memset(more + s->told_cap, 0, (size_t)(cap - s->told_cap) * sizeof(*more));
        s->told = more;
        s->told_cap = cap;
    }
    s->told[unit] = cJSON_IsNumber(generation) ? (int64_t)generation->valuedouble : 1;
    return 0;
}

/* What passes between two lines of a run is of the stage that the first of them was told in. */
static void take_time(struct setting *s, const struct srq_journal_line *line)
{
    bool begins = strcmp(line->event, "job.state") == 0;
    int stage = srq_word_place(srq_stage_words, srq_member_text(line->data, "stage"));

    if (s->run_began > 0 && s->stage >= 0 && !begins && line->time > s->last_time)
        s->run.prior_stage_s[s->stage] += line->time - s->last_time;
    if (begins)
        s->stage = -1;
    else if (strcmp(line->event, "stage.progress") == 0 && stage >= 0)
        s->stage = stage;
}

static int recall(void *ctx, const struct srq_journal_line *line)
{
    struct setting *s = ctx;
    const char *state = srq_member_text(line->data, "state");
    int measured = srq_word_place(srq_measured_words, srq_member_text(line->data, "which"));
    const cJSON *block = cJSON_GetObjectItemCaseSensitive(line->data, "block");
    const cJSON *revision = cJSON_GetObjectItemCaseSensitive(line->data, "revision");

    if (line->seq == 1)
        s->run.created = line->time;
    take_time(s, line);
    if (strcmp(line->event, "job.state") == 0 && state != NULL) {
        s->run.last_state = srq_word_place(srq_job_state_words, state);
        if (s->run.last_state == SRQ_JOB_RUNNING) {
            if (s->run_began > 0)
                s->run.prior_s += s->last_time - s->run_began;
            s->run_began = line->time;
        }
    }
    s->last_time = line->time;
    if (strcmp(line->event, "eval.result") == 0 && measured >= 0)
        s->run.eval_told[measured] = true;
    if (strcmp(line->event, "plan.changed") == 0 && cJSON_IsNumber(revision))
        s->revision = (int64_t)revision->valuedouble;
    if (strcmp(line->event, "block.end") == 0 && cJSON_IsNumber(block))
        return remember_block(s, block, cJSON_GetObjectItemCaseSensitive(line->data, "generation"));
    return 0;
}

static int open_journal(struct setting *s, struct srq_error *err)
{
    char *path = srq_path_join(s->run.dir, "journal.ndjson");
    uint64_t offset = 0;
    int rc = path != NULL ? srq_journal_open(path, &s->journal, &s->cut, err)
                          : srq_fail(err, -SRQ_ENOMEM, "out of memory opening the journal");

    srq_free(path);
    if (rc == 0)
        rc = srq_journal_read(s->journal, &offset, recall, s, err);
    if (rc == 0 && s->run_began > 0)
        s->run.prior_s += s->last_time - s->run_began;
    return rc;
}

/* ---- specification ----------------------------------------------------------------------------------------------- */

static int same_spec(const char *path, const char *text, struct srq_error *err)
{
    char *have = NULL;
    size_t len;
    int rc = srq_read_file(path, SPEC_MAX, &have, &len, err);

    if (rc == 0 && strcmp(have, text) != 0)
        rc = srq_fail_field(err, -SRQ_EEXIST, path,
                            "%s belongs to another job; remove its directory or give another one", path);
    srq_free(have);
    return rc;
}

/* The specification of a new job, normalised; one that is there already must be the same. */
static int store_spec(struct setting *s, const char *path, struct srq_error *err)
{
    cJSON *json = srq_spec_json(&s->run.job->spec);
    char *text = json != NULL ? cJSON_Print(json) : NULL;
    int rc;

    if (text == NULL)
        rc = srq_fail(err, -SRQ_ENOMEM, "out of memory storing the job");
    else if (srq_path_exists(path))
        rc = same_spec(path, text, err);
    else
        rc = srq_write_file_durable(path, text, strlen(text), 0644, err);
    cJSON_free(text);
    cJSON_Delete(json);
    return rc;
}

static int read_spec(struct setting *s, const char *path, struct srq_error *err)
{
    char *text;
    size_t len;
    int rc = srq_read_file(path, SPEC_MAX, &text, &len, err);

    if (rc != 0)
        return rc;
    rc = srq_resolve_text(text, len, SRQ_SPEC_STORED, &s->run.resolved, err);
    srq_free(text);
    return rc;
}

/* A job directory goes when its job is deleted, an output when it is replaced: neither may lie in the other. */
static int check_apart(const struct srq_run *run, struct srq_error *err)
{
    char *dir = srq_path_canonical(run->dir), *out = srq_path_canonical(run->job->spec.output);
    int rc = 0;

    if (dir == NULL || out == NULL)
        rc = srq_fail(err, -SRQ_ENOMEM, "out of memory opening the job");
    else if (srq_path_within(dir, out) || srq_path_within(out, dir))
        rc = srq_fail_field(err, -SRQ_EINVAL, "output", "output %s and job directory %s lie in each other", out, dir);
    srq_free(dir);
    srq_free(out);
    return rc;
}

static int resolve(struct setting *s, struct srq_error *err)
{
    const struct srq_job_request *req = s->req;
    char *path = srq_path_join(s->run.dir, "spec.json"), why[800];
    int rc;

    if (path == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory opening the job");
    if (req->spec == NULL)
        rc = read_spec(s, path, err);
    else /* a second call with the same job goes on with it, and may find its own output */
        rc = srq_resolve_text(req->spec, req->spec_len,
                              req->spec_flags | (srq_path_exists(path) ? (unsigned)SRQ_SPEC_AGAIN : 0u),
                              &s->run.resolved, err);
    if (rc == 0) {
        rc = check_apart(&s->run, err);
        if (rc == 0 && srq_job_train_refused(&s->run.resolved.job, why, sizeof(why)))
            rc = srq_fail_field(err, -SRQ_EUNSUPPORTED, "model", "%s", why);
        if (rc == 0 && req->spec != NULL)
            rc = store_spec(s, path, err);
        if (rc != 0)
            srq_resolved_fini(&s->run.resolved);
    }
    srq_free(path);
    return rc;
}

/* ---- the run ----------------------------------------------------------------------------------------------------- */

static void on_event(void *ctx, int64_t seq, double time, const char *event, const cJSON *data)
{
    struct setting *s = ctx;

    if (seq == 1)
        s->run.created = time;
    if (s->req->watch != NULL)
        s->req->watch(s->req->watch_ctx, seq, time, event, data);
}

/* ---- stages ------------------------------------------------------------------------------------------------------ */

static bool has_budget(const struct srq_job *job)
{
    return srq_spec_has_budget(&job->spec);
}

static bool transforms(const struct srq_job *job)
{
    return srq_spec_transform(&job->spec) != NULL;
}

static bool reads_words(const struct srq_job *job)
{
    return !job->info->pictures;
}

static bool makes_pictures(const struct srq_job *job)
{
    return job->info->pictures;
}

static bool trains(const struct srq_job *job)
{
    return srq_spec_trainer(&job->spec) != NULL;
}

struct stage_row {
    int (*run)(struct srq_run *run, struct srq_error *err);
    bool (*wanted)(const struct srq_job *job); /* NULL: by every job */
};

/* In this order, whatever runs the job. What the plugins of the method can do decides which are wanted. */
static const struct stage_row loading[] = {
    { srq_stage_load, NULL },
    { srq_stage_calibrate, NULL },
    { srq_stage_resample, reads_words },
};
static const struct stage_row preparing[] = {
    { srq_stage_score, has_budget },     { srq_stage_allocate, has_budget }, { srq_stage_evaluate_before, reads_words },
    { srq_stage_transform, transforms }, { srq_stage_train, trains },
};
/* Again and again until nothing is pending or stale and the result is measured, whatever changes meanwhile. */
static const struct stage_row making[] = {
    { srq_stage_quantize, NULL },
    { srq_stage_refine, reads_words },
    { srq_stage_evaluate_after, reads_words },
    { srq_stage_sample, makes_pictures },
};
#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

/* What a stage has freed goes back at its end: what is counted for the next one leaves its memory out. */
static int run_rows(struct srq_run *run, const struct stage_row *rows, size_t count, struct srq_error *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (rows[i].wanted != NULL && !rows[i].wanted(run->job))
            continue;
        rc = rows[i].run(run, err);
        (void)srq_usage_peak(run->usage); /* a short stage may lie between two looks */
        srq_run_watch_memory(run);
        srq_heap_trim();
    }
    return rc;
}

static int make_result(struct srq_run *run, struct srq_error *err)
{
    for (;;) {
        int rc;

        srq_tasks_sync_options(run->tasks);
        rc = run_rows(run, making, COUNT(making), err);
        if (rc == -SRQ_ECANCELED && srq_tasks_unfinished(run->tasks))
            rc = srq_run_check(run, err);
        if (rc == 0 && srq_tasks_seal(run->tasks))
            return srq_tasks_sync(run->tasks, err); /* a change may have been of names only: pins, the revision */
        if (rc != 0)
            return rc;
    }
}

static int run_stages(struct srq_run *run, struct srq_error *err)
{
    double start = srq_clock_s();
    bool published = srq_run_published(run); /* results of blocks may have gone already */
    int rc = published ? 0 : run_rows(run, loading, COUNT(loading), err);

    run->load_s = srq_clock_s() - start;
    if (rc == 0 && !published)
        rc = run_rows(run, preparing, COUNT(preparing), err);
    if (rc == 0 && !published)
        rc = make_result(run, err);
    if (rc == 0)
        rc = srq_stage_export(run, err);
    if (rc == 0)
        rc = srq_events_check(&run->events, err);
    return rc;
}

static int prepare(struct setting *s, struct srq_error *err)
{
    struct srq_run *run = &s->run;
    int units = srq_model_unit_count(run->job->model);

    run->told = srq_calloc((size_t)units + 1, sizeof(run->told[0]));
    run->ckpt = srq_path_join(run->dir, "ckpt");
    if (run->told == NULL || run->ckpt == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory starting the job");
    if (s->told_cap > 0)
        memcpy(run->told, s->told, (size_t)(s->told_cap < units ? s->told_cap : units) * sizeof(run->told[0]));
    run->planned_samples = run->job->spec.opt.nsamples * (1 + run->resolved.choice.copies);
    return srq_tasks_open(run, s->revision, &run->tasks, err);
}

static int on_change(void *ctx, const cJSON *params, cJSON **reply, struct srq_error *err)
{
    struct srq_run *run = ctx;

    return srq_tasks_change(run->tasks, params, reply, err);
}

static void begin(struct setting *s)
{
    struct srq_run *run = &s->run;

    srq_event_state(&run->events, SRQ_JOB_RUNNING, NULL);
    if (s->cut > 0)
        srq_event_log(&run->events, SRQ_LOG_WARN, "the journal had a torn tail of %" PRIu64 " bytes, which was cut",
                      s->cut);
    for (int i = 0; i < cJSON_GetArraySize(run->resolved.notes); i++)
        srq_event_log(&run->events, SRQ_LOG_WARN, "%s", cJSON_GetArrayItem(run->resolved.notes, i)->valuestring);
    srq_event_log(&run->events, SRQ_LOG_INFO, "products: %s; %" PRId64 " threads; blocks compute in %s",
                  srq_gemm_describe(), run->job->spec.opt.threads, srq_dtype_name(run->job->compute));
}

/* Tells how it ended. A failure that another try may mend leaves the job as it is: running. */
static int conclude(struct setting *s, int rc, enum srq_job_state *end, struct srq_error *err)
{
    struct srq_events *e = &s->run.events;

    if (s->run.tasks != NULL &&
        (rc == 0 || (rc != -SRQ_ENOMEM && rc != -SRQ_EIO && !atomic_load(&s->req->flags->pause))))
        srq_tasks_close(s->run.tasks, "has ended");
    if (rc == 0) {
        *end = SRQ_JOB_DONE;
        srq_event_state(e, SRQ_JOB_DONE, NULL);
        return srq_events_check(e, err);
    }
    if (rc == -SRQ_ECANCELED) {
        *end = atomic_load(&s->req->flags->cancel) ? SRQ_JOB_CANCELED : SRQ_JOB_PAUSED;
        srq_event_state(e, *end, "asked for");
        return srq_events_check(e, err);
    }
    srq_event_log(e, SRQ_LOG_ERROR, "%s", err->text);
    if (rc != -SRQ_ENOMEM && rc != -SRQ_EIO)
        srq_event_state(e, SRQ_JOB_FAILED, err->text);
    return rc;
}

static int work(struct setting *s, enum srq_job_state *end, struct srq_error *err)
{
    const struct srq_job_control *control = s->req->control;
    struct srq_run *run = &s->run;
    double way[SRQ_WAY_LENGTH];
    int rc;

    srq_events_init(&run->events, s->journal, s->req->flags);
    run->flags = s->req->flags;
    run->start = srq_clock_s();
    srq_journal_watch_set(s->journal, on_event, s);
    rc = control != NULL ? control->start(control->ctx, s->journal, err) : 0;
    if (rc == 0)
        rc = resolve(s, err);
    if (rc == 0 && run->job->spec.opt.bind_threads != 0)
        rc = srq_team_bind(err);
    if (rc == 0) {
        rc = srq_usage_start(run->resolved.footprint.baseline_bytes, &run->usage, err);
        if (rc == 0)
            rc = prepare(s, err);
        begin(s);
        srq_estimate_way(&run->resolved, way);
        srq_event_expect(&run->events, way);
        if (rc == 0 && srq_run_published(run))
            srq_tasks_close(run->tasks, "is exported");
        if (rc == 0 && control != NULL)
            control->changes(control->ctx, on_change, run);
        if (rc == 0)
            rc = run_stages(run, err);
    }
    rc = conclude(s, rc, end, err);
    return rc;
}

static bool ended_before(const struct srq_run *run, enum srq_job_state *end)
{
    if (run->last_state != SRQ_JOB_DONE && run->last_state != SRQ_JOB_CANCELED)
        return false;
    *end = (enum srq_job_state)run->last_state;
    return true;
}

static int set_up(struct setting *s, const struct srq_job_request *req, struct srq_error *err)
{
    memset(s, 0, sizeof(*s));
    s->req = req;
    s->run.dir = req->dir;
    s->run.job = &s->run.resolved.job;
    s->run.id = strrchr(req->dir, '/') + 1;
    return open_journal(s, err);
}

static void clean_up(struct setting *s)
{
    struct srq_run *run = &s->run;

    if (s->req->control != NULL)
        s->req->control->stop(s->req->control->ctx);
    srq_tasks_free(run->tasks);
    srq_usage_stop(run->usage);
    srq_run_forget_refined(run);
    srq_samples_fini(&run->calib);
    srq_noisy_pictures_fini(&run->noisy);
    srq_samples_fini(&run->score);
    srq_samples_fini(&run->scaling);
    srq_scales_fini(&run->scales);
    srq_samples_fini(&run->eval);
    srq_scores_fini(&run->scores);
    if (run->job->model != NULL)
        srq_resolved_fini(&run->resolved);
    srq_free(run->told);
    srq_free(run->ckpt);
    srq_free(s->told);
    srq_journal_close(s->journal);
}

int srq_job_run(const struct srq_job_request *req, enum srq_job_state *end, struct srq_error *err)
{
    struct srq_error own = { 0 };
    struct setting s;
    int rc;

    err = err != NULL ? err : &own;
    rc = set_up(&s, req, err);
    if (rc == 0 && !ended_before(&s.run, end))
        rc = work(&s, end, err);
    clean_up(&s);
    return rc;
}

/* ---- a change while nobody works --------------------------------------------------------------------------------- */

static int change_resting(struct setting *s, const cJSON *params, cJSON **reply, struct srq_error *err)
{
    struct srq_run *run = &s->run;
    enum srq_job_state end;
    int rc;

    if (ended_before(run, &end))
        return srq_fail(err, -SRQ_ESTATE, "job %s is %s; its plan can no longer be changed", run->id,
                        srq_job_state_words[end]);
    srq_events_init(&run->events, s->journal, s->req->flags);
    rc = resolve(s, err);
    if (rc == 0)
        rc = prepare(s, err);
    if (rc == 0 && srq_run_published(run))
        srq_tasks_close(run->tasks, "is exported");
    return rc == 0 ? srq_tasks_change(run->tasks, params, reply, err) : rc;
}

int srq_job_change(const char *dir, const cJSON *params, cJSON **reply, struct srq_error *err)
{
    struct srq_job_flags flags = { 0 };
    struct srq_job_request req = { .dir = dir, .flags = &flags };
    struct setting s;
    int rc = set_up(&s, &req, err);

    *reply = NULL;
    if (rc == 0)
        rc = change_resting(&s, params, reply, err);
    clean_up(&s);
    return rc;
}
