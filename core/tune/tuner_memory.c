/* The tuner's memory: planned by placing every unit in areas without memory, then held in arenas of those sizes. */
#include "core/tune/tuner.h"

#include "core/flow/unit_loss.h"

#include "core/base/alloc.h"

/* ---- planning ---------------------------------------------------------------------------------------------------- */

static int check_config(const struct srq_tune_config *cfg, struct srq_error *err)
{
    if (cfg->plugin->tunable == NULL)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, "method", "plugin %s does not tune", cfg->plugin->name);
    if (cfg->compute != SRQ_F32 && cfg->compute != SRQ_BF16)
        return srq_fail_field(err, -SRQ_EINVAL, "compute", "blocks are computed in F32 or BF16, not %s",
                              srq_dtype_name(cfg->compute));
    if (cfg->batch < 1 || cfg->seq < 1 || cfg->nsamples < 1 || cfg->probe_every < 1 || cfg->probe_samples < 1)
        return srq_fail(
            err, -SRQ_EINVAL,
            "batch %lld, seqlen %lld, nsamples %lld, probe_every %lld and probe_samples %lld must be positive",
            (long long)cfg->batch, (long long)cfg->seq, (long long)cfg->nsamples, (long long)cfg->probe_every,
            (long long)cfg->probe_samples);
    return 0;
}

/* Fills what does not depend on a unit. */
static int prepare(struct srq_tuner *t, struct srq_error *err)
{
    int rc;

    t->sched = (struct srq_schedule){ .size = sizeof(t->sched), .accum = 1 };
    rc = t->plugin->tunable->schedule(srq_host_services(), t->self, &t->sched, err);
    if (rc != 0)
        return rc;
    if (t->sched.iters < 0 || t->sched.accum < 1 || t->sched.patience < 0)
        return srq_fail(err, -SRQ_EINVAL, "plugin %s asks for %lld iterations of %lld micro-batches", t->plugin->name,
                        (long long)t->sched.iters, (long long)t->sched.accum);
    if (t->sched.decay != SRQ_DECAY_LINEAR && t->sched.decay != SRQ_DECAY_COSINE)
        return srq_fail(err, -SRQ_EINVAL, "plugin %s asks for decay %d, which there is not", t->plugin->name,
                        t->sched.decay);
    t->batch = t->cfg.batch < t->cfg.nsamples ? t->cfg.batch : t->cfg.nsamples;
    t->layers_cap = srq_model_unit_layers(t->model);
    t->needs = srq_plugin_needs(t->plugin, t->self);
    t->layers = srq_calloc((size_t)t->layers_cap + 1, sizeof(*t->layers));
    t->active = srq_calloc((size_t)t->layers_cap + 1, sizeof(*t->active));
    if (t->layers == NULL || t->active == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "no memory for the layers of a block");
    return 0;
}

/* What one pass over a batch takes on the tape, forwards and backwards. */
static int measure_tape(struct srq_tuner *t, struct srq_error *err)
{
    const struct srq_unit_target target = { .n = t->batch,
                                            .seq = t->cfg.seq,
                                            .dtype = t->cfg.cache,
                                            .drop_largest = t->tape_drop,
                                            .roundings = t->cfg.roundings,
                                            .split = t->cfg.split };

    return srq_unit_loss_bytes(t->model, t->compute, &target, &t->tape_bytes, err);
}

static bool any_active(const struct srq_tuner *t, int unit, const struct srq_scheme *schemes)
{
    const struct srq_unit_info *u = srq_model_unit(t->model, unit);

    for (int i = u->first; i < u->first + u->count; i++) {
        if (schemes[i].grid != SRQ_GRID_NONE)
            return true;
    }
    return false;
}

/* Sizes of all areas: the most that any unit takes. */
static int measure(struct srq_tuner *t, struct srq_error *err)
{
    const struct srq_scheme *schemes = t->cfg.schemes;
    int units = srq_model_unit_count(t->model), rc = 0;
    size_t most[AREA_COUNT] = { 0 };

    for (int k = 0; k < AREA_COUNT; k++)
        t->area[k] = (struct area){ .size = SIZE_MAX };
    for (int u = 0; rc == 0 && u < units; u++) {
        if (u == units - 1 && !any_active(t, u, schemes))
            continue;
        rc = unit_place(t, u, schemes, err);
        t->tape_drop = t->rules.drop_largest > t->tape_drop ? t->rules.drop_largest : t->tape_drop;
        for (int k = 0; k < AREA_COUNT; k++)
            most[k] = t->area[k].used > most[k] ? t->area[k].used : most[k];
    }
    for (int k = 0; k < AREA_COUNT; k++)
        t->area[k] = (struct area){ .size = most[k] };
    return rc != 0 ? rc : measure_tape(t, err);
}

/* A tuner with its sizes and no memory yet; NULL after an error. */
static struct srq_tuner *new_tuner(const struct srq_tune_config *cfg, int *rc, struct srq_error *err)
{
    struct srq_tuner *t = NULL;

    *rc = check_config(cfg, err);
    if (*rc == 0)
        t = srq_calloc(1, sizeof(*t));
    if (*rc == 0 && t == NULL)
        *rc = srq_fail(err, -SRQ_ENOMEM, "no memory for the tuner");
    if (*rc != 0)
        return NULL;
    t->model = cfg->model;
    t->plugin = cfg->plugin;
    t->self = cfg->self;
    t->cfg = *cfg;
    t->compute = cfg->compute;
    t->unit = -1;
    *rc = prepare(t, err);
    if (*rc == 0)
        *rc = measure(t, err);
    if (*rc == 0)
        return t;
    srq_tuner_free(t);
    return NULL;
}

int srq_tuner_footprint(const struct srq_tune_config *cfg, struct srq_memory_rows *rows, struct srq_error *err)
{
    int rc;
    struct srq_tuner *t = new_tuner(cfg, &rc, err);

    if (t == NULL)
        return rc;
    for (int k = 0; k < AREA_COUNT; k++)
        srq_memory_add(rows, area_name(k), t->area[k].size);
    srq_memory_add(rows, "tuner: activations", t->tape_bytes);
    srq_tuner_free(t);
    return 0;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static int take_memory(struct srq_tuner *t, struct srq_error *err)
{
    size_t n = (size_t)t->cfg.nsamples;
    int64_t probes = t->cfg.probe_samples < t->cfg.nsamples ? t->cfg.probe_samples : t->cfg.nsamples;

    for (int k = 0; k < AREA_COUNT; k++) {
        if (t->area[k].size == 0)
            continue;
        t->area[k].base = srq_pages_alloc(t->area[k].size);
        if (t->area[k].base == NULL)
            return srq_fail(err, -SRQ_ENOMEM, "no memory for %s (%zu bytes)", area_name(k), t->area[k].size);
    }
    t->perm = srq_calloc(n, sizeof(*t->perm));
    t->probe = srq_calloc((size_t)probes, sizeof(*t->probe));
    t->error_first = srq_calloc(3 * (size_t)t->layers_cap, sizeof(double));
    if (t->perm == NULL || t->probe == NULL || t->error_first == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "no memory for the tuner's sample order");
    t->error_best = t->error_first + t->layers_cap;
    t->error_last = t->error_best + t->layers_cap;
    return srq_tape_create_measured(t->tape_bytes, t->compute, &t->tape, err);
}

int srq_tuner_create(const struct srq_tune_config *cfg, struct srq_tuner **out, struct srq_error *err)
{
    int rc;

    *out = new_tuner(cfg, &rc, err);
    if (rc == 0)
        rc = take_memory(*out, err);
    if (rc != 0) {
        srq_tuner_free(*out);
        *out = NULL;
    }
    return rc;
}

struct srq_tape *srq_tuner_tape(const struct srq_tuner *t)
{
    return t->tape;
}

void srq_tuner_free(struct srq_tuner *t)
{
    if (t == NULL)
        return;
    for (int k = 0; k < AREA_COUNT; k++) {
        if (t->area[k].base != NULL)
            srq_pages_free(t->area[k].base, t->area[k].size);
    }
    srq_tape_free(t->tape);
    srq_free(t->perm);
    srq_free(t->probe);
    srq_free(t->error_first);
    srq_free(t->layers);
    srq_free(t->active);
    srq_free(t);
}
