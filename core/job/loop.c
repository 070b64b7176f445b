/* The loop's memory, and where its chains are. */
#include "core/job/loop.h"

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/flow/denoise.h"
#include "core/job/footprint.h"

/* ---- over one block ---------------------------------------------------------------------------------------------- */

static int on_batch(void *ctx, int unit, int64_t done, int64_t all)
{
    struct srq_loop *l = ctx;

    (void)unit;
    (void)done;
    (void)all;
    return srq_run_check(l->run, &l->tick_error);
}

static int over(struct srq_loop *l, struct srq_states *chain, bool listen, struct srq_error *err)
{
    const struct srq_walk_tick tick = { on_batch, l };
    int rc = srq_walk_over(l->walk, chain, srq_states_config(chain)->nsamples, listen, &tick, err);

    if (rc != 0 && l->tick_error.code != 0 && err != NULL)
        *err = l->tick_error;
    return rc;
}

int srq_loop_forward(struct srq_loop *l, struct srq_states *chain, struct srq_error *err)
{
    int rc = over(l, chain, false, err);

    if (rc != 0)
        l->at = -1; /* half old, half new */
    return rc;
}

int srq_loop_listen(struct srq_loop *l, struct srq_states *chain, struct srq_error *err)
{
    return over(l, chain, true, err);
}

/* What the head gets: the full-precision chain through the final norm. */
static int norm_full(struct srq_loop *l, struct srq_error *err)
{
    const struct srq_states_config *c = srq_states_config(l->fp);
    int64_t tokens = c->nsamples * c->seq;
    const struct srq_tensor x = srq_tensor_2d(srq_states_final(l->fp, 0), c->dtype, tokens, l->run->job->info->hidden);
    struct srq_head *head = NULL;
    int rc = srq_head_create(l->run->job->model, &head, err);

    if (rc == 0)
        rc = srq_head_norm(head, x.data, c->dtype, tokens, err);
    if (rc == 0 && l->importance != NULL)
        srq_importance_of_input(l->importance, &x);
    if (rc == 0 && l->statistics != NULL)
        srq_statistics_of_input(l->statistics, &x);
    if (rc == 0 && l->q != NULL)
        rc = srq_head_norm(head, srq_states_final(l->q, 0), c->dtype, tokens, err);
    srq_head_free(head);
    return rc;
}

int srq_loop_full(struct srq_loop *l, struct srq_error *err)
{
    int rc;

    if (l->ahead)
        return 0;
    if (!srq_run_is_block(l->run, l->task.unit)) {
        rc = norm_full(l, err);
    } else {
        if (l->importance != NULL)
            srq_importance_begin(l->importance, srq_walk_block(l->walk));
        rc = srq_loop_forward(l, l->fp, err);
        if (l->importance != NULL)
            srq_importance_end(l->importance);
    }
    if (rc != 0)
        l->at = -1;
    l->ahead = rc == 0;
    return rc;
}

int srq_loop_load(struct srq_loop *l, int unit, struct srq_error *err)
{
    const struct srq_unit_info *u = srq_run_unit(l->run, unit);
    int rc = 0;

    l->layers = u->count;
    l->first = u->first;
    l->name = u->name;
    if (u->kind == SRQ_UNIT_HEAD)
        return 0;
    rc = srq_walk_load(l->walk, unit, NULL, err);
    if (rc == 0)
        srq_walk_rounds(l->walk, false);
    for (int i = 0; rc == 0 && i < l->layers; i++)
        l->own[i] = srq_block_linear(srq_walk_block(l->walk), i)->weight;
    return rc;
}

int srq_loop_round(struct srq_loop *l, struct srq_ckpt_block *result, struct srq_error *err)
{
    int rc;

    if (l->roundings == NULL)
        return 0;
    memcpy(l->schemes, l->task.schemes, (size_t)l->run->job->layer_count * sizeof(*l->schemes));
    for (int i = 0; result != NULL && i < l->layers; i++)
        l->schemes[l->first + i] = *srq_ckpt_block_scheme(result, i);
    rc = srq_run_roundings(l->run, l->schemes, l->roundings, err);
    if (rc == 0)
        srq_walk_rounds(l->walk, true);
    return rc;
}

int srq_loop_use_codes(struct srq_loop *l, const struct srq_codes *(*get)(void *from, int layer), void *from,
                       struct srq_error *err)
{
    for (int i = 0; i < l->layers; i++) {
        struct srq_linear *linear = srq_block_linear(srq_walk_block(l->walk), i);
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

/* ---- where the chains are ---------------------------------------------------------------------------------------- */

static const struct srq_codes *from_file(void *from, int layer)
{
    return srq_ckpt_block_codes(from, layer);
}

/* Brings the chains over a block that has a result, as that says. */
static int replay(struct srq_loop *l, int unit, struct srq_error *err)
{
    struct srq_ckpt_block *result = NULL;
    double start = srq_clock_s();
    int rc = srq_loop_load(l, unit, err);

    if (rc == 0 && (l->q != NULL || l->gathers))
        rc = srq_ckpt_block_open(l->run->ckpt, unit, l->run->job->layers + l->first, l->layers, &result, err);
    if (rc == 0 && l->gathers)
        rc = srq_loop_use_codes(l, from_file, result, err);
    if (rc == 0 && l->gathers)
        rc = srq_loop_round(l, result, err);
    if (rc == 0)
        rc = srq_loop_forward(l, l->fp, err);
    if (rc == 0 && l->q != NULL)
        rc = srq_loop_use_codes(l, from_file, result, err);
    if (rc == 0 && l->q != NULL)
        rc = srq_loop_round(l, result, err);
    if (rc == 0 && l->q != NULL)
        rc = srq_loop_forward(l, l->q, err);
    srq_ckpt_block_close(result);
    if (rc == 0)
        srq_tasks_replayed(l->run->tasks, srq_clock_s() - start);
    return rc;
}

/* A chain at the model's input. */
static int enter(struct srq_loop *l, struct srq_states *chain, struct srq_error *err)
{
    const struct srq_run *run = l->run;

    return run->noisy.n > 0 ? srq_states_put_pictures(chain, run->noisy.x, run->noisy.at, run->noisy.n, err)
                            : srq_states_embed(chain, run->calib.ids, run->calib.count, err);
}

/* From the nearest snapshot that holds, else from the model's input. */
static int restore(struct srq_loop *l, int unit, struct srq_error *err)
{
    struct srq_states *const stores[] = { l->fp, l->q };
    const struct srq_snapshot_set set = { stores, 2 };
    struct srq_run *run = l->run;
    int rc = 0;

    l->ahead = false;
    l->at = -1;
    if (l->q != NULL)
        rc = srq_snapshot_load(&set, run->ckpt, unit, srq_tasks_inputs, run->tasks, &l->at, err);
    if (rc == 0 && l->at < 0) {
        rc = enter(l, l->fp, err);
        if (rc == 0 && l->q != NULL)
            rc = enter(l, l->q, err);
        l->at = rc == 0 ? 0 : -1;
    }
    if (rc == 0 && l->at < unit && l->q != NULL)
        srq_event_log(&run->events, SRQ_LOG_INFO, "inputs of block %d are computed again from block %d on", unit,
                      l->at);
    return rc;
}

int srq_loop_position(struct srq_loop *l, int unit, struct srq_error *err)
{
    int rc = 0;

    if (l->at == unit)
        return 0;
    if (l->at < 0 || l->at > unit || l->ahead)
        rc = restore(l, unit, err);
    while (rc == 0 && l->at < unit) {
        rc = replay(l, l->at, err);
        if (rc == 0)
            l->at++;
    }
    return rc;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static int take_memory(struct srq_loop *l, struct srq_error *err)
{
    struct srq_resolved *r = &l->run->resolved;
    const struct srq_plugin *p = srq_spec_quantizer(&r->job.spec);
    struct srq_tune_config cfg = srq_job_tune_config(r, l->run->calib.count);
    const struct srq_states_config chain = { r->job.model, r->job.cache, cfg.nsamples,
                                             cfg.seq,      false,        r->choice.spill ? l->run->dir : NULL };
    const struct srq_walk_config walk = srq_job_chain_walk(r, l->run->calib.count);
    struct srq_schedule schedule = { .size = sizeof(schedule) };
    int rc = r->job.tunes ? p->tunable->schedule(srq_host_services(), r->job.self, &schedule, err) : 0;

    l->iters = schedule.iters;
    l->gathers = !r->job.tunes && (r->job.needs & (SRQ_NEED_HESSIAN | SRQ_NEED_RANGES)) != 0;
    l->own = srq_calloc((size_t)r->job.layer_count + 1, sizeof(l->own[0]));
    if (cfg.roundings) {
        l->roundings = srq_calloc((size_t)r->job.layer_count + 1, sizeof(l->roundings[0]));
        l->schemes = srq_calloc((size_t)r->job.layer_count + 1, sizeof(l->schemes[0]));
    }
    if (l->own == NULL || (cfg.roundings && (l->roundings == NULL || l->schemes == NULL)))
        return srq_fail(err, -SRQ_ENOMEM, "out of memory starting the block loop");
    if (rc == 0)
        rc = srq_states_create(&chain, &l->fp, err);
    if (rc == 0 && r->job.tunes)
        rc = srq_states_create(&chain, &l->q, err);
    if (rc == 0)
        rc = srq_walk_create(&walk, &l->walk, err);
    if (rc == 0)
        srq_walk_round(l->walk, l->roundings);
    if (rc == 0 && (r->job.needs & SRQ_NEED_IMPORTANCE) != 0)
        rc = srq_importance_create(r->job.model, &l->importance, err);
    if (rc == 0 && l->gathers)
        rc = srq_statistics_create(r->job.model, r->job.needs, true, &l->statistics, err);
    return rc;
}

int srq_loop_create(struct srq_run *run, struct srq_loop **out, struct srq_error *err)
{
    struct srq_loop *l = srq_calloc(1, sizeof(*l));
    int rc;

    *out = NULL;
    if (l == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory starting the block loop");
    l->run = run;
    l->at = -1;
    srq_pace_init(&l->pace, &run->events, run->job->spec.opt.checkpoint_s);
    l->snapshot_at = srq_clock_s();
    l->snapshot_rate = 200e6; /* until one was written */
    rc = take_memory(l, err);
    if (rc != 0)
        srq_loop_free(l);
    else
        *out = l;
    return rc;
}

void srq_loop_free(struct srq_loop *l)
{
    if (l == NULL)
        return;
    srq_tuner_free(l->tuner);
    srq_walk_free(l->walk);
    srq_states_free(l->fp);
    srq_states_free(l->q);
    srq_importance_free(l->importance);
    srq_statistics_free(l->statistics);
    srq_free(l->roundings);
    srq_free(l->schemes);
    srq_free(l->own);
    srq_free(l);
}
