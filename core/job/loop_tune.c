/* Tuning one unit, or weighing its inputs and rounding it: events, checkpoints, the result. */
#include "core/job/loop.h"

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/base/hash.h"
#include "core/job/footprint.h"

#include <inttypes.h>
#include <math.h>

#define POINTS 200        /* loss points of a block in the journal, about */
#define SPARE_SNAPSHOTS 8 /* further ones are kept while so many times their size is free */

/* ---- events of the tuner ----------------------------------------------------------------------------------------- */

static void on_point(void *ctx, int64_t iter, double loss, double lr)
{
    struct srq_loop *l = ctx;
    int64_t every = l->iters > POINTS ? (l->iters + POINTS - 1) / POINTS : 1;
    cJSON *data;

    if (iter % every != 0 && iter != l->iters - 1)
        return;
    data = cJSON_CreateObject();
    if (data != NULL) {
        cJSON_AddNumberToObject(data, "block", l->task.unit);
        cJSON_AddNumberToObject(data, "iter", (double)iter);
        srq_put_number(data, "loss", loss);
        srq_put_number(data, "lr", lr);
    }
    srq_event_send(&l->run->events, "tune.point", data, false);
}

static void on_probe(void *ctx, int64_t iter, double loss, bool best)
{
    struct srq_loop *l = ctx;
    cJSON *data = cJSON_CreateObject();

    if (best)
        l->best = loss;
    if (data != NULL) {
        cJSON_AddNumberToObject(data, "block", l->task.unit);
        cJSON_AddNumberToObject(data, "iter", (double)iter);
        srq_put_number(data, "loss", loss);
        srq_put_number(data, "best", l->best);
    }
    srq_event_send(&l->run->events, "tune.probe", data, false);
}

static void on_layer_error(void *ctx, int layer, int64_t iter, double relative)
{
    struct srq_loop *l = ctx;
    cJSON *data = cJSON_CreateObject();

    if (data != NULL) {
        cJSON_AddNumberToObject(data, "block", l->task.unit);
        cJSON_AddStringToObject(data, "layer", l->run->job->layers[l->first + layer]->name);
        cJSON_AddNumberToObject(data, "iter", (double)iter);
        srq_put_number(data, "error", relative);
    }
    srq_event_send(&l->run->events, "layer.error", data, false);
}

/* ---- checkpoints ------------------------------------------------------------------------------------------------- */

static int checkpoint(struct srq_loop *l, int64_t iter, struct srq_error *err)
{
    double now = srq_clock_s();
    struct srq_running r = { .block = l->task.unit,
                             .iter = iter,
                             .key = l->task.key,
                             .elapsed_s = l->before_s + now - l->began,
                             .tune_s = l->tune_before_s + now - l->tune_began };
    struct srq_tuner_state state;
    int rc;

    srq_pace_begin(&l->pace);
    rc = srq_tuner_save(l->tuner, &state, err);
    srq_running_close(&l->resumed);
    if (rc == 0)
        rc = srq_running_write(l->run->ckpt, &r, state.parts, state.count, err);
    return rc == 0 ? srq_pace_end(&l->pace, l->task.unit, iter, state.len, err) : rc;
}

/* Told to finish: the block keeps what its iterations found, from a checkpoint on disk, so that a resume ends it at the
 * same one. */
static int finish_here(struct srq_loop *l, int64_t iter)
{
    int rc = 0;

    if (!l->run->finish) {
        if (iter > 0)
            rc = checkpoint(l, iter, &l->tick_error);
        if (rc == 0)
            rc = srq_run_keep_finish(l->run, l->task.unit, iter, &l->tick_error);
        if (rc == 0 && iter == 0) /* nothing to keep: like the blocks that follow */
            rc = srq_fail(&l->tick_error, -SRQ_ECANCELED, "told to finish");
    }
    return rc != 0 ? rc : SRQ_TUNE_ENOUGH;
}

/* Between iterations: progress, requests, checkpoints. */
static int on_tick(void *ctx, int64_t iter)
{
    struct srq_loop *l = ctx;
    struct srq_run *run = l->run;
    bool pause = atomic_load(&run->flags->pause), now = atomic_exchange(&run->flags->checkpoint, false);
    double done = srq_tasks_done(run->tasks) + (l->iters > 0 ? (double)iter / (double)(l->iters + 1) : 0);
    int rc;

    srq_tasks_iteration(run->tasks, iter);
    srq_event_progress(&run->events, done, srq_tasks_total(run->tasks), "blocks", l->name);
    if (run->finish || atomic_load(&run->flags->finish))
        return finish_here(l, iter);
    if (srq_tasks_interrupted(run->tasks))
        return srq_fail(&l->tick_error, -SRQ_ECANCELED, "the plan changed");
    if ((pause || now || srq_pace_due(&l->pace)) && iter > 0) {
        rc = checkpoint(l, iter, &l->tick_error);
        if (rc != 0)
            return rc;
    }
    return srq_run_check(run, &l->tick_error);
}

/* ---- snapshots --------------------------------------------------------------------------------------------------- */

/* Snapshots are for speed only, so they may cost what checkpoints may, and a full disk only means that there is
 * none. */
static void snapshot(struct srq_loop *l)
{
    struct srq_run *run = l->run;
    int keep = run->resolved.choice.snapshots;
    struct srq_states *const stores[] = { l->fp, l->q };
    const struct srq_snapshot_set set = { stores, 2 };
    double start = srq_clock_s(), bytes = l->at > 0 ? (double)srq_snapshot_bytes(&set, l->at) : 0;
    double fair = (start - l->snapshot_at) / SRQ_PACE_COST;
    uint64_t available;
    struct srq_error err = { 0 };

    if (l->at < 1 || l->ahead || keep == 0 || bytes / l->snapshot_rate > (fair > 0.05 ? fair : 0.05))
        return;
    if (srq_disk_free(run->ckpt, &available, NULL) != 0 || (double)available < SPARE_SNAPSHOTS * bytes)
        keep = 1;
    if (srq_snapshot_save(&set, run->ckpt, l->at, srq_tasks_inputs(run->tasks, l->at), &err) != 0) {
        srq_event_log(&run->events, SRQ_LOG_WARN, "stored inputs were not saved: %s", err.text);
        return;
    }
    srq_snapshot_thin(run->ckpt, l->at, keep);
    l->snapshot_at = srq_clock_s();
    l->snapshot_rate = bytes / (l->snapshot_at - start + 1e-6);
}

/* ---- the tuner --------------------------------------------------------------------------------------------------- */

/* A tuner holds memory for the schemes that it was made for: other schemes, another tuner. */
static int take_tuner(struct srq_loop *l, struct srq_error *err)
{
    struct srq_resolved *r = &l->run->resolved;
    struct srq_tune_config cfg = srq_job_tune_config(r, l->run->calib.count);
    uint64_t key = 0;

    for (int i = 0; i < r->job.layer_count; i++) {
        char text[64];
        int n = snprintf(text, sizeof(text), "%016" PRIx64, key);

        srq_scheme_text(&l->task.schemes[i], text + n, sizeof(text) - (size_t)n);
        key = srq_hash64(text, strlen(text));
    }
    if (l->tuner != NULL && l->tuner_key == key)
        return 0;
    srq_tuner_free(l->tuner);
    l->tuner = NULL;
    l->tuner_key = key;
    cfg.schemes = l->task.schemes;
    return srq_tuner_create(&cfg, &l->tuner, err);
}

static void tell_begin(struct srq_loop *l)
{
    cJSON *data = cJSON_CreateObject(), *names = data != NULL ? cJSON_CreateArray() : NULL;

    if (names != NULL) {
        cJSON_AddNumberToObject(data, "block", l->task.unit);
        cJSON_AddStringToObject(data, "name", l->name);
        for (int i = 0; i < l->layers; i++)
            cJSON_AddItemToArray(names, cJSON_CreateString(l->run->job->layers[l->first + i]->name));
        cJSON_AddItemToObject(data, "layers", names);
        cJSON_AddNumberToObject(data, "iters", (double)l->iters);
        cJSON_AddBoolToObject(data, "again", l->task.again);
    }
    srq_run_tell_block(l->run, "block.begin", l->task.unit, data, false);
}

static int tune(struct srq_loop *l, struct srq_tune_outcome *outcome, struct srq_error *err)
{
    struct srq_run *run = l->run;
    const struct srq_states_config *chain = srq_states_config(l->fp);
    const struct srq_unit_info *u = srq_run_unit(run, l->task.unit);
    struct srq_block_io io = { .dtype = chain->dtype,
                               .nsamples = chain->nsamples,
                               .seq = chain->seq,
                               .mask = run->calib.mask,
                               .importance = l->importance != NULL ? srq_importance_sums(l->importance) : NULL };
    struct srq_tune_events events = { l, on_point, on_probe, on_layer_error, on_tick };
    bool resumed = srq_running_open(run->ckpt, l->task.unit, l->task.key, &l->resumed);
    const struct srq_tune_task task = { .unit = l->task.unit,
                                        .block = srq_walk_block(l->walk),
                                        .schemes = l->task.schemes,
                                        .io = &io,
                                        .resume = l->resumed.state,
                                        .events = &events };
    int rc;

    for (int i = 0; i < u->ins; i++)
        io.input[i] = srq_states_at(l->q, u->in[i], 0);
    for (int i = 0; i < u->outs; i++)
        io.target[i] = srq_states_at(l->fp, u->out[i], 0);
    if (u->kind == SRQ_UNIT_HEAD)
        io.target[0] = srq_states_final(l->fp, 0);
    l->best = NAN;
    if (resumed) {
        l->before_s = l->resumed.elapsed_s;
        l->tune_before_s = l->resumed.tune_s;
        srq_event_log(&run->events, SRQ_LOG_INFO, "%s goes on at iteration %" PRId64, l->name, l->resumed.iter);
    }
    l->tune_began = l->pace.saved_at = srq_clock_s();
    rc = srq_tuner_run(l->tuner, &task, outcome, err);
    if (rc != 0 && l->tick_error.code != 0 && err != NULL)
        *err = l->tick_error;
    srq_running_close(&l->resumed);
    return rc;
}

/* ---- the result -------------------------------------------------------------------------------------------------- */

static const struct srq_codes *from_tuner(void *from, int layer)
{
    struct srq_loop *l = from;

    return l->task.schemes[l->first + layer].grid != SRQ_GRID_NONE ? srq_tuner_codes(l->tuner, layer) : NULL;
}

static void fill_result(struct srq_loop *l, const struct srq_tune_outcome *outcome, const struct srq_codes **codes,
                        struct srq_block_result *result)
{
    double now = srq_clock_s();

    result->loss_first = outcome->loss_first;
    result->loss_best = outcome->loss_best;
    result->best_iter = outcome->best_iter;
    result->iters_done = outcome->iters_done;
    result->elapsed_s = l->before_s + now - l->began;
    result->tune_s = l->tune_before_s + now - l->tune_began;
    for (int i = 0; i < l->layers; i++) {
        codes[i] = from_tuner(l, i);
        if (codes[i] == NULL)
            continue;
        result->error_first[i] = outcome->error_first != NULL ? outcome->error_first[i] : NAN;
        result->error_best[i] = outcome->error_best != NULL ? outcome->error_best[i] : NAN;
        result->saturation[i] = srq_codes_saturation(codes[i]);
    }
}

static int keep_result(struct srq_loop *l, const struct srq_tune_outcome *outcome, bool *given_up,
                       struct srq_error *err)
{
    const struct srq_codes **codes = srq_calloc((size_t)l->layers + 1, sizeof(*codes));
    struct srq_block_result result = { 0 };
    int rc = codes != NULL ? srq_block_result_init(&result, l->layers, err)
                           : srq_fail(err, -SRQ_ENOMEM, "out of memory keeping a block's result");

    if (rc == 0) {
        fill_result(l, outcome, codes, &result);
        rc = srq_tasks_commit(l->run->tasks, &l->task, codes, &result, given_up, err);
    }
    if (rc == 0 && !*given_up) {
        rc = srq_run_tell_result(l->run, l->task.unit, &result, l->task.schemes + l->first, err);
        if (rc == 0)
            srq_running_remove(l->run->ckpt);
    }
    srq_block_result_fini(&result);
    srq_free(codes);
    return rc;
}

/* The quantized chain follows over the block, with its new codes; not where nothing comes behind it. */
static int follow(struct srq_loop *l, struct srq_error *err)
{
    int rc;

    l->at = -1;
    if (l->run->finish || !srq_run_is_block(l->run, l->task.unit) || !srq_tasks_unfinished(l->run->tasks))
        return 0;
    rc = srq_loop_use_codes(l, from_tuner, l, err);
    if (rc == 0)
        rc = srq_loop_forward(l, l->q, err);
    if (rc == 0) {
        l->at = l->task.unit + 1;
        l->ahead = false;
    }
    return rc;
}

int srq_loop_begin(struct srq_loop *l, const struct srq_task *task, struct srq_error *err)
{
    l->began = srq_clock_s();
    l->before_s = l->tune_before_s = 0;
    l->task = *task;
    memset(&l->tick_error, 0, sizeof(l->tick_error));
    return srq_loop_position(l, task->unit, err);
}

int srq_loop_tune(struct srq_loop *l, const struct srq_task *task, struct srq_error *err)
{
    struct srq_tune_outcome outcome = { 0 };
    bool given_up = false;
    int rc = srq_loop_begin(l, task, err);

    if (rc == 0) {
        snapshot(l);
        rc = srq_loop_load(l, task->unit, err);
    }
    if (rc == 0) {
        tell_begin(l);
        rc = take_tuner(l, err);
    }
    if (rc == 0)
        rc = srq_loop_full(l, err); /* the target */
    if (rc == 0)
        rc = srq_loop_round(l, NULL, err);
    if (rc == 0)
        rc = tune(l, &outcome, err);
    if (rc == 0)
        rc = keep_result(l, &outcome, &given_up, err);
    if (rc == 0 && given_up)
        return srq_fail(err, -SRQ_ECANCELED, "the plan changed");
    return rc == 0 ? follow(l, err) : rc;
}
