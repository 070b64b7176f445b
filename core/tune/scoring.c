/* Scoring passes: forward block by block with rounded weights, loss, and the blocks again in reverse. */
#include "core/tune/scoring.h"

#include "core/base/alloc.h"
#include "core/math/kernels.h"
#include "core/math/team.h"
#include "core/flow/walk.h"

#include <math.h>

/* Memory, each one row of the plan. */
enum part { PART_BLOCK, PART_ROPE, PART_TAPE, PART_STATES, PART_LAYERS, PART_HEAD, PART_COUNT };
static const char *const names[PART_COUNT] = {
    "scoring: block parameters",
    "scoring: rope tables",
    "scoring: activations and gradients",
    "scoring: inputs of all blocks",
    "scoring: ranges, sums and rows of layers",
    "scoring: head and loss",
};

struct scored_layer {
    struct srq_scoring *s;
    struct srq_layer layer;
    struct srq_tensor weight;
    struct srq_scheme scheme, point; /* the candidate; the one under which gradients are taken */
    struct srq_groups groups;
    const struct srq_grid_ops *grid; /* NULL: left alone */
    struct srq_grid_args args;
    double *row_sum; /* [out] */
};

struct srq_scoring {
    const struct srq_model *model;
    const struct srq_plugin *plugin;
    void *self;
    struct srq_scoring_config cfg;
    int blocks;
    struct scored_layer *layer;       /* of the unit that is loaded, by their place in it */
    const struct srq_unit_info *unit; /* that is in memory, rounded under `schemes`; NULL: none */
    const struct srq_scheme *schemes;
    struct srq_walk *walk;
    struct srq_states *states; /* of a sweep */
    struct srq_head *head;
    struct srq_head_loss *loss;
    uint8_t *memory; /* of layers */
    float *range;    /* lo and hi of a block's groups */
    float *row;      /* [threads][2][longest row] W and Ŵ */
    int32_t *target; /* [sweep, seq] */
    int64_t row_len;
    size_t bytes[PART_COUNT];
    /* one run */
    int64_t done, total;
    int (*tick)(void *ctx, int64_t done, int64_t total);
    void *tick_ctx;
};

/* ---- sizes ------------------------------------------------------------------------------------------------------- */

/* Groups of a unit, the most that any candidate makes; its rows; the longest row of all. */
static void measure_unit(struct srq_scoring *s, const struct srq_unit_info *u, size_t *groups, size_t *rows)
{
    const struct srq_scheme *candidates = s->cfg.candidates;

    *groups = *rows = 0;
    for (int i = u->first; i < u->first + u->count; i++) {
        const struct srq_layer_info *l = srq_model_layer(s->model, i);
        int64_t most = 1;

        for (int c = 0; c < s->cfg.candidate_count; c++) {
            struct srq_groups g = srq_groups_of(l->out, l->in, candidates[c].group);

            most = candidates[c].grid != SRQ_GRID_NONE && g.count > most ? g.count : most;
        }
        *groups += (size_t)most;
        *rows += (size_t)l->out;
        s->row_len = l->in > s->row_len ? l->in : s->row_len;
    }
}

/* The most of either that a block has. */
static void measure_layers(struct srq_scoring *s, size_t *groups, size_t *rows)
{
    *groups = *rows = 0;
    for (int u = 0; u < s->blocks; u++) {
        size_t g, r;

        measure_unit(s, srq_model_unit(s->model, u), &g, &r);
        *groups = g > *groups ? g : *groups;
        *rows = r > *rows ? r : *rows;
    }
}

static size_t row_floats(const struct srq_scoring *s)
{
    return (size_t)srq_team_size() * 2 * (size_t)s->row_len;
}

static struct srq_walk_config walk_config(const struct srq_scoring *s)
{
    const struct srq_scoring_config *c = &s->cfg;

    return (struct srq_walk_config){ s->model, c->compute, c->compute, c->batch, c->seq, .backward = true };
}

static struct srq_states_config states_config(const struct srq_scoring *s)
{
    const struct srq_scoring_config *c = &s->cfg;

    return (struct srq_states_config){ s->model, c->compute, c->sweep, c->seq, .keep = true };
}

static int measure(struct srq_scoring *s, size_t *groups, size_t *rows, struct srq_error *err)
{
    const struct srq_scoring_config *c = &s->cfg;
    const struct srq_walk_config walk = walk_config(s);
    const struct srq_states_config states = states_config(s);
    struct srq_walk_memory memory;
    int rc;

    if (c->batch < 1 || c->sweep < c->batch || c->sweep % c->batch != 0 || c->seq < 2)
        return srq_fail(err, -SRQ_EINVAL, "samples of %lld tokens in batches of %lld, %lld at a time, cannot be scored",
                        (long long)c->seq, (long long)c->batch, (long long)c->sweep);
    rc = srq_states_bytes(&states, &s->bytes[PART_STATES], err);
    if (rc == 0)
        rc = srq_walk_measure(&walk, &memory, err);
    if (rc != 0)
        return rc;
    measure_layers(s, groups, rows);
    s->bytes[PART_BLOCK] = memory.block;
    s->bytes[PART_ROPE] = memory.rope;
    s->bytes[PART_TAPE] = memory.tape;
    s->bytes[PART_LAYERS] = *rows * sizeof(double) + (2 * *groups + row_floats(s)) * sizeof(float) +
                            (size_t)(c->sweep * c->seq) * sizeof(int32_t);
    s->bytes[PART_HEAD] =
        srq_head_bytes(s->model, c->batch * c->seq) + srq_head_loss_bytes(s->model, false, c->batch * c->seq);
    return 0;
}

static struct srq_scoring *new_scoring(const struct srq_scoring_config *cfg)
{
    struct srq_scoring *s = srq_calloc(1, sizeof(*s));

    if (s == NULL)
        return NULL;
    s->model = cfg->model;
    s->plugin = cfg->plugin;
    s->self = cfg->self;
    s->cfg = *cfg;
    s->blocks = srq_model_info(cfg->model)->blocks;
    return s;
}

int srq_scoring_footprint(const struct srq_scoring_config *cfg, struct srq_memory_rows *rows, struct srq_error *err)
{
    struct srq_scoring *s = new_scoring(cfg);
    size_t groups, sums;
    int rc =
        s != NULL ? measure(s, &groups, &sums, err) : srq_fail(err, -SRQ_ENOMEM, "out of memory planning the scores");

    for (int i = 0; rc == 0 && i < PART_COUNT; i++)
        srq_memory_add(rows, names[i], s->bytes[i]);
    srq_scoring_free(s);
    return rc;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static int create(struct srq_scoring *s, struct srq_error *err)
{
    const struct srq_walk_config walk = walk_config(s);
    const struct srq_states_config states = states_config(s);
    size_t groups, rows;
    int rc = measure(s, &groups, &rows, err);

    if (rc != 0)
        return rc;
    s->layer = srq_calloc((size_t)srq_model_unit_layers(s->model), sizeof(s->layer[0]));
    s->memory = srq_pages_alloc(s->bytes[PART_LAYERS]);
    if (s->layer == NULL || s->memory == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for scoring");
    s->range = (float *)(void *)((double *)(void *)s->memory + rows);
    s->row = s->range + 2 * groups;
    s->target = (int32_t *)(void *)(s->row + row_floats(s));
    rc = srq_states_create(&states, &s->states, err);
    if (rc == 0)
        rc = srq_walk_create(&walk, &s->walk, err);
    if (rc == 0)
        rc = srq_head_create(s->model, &s->head, err);
    return rc == 0 ? srq_head_loss_create(s->head, NULL, s->cfg.batch * s->cfg.seq, &s->loss, err) : rc;
}

int srq_scoring_create(const struct srq_scoring_config *cfg, struct srq_scoring **out, struct srq_error *err)
{
    struct srq_scoring *s = new_scoring(cfg);
    int rc;

    *out = NULL;
    if (s == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for scoring");
    rc = create(s, err);
    if (rc != 0) {
        srq_scoring_free(s);
        return rc;
    }
    *out = s;
    return 0;
}

void srq_scoring_free(struct srq_scoring *s)
{
    if (s == NULL)
        return;
    srq_head_loss_free(s->loss);
    srq_head_free(s->head);
    srq_walk_free(s->walk);
    srq_states_free(s->states);
    if (s->memory != NULL)
        srq_pages_free(s->memory, s->bytes[PART_LAYERS]);
    srq_free(s->layer);
    srq_free(s);
}

/* ---- a block under its schemes ----------------------------------------------------------------------------------- */

/* Rows of dL/dŴ of one layer, on one thread of several. */
static void take_gradient(void *ctx, int64_t row, int64_t rows, float *grad)
{
    struct scored_layer *l = ctx;
    struct srq_scoring *s = l->s;
    int64_t in = l->groups.in;
    float *own = s->row + (size_t)srq_team_thread() * 2 * (size_t)s->row_len, *fake = own + s->row_len;
    const struct srq_tensor *w = &l->weight;
    size_t bytes = (size_t)in * srq_dtype_size(w->dtype);

    for (int64_t i = 0; i < rows; i++) {
        const char *stored = (const char *)w->data + (size_t)(row + i) * bytes;
        struct srq_score_rows r = { .size = sizeof(r),
                                    .layer = &l->layer,
                                    .row = row + i,
                                    .rows = 1,
                                    .weight = own,
                                    .fake = fake,
                                    .grad = grad + i * in };

        (void)srq_convert(stored, w->dtype, own, SRQ_F32, in);
        l->grid->fake(&l->args, row + i, 1, fake, SRQ_F32, in);
        l->row_sum[row + i] = s->plugin->scorer->rows(srq_host_services(), s->self, &r);
    }
}

/* With fewer bits everywhere the model has no words left, and its gradients say nothing. */
struct srq_scheme srq_scoring_point(const struct srq_scheme *candidate)
{
    struct srq_scheme s;

    return candidate->bits < SRQ_SCORING_BITS && srq_scheme_widen(candidate, SRQ_SCORING_BITS, &s) ? s : *candidate;
}

/* nvfp4 has one scale for the tensors that runtimes fuse: of the largest magnitude among them (spec signround 9.2). */
static void share_tensor_scale(struct srq_scoring *s)
{
    for (int i = 0; i < s->unit->count; i++) {
        const struct srq_layer_info *a = srq_model_layer(s->model, s->unit->first + i);
        struct scored_layer *l = &s->layer[i];
        float top = 0;

        l->layer.tensor_scale = l->args.tensor_scale = 1;
        for (int k = 0; l->grid != NULL && l->scheme.grid == SRQ_GRID_NVFP4 && k < s->unit->count; k++) {
            const struct srq_layer_info *b = srq_model_layer(s->model, s->unit->first + k);
            const struct scored_layer *o = &s->layer[k];

            if (o->grid == NULL || o->scheme.grid != SRQ_GRID_NVFP4 || (k != i && !srq_layers_tied(a, b)))
                continue;
            for (int64_t g = 0; g < o->groups.count; g++)
                top = fmaxf(top, fmaxf(-o->args.lo[g], o->args.hi[g]));
        }
        if (top > 0)
            l->layer.tensor_scale = l->args.tensor_scale = srq_nvfp4_tensor_scale(top);
    }
}

static int prepare_layer(struct srq_scoring *s, int i, int layer, float **range, struct srq_error *err)
{
    struct scored_layer *l = &s->layer[i];
    const struct srq_layer_info *info = srq_model_layer(s->model, layer);
    int rc;

    l->grid = NULL;
    if (s->schemes[layer].grid == SRQ_GRID_NONE)
        return 0;
    l->grid = srq_grid(s->schemes[layer].grid);
    if (l->grid == NULL)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, info->name, "%s: no such grid in this build", info->name);
    l->scheme = s->schemes[layer];
    l->point = srq_scoring_point(&l->scheme);
    l->groups = srq_groups_of(info->out, info->in, l->scheme.group);
    l->layer = (struct srq_layer){ .size = sizeof(l->layer),
                                   .name = info->name,
                                   .block = info->block,
                                   .index = i,
                                   .weight = &l->weight,
                                   .scheme = &l->scheme,
                                   .tensor_scale = 1,
                                   .groups = &l->groups };
    rc = srq_model_weight(s->model, layer, &l->weight, err);
    if (rc != 0)
        return rc;
    l->args = (struct srq_grid_args){ .size = sizeof(l->args),
                                      .weight = &l->weight,
                                      .scheme = &l->scheme,
                                      .groups = &l->groups,
                                      .lo = *range,
                                      .hi = *range + l->groups.count,
                                      .tensor_scale = 1 };
    *range += 2 * l->groups.count;
    rc = l->grid->extrema(&l->args, (float *)(uintptr_t)l->args.lo, (float *)(uintptr_t)l->args.hi);
    return rc == 0 ? 0 : srq_fail_field(err, rc, info->name, "the ranges of %s could not be found", info->name);
}

static int begin_unit(void *ctx, int unit, struct srq_error *err)
{
    struct srq_scoring *s = ctx;
    double *sums = (double *)(void *)s->memory;
    float *range = s->range;
    int rc = 0;

    s->unit = srq_model_unit(s->model, unit);
    for (int i = 0; rc == 0 && i < s->unit->count; i++) {
        s->layer[i] = (struct scored_layer){ .s = s, .row_sum = sums };
        sums += srq_model_layer(s->model, s->unit->first + i)->out;
        rc = prepare_layer(s, i, s->unit->first + i, &range, err);
    }
    if (rc == 0)
        share_tensor_scale(s);
    return rc;
}

static int is_rounded(void *ctx, int layer, struct srq_error *err)
{
    const struct srq_scoring *s = ctx;

    (void)err;
    return s->layer[layer - s->unit->first].grid != NULL;
}

static void round_rows(void *ctx, int layer, int64_t row, int64_t rows, void *dst, enum srq_dtype dtype)
{
    const struct srq_scoring *s = ctx;
    const struct scored_layer *l = &s->layer[layer - s->unit->first];
    struct srq_grid_args args = l->args;

    args.scheme = &l->point;
    l->grid->fake(&args, row, rows, dst, dtype, l->groups.in);
}

/* Brings a block into memory with its weights rounded. */
static int load(struct srq_scoring *s, int unit, struct srq_error *err)
{
    const struct srq_weights rounded = { s, begin_unit, is_rounded, round_rows, NULL, NULL };
    int rc = 0;

    if (s->unit == srq_model_unit(s->model, unit))
        return 0;
    rc = srq_walk_load(s->walk, unit, &rounded, err);
    if (rc != 0)
        s->unit = NULL;
    return rc;
}

static void release(struct srq_scoring *s)
{
    for (int i = 0; s->unit != NULL && i < s->unit->count; i++) {
        if (s->layer[i].grid != NULL)
            srq_tensors_release(srq_model_tensors(s->model), &s->layer[i].weight);
    }
}

static void set_sinks(struct srq_scoring *s, bool on)
{
    for (int i = 0; s->unit != NULL && i < s->unit->count; i++) {
        struct srq_linear *linear = srq_block_linear(srq_walk_block(s->walk), i);

        linear->sink = on && s->layer[i].grid != NULL ? take_gradient : NULL;
        linear->sink_ctx = &s->layer[i];
    }
}

/* ---- passes ------------------------------------------------------------------------------------------------------ */

static int step(struct srq_scoring *s, struct srq_error *err)
{
    int rc = s->tick != NULL ? s->tick(s->tick_ctx, ++s->done, s->total) : 0;

    return rc == 0 ? 0 : srq_fail(err, rc < 0 ? rc : -SRQ_ECANCELED, "scoring was stopped");
}

/* A batch backwards through the loaded block; what its layers' rows came to is added to their scores. */
static int backward(struct srq_scoring *s, int64_t at, int64_t n, double *score, struct srq_error *err)
{
    int rc = srq_walk_backward(s->walk, s->states, at, n, err);

    for (int i = 0; rc == 0 && i < s->unit->count; i++) {
        const struct scored_layer *l = &s->layer[i];

        for (int64_t r = 0; l->grid != NULL && r < l->groups.out; r++)
            score[s->unit->first + i] += l->row_sum[r];
    }
    return rc;
}

/* What every token has to predict; returns how many do. */
static int64_t set_targets(struct srq_scoring *s, const struct srq_samples *samples, int64_t first, int64_t n)
{
    int64_t seq = s->cfg.seq, valid = 0;

    for (int64_t i = 0; i < n * seq; i++) {
        int64_t at = first * seq + i;
        bool last = i % seq == seq - 1;
        bool padded = !last && samples->mask != NULL && !(samples->mask[at] && samples->mask[at + 1]);

        s->target[i] = last || padded ? -1 : samples->ids[at + 1];
        valid += s->target[i] >= 0;
    }
    return valid;
}

struct totals {
    double loss;
    int64_t tokens;
};

/* Every batch's own mean loss is differentiated. */
static int losses(struct srq_scoring *s, const struct srq_samples *samples, int64_t first, int64_t n, struct totals *t,
                  struct srq_error *err)
{
    int rc = 0;

    for (int64_t at = 0; rc == 0 && at < n; at += s->cfg.batch) {
        int64_t count = n - at < s->cfg.batch ? n - at : s->cfg.batch;
        int64_t valid = set_targets(s, samples, first + at, count);
        const struct srq_head_words words = { .n = count * s->cfg.seq,
                                              .dtype = s->cfg.compute,
                                              .hidden = srq_states_final(s->states, at),
                                              .target = s->target,
                                              .factor = valid > 0 ? 1.0f / (float)valid : 0.0f,
                                              .grad = srq_states_final_gradient(s->states, at) };
        double loss = 0;

        rc = srq_head_loss_run(s->loss, &words, &loss, err);
        t->loss += loss;
        t->tokens += valid;
        if (rc == 0)
            rc = step(s, err);
    }
    return rc;
}

/* Samples [first, first + n) forward and backward. */
static int sweep(struct srq_scoring *s, const struct srq_samples *samples, int64_t first, int64_t n, double *score,
                 struct totals *totals, struct srq_error *err)
{
    int rc = srq_states_embed(s->states, samples->ids + first * s->cfg.seq, n, err);

    for (int b = 0; rc == 0 && b < s->blocks; b++) {
        rc = load(s, b, err);
        set_sinks(s, false);
        for (int64_t at = 0; rc == 0 && at < n; at += s->cfg.batch) {
            rc = srq_walk_forward(s->walk, s->states, at, n - at < s->cfg.batch ? n - at : s->cfg.batch, err);
            if (rc == 0)
                rc = step(s, err);
        }
        release(s);
    }
    if (rc == 0)
        rc = losses(s, samples, first, n, totals, err);
    for (int b = s->blocks - 1; rc == 0 && b >= 0; b--) {
        rc = load(s, b, err);
        set_sinks(s, true);
        for (int64_t at = 0; rc == 0 && at < n; at += s->cfg.batch) {
            rc = backward(s, at, n - at < s->cfg.batch ? n - at : s->cfg.batch, score, err);
            if (rc == 0)
                rc = step(s, err);
        }
        release(s);
    }
    return rc;
}

int srq_scoring_run(struct srq_scoring *s, const struct srq_scheme *schemes, const struct srq_samples *samples,
                    int (*tick)(void *ctx, int64_t done, int64_t total), void *ctx, double *score, double *loss,
                    struct srq_error *err)
{
    int64_t n = samples->count < s->cfg.nsamples ? samples->count : s->cfg.nsamples;
    struct totals totals = { 0, 0 };
    int rc = 0;

    if (samples->seqlen != s->cfg.seq)
        return srq_fail(err, -SRQ_EINVAL, "samples of %lld tokens where %lld were planned", (long long)samples->seqlen,
                        (long long)s->cfg.seq);
    s->schemes = schemes;
    s->unit = NULL;
    s->tick = tick;
    s->tick_ctx = ctx;
    s->done = 0;
    s->total = (n + s->cfg.batch - 1) / s->cfg.batch * (2 * s->blocks + 1);
    for (int i = 0; i < srq_model_layer_count(s->model); i++)
        score[i] = srq_model_layer(s->model, i)->block >= 0 ? 0 : score[i];
    for (int64_t first = 0; rc == 0 && first < n; first += s->cfg.sweep) {
        rc = sweep(s, samples, first, n - first < s->cfg.sweep ? n - first : s->cfg.sweep, score, &totals, err);
    }
    for (int i = 0; rc == 0 && i < srq_model_layer_count(s->model); i++) {
        if (srq_model_layer(s->model, i)->block < 0)
            continue;
        if (!isfinite(score[i]) || !isfinite(totals.loss))
            rc = srq_fail_field(err, -SRQ_ENUMERIC, srq_model_layer(s->model, i)->name,
                                "the score of %s is not a finite number", srq_model_layer(s->model, i)->name);
    }
    *loss = totals.tokens > 0 ? totals.loss / (double)totals.tokens : (double)NAN;
    return rc;
}
