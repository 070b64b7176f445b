/* The score and allocate stages: every candidate measured once, then schemes chosen inside the budget. */
#include "core/job/run.h"

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/base/fs.h"
#include "core/job/budget.h"
#include "core/job/fingerprint.h"
#include "core/job/scores_json.h"
#include "core/job/tasks.h"

#include <math.h>

#define SCORES "scores.json" /* in ckpt/: candidates that are finished survive a kill */

struct scoring {
    struct srq_run *run;
    struct srq_scores scores;
    struct srq_scoring *pass; /* made when a candidate has to be measured */
    struct srq_scoring_config cfg;
    char *path;
    char model[64];             /* its hash, of fingerprint.json */
    struct srq_scheme *schemes; /* [layers] of a pass */
    double *column;             /* [layers] of a pass */
    int candidate;
    struct srq_error tick_error;
};

/* ---- telling ----------------------------------------------------------------------------------------------------- */

static void tell_scores(struct scoring *s, int c)
{
    struct srq_run *run = s->run;
    char text[32];

    srq_scheme_text(&s->scores.scheme[c], text, sizeof(text));
    for (int i = 0; i < run->job->layer_count; i++) {
        const struct srq_layer_info *info = run->job->layers[i];
        double score = s->scores.score[i * s->scores.count + c];
        cJSON *data;

        if (isnan(score) || info->block < 0)
            continue;
        data = cJSON_CreateObject();
        if (data != NULL) {
            cJSON_AddNumberToObject(data, "block", info->block);
            cJSON_AddStringToObject(data, "layer", info->name);
            cJSON_AddStringToObject(data, "scheme", text);
            srq_put_number(data, "score", score);
        }
        srq_event_send(&run->events, "layer.scored", data, false);
    }
}

static int on_step(void *ctx, int64_t done, int64_t total)
{
    struct scoring *s = ctx;
    char text[32];

    srq_event_progress(&s->run->events, (double)s->candidate + (double)done / (double)total, s->scores.count,
                       "candidates", srq_scheme_text(&s->scores.scheme[s->candidate], text, sizeof(text)));
    return srq_run_check(s->run, &s->tick_error);
}

/* ---- one candidate ----------------------------------------------------------------------------------------------- */

/* Whether every layer that carries the candidate has its score. */
static bool complete(struct scoring *s, int c)
{
    srq_budget_point(&s->run->resolved, c, s->schemes);
    for (int i = 0; i < s->run->job->layer_count; i++) {
        if (s->schemes[i].grid != SRQ_GRID_NONE && isnan(s->scores.score[i * s->scores.count + c]))
            return false;
    }
    return true;
}

static int measure(struct scoring *s, int c, struct srq_error *err)
{
    struct srq_run *run = s->run;
    struct srq_scheme point = srq_scoring_point(&s->scores.scheme[c]);
    double start = srq_clock_s(), loss = 0;
    char text[32], at[32];
    int rc = 0;

    if (s->pass == NULL)
        rc = srq_scoring_create(&s->cfg, &s->pass, err);
    if (rc == 0)
        rc = srq_scoring_run(s->pass, s->schemes, &run->score, on_step, s, s->column, &loss, err);
    if (rc != 0) {
        if (s->tick_error.code != 0)
            *err = s->tick_error;
        return rc;
    }
    srq_event_log(&run->events, SRQ_LOG_INFO, "scored %s in %.3g s, where all layers are %s and the loss is %.5g",
                  srq_scheme_text(&s->scores.scheme[c], text, sizeof(text)), srq_clock_s() - start,
                  srq_scheme_text(&point, at, sizeof(at)), loss);
    return 0;
}

static int score_candidate(struct scoring *s, int c, struct srq_error *err)
{
    struct srq_run *run = s->run;
    struct srq_score_key key = {
        .model = s->model, .tokens = run->score.hash, .job = run->job, .candidate = c, .data = s->cfg
    };
    struct srq_error why = { 0 };
    char text[32];
    bool cached;
    int rc = 0;

    s->candidate = c;
    cached = srq_score_cache_read(&key, s->column);
    if (cached)
        srq_event_log(&run->events, SRQ_LOG_INFO, "scores of %s are known from an earlier job",
                      srq_scheme_text(&s->scores.scheme[c], text, sizeof(text)));
    else
        rc = measure(s, c, err);
    if (rc != 0)
        return rc;
    for (int i = 0; i < run->job->layer_count; i++) {
        if (s->schemes[i].grid != SRQ_GRID_NONE)
            s->scores.score[i * s->scores.count + c] = s->column[i];
    }
    for (int i = 0; i < run->job->layer_count; i++)
        s->column[i] = s->scores.score[i * s->scores.count + c];
    if (!cached && !srq_score_cache_write(&key, s->column, &why))
        srq_event_log(&run->events, SRQ_LOG_WARN, "scores were not kept for other jobs: %s", why.text);
    tell_scores(s, c);
    return srq_scores_save(&s->scores, run->job->layers, s->path, err);
}

/* ---- the stage --------------------------------------------------------------------------------------------------- */

static bool same_candidates(const struct srq_scores *s, const struct srq_candidates *c)
{
    bool same = s->count == c->count;

    for (int i = 0; same && i < c->count; i++)
        same = srq_scheme_equal(&s->scheme[i], &c->scheme[i]);
    return same;
}

/* What an earlier run of the job stored, or nothing scored yet. */
static int take_up(struct scoring *s, struct srq_error *err)
{
    const struct srq_resolved *r = &s->run->resolved;
    int rc = srq_scores_load(s->path, r->job.layers, r->job.layer_count, &s->scores, err);

    if (rc == 0 && same_candidates(&s->scores, &r->job.candidates))
        return 0;
    if (rc == -SRQ_ENOMEM)
        return rc;
    srq_scores_fini(&s->scores);
    return srq_scores_init(&s->scores, r->job.candidates.scheme, r->job.candidates.count, r->job.layer_count, err);
}

static int open_stage(struct scoring *s, struct srq_error *err)
{
    struct srq_run *run = s->run;
    size_t n = (size_t)run->job->layer_count + 1;
    int rc = 0;

    s->path = srq_path_join(run->ckpt, SCORES);
    s->schemes = srq_calloc(n, sizeof(s->schemes[0]));
    s->column = srq_calloc(n, sizeof(s->column[0]));
    if (s->path == NULL || s->schemes == NULL || s->column == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory scoring layers");
    s->cfg = srq_budget_scoring(&run->resolved, run->score.count);
    rc = take_up(s, err);
    return rc == 0 ? srq_fingerprint_model(run->dir, s->model, sizeof(s->model), err) : rc;
}

int srq_stage_score(struct srq_run *run, struct srq_error *err)
{
    struct scoring s = { .run = run };
    int rc;

    srq_event_stage(&run->events, SRQ_STAGE_SCORE, 0, run->job->candidates.count, "candidates");
    rc = open_stage(&s, err);
    for (int c = 0; rc == 0 && c < s.scores.count; c++) {
        rc = srq_run_check(run, err);
        if (rc == 0 && !complete(&s, c))
            rc = score_candidate(&s, c, err);
        if (rc == 0)
            srq_event_progress(&run->events, c + 1, s.scores.count, "candidates", NULL);
    }
    srq_scoring_free(s.pass);
    if (rc == 0) {
        srq_tasks_lock(run->tasks); /* a change of the plan may be looking at what was known before */
        srq_scores_fini(&run->scores);
        run->scores = s.scores;
        srq_tasks_unlock(run->tasks);
        memset(&s.scores, 0, sizeof(s.scores));
    }
    srq_scores_fini(&s.scores);
    srq_free(s.column);
    srq_free(s.schemes);
    srq_free(s.path);
    return rc == 0 ? srq_events_check(&run->events, err) : rc;
}
