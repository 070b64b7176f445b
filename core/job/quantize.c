/* The quantize stage: block after block, with the two chains (spec signround 5) or without data. */
#include "core/job/run.h"

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/job/chain.h"
#include "core/math/team.h"
#include "core/tune/block_tuner.h"
#include "core/tune/importance.h"

#include <inttypes.h>
#include <math.h>

#define POINTS 200         /* loss points of a block in the journal, about */
#define CHECKPOINT_COST 20 /* a checkpoint may cost one part in so many of the time: 5 % */

struct loop {
    struct srq_run *run;
    struct srq_chains chains;
    struct srq_forward *forward;
    struct srq_block *block;
    struct srq_tuner *tuner;
    struct srq_importance *importance; /* NULL: the quantizer does not need it */
    struct srq_tensor *own; /* the block's own weights, for decoded codes */
    int64_t iters;
    /* the running block */
    int index, layers, first; /* index: of the block; the number of blocks for what is outside them */
    bool outside;
    char name[200];
    double began;            /* monotonic */
    double before_s, tune_before_s; /* spent on it in earlier runs */
    double tune_began;
    struct srq_running resumed; /* the checkpoint that it went on from, until the next one */
    double best;             /* probe loss */
    double saved_at, cost_s; /* last checkpoint; what one costs */
    bool slow_told;
    double snapshot_at, snapshot_rate; /* last snapshot; bytes a second */
    struct srq_error tick_error;
};

/* ---- events of the tuner -------------------------------------------------------------------------------------------- */

static void on_point(void *ctx, int64_t iter, double loss, double lr)
{
    struct loop *l = ctx;
    int64_t every = l->iters > POINTS ? (l->iters + POINTS - 1) / POINTS : 1;
    cJSON *data;

    if (iter % every != 0 && iter != l->iters - 1)
        return;
    data = cJSON_CreateObject();
    if (data != NULL) {
        cJSON_AddNumberToObject(data, "block", l->index);
        cJSON_AddNumberToObject(data, "iter", (double)iter);
        srq_json_number(data, "loss", loss);
        srq_json_number(data, "lr", lr);
    }
    srq_event_send(&l->run->events, "tune.point", data, false);
}

static void on_probe(void *ctx, int64_t iter, double loss, bool best)
{
    struct loop *l = ctx;
    cJSON *data = cJSON_CreateObject();

    if (best)
        l->best = loss;
    if (data != NULL) {
        cJSON_AddNumberToObject(data, "block", l->index);
        cJSON_AddNumberToObject(data, "iter", (double)iter);
        srq_json_number(data, "loss", loss);
        srq_json_number(data, "best", l->best);
    }
    srq_event_send(&l->run->events, "tune.probe", data, false);
}

static void on_layer_error(void *ctx, int layer, int64_t iter, double relative)
{
    struct loop *l = ctx;
    cJSON *data = cJSON_CreateObject();

    if (data != NULL) {
        cJSON_AddNumberToObject(data, "block", l->index);
        cJSON_AddStringToObject(data, "layer", l->run->job.layers[l->first + layer]->name);
        cJSON_AddNumberToObject(data, "iter", (double)iter);
        srq_json_number(data, "error", relative);
    }
    srq_event_send(&l->run->events, "layer.error", data, false);
}

/* ---- checkpoints ------------------------------------------------------------------------------------------------------ */

static double checkpoint_every(struct loop *l)
{
    double asked = l->run->job.spec.opt.checkpoint_s, fair = l->cost_s * CHECKPOINT_COST;

    if (asked > 0 && fair > asked && !l->slow_told) {
        l->slow_told = true;
        srq_event_log(&l->run->events, SRQ_LOG_INFO,
                      "a checkpoint takes %.2f s, so one is taken every %.0f s instead of every %.3g s", l->cost_s, fair,
                      asked);
    }
    return asked > 0 && fair > asked ? fair : asked;
}

static int checkpoint(struct loop *l, int64_t iter, struct srq_error *err)
{
    double start = srq_clock_s();
    struct srq_running r = { .block = l->index, .iter = iter,
                             .elapsed_s = l->before_s + start - l->began,
                             .tune_s = l->tune_before_s + start - l->tune_began };
    struct srq_tuner_state state;
    cJSON *data;
    int rc = srq_tuner_save(l->tuner, &state, err);

    srq_running_close(&l->resumed);
    if (rc == 0)
        rc = srq_running_write(l->run->ckpt, &r, state.parts, state.count, err);
    if (rc != 0)
        return rc;
    l->saved_at = srq_clock_s();
    l->cost_s = l->saved_at - start;
    data = cJSON_CreateObject();
    if (data != NULL) {
        cJSON_AddNumberToObject(data, "block", l->index);
        cJSON_AddNumberToObject(data, "iter", (double)iter);
        cJSON_AddNumberToObject(data, "bytes", (double)state.len);
        cJSON_AddNumberToObject(data, "elapsed_s", l->cost_s);
    }
    srq_event_send(&l->run->events, "checkpoint", data, true);
    return srq_events_check(&l->run->events, err);
}

/* Between iterations: progress, requests, checkpoints. */
static int on_tick(void *ctx, int64_t iter)
{
    struct loop *l = ctx;
    struct srq_run *run = l->run;
    bool pause = atomic_load(&run->flags->pause), now = atomic_exchange(&run->flags->checkpoint, false);
    double done = l->index + (l->iters > 0 ? (double)iter / (double)l->iters : 0);
    int rc;

    srq_event_progress(&run->events, done, run->job.info->blocks, "blocks", l->name);
    if (atomic_load(&run->flags->finish)) {
        run->finish = true;
        return srq_fail(&l->tick_error, -SRQ_ECANCELED, "told to finish");
    }
    if ((pause || now || srq_clock_s() - l->saved_at >= checkpoint_every(l)) && iter > 0) {
        rc = checkpoint(l, iter, &l->tick_error);
        if (rc != 0)
            return rc;
    }
    return srq_run_check(run, &l->tick_error);
}

/* Snapshots are for speed only, so they may cost what checkpoints may, and a full disk only means that there is none. */
static void snapshot(struct loop *l)
{
    struct srq_run *run = l->run;
    double start = srq_clock_s(), bytes = 2 * (double)l->chains.bytes;
    double fair = (start - l->snapshot_at) / CHECKPOINT_COST;
    uint64_t limit = (uint64_t)run->job.spec.opt.max_disk;
    struct srq_error err = { 0 };

    if (l->index == 0 || bytes / l->snapshot_rate > (fair > 0.05 ? fair : 0.05) ||
        (limit != 0 && run->job.planned_disk_bytes > limit))
        return;
    if (srq_chains_save(&l->chains, run->ckpt, l->index, &err) != 0) {
        srq_event_log(&run->events, SRQ_LOG_WARN, "stored inputs were not saved: %s", err.text);
        return;
    }
    srq_chains_forget(run->ckpt, l->index);
    l->snapshot_at = srq_clock_s();
    l->snapshot_rate = bytes / (l->snapshot_at - start + 1e-6);
}

/* ---- one block --------------------------------------------------------------------------------------------------------- */

static int chain_tick(void *ctx, int64_t done, int64_t total)
{
    struct loop *l = ctx;

    (void)done;
    (void)total;
    return srq_run_check(l->run, &l->tick_error);
}

/* Runs the loaded block over a chain; a failure of the tick is the reason then. */
static int forward(struct loop *l, uint8_t *chain, struct srq_error *err)
{
    int rc = srq_forward_run(l->forward, l->block, &l->chains, chain, chain_tick, l, err);

    if (rc != 0 && l->tick_error.code != 0 && err != NULL)
        *err = l->tick_error;
    return rc;
}

/* The full-precision block over its own chain; its inputs are weighed on the way where the quantizer needs that. */
static int forward_full(struct loop *l, struct srq_error *err)
{
    int rc;

    if (l->importance != NULL)
        srq_importance_begin(l->importance, l->block);
    rc = forward(l, l->chains.fp, err);
    if (l->importance != NULL)
        srq_importance_end(l->importance);
    return rc;
}

/* The full-precision chain through the final norm, which is what the head gets. */
static int norm_full(struct loop *l, const struct srq_head *head, struct srq_error *err)
{
    int64_t tokens = l->chains.nsamples * l->chains.seq;
    const struct srq_tensor x = srq_tensor_2d(l->chains.fp, l->chains.dtype, tokens, l->chains.hidden);
    int rc = srq_head_norm(head, l->chains.fp, l->chains.dtype, tokens, err);

    if (rc == 0 && l->importance != NULL)
        srq_importance_of_input(l->importance, &x);
    return rc;
}

static int load(struct loop *l, int block, struct srq_error *err)
{
    int rc = srq_block_load(l->block, block, err);

    l->index = block;
    l->layers = srq_run_block_layers(l->run, block, &l->first);
    srq_run_block_name(l->run, block, l->name, sizeof(l->name));
    for (int i = 0; rc == 0 && i < l->layers; i++)
        l->own[i] = srq_block_linear(l->block, i)->weight;
    return rc;
}

/* The block computes with its codes from now on: they are decoded over its own weights. */
static int use_codes(struct loop *l, const struct srq_codes *(*get)(void *from, int layer), void *from,
                     struct srq_error *err)
{
    for (int i = 0; i < l->layers; i++) {
        struct srq_linear *linear = srq_block_linear(l->block, i);
        const struct srq_codes *c = get(from, i);
        int rc;

        linear->weight = l->own[i];
        linear->sink = NULL;
        linear->tap = NULL;
        if (c == NULL)
            continue;
        rc = srq_codes_decode(c, l->own[i].data, l->own[i].dtype, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static const struct srq_codes *from_file(void *from, int layer)
{
    return srq_ckpt_block_codes(from, layer);
}

/* Brings both chains over a block that is finished already. */
static int replay(struct loop *l, int block, struct srq_error *err)
{
    struct srq_ckpt_block *result = NULL;
    int rc = load(l, block, err);

    if (rc == 0)
        rc = srq_ckpt_block_open(l->run->ckpt, block, l->run->job.layers + l->first, l->run->job.schemes + l->first,
                                 l->layers, &result, err);
    if (rc == 0)
        rc = forward(l, l->chains.fp, err);
    if (rc == 0)
        rc = use_codes(l, from_file, result, err);
    if (rc == 0)
        rc = forward(l, l->chains.q, err);
    srq_ckpt_block_close(result);
    return rc;
}

static void tell_begin(struct loop *l)
{
    cJSON *data = cJSON_CreateObject(), *names = data != NULL ? cJSON_CreateArray() : NULL;

    if (names != NULL) {
        cJSON_AddNumberToObject(data, "block", l->index);
        cJSON_AddStringToObject(data, "name", l->name);
        for (int i = 0; i < l->layers; i++)
            cJSON_AddItemToArray(names, cJSON_CreateString(l->run->job.layers[l->first + i]->name));
        cJSON_AddItemToObject(data, "layers", names);
        cJSON_AddNumberToObject(data, "iters", (double)l->iters);
    }
    srq_event_send(&l->run->events, "block.begin", data, false);
}

static int tune(struct loop *l, struct srq_tune_outcome *outcome, struct srq_error *err)
{
    struct srq_run *run = l->run;
    struct srq_block_io io = { .dtype = l->chains.dtype, .nsamples = l->chains.nsamples, .seq = l->chains.seq,
                               .hidden = l->chains.hidden, .input = l->chains.q, .target = l->chains.fp,
                               .mask = run->calib.mask,
                               .importance = l->importance != NULL ? srq_importance_sums(l->importance) : NULL };
    struct srq_tune_events events = { l, on_point, on_probe, on_layer_error, on_tick };
    const struct srq_running *resume = &l->resumed;
    bool resumed = srq_running_open(run->ckpt, l->index, &l->resumed);
    int rc;

    l->best = NAN;
    if (resumed) {
        l->before_s = resume->elapsed_s;
        l->tune_before_s = resume->tune_s;
        srq_event_log(&run->events, SRQ_LOG_INFO, "%s goes on at iteration %" PRId64, l->name, resume->iter);
    }
    l->tune_began = l->saved_at = srq_clock_s();
    if (l->outside)
        rc = srq_tuner_run_layer(l->tuner, l->first, run->job.schemes, &io, resume->state, resume->len, &events,
                                 outcome, err);
    else
        rc = srq_tuner_run(l->tuner, l->block, l->index, run->job.schemes, &io, resume->state, resume->len, &events,
                           outcome, err);
    if (rc != 0 && l->tick_error.code != 0 && err != NULL)
        *err = l->tick_error;
    srq_running_close(&l->resumed);
    return rc;
}

static const struct srq_codes *from_tuner(void *from, int layer)
{
    struct loop *l = from;

    return l->run->job.schemes[l->first + layer].grid != SRQ_GRID_NONE ? srq_tuner_codes(l->tuner, layer) : NULL;
}

static int keep_result(struct loop *l, const struct srq_tune_outcome *outcome, struct srq_error *err)
{
    int block = l->outside ? -1 : l->index;
    const struct srq_codes **codes = srq_calloc((size_t)l->layers + 1, sizeof(*codes));
    struct srq_block_result result = { 0 };
    int rc = codes != NULL ? srq_block_result_init(&result, l->layers, err)
                           : srq_fail(err, -SRQ_ENOMEM, "out of memory keeping a block's result");

    if (rc == 0) {
        double now = srq_clock_s();

        result.loss_first = outcome->loss_first;
        result.loss_best = outcome->loss_best;
        result.best_iter = outcome->best_iter;
        result.iters_done = outcome->iters_done;
        result.elapsed_s = l->before_s + now - l->began;
        result.tune_s = l->tune_before_s + now - l->tune_began;
        for (int i = 0; i < l->layers; i++) {
            codes[i] = from_tuner(l, i);
            if (codes[i] == NULL)
                continue;
            result.error_first[i] = outcome->error_first != NULL ? outcome->error_first[i] : NAN;
            result.error_best[i] = outcome->error_best != NULL ? outcome->error_best[i] : NAN;
        }
        rc = srq_ckpt_block_write(l->run->ckpt, block, l->run->job.layers + l->first, l->layers, codes, &result,
                                  err);
    }
    if (rc == 0)
        rc = srq_run_block_told(l->run, block, &result, err);
    if (rc == 0)
        srq_running_remove(l->run->ckpt);
    srq_block_result_fini(&result);
    srq_free(codes);
    return rc;
}

/* Whether the layer outside the blocks is still to be quantized. */
static bool head_wanted(const struct srq_run *run)
{
    int first, n = srq_run_block_layers(run, -1, &first);

    return n > 0 && run->job.schemes[first].grid != SRQ_GRID_NONE && !srq_ckpt_block_exists(run->ckpt, -1);
}

static int tune_block(struct loop *l, int block, struct srq_error *err)
{
    struct srq_tune_outcome outcome = { 0 };
    int rc;

    l->began = srq_clock_s();
    l->before_s = l->tune_before_s = 0;
    l->index = block;
    snapshot(l);
    rc = load(l, block, err);
    if (rc == 0) {
        tell_begin(l);
        rc = forward_full(l, err); /* the target */
    }
    if (rc == 0)
        rc = tune(l, &outcome, err);
    if (rc == 0)
        rc = keep_result(l, &outcome, err);
    if (rc == 0 && (block + 1 < l->run->job.info->blocks || head_wanted(l->run))) {
        rc = use_codes(l, from_tuner, l, err);
        if (rc == 0)
            rc = forward(l, l->chains.q, err);
    }
    return rc;
}

/* The layer outside the blocks: both chains through the final norm, then tuned alone (spec signround 5.1). */
static int tune_head(struct loop *l, struct srq_error *err)
{
    struct srq_tune_outcome outcome = { 0 };
    struct srq_head *head = NULL;
    int64_t tokens = l->chains.nsamples * l->chains.seq;
    int rc;

    l->began = srq_clock_s();
    l->before_s = l->tune_before_s = 0;
    l->index = l->run->job.info->blocks;
    l->outside = true;
    snapshot(l);
    l->layers = srq_run_block_layers(l->run, -1, &l->first);
    srq_run_block_name(l->run, -1, l->name, sizeof(l->name));
    tell_begin(l);
    rc = srq_head_create(l->run->job.model, &head, err);
    if (rc == 0)
        rc = norm_full(l, head, err);
    if (rc == 0)
        rc = srq_head_norm(head, l->chains.q, l->chains.dtype, tokens, err);
    srq_head_free(head);
    if (rc == 0)
        rc = tune(l, &outcome, err);
    if (rc == 0)
        rc = keep_result(l, &outcome, err);
    return rc;
}

/* ---- the loop ---------------------------------------------------------------------------------------------------------- */

static int finished_blocks(const struct srq_run *run)
{
    int n = 0;

    while (n < run->job.info->blocks && srq_ckpt_block_exists(run->ckpt, n))
        n++;
    return n;
}

/* Chains as they enter block `first`: from the nearest snapshot, the rest computed again. */
static int position(struct loop *l, int first, struct srq_error *err)
{
    struct srq_run *run = l->run;
    int at, rc = srq_chains_load(&l->chains, run->ckpt, first, &at, err);

    if (rc == 0 && at < 0) {
        at = 0;
        rc = srq_chains_embed(&l->chains, run->job.model, &run->calib, err);
    }
    if (rc == 0 && at < first)
        srq_event_log(&run->events, SRQ_LOG_INFO, "inputs of block %d are computed again from block %d on", first, at);
    for (; rc == 0 && at < first; at++)
        rc = replay(l, at, err);
    return rc;
}

static struct srq_tune_config tune_config(const struct srq_run *run)
{
    const struct srq_job_options *o = &run->job.spec.opt;
    int64_t n = run->calib.count;

    return (struct srq_tune_config){ .batch = o->batch < n ? o->batch : n,
                                     .seq = run->calib.seqlen,
                                     .nsamples = n,
                                     .seed = (uint64_t)o->seed,
                                     .probe_every = o->probe_every,
                                     .probe_samples = o->probe_samples < n ? o->probe_samples : n,
                                     .cache = run->job.cache };
}

static int create(struct loop *l, struct srq_error *err)
{
    struct srq_run *run = l->run;
    struct srq_resolved *job = &run->job;
    const struct srq_plugin *p = srq_spec_quantizer(&job->spec);
    struct srq_tune_config cfg = tune_config(run);
    struct srq_schedule schedule = { .size = sizeof(schedule) };
    int rc = p->tunable->schedule(srq_host_services(), job->self, &schedule, err);

    l->iters = schedule.iters;
    l->own = srq_calloc((size_t)job->layer_count + 1, sizeof(l->own[0]));
    l->snapshot_at = srq_clock_s();
    l->snapshot_rate = 200e6; /* until one was written */
    if (l->own == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory starting the block loop");
    if (rc == 0)
        rc = srq_chains_create(job->spill ? run->dir.path : NULL, true, job->cache, cfg.nsamples, cfg.seq,
                               job->info->hidden, &l->chains, err);
    if (rc == 0)
        rc = srq_forward_create(job->model, job->compute, cfg.batch, cfg.seq, &l->forward, err);
    if (rc == 0)
        rc = srq_block_create(job->model, job->compute, &l->block, err);
    if (rc == 0)
        rc = srq_tuner_create(job->model, p, job->self, &cfg, job->schemes, job->compute, &l->tuner, err);
    if (rc == 0 && (job->needs & SRQ_NEED_IMPORTANCE) != 0)
        rc = srq_importance_create(job->model, &l->importance, err);
    return rc;
}

static void destroy(struct loop *l)
{
    srq_tuner_free(l->tuner);
    srq_block_free(l->block);
    srq_forward_free(l->forward);
    srq_chains_fini(&l->chains);
    srq_importance_free(l->importance);
    srq_free(l->own);
}

static int tuned_loop(struct srq_run *run, int first, struct srq_error *err)
{
    struct loop l = { .run = run };
    int rc = create(&l, err);

    if (rc == 0)
        rc = position(&l, first, err);
    for (int b = first; rc == 0 && b < run->job.info->blocks; b++) {
        rc = tune_block(&l, b, err);
        if (rc == 0)
            srq_event_progress(&run->events, b + 1, run->job.info->blocks, "blocks", l.name);
    }
    if (rc == 0 && head_wanted(run))
        rc = tune_head(&l, err);
    destroy(&l);
    return rc;
}

/* ---- one-shot with statistics ------------------------------------------------------------------------------------------ */

static int measured_head(struct loop *l, struct srq_error *err)
{
    struct srq_head *head = NULL;
    int rc = srq_head_create(l->run->job.model, &head, err);

    if (rc == 0)
        rc = norm_full(l, head, err);
    srq_head_free(head);
    return rc == 0 ? srq_run_round_block(l->run, -1, srq_importance_sums(l->importance), err) : rc;
}

static int measured_loop(struct srq_run *run, int first, struct srq_error *err)
{
    struct srq_resolved *job = &run->job;
    struct loop l = { .run = run };
    struct srq_tune_config cfg = tune_config(run);
    int rc;

    l.own = srq_calloc((size_t)job->layer_count + 1, sizeof(l.own[0]));
    rc = l.own != NULL ? srq_chains_create(job->spill ? run->dir.path : NULL, false, job->cache, cfg.nsamples, cfg.seq,
                                           job->info->hidden, &l.chains, err)
                       : srq_fail(err, -SRQ_ENOMEM, "out of memory starting the block loop");
    if (rc == 0)
        rc = srq_forward_create(job->model, job->compute, cfg.batch, cfg.seq, &l.forward, err);
    if (rc == 0)
        rc = srq_block_create(job->model, job->compute, &l.block, err);
    if (rc == 0)
        rc = srq_importance_create(job->model, &l.importance, err);
    if (rc == 0)
        rc = srq_chains_embed(&l.chains, job->model, &run->calib, err);
    for (int b = 0; rc == 0 && b < job->info->blocks; b++) {
        rc = load(&l, b, err);
        if (rc == 0)
            rc = forward_full(&l, err);
        if (rc == 0 && b >= first)
            rc = srq_run_round_block(run, b, srq_importance_sums(l.importance), err);
        srq_event_progress(&run->events, b + 1, job->info->blocks, "blocks", l.name);
    }
    if (rc == 0 && head_wanted(run))
        rc = measured_head(&l, err);
    destroy(&l);
    return rc;
}

/* ---- the stage ----------------------------------------------------------------------------------------------------------- */

static int plain_loop(struct srq_run *run, int first, struct srq_error *err)
{
    int rc = 0;

    for (int b = first; rc == 0 && b < run->job.info->blocks; b++) {
        rc = srq_run_check(run, err);
        if (rc == 0)
            rc = srq_run_round_block(run, b, NULL, err);
        srq_event_progress(&run->events, b + 1, run->job.info->blocks, "blocks", NULL);
    }
    return rc;
}

/* The order to finish is kept, so that a resume obeys it at the same block. */
static int keep_finish(struct srq_run *run, int block, struct srq_error *err)
{
    cJSON *fact = cJSON_CreateObject();
    int rc;

    if (fact == NULL || cJSON_AddNumberToObject(fact, "block", block) == NULL)
        rc = srq_fail(err, -SRQ_ENOMEM, "out of memory");
    else
        rc = srq_fact_write(run->ckpt, "finish", fact, err);
    cJSON_Delete(fact);
    if (rc == 0)
        srq_event_log(&run->events, SRQ_LOG_INFO, "told to finish: blocks from %d on are rounded plainly", block);
    return rc;
}

/* Results that a killed run wrote but could not tell any more. */
static int tell_missing(struct srq_run *run, int done, struct srq_error *err)
{
    int rc = 0;

    for (int b = srq_ckpt_block_exists(run->ckpt, -1) ? -1 : 0; rc == 0 && b < done; b++) {
        struct srq_ckpt_block *result = NULL;
        int first, n = srq_run_block_layers(run, b, &first);

        if (run->block_told[b < 0 ? run->job.info->blocks : b])
            continue;
        rc = srq_ckpt_block_open(run->ckpt, b, run->job.layers + first, run->job.schemes + first, n, &result, err);
        if (rc == 0)
            rc = srq_run_block_told(run, b, srq_ckpt_block_result(result), err);
        srq_ckpt_block_close(result);
    }
    return rc;
}

int srq_stage_quantize(struct srq_run *run, struct srq_error *err)
{
    int done = finished_blocks(run), blocks = run->job.info->blocks, rc;
    cJSON *finish = srq_fact_read(run->ckpt, "finish");

    run->finish = finish != NULL;
    cJSON_Delete(finish);
    rc = tell_missing(run, done, err);
    srq_event_stage(&run->events, SRQ_STAGE_QUANTIZE, done, blocks, "blocks");
    if (rc == 0 && !run->finish && (done < blocks || (run->job.calibrates && head_wanted(run)))) {
        if (run->job.tunes)
            rc = tuned_loop(run, done, err);
        else if (run->job.calibrates)
            rc = measured_loop(run, done, err);
        else
            rc = plain_loop(run, done, err);
        if (rc == -SRQ_ECANCELED && run->finish)
            rc = keep_finish(run, finished_blocks(run), err);
    }
    if (rc == 0 && run->finish)
        rc = plain_loop(run, finished_blocks(run), err);
    if (rc == 0 && head_wanted(run)) /* by a quantizer that needs no data, or told to finish */
        rc = srq_run_round_block(run, -1, NULL, err);
    return rc;
}
