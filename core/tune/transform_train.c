/* Training of scales: a batch through the model with effective weights, its loss, the blocks again in reverse, a step
 * of every group; now and then a probe on samples that are held out (spec teq 5, 6).
 *
 * block_mse needs no pass through the whole model: every block is given the original's input and held against the
 * original's output. */
#include "core/tune/transform_parts.h"

#include "core/base/alloc.h"
#include "core/base/rng.h"
#include "core/tape/times.h"

#include <math.h>

#define STREAM ((uint64_t)0x7465) /* of the order of samples */

struct srq_training {
    struct srq_head *head;
    struct srq_head_loss *loss; /* ce, kd */
    struct srq_states *states;  /* of a batch */
    int32_t *ids, *target;      /* [batch, seq] */
    uint8_t *mask;              /* [batch, seq], where samples have one */
    uint8_t *teacher;           /* kd: [batch, seq, hidden] final states of the original */
    int64_t *order;             /* [samples that are trained on] of the running epoch */
    int64_t epoch;
    struct srq_training_state at;
    double last; /* loss of the newest probe, which was before step `probed`; NaN, -1: none yet */
    int64_t probed;
};

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static bool by_blocks(const struct srq_transformer *t)
{
    return t->schedule.objective == SRQ_OBJECTIVE_BLOCK_MSE;
}

static int64_t trained_on(const struct srq_transformer *t)
{
    return t->cfg.nsamples - t->schedule.holdout;
}

static struct srq_states_config batch_config(const struct srq_transformer *t)
{
    return (struct srq_states_config){ t->model, t->cfg.compute, t->cfg.batch, t->cfg.seq, true, NULL };
}

int srq_training_measure(struct srq_transformer *t, struct srq_error *err)
{
    const struct srq_states_config batch = batch_config(t);
    size_t ids = (size_t)(t->cfg.batch * t->cfg.seq) * (2 * sizeof(int32_t) + 1);
    bool kd = t->schedule.objective == SRQ_OBJECTIVE_KD;
    int64_t tokens = t->cfg.batch * t->cfg.seq;
    int rc = srq_states_bytes(&batch, &t->bytes[SRQ_PART_STATES], err);

    t->bytes[SRQ_PART_STATES] += ids + (kd ? srq_transform_final_bytes(t, t->cfg.batch) : 0);
    t->bytes[SRQ_PART_LAYERS] = srq_effective_bytes(t);
    if (!by_blocks(t))
        t->bytes[SRQ_PART_HEAD] = srq_head_bytes(t->model, tokens) + srq_head_loss_bytes(t->model, kd, tokens);
    return rc;
}

int srq_training_create(struct srq_transformer *t, struct srq_error *err)
{
    struct srq_training *s = srq_calloc(1, sizeof(*s));
    size_t tokens = (size_t)(t->cfg.batch * t->cfg.seq);
    bool kd = t->schedule.objective == SRQ_OBJECTIVE_KD;
    const struct srq_states_config batch = batch_config(t);
    int rc;

    if (s == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for the training of scales");
    t->training = s;
    s->epoch = -1;
    rc = srq_states_create(&batch, &s->states, err);
    if (rc != 0)
        return rc;
    s->ids = srq_calloc(tokens, sizeof(*s->ids));
    s->target = srq_calloc(tokens, sizeof(*s->target));
    s->mask = srq_calloc(tokens, 1);
    s->order = srq_calloc((size_t)trained_on(t) + 1, sizeof(*s->order));
    s->teacher = kd ? srq_malloc(srq_transform_final_bytes(t, t->cfg.batch)) : NULL;
    if (s->ids == NULL || s->target == NULL || s->mask == NULL || s->order == NULL || (kd && s->teacher == NULL))
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for the training of scales");
    if (!by_blocks(t))
        rc = srq_head_create(t->model, &s->head, err);
    if (rc == 0 && !by_blocks(t))
        rc = srq_head_loss_create(s->head, kd ? s->head : NULL, (int64_t)tokens, &s->loss, err);
    return rc == 0 ? srq_effective_create(t, err) : rc;
}

void srq_training_free(struct srq_transformer *t)
{
    struct srq_training *s = t->training;

    srq_effective_free(t);
    if (s == NULL)
        return;
    srq_states_free(s->states);
    srq_head_loss_free(s->loss);
    srq_head_free(s->head);
    srq_free(s->ids);
    srq_free(s->target);
    srq_free(s->mask);
    srq_free(s->teacher);
    srq_free(s->order);
    srq_free(s);
    t->training = NULL;
}

/* ---- a batch ----------------------------------------------------------------------------------------------------- */

/* Takes samples [n] up: ids, what every token has to predict, the original's final states. Returns how many predict. */
static int64_t take_batch(struct srq_transformer *t, const int64_t *sample, int64_t n)
{
    struct srq_training *s = t->training;
    const uint8_t *mask = t->samples->mask;
    int64_t seq = t->cfg.seq, valid = 0;

    for (int64_t i = 0; i < n; i++) {
        const int32_t *ids = t->samples->ids + sample[i] * seq;

        memcpy(s->ids + i * seq, ids, (size_t)seq * sizeof(*ids));
        if (s->teacher != NULL)
            memcpy(s->teacher + srq_transform_final_bytes(t, i), srq_states_final(t->chain, sample[i]),
                   srq_transform_final_bytes(t, 1));
        for (int64_t k = 0; k < seq; k++) {
            const uint8_t *m = mask != NULL ? mask + sample[i] * seq + k : NULL;
            bool predicts = k + 1 < seq && (m == NULL || (m[0] && m[1]));

            s->mask[i * seq + k] = m == NULL || m[0];
            s->target[i * seq + k] = predicts ? ids[k + 1] : -1;
            valid += predicts;
        }
    }
    return valid;
}

static int tick(const struct srq_transformer *t, struct srq_error *err)
{
    return srq_transform_tick(t, (double)t->training->at.step, (double)t->schedule.steps, "steps", false, err);
}

/* Logits of one or two models, computed twice where more than their sums is wanted, and the gradient. */
static struct srq_tape_work words_work(const struct srq_transformer *t, const struct srq_head_words *w)
{
    const struct srq_model_info *info = srq_model_info(t->model);
    int models = w->taught != NULL ? 2 : 1, twice = w->taught != NULL || w->grad != NULL ? 2 : 1;
    double states = (double)(w->n * info->hidden), head = (double)(info->vocab * info->hidden);

    return (struct srq_tape_work){ 2 * states * (double)info->vocab * (models * twice + (w->grad != NULL)),
                                   head * (double)srq_dtype_size(info->dtype) +
                                       states * (models + (w->grad != NULL)) * (double)srq_dtype_size(w->dtype) };
}

/* Loss of the words, summed; with `grad` the states become its gradient, each token's share being 1/valid. */
static int words(struct srq_transformer *t, int64_t n, int64_t valid, bool grad, double *loss, struct srq_error *err)
{
    struct srq_training *s = t->training;
    const struct srq_head_words w = { .n = n * t->cfg.seq,
                                      .dtype = t->cfg.compute,
                                      .hidden = srq_states_final(s->states, 0),
                                      .taught = s->teacher,
                                      .target = s->target,
                                      .factor = valid > 0 ? 1.0f / (float)valid : 0,
                                      .grad = grad ? srq_states_final_gradient(s->states, 0) : NULL };
    double since = srq_tape_clock(srq_walk_tape(t->walk));
    int rc = srq_head_loss_run(s->loss, &w, loss, err);

    srq_tape_account(srq_walk_tape(t->walk), SRQ_TAPE_HEAD, false, since, words_work(t, &w));
    return rc;
}

static int whole_model(struct srq_transformer *t, int64_t n, int64_t valid, bool grad, double *loss,
                       struct srq_error *err)
{
    struct srq_states *states = t->training->states;
    int rc = srq_states_embed(states, t->training->ids, n, err);

    for (int b = 0; rc == 0 && b < t->blocks; b++) {
        rc = srq_effective_load(t, b, err);
        srq_effective_listen(t, false);
        if (rc == 0)
            rc = srq_walk_forward(t->walk, states, 0, n, err);
        if (rc == 0)
            rc = tick(t, err);
    }
    if (rc == 0)
        rc = words(t, n, valid, grad, loss, err);
    for (int b = t->blocks - 1; rc == 0 && grad && b >= 0; b--) {
        rc = srq_effective_load(t, b, err);
        srq_effective_listen(t, true);
        if (rc == 0)
            rc = srq_walk_backward(t->walk, states, 0, n, err);
        if (rc == 0)
            srq_effective_collect(t);
        if (rc == 0)
            rc = tick(t, err);
    }
    return rc;
}

/* One block against the original's output: its mean squared error. */
static int block_error(struct srq_transformer *t, int64_t n, bool grad, double *loss, struct srq_error *err)
{
    double error = 0;
    int rc = srq_walk_error(t->walk, t->training->states, n, t->samples->mask != NULL ? t->training->mask : NULL, grad,
                            &error, err);

    *loss += error;
    if (rc == 0 && grad)
        srq_effective_collect(t);
    return rc;
}

static int each_block(struct srq_transformer *t, int64_t n, bool grad, double *loss, struct srq_error *err)
{
    int rc = srq_states_embed(t->training->states, t->training->ids, n, err);

    for (int b = 0; rc == 0 && b < t->blocks; b++) {
        rc = srq_walk_load(t->walk, b, NULL, err);
        t->loaded = -1; /* these are the original's weights */
        if (rc == 0)
            rc = srq_walk_forward(t->walk, t->training->states, 0, n, err);
        if (rc == 0)
            rc = srq_effective_load(t, b, err);
        srq_effective_listen(t, grad);
        if (rc == 0)
            rc = block_error(t, n, grad, loss, err);
        if (rc == 0)
            rc = tick(t, err);
    }
    return rc;
}

/* Mean loss of samples [n]; with `grad` every group's gradient. */
static int batch(struct srq_transformer *t, const int64_t *sample, int64_t n, bool grad, double *loss, double *weight,
                 struct srq_error *err)
{
    int64_t valid = take_batch(t, sample, n);
    int rc;

    *loss = 0;
    if (grad)
        memset(t->grads, 0, t->channels * sizeof(t->grads[0]));
    rc = by_blocks(t) ? each_block(t, n, grad, loss, err) : whole_model(t, n, valid, grad, loss, err);
    *weight = by_blocks(t) ? (double)n : (double)valid;
    if (!by_blocks(t))
        *loss = valid > 0 ? *loss / (double)valid : 0;
    return rc;
}

/* ---- probes ------------------------------------------------------------------------------------------------------ */

static void copy_scales(const struct srq_model *m, struct srq_scales *to, const struct srq_scales *from)
{
    for (int i = 0; i < from->pairs; i++)
        if (from->alpha[i] != NULL)
            memcpy(to->alpha[i], from->alpha[i], (size_t)srq_model_pair(m, i)->channels * sizeof(float));
}

static int probe(struct srq_transformer *t, struct srq_error *err)
{
    struct srq_training_state *at = &t->training->at;
    int64_t first = trained_on(t), n = t->schedule.holdout, ids[64];
    double sum = 0, all = 0, loss, weight;
    struct srq_scales_spread spread;

    t->loaded = -1; /* scales have moved */
    for (int64_t k = 0; k < n;) {
        int64_t count = n - k < t->cfg.batch ? n - k : t->cfg.batch;
        int rc;

        count = count < 64 ? count : 64;
        for (int64_t i = 0; i < count; i++)
            ids[i] = first + k + i;
        rc = batch(t, ids, count, false, &loss, &weight, err);
        if (rc != 0)
            return rc;
        sum += loss * weight;
        all += weight;
        k += count;
    }
    loss = all > 0 ? sum / all : (double)NAN;
    t->training->last = loss;
    t->training->probed = at->step;
    if (isnan(at->first))
        at->first = loss;
    if (isnan(at->best) || loss < at->best) {
        at->best = loss;
        at->best_step = at->step;
        copy_scales(t->model, &t->best, &t->scales);
    }
    spread = srq_scales_spread(&t->scales, t->model);
    if (t->events != NULL && t->events->probe != NULL)
        t->events->probe(t->events->ctx, at->step, loss, at->best, &spread);
    return 0;
}

static bool probes_now(const struct srq_transformer *t)
{
    int64_t step = t->training->at.step,
            every = t->schedule.probe_every > 0 ? t->schedule.probe_every : t->schedule.steps;

    return t->schedule.holdout > 0 && (step % every == 0 || step == t->schedule.steps);
}

/* ---- steps ------------------------------------------------------------------------------------------------------- */

/* Samples of step `step`, in an order of its own for every epoch. */
static int64_t choose(struct srq_transformer *t, int64_t step, int64_t *sample)
{
    struct srq_training *s = t->training;
    int64_t n = trained_on(t), count = t->cfg.batch < n ? t->cfg.batch : n;

    for (int64_t i = 0; i < count; i++) {
        int64_t at = step * count + i;

        if (at / n != s->epoch) {
            s->epoch = at / n;
            for (int64_t k = 0; k < n; k++)
                s->order[k] = k;
            srq_rng_shuffle(t->cfg.seed, STREAM + (uint64_t)s->epoch, s->order, n);
        }
        sample[i] = s->order[at % n];
    }
    return count;
}

static double share_of(const struct srq_transform_schedule *s, int64_t step)
{
    double warm = s->warmup * (double)s->steps, at = (double)step, rest;

    if (at < warm)
        return (at + 1) / (warm + 1);
    rest = (at - warm) / fmax((double)s->steps - warm, 1);
    return s->decay == SRQ_DECAY_COSINE ? 0.5 * (1 + cos(rest * acos(-1.0))) : 1 - rest;
}

static int move_scales(struct srq_transformer *t, const struct srq_step *step, struct srq_error *err)
{
    double since = srq_tape_clock(srq_walk_tape(t->walk));

    for (int i = 0; i < t->group_count; i++) {
        struct srq_transform_group *g = &t->groups[i];
        int rc = 0;

        if (g->pair->block < 0)
            continue;
        rc = t->plugin->transform->step(srq_host_services(), t->self, &g->info, step, g->grad, err);
        if (rc == 0)
            rc = srq_scales_check(g->info.name, g->info.scale, g->info.channels, err);
        if (rc != 0)
            return rc < 0 ? rc : -SRQ_EINVAL;
    }
    srq_tape_account(srq_walk_tape(t->walk), SRQ_TAPE_STEP, false, since, (struct srq_tape_work){ 0, 0 });
    return 0;
}

static int one_step(struct srq_transformer *t, int64_t *sample, struct srq_error *err)
{
    struct srq_training_state *at = &t->training->at;
    struct srq_step step = {
        .size = sizeof(step), .iter = at->step, .iters = t->schedule.steps, .schedule = share_of(&t->schedule, at->step)
    };
    int64_t n = choose(t, at->step, sample);
    double loss, weight;
    int rc;

    t->loaded = -1;
    rc = batch(t, sample, n, true, &loss, &weight, err);
    if (rc == 0 && !isfinite(loss))
        rc = srq_fail(err, -SRQ_ENUMERIC, "the loss at step %lld of %s is not a finite number", (long long)at->step,
                      t->plugin->name);
    if (rc == 0)
        rc = move_scales(t, &step, err);
    if (rc != 0)
        return rc;
    if (t->events != NULL && t->events->point != NULL)
        t->events->point(t->events->ctx, at->step, loss, t->schedule.lr * step.schedule);
    at->step++;
    return 0;
}

static int train(struct srq_transformer *t, int64_t *sample, struct srq_error *err)
{
    struct srq_training_state *at = &t->training->at;
    int rc = at->step == 0 && t->schedule.holdout > 0 && isnan(at->first) ? probe(t, err) : 0;

    while (rc == 0 && at->step < t->schedule.steps) {
        rc = srq_transform_tick(t, (double)at->step, (double)t->schedule.steps, "steps", true, err);
        if (rc > 0) /* told to end here */
            break;
        if (rc == 0)
            rc = one_step(t, sample, err);
        if (rc == 0 && probes_now(t))
            rc = probe(t, err);
    }
    return rc < 0 ? rc : 0;
}

int srq_training_run(struct srq_transformer *t, const char *resume, struct srq_error *err)
{
    struct srq_training_state *at = &t->training->at;
    int64_t *sample = srq_calloc((size_t)t->cfg.batch + 1, sizeof(*sample));
    int rc = sample != NULL ? 0 : srq_fail(err, -SRQ_ENOMEM, "out of memory for the training of scales");

    *at = (struct srq_training_state){ .first = (double)NAN, .best = (double)NAN, .best_step = -1 };
    t->training->last = (double)NAN;
    t->training->probed = -1;
    if (rc == 0 && resume != NULL)
        rc = srq_training_read(t, at, resume, err);
    if (rc == 0)
        rc = train(t, sample, err);
    /* What is kept was not measured where training ended between two probes, or where it was resumed at its end. */
    if (rc == 0 && !t->schedule.keep_best && t->schedule.holdout > 0 && t->training->probed != at->step)
        rc = probe(t, err);
    if (rc == 0 && t->schedule.keep_best && at->best_step >= 0)
        copy_scales(t->model, &t->scales, &t->best);
    if (rc == 0)
        t->scales.outcome =
            (struct srq_scales_outcome){ at->first, t->schedule.keep_best ? at->best : t->training->last, at->step,
                                         t->schedule.keep_best ? at->best_step : at->step };
    srq_free(sample);
    return rc;
}

int64_t srq_transform_step(const struct srq_transformer *t)
{
    return t->training != NULL ? t->training->at.step : 0;
}

int srq_transform_save(const struct srq_transformer *t, const char *dir, const char *base, struct srq_error *err)
{
    return srq_training_write(t, &t->training->at, dir, base, err);
}
