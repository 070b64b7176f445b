/* The transformer: its groups, its memory, its life. */
#include "core/tune/transform_parts.h"

#include "core/base/alloc.h"

#include <math.h>

static const char *const part_names[SRQ_PART_COUNT] = {
    "transform: block parameters",
    "transform: rope tables",
    "transform: activations and gradients",
    "transform: inputs of blocks",
    "transform: states of all samples",
    "transform: rounding and sums of layers",
    "transform: head and loss",
    "transform: scales and their states",
    "transform: statistics of inputs",
};

/* ---- what the plugin wants --------------------------------------------------------------------------------------- */

int srq_transform_schedule_of(const struct srq_plugin *p, void *self, struct srq_transform_schedule *out,
                              struct srq_error *err)
{
    struct srq_transform_schedule s = { .size = sizeof(s), .batch = 1 };
    int rc = p->transform->schedule(srq_host_services(), self, &s, err);

    if (rc != 0)
        return rc < 0 ? rc : -SRQ_EINVAL;
    if (s.objective == SRQ_OBJECTIVE_NONE || s.steps <= 0) {
        s.objective = SRQ_OBJECTIVE_NONE;
        s.steps = 0;
    }
    if (s.objective < SRQ_OBJECTIVE_NONE || s.objective > SRQ_OBJECTIVE_BLOCK_MSE)
        return srq_fail(err, -SRQ_EINVAL, "%s trains for an objective %d, which there is none of", p->name,
                        s.objective);
    if (s.objective != SRQ_OBJECTIVE_NONE && p->transform->step == NULL)
        return srq_fail(err, -SRQ_EINVAL, "%s asks for training and has no transform.step", p->name);
    if (s.batch < 1 || s.nsamples < 0 || s.seqlen < 0 || s.holdout < 0 || s.states < 0 || s.states > SRQ_MAX_STATES ||
        !(s.warmup >= 0 && s.warmup <= 1))
        return srq_fail(err, -SRQ_EINVAL,
                        "%s asks for batch %lld, nsamples %lld, seqlen %lld, holdout %lld, %d "
                        "states, warmup %g",
                        p->name, (long long)s.batch, (long long)s.nsamples, (long long)s.seqlen, (long long)s.holdout,
                        s.states, s.warmup);
    if (s.objective == SRQ_OBJECTIVE_NONE)
        s.holdout = 0;
    else if (s.keep_best && s.holdout < 1)
        return srq_fail(err, -SRQ_EINVAL, "%s keeps the best scales, for which it has to hold out at least one sample",
                        p->name);
    *out = s;
    return 0;
}

static uint32_t needs_of(const struct srq_plugin *p, void *self)
{
    uint32_t needs = p->transform->needs != NULL ? p->transform->needs(srq_host_services(), self) : 0;

    return needs & (SRQ_NEED_HESSIAN | SRQ_NEED_RANGES);
}

bool srq_transform_wants_samples(const struct srq_plugin *p, void *self, const struct srq_transform_schedule *s)
{
    return s->load == NULL && (needs_of(p, self) != 0 || s->objective != SRQ_OBJECTIVE_NONE);
}

int srq_transform_pairs(const struct srq_model *m, const struct srq_plugin *p, void *self, bool *wanted,
                        struct srq_error *err)
{
    const char *kinds = p->transform->kinds(srq_host_services(), self);

    if (kinds == NULL || strspn(kinds, "ABCDE") != strlen(kinds))
        return srq_fail(err, -SRQ_EINVAL, "%s scales pairs of kinds \"%.20s\"; there are A, B, C, D and E", p->name,
                        kinds != NULL ? kinds : "");
    for (int i = 0; i < srq_model_pair_count(m); i++)
        wanted[i] = strchr(kinds, srq_model_pair(m, i)->kind) != NULL;
    return 0;
}

/* ---- groups ------------------------------------------------------------------------------------------------------ */

/* The consumers as far as shapes and schemes say. */
static void describe_consumers(struct srq_transformer *t, struct srq_transform_group *g)
{
    for (int i = 0; i < g->pair->consumer_count; i++) {
        int layer = g->pair->consumers[i];
        const struct srq_layer_info *info = srq_model_layer(t->model, layer);

        g->weight[i] = srq_tensor_2d(NULL, info->dtype, info->out, info->in);
        g->groups[i] = srq_groups_of(info->out, info->in, t->schemes[layer].group);
        g->layer[i] = (struct srq_layer){ .size = sizeof(g->layer[i]),
                                          .name = info->name,
                                          .block = info->block,
                                          .index = layer - srq_model_unit(t->model, info->unit)->first,
                                          .weight = &g->weight[i],
                                          .scheme = &t->schemes[layer],
                                          .tensor_scale = 1,
                                          .groups = &g->groups[i] };
        g->consumer[i] = &g->layer[i];
    }
}

static void make_group(struct srq_transformer *t, int pair, float *state, float *grad)
{
    struct srq_transform_group *g = &t->groups[t->group_count];
    const struct srq_pair_info *p = srq_model_pair(t->model, pair);

    g->pair = p;
    g->pair_index = pair;
    g->grad = grad;
    g->info = (struct srq_scale_group){ .size = sizeof(g->info),
                                        .name = p->name,
                                        .kind = p->kind,
                                        .block = p->block,
                                        .index = t->group_count,
                                        .channels = p->channels,
                                        .in = p->in,
                                        .width = p->width,
                                        .repeat = p->repeat,
                                        .consumers = g->consumer,
                                        .count = p->consumer_count,
                                        .scale = t->scales.alpha[pair],
                                        .state = g->state };
    for (int i = 0; i < t->schedule.states; i++)
        g->state[i] = state + (size_t)i * (size_t)p->channels;
    describe_consumers(t, g);
    t->group_count++;
}

static int make_groups(struct srq_transformer *t, const bool *wanted, struct srq_error *err)
{
    int pairs = srq_model_pair_count(t->model), rc = srq_scales_alloc(t->model, wanted, &t->scales, err);
    size_t at = 0;

    if (rc == 0 && t->trains)
        rc = srq_scales_alloc(t->model, wanted, &t->best, err);
    if (rc != 0)
        return rc;
    t->groups = srq_calloc((size_t)pairs + 1, sizeof(t->groups[0]));
    t->states = srq_calloc(t->channels * (size_t)t->schedule.states + 1, sizeof(float));
    t->grads = srq_calloc(t->trains ? t->channels + 1 : 1, sizeof(float));
    if (t->groups == NULL || t->states == NULL || t->grads == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for scales of %zu channels", t->channels);
    for (int i = 0; i < pairs; i++) {
        if (!wanted[i])
            continue;
        make_group(t, i, t->states + at * (size_t)t->schedule.states, t->trains ? t->grads + at : NULL);
        at += (size_t)srq_model_pair(t->model, i)->channels;
    }
    return 0;
}

/* ---- sizes ------------------------------------------------------------------------------------------------------- */

size_t srq_transform_final_bytes(const struct srq_transformer *t, int64_t n)
{
    return (size_t)(n * t->cfg.seq * srq_model_info(t->model)->hidden) * srq_dtype_size(t->cfg.compute);
}

struct srq_walk_config srq_transform_walk_config(const struct srq_transformer *t)
{
    const struct srq_transform_config *c = &t->cfg;

    return (struct srq_walk_config){ t->model,
                                     c->compute,
                                     c->compute,
                                     c->batch,
                                     c->seq,
                                     .backward = t->trains,
                                     .errors = t->trains && t->schedule.objective == SRQ_OBJECTIVE_BLOCK_MSE };
}

struct srq_states_config srq_transform_states_config(const struct srq_transformer *t)
{
    return (struct srq_states_config){ t->model, t->cfg.compute, t->cfg.nsamples, t->cfg.seq, false, NULL };
}

static int measure(struct srq_transformer *t, const bool *wanted, struct srq_error *err)
{
    const struct srq_transform_config *c = &t->cfg;
    struct srq_walk_config walk;
    struct srq_states_config states;
    struct srq_walk_memory memory;
    bool outside = false;
    int rc;

    for (int i = 0; i < srq_model_pair_count(t->model); i++) {
        t->channels += wanted[i] ? (size_t)srq_model_pair(t->model, i)->channels : 0;
        outside = outside || (wanted[i] && srq_model_pair(t->model, i)->block < 0);
    }
    t->bytes[SRQ_PART_SCALES] = srq_scales_bytes(t->model, wanted) * (t->trains ? 2 : 1) +
                                t->channels * ((size_t)t->schedule.states + (t->trains ? 1 : 0)) * sizeof(float);
    if (!t->passes && !t->trains)
        return 0;
    if (c->batch < 1 || c->seq < 2 || c->nsamples < 1)
        return srq_fail(err, -SRQ_EINVAL, "%s cannot work with %lld samples of %lld tokens", t->plugin->name,
                        (long long)c->nsamples, (long long)c->seq);
    walk = srq_transform_walk_config(t);
    states = srq_transform_states_config(t);
    rc = srq_walk_measure(&walk, &memory, err);
    t->bytes[SRQ_PART_BLOCK] = memory.block;
    t->bytes[SRQ_PART_ROPE] = memory.rope;
    t->bytes[SRQ_PART_TAPE] = memory.tape;
    t->bytes[SRQ_PART_STATISTICS] = t->needs != 0 ? srq_statistics_bytes(t->model, t->needs, outside) : 0;
    if (rc == 0 && t->passes)
        rc = srq_states_bytes(&states, &t->bytes[SRQ_PART_CHAIN], err);
    return rc == 0 && t->trains ? srq_training_measure(t, err) : rc;
}

static struct srq_transformer *new_transformer(const struct srq_transform_config *cfg)
{
    struct srq_transformer *t = srq_calloc(1, sizeof(*t));

    if (t == NULL)
        return NULL;
    t->model = cfg->model;
    t->plugin = cfg->plugin;
    t->self = cfg->self;
    t->schemes = cfg->schemes;
    t->cfg = *cfg;
    t->blocks = srq_model_info(cfg->model)->blocks;
    t->linears = srq_model_unit_layers(cfg->model);
    return t;
}

/* Asks the plugin, finds its pairs and what they take. wanted [pairs] is the caller's to free. */
static int settle(struct srq_transformer *t, bool **wanted, struct srq_error *err)
{
    int rc = srq_transform_schedule_of(t->plugin, t->self, &t->schedule, err);

    *wanted = srq_calloc((size_t)srq_model_pair_count(t->model) + 1, sizeof(**wanted));
    if (rc == 0 && *wanted == NULL)
        rc = srq_fail(err, -SRQ_ENOMEM, "out of memory looking for pairs");
    if (rc == 0)
        rc = srq_transform_pairs(t->model, t->plugin, t->self, *wanted, err);
    if (rc != 0)
        return rc;
    if (t->schedule.load != NULL)
        t->schedule.objective = SRQ_OBJECTIVE_NONE;
    t->needs = t->schedule.load == NULL ? needs_of(t->plugin, t->self) : 0;
    t->trains = t->schedule.objective != SRQ_OBJECTIVE_NONE;
    t->passes = t->needs != 0 || t->schedule.objective == SRQ_OBJECTIVE_KD;
    return measure(t, *wanted, err);
}

int srq_transform_footprint(const struct srq_transform_config *cfg, struct srq_memory_rows *rows, struct srq_error *err)
{
    struct srq_transformer *t = new_transformer(cfg);
    bool *wanted = NULL;
    int rc = t != NULL ? settle(t, &wanted, err) : srq_fail(err, -SRQ_ENOMEM, "out of memory planning the transform");

    for (int i = 0; rc == 0 && i < SRQ_PART_COUNT; i++)
        srq_memory_add(rows, part_names[i], t->bytes[i]);
    srq_free(wanted);
    srq_transform_free(t);
    return rc;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static int take_memory(struct srq_transformer *t, struct srq_error *err)
{
    bool outside = t->group_count > 0 && t->groups[t->group_count - 1].pair->block < 0;
    const struct srq_walk_config walk = srq_transform_walk_config(t);
    const struct srq_states_config states = srq_transform_states_config(t);
    int rc = 0;

    if (!t->passes && !t->trains)
        return 0;
    if (t->samples == NULL || t->samples->count < t->cfg.nsamples || t->samples->seqlen != t->cfg.seq)
        return srq_fail(err, -SRQ_EINVAL, "%s needs %lld samples of %lld tokens", t->plugin->name,
                        (long long)t->cfg.nsamples, (long long)t->cfg.seq);
    rc = srq_walk_create(&walk, &t->walk, err);
    if (rc == 0 && t->passes)
        rc = srq_states_create(&states, &t->chain, err);
    if (rc == 0 && t->needs != 0)
        rc = srq_statistics_create(t->model, t->needs, outside, &t->statistics, err);
    return rc == 0 && t->trains ? srq_training_create(t, err) : rc;
}

int srq_transform_create(const struct srq_transform_config *cfg, const struct srq_samples *samples,
                         struct srq_transformer **out, struct srq_error *err)
{
    struct srq_transformer *t = new_transformer(cfg);
    bool *wanted = NULL;
    int rc;

    *out = NULL;
    if (t == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for the transform");
    t->samples = samples;
    rc = settle(t, &wanted, err);
    if (rc == 0)
        rc = make_groups(t, wanted, err);
    if (rc == 0)
        rc = take_memory(t, err);
    srq_free(wanted);
    if (rc != 0) {
        srq_transform_free(t);
        return rc;
    }
    *out = t;
    return 0;
}

void srq_transform_free(struct srq_transformer *t)
{
    if (t == NULL)
        return;
    srq_training_free(t);
    srq_statistics_free(t->statistics);
    srq_walk_free(t->walk);
    srq_states_free(t->chain);
    srq_scales_fini(&t->scales);
    srq_scales_fini(&t->best);
    srq_free(t->groups);
    srq_free(t->states);
    srq_free(t->grads);
    srq_free(t);
}

struct srq_tape *srq_transform_tape(const struct srq_transformer *t)
{
    return t->walk != NULL ? srq_walk_tape(t->walk) : NULL;
}

/* ---- the run ----------------------------------------------------------------------------------------------------- */

int srq_transform_tick(const struct srq_transformer *t, double done, double total, const char *unit, bool at_step,
                       struct srq_error *err)
{
    int rc =
        t->events != NULL && t->events->tick != NULL ? t->events->tick(t->events->ctx, done, total, unit, at_step) : 0;

    return rc < 0 ? srq_fail(err, rc, "the transform was stopped") : rc;
}

int srq_transform_run(struct srq_transformer *t, const char *resume, const struct srq_transform_events *events,
                      struct srq_error *err)
{
    int rc;

    t->events = events;
    if (t->schedule.load != NULL)
        return srq_scales_read(&t->scales, t->model, t->schedule.load, err);
    rc = srq_transform_begin(t, err);
    return rc == 0 && t->trains ? srq_training_run(t, resume, err) : rc;
}

const struct srq_scales *srq_transform_scales(const struct srq_transformer *t)
{
    return &t->scales;
}

int srq_transform_groups(const struct srq_transformer *t)
{
    return t->group_count;
}
