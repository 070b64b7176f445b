/* The loop over iterations of one unit: batches, probes, steps, stopping, and the result. */
#include "core/tune/tuner.h"

#include <math.h>

static int check_task(const struct srq_tuner *t, const struct srq_unit_info *u, const struct srq_tune_task *task,
                      struct srq_error *err)
{
    const struct srq_block_io *io = task->io;
    bool single = u->kind == SRQ_UNIT_HEAD;
    int ins = single ? 1 : u->ins, outs = single ? 1 : u->outs;

    if (single && (u->count == 0 || task->schemes[u->first].grid == SRQ_GRID_NONE))
        return srq_fail(err, -SRQ_EINVAL, "%s has no layer that is to be quantized", u->name);
    if (io->dtype != SRQ_F32 && io->dtype != SRQ_BF16)
        return srq_fail(err, -SRQ_EINVAL, "hidden states are F32 or BF16, not %s", srq_dtype_name(io->dtype));
    if (io->nsamples < 1 || io->seq < 1)
        return srq_fail(err, -SRQ_EINVAL, "%lld samples of %lld tokens are no data to tune on", (long long)io->nsamples,
                        (long long)io->seq);
    for (int i = 0; i < ins || i < outs; i++)
        if ((i < ins && io->input[i] == NULL) || (i < outs && io->target[i] == NULL))
            return srq_fail(err, -SRQ_EINVAL, "port %d of %d and %d has no data", i, ins, outs);
    if (io->nsamples > t->cfg.nsamples || io->seq > t->cfg.seq ||
        (!single && srq_dtype_size(io->dtype) > srq_dtype_size(t->cfg.cache)))
        return srq_fail(err, -SRQ_ELIMIT, "%lld samples of %lld tokens in %s, and %lld of %lld in %s were planned",
                        (long long)io->nsamples, (long long)io->seq, srq_dtype_name(io->dtype),
                        (long long)t->cfg.nsamples, (long long)t->cfg.seq, srq_dtype_name(t->cfg.cache));
    return 0;
}

/* Sizes of steps and the probe's samples: evenly spaced, the same for every block of the job. */
static void set_up_data(struct srq_tuner *t)
{
    int64_t n = t->io->nsamples, probes = t->cfg.probe_samples < n ? t->cfg.probe_samples : n;

    t->batch = t->cfg.batch < n ? t->cfg.batch : n;
    t->step_samples = t->sched.accum < n / t->batch + 1 ? t->batch * t->sched.accum : n;
    t->step_samples = t->step_samples < n ? t->step_samples : n;
    t->perm_epoch = -1;
    t->probe_count = probes;
    for (int64_t i = 0; i < probes; i++)
        t->probe[i] = i * n / probes;
}

static void set_up_loop(struct srq_tuner *t)
{
    t->iter = 0;
    t->best_iter = t->last_probe = -1;
    t->loss_first = t->loss_best = t->loss_last = (double)INFINITY;
    for (int i = 0; i < t->layers_cap; i++)
        t->error_first[i] = t->error_best[i] = t->error_last[i] = (double)NAN;
    t->step = (struct srq_step){ .size = sizeof(t->step), .iters = t->sched.iters };
}

/* What is left of a learning rate at iteration `iter` (spec signround 4). */
static double decay(const struct srq_schedule *s, int64_t iter)
{
    double share = (double)iter / (double)s->iters;

    return s->decay == SRQ_DECAY_COSINE ? (1 + cos(3.14159265358979323846 * share)) / 2 : 1 - share;
}

/* One step: its micro-batches, then the plugin's update. All micro-batches weigh the same. */
static int iterate(struct srq_tuner *t, struct srq_error *err)
{
    const int64_t *samples = data_batch(t, t->iter);
    int64_t micros = (t->step_samples + t->batch - 1) / t->batch;
    double sum = 0, loss = 0;
    int rc;

    t->step.iter = t->iter;
    t->step.accum = micros;
    t->step.schedule = decay(&t->sched, t->iter);
    rc = unit_weights(t, err);
    for (t->step.micro = 0; rc == 0 && t->step.micro < micros; t->step.micro++) {
        int64_t at = t->step.micro * t->batch, left = t->step_samples - at;
        int64_t n = left < t->batch ? left : t->batch;

        data_gather(t, samples + at, n);
        rc = pass_run(t, n, true, &loss, err);
        sum += loss;
    }
    if (rc == 0)
        rc = unit_step(t, err);
    if (rc == 0 && t->events != NULL && t->events->point != NULL)
        t->events->point(t->events->ctx, t->iter, sum / (double)micros, t->sched.lr * t->step.schedule);
    return rc;
}

static bool out_of_patience(const struct srq_tuner *t)
{
    return t->sched.patience > 0 && t->best_iter >= 0 && t->iter - t->best_iter >= t->sched.patience;
}

static int loop(struct srq_tuner *t, struct srq_error *err)
{
    int rc = 0;

    while (rc == 0 && t->iter < t->sched.iters) {
        t->running = true;
        if (t->events != NULL && t->events->tick != NULL)
            rc = t->events->tick(t->events->ctx, t->iter);
        t->running = false;
        if (rc == SRQ_TUNE_ENOUGH) {
            rc = 0;
            break;
        }
        if (rc != 0) {
            t->running = true; /* the state is that of a boundary, and may be saved */
            return srq_fail(err, rc < 0 ? rc : -SRQ_ECANCELED, "stopped before iteration %lld", (long long)t->iter);
        }
        if (t->iter % t->cfg.probe_every == 0 && t->last_probe != t->iter)
            rc = probe_run(t, err);
        if (rc != 0 || out_of_patience(t))
            break;
        rc = iterate(t, err);
        t->iter++;
    }
    if (rc == 0 && t->last_probe != t->iter) /* what the last step made is a candidate too */
        rc = probe_run(t, err);
    return rc;
}

static void report(struct srq_tuner *t, struct srq_tune_outcome *out)
{
    if (!t->sched.keep_best) {
        t->best_iter = t->iter;
        t->loss_best = t->loss_last;
        memcpy(t->error_best, t->error_last, (size_t)t->count * sizeof(*t->error_best));
    }
    *out = (struct srq_tune_outcome){
        .loss_first = t->loss_first,
        .loss_best = t->loss_best,
        .best_iter = t->best_iter,
        .iters_done = t->iter,
        .error_first = t->error_first,
        .error_best = t->error_best,
    };
}

int srq_tuner_run(struct srq_tuner *t, const struct srq_tune_task *task, struct srq_tune_outcome *out,
                  struct srq_error *err)
{
    const struct srq_unit_info *u = srq_model_unit(t->model, task->unit);
    int rc = u != NULL
                 ? check_task(t, u, task, err)
                 : srq_fail(err, -SRQ_EINVAL, "unit %d of a model with %d", task->unit, srq_model_unit_count(t->model));

    if (rc != 0)
        return rc;
    t->block = u->kind == SRQ_UNIT_BLOCK ? task->block : NULL;
    t->io = task->io;
    t->events = task->events;
    t->running = false;
    set_up_data(t);
    set_up_loop(t);
    rc = unit_place(t, task->unit, task->schemes, err);
    if (rc == 0)
        rc = unit_begin(t, err);
    if (rc == 0 && task->resume.data != NULL)
        rc = state_restore(t, &task->resume, err);
    if (rc == 0)
        rc = loop(t, err);
    if (rc != 0)
        return rc;
    unit_restore_best(t);
    rc = unit_finish(t, err);
    if (rc == 0)
        report(t, out);
    return rc;
}
