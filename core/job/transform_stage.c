/* The transform stage: scales are found, kept, folded into the model and held against the stored one. */
#include "core/job/run.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "core/job/fingerprint.h"
#include "core/job/pace.h"
#include "core/job/scale_cache.h"
#include "core/job/plan_json.h"
#include "core/job/tasks.h"
#include "core/job/transform.h"
#include "core/tune/fold_error.h"

#include <inttypes.h>
#include <sys/stat.h>
#include <math.h>
#include <unistd.h>

#define RUNNING "scales-running" /* the same while they are trained */
#define AIMS "scales-for"        /* fact: the schemes that they are found for */
#define POINTS 400               /* loss points of the training in the journal, about */

struct stage {
    struct srq_run *run;
    const struct srq_plugin *plugin;
    struct srq_transformer *t;
    struct srq_scheme *aims; /* [layers] */
    bool *wanted;            /* [pairs] */
    char *done, *running;    /* files */
    bool steps;              /* progress counts steps, no longer blocks */
    struct srq_pace pace;    /* of checkpoints */
    struct srq_error tick_error;
};

/* ---- what they are found for ------------------------------------------------------------------------------------- */

static int keep_aims(struct stage *s, struct srq_error *err)
{
    cJSON *fact = cJSON_CreateObject();
    int rc = srq_put_schemes(fact, "schemes", s->aims, s->run->job->layer_count)
                 ? srq_fact_write(s->run->ckpt, AIMS, fact, err)
                 : srq_fail(err, -SRQ_ENOMEM, "out of memory");

    cJSON_Delete(fact);
    return rc;
}

/* The schemes of the plan as the stage first began: a resume goes on with those, whatever the plan has become. */
static int settle_aims(struct stage *s, struct srq_error *err)
{
    const struct srq_resolved *r = &s->run->resolved;
    cJSON *fact = srq_fact_read(s->run->ckpt, AIMS);
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(fact, "schemes");
    int n;
    bool known = srq_read_schemes(list, r->job.layer_count, s->aims, &n, NULL) == 0 && n == r->job.layer_count && n > 0;

    for (int i = 0; !known && i < r->job.layer_count; i++)
        s->aims[i] = r->job.aims != NULL ? r->job.aims[i] : r->choice.schemes[i];
    cJSON_Delete(fact);
    return known ? 0 : keep_aims(s, err);
}

/* ---- finding them ------------------------------------------------------------------------------------------------ */

static int checkpoint(struct stage *s, struct srq_error *err)
{
    struct stat st;
    int rc;

    srq_pace_begin(&s->pace);
    rc = srq_transform_save(s->t, s->run->ckpt, RUNNING, err);
    return rc == 0 ? srq_pace_end(&s->pace, -1, srq_transform_step(s->t),
                                  stat(s->running, &st) == 0 ? (size_t)st.st_size : 0, err)
                   : rc;
}

/* Progress, requests, and between steps checkpoints. Told to finish, the training ends with what it has. */
static int on_tick(void *ctx, double done, double total, const char *unit, bool at_step)
{
    struct stage *s = ctx;
    struct srq_run *run = s->run;
    bool pause = atomic_load(&run->flags->pause);

    if (!s->steps && strcmp(unit, "steps") == 0) {
        s->steps = true;
        srq_event_stage(&run->events, SRQ_STAGE_TRANSFORM, done, total, unit);
    }
    srq_event_progress(&run->events, done, total, unit, s->plugin->name);
    (void)srq_usage_peak(run->usage); /* a short search may lie between two looks */
    if (at_step && done > 0 && (pause || srq_pace_due(&s->pace) || atomic_exchange(&run->flags->checkpoint, false)) &&
        checkpoint(s, &s->tick_error) != 0)
        return -s->tick_error.code;
    if (at_step && atomic_load(&run->flags->finish))
        return srq_run_keep_finish_step(run, SRQ_STAGE_TRANSFORM, (int64_t)done, &s->tick_error) == 0
                   ? 1
                   : -s->tick_error.code;
    return srq_run_check(run, &s->tick_error);
}

static void on_point(void *ctx, int64_t step, double loss, double lr)
{
    struct stage *s = ctx;
    int64_t all = s->run->job->transform.steps, every = all > POINTS ? (all + POINTS - 1) / POINTS : 1;
    cJSON *data = step % every == 0 || step == all - 1 ? cJSON_CreateObject() : NULL;

    if (data == NULL)
        return;
    cJSON_AddNumberToObject(data, "iter", (double)step);
    srq_put_number(data, "loss", loss);
    srq_put_number(data, "lr", lr);
    srq_event_send(&s->run->events, "transform.point", data, false);
}

/* How far the scales of each kind of pairs are from 1. */
static void add_spreads(cJSON *data, const struct srq_scales_spread *spread)
{
    cJSON *list = cJSON_AddArrayToObject(data, "pairs");

    for (int k = 0; k < SRQ_SCALES_KINDS; k++) {
        const char kind[2] = { (char)('A' + k), '\0' };
        cJSON *o = isnan(spread->kind[k].mean) ? NULL : cJSON_CreateObject();

        if (o == NULL || !cJSON_AddItemToArray(list, o))
            continue;
        srq_put_text(o, "kind", kind);
        srq_put_number(o, "spread_mean", spread->kind[k].mean);
        srq_put_number(o, "spread_max", spread->kind[k].max);
    }
}

static void on_probe(void *ctx, int64_t step, double loss, double best, const struct srq_scales_spread *spread)
{
    struct stage *s = ctx;
    cJSON *data = cJSON_CreateObject();

    if (data == NULL)
        return;
    cJSON_AddNumberToObject(data, "iter", (double)step);
    srq_put_number(data, "loss", loss);
    srq_put_number(data, "best", best);
    srq_put_number(data, "spread_mean", spread->mean);
    srq_put_number(data, "spread_max", spread->max);
    add_spreads(data, spread);
    srq_event_send(&s->run->events, "transform.probe", data, false);
}

static int search(struct stage *s, const struct srq_transform_config *cfg, struct srq_error *err)
{
    struct srq_run *run = s->run;
    struct srq_transform_events events = { .ctx = s, .tick = on_tick, .point = on_point, .probe = on_probe };
    int rc = srq_transform_create(cfg, run->scaling.count > 0 ? &run->scaling : NULL, &s->t, err);

    if (rc == 0)
        rc = srq_transform_run(s->t, srq_path_exists(s->running) ? s->running : NULL, &events, err);
    if (rc != 0 && s->tick_error.code != 0)
        *err = s->tick_error;
    if (rc == 0)
        rc = srq_scales_write(srq_transform_scales(s->t), run->job->model, run->ckpt, SRQ_SCALES_FILE, err);
    return rc;
}

/* Those of an earlier job, where there are some. */
static int from_cache(struct stage *s, const struct srq_scale_key *key, bool *found, struct srq_error *err)
{
    struct srq_run *run = s->run;
    struct srq_scales known = { 0 };
    int rc = srq_scales_alloc(run->job->model, s->wanted, &known, err);

    *found = rc == 0 && srq_scale_cache_read(key, &known);
    if (*found) {
        srq_event_log(&run->events, SRQ_LOG_INFO, "scales of %s are known from an earlier job", s->plugin->name);
        rc = srq_scales_write(&known, run->job->model, run->ckpt, SRQ_SCALES_FILE, err);
    }
    srq_scales_fini(&known);
    return rc;
}

/* What took no samples is found again as fast as it is read; a training that was told to end early is not what its
 * options say. */
static int find(struct stage *s, struct srq_error *err)
{
    struct srq_run *run = s->run;
    struct srq_scale_key key = { .tokens = run->scaling.hash,
                                 .job = run->job,
                                 .data = srq_job_transform_config(&run->resolved, run->scaling.count) };
    bool keeps = run->scaling.count > 0, found = false;
    struct srq_error why = { 0 };
    char model[64];
    int rc = keeps ? srq_fingerprint_model(run->dir, model, sizeof(model), err) : 0;

    key.model = model;
    key.data.schemes = s->aims;
    if (rc == 0 && keeps)
        rc = from_cache(s, &key, &found, err);
    if (rc == 0 && !found)
        rc = search(s, &key.data, err);
    if (rc == 0 && keeps && !found && srq_transform_scales(s->t)->outcome.steps == run->job->transform.steps &&
        !srq_scale_cache_write(&key, srq_transform_scales(s->t), &why))
        srq_event_log(&run->events, SRQ_LOG_WARN, "scales were not kept for other jobs: %s", why.text);
    srq_transform_free(s->t);
    s->t = NULL;
    return rc;
}

/* ---- folding ----------------------------------------------------------------------------------------------------- */

int srq_run_fold(struct srq_run *run, struct srq_error *err)
{
    if (run->scales.pairs == 0)
        return 0;
    return srq_model_fold(run->job->model, (const float *const *)run->scales.alpha, err);
}

/* Some tokens of the calibration text, else of the vocabulary. */
static int64_t pick_tokens(const struct srq_run *run, int32_t tokens[SRQ_FOLD_TOKENS])
{
    const struct srq_samples *s = run->scaling.count > 0 ? &run->scaling : &run->calib;
    int64_t n = s->count > 0 && s->seqlen < SRQ_FOLD_TOKENS ? s->seqlen : SRQ_FOLD_TOKENS;

    for (int64_t i = 0; i < n; i++)
        tokens[i] = s->count > 0 ? s->ids[i] : (int32_t)((i * 131 + 7) % run->job->info->vocab);
    return n;
}

static int keep_fold(struct srq_run *run, double error, struct srq_error *err)
{
    cJSON *fact = cJSON_CreateObject();
    int rc = fact != NULL && srq_put_number(fact, "error", error) ? srq_fact_write(run->ckpt, SRQ_FOLD_FACT, fact, err)
                                                                  : srq_fail(err, -SRQ_ENOMEM, "out of memory");

    cJSON_Delete(fact);
    return rc;
}

/* Folded and stored model have to compute the same: once for the scales of a job. */
static int check_fold(struct stage *s, struct srq_error *err)
{
    cJSON *known = srq_fact_read(s->run->ckpt, SRQ_FOLD_FACT);
    int32_t tokens[SRQ_FOLD_TOKENS];
    int64_t n = pick_tokens(s->run, tokens);
    double error = 0;
    int rc;

    cJSON_Delete(known);
    if (known != NULL)
        return 0;
    rc = srq_fold_error(s->run->job->model, tokens, n, &error, err);
    if (rc != 0)
        return rc;
    srq_event_log(&s->run->events, SRQ_LOG_INFO,
                  "%s: scales are folded in; logits of %" PRId64 " tokens differ by %.3g, relative L2", s->plugin->name,
                  n, error);
    if (!(error <= SRQ_FOLD_TOLERANCE))
        return srq_fail(err, -SRQ_ENUMERIC,
                        "the model with the scales of %s folded in differs from the stored one by %.3g, relative L2 of "
                        "the logits; at most %.3g is taken",
                        s->plugin->name, error, SRQ_FOLD_TOLERANCE);
    return keep_fold(s->run, error, err);
}

/* ---- the stage --------------------------------------------------------------------------------------------------- */

static int open_stage(struct stage *s, struct srq_error *err)
{
    struct srq_run *run = s->run;

    srq_pace_init(&s->pace, &run->events, run->job->spec.opt.checkpoint_s);
    s->aims = srq_calloc((size_t)run->job->layer_count + 1, sizeof(s->aims[0]));
    s->wanted = srq_calloc((size_t)srq_model_pair_count(run->job->model) + 1, sizeof(s->wanted[0]));
    s->done = srq_asprintf("%s/" SRQ_SCALES_FILE ".safetensors", run->ckpt);
    s->running = srq_asprintf("%s/" RUNNING ".safetensors", run->ckpt);
    if (s->aims == NULL || s->wanted == NULL || s->done == NULL || s->running == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory beginning the transform");
    return srq_transform_pairs(run->job->model, s->plugin, run->job->transform_self, s->wanted, err);
}

/* Takes the scales of the finished stage up. */
static int take_up(struct stage *s, struct srq_error *err)
{
    struct srq_run *run = s->run;
    int rc;

    srq_scales_fini(&run->scales);
    rc = srq_scales_alloc(run->job->model, s->wanted, &run->scales, err);
    if (rc == 0)
        rc = srq_scales_read(&run->scales, run->job->model, s->done, err);
    if (rc != 0)
        srq_scales_fini(&run->scales);
    return rc;
}

int srq_stage_transform(struct srq_run *run, struct srq_error *err)
{
    struct stage s = { .run = run, .plugin = srq_spec_transform(&run->job->spec) };
    int rc;

    srq_event_stage(&run->events, SRQ_STAGE_TRANSFORM, 0, run->job->info->blocks, "blocks");
    rc = open_stage(&s, err);
    if (rc == 0 && !srq_path_exists(s.done)) {
        rc = srq_tasks_sync(run->tasks, err);
        if (rc == 0)
            rc = settle_aims(&s, err);
        if (rc == 0)
            rc = find(&s, err);
        if (rc == 0)
            unlink(s.running);
    }
    if (rc == 0)
        rc = take_up(&s, err);
    if (rc == 0)
        rc = srq_run_fold(run, err);
    if (rc == 0)
        rc = check_fold(&s, err);
    srq_free(s.aims);
    srq_free(s.wanted);
    srq_free(s.done);
    srq_free(s.running);
    return rc == 0 ? srq_events_check(&run->events, err) : rc;
}
