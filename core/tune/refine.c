/* End-to-end tuning of scales. */
#include "core/tune/refine.h"

#include "core/base/alloc.h"
#include "core/base/rng.h"
#include "core/math/team.h"
#include "core/flow/walk.h"

#include <math.h>

#define STREAM ((uint64_t)0x7265) /* of the order of samples */
#define BETA1 0.9
#define BETA2 0.99
#define RATE                                                                                                        \
    0.1         /* over 2^bits, what rounding leaves of a weight, and over the root of blocks, whose changes add up \
                 */
#define WARM 10 /* one part in so many of the steps is shorter: the first ones know nothing of the moments */
#define GRAIN 4096

/* Memory, each one row of the plan. */
enum part { PART_BLOCK, PART_ROPE, PART_TAPE, PART_STATES, PART_SCALES, PART_HEAD, PART_COUNT };
static const char *const names[PART_COUNT] = {
    "scales end to end: block parameters",          "scales end to end: rope tables",
    "scales end to end: activations and gradients", "scales end to end: states of a batch and of the original",
    "scales end to end: scales and moments",        "scales end to end: heads",
};

struct refined_layer {
    bool on;
    const struct srq_codes *codes; /* of the block that is loaded */
    size_t first;                  /* of its groups among all */
    struct srq_refine *r;
};

struct srq_refine {
    const struct srq_model *model;
    struct srq_refine_config cfg;
    const struct srq_scheme *schemes;
    int blocks;
    int64_t held, steps, trained; /* held out; trained on */
    size_t bytes[PART_COUNT], groups, taught_bytes;
    struct refined_layer *layer; /* [layers of the model]; those outside blocks are never tuned */
    int loaded;                  /* block whose codes are in memory; -1: none */
    struct srq_walk *walk;
    struct srq_head *head;
    struct srq_head_loss *loss;
    struct srq_states *states;  /* of a batch */
    struct srq_states *teacher; /* final states of the original, of all samples */
    uint8_t *taught;            /* [batch, seq, hidden] those of the batch */
    int32_t *ids, *target;      /* [batch, seq] */
    int64_t *order;             /* [trained] of the running epoch */
    int64_t epoch;
    float *base, *delta, *m, *v, *scale, *grad; /* [groups] each; delta, m, v lie together: they are the state */
    /* one run */
    const struct srq_samples *samples;
    const struct srq_refine_caller *caller;
    int64_t step;
    double loss_first;
};

/* ---- sizes ------------------------------------------------------------------------------------------------------- */

bool srq_refine_tunes(const struct srq_layer_info *layer, const struct srq_scheme *scheme)
{
    return layer->block >= 0 && srq_scheme_is_integer(scheme) && scheme->group != 0;
}

static size_t groups_of(const struct srq_model *m, const struct srq_scheme *schemes, int layer)
{
    const struct srq_layer_info *l = srq_model_layer(m, layer);

    return srq_refine_tunes(l, &schemes[layer]) ? (size_t)srq_groups_of(l->out, l->in, schemes[layer].group).count : 0;
}

int64_t srq_refine_offset(const struct srq_model *m, const struct srq_scheme *schemes, int layer)
{
    size_t at = 0;

    if (groups_of(m, schemes, layer) == 0)
        return -1;
    for (int i = 0; i < layer; i++)
        at += groups_of(m, schemes, i);
    return (int64_t)at;
}

/* An eighth of the samples is held out, at most a batch; a batch is at most what is left. */
static void divide(struct srq_refine *r)
{
    struct srq_refine_config *c = &r->cfg;

    r->held = c->nsamples / 8 < 1 ? 1 : c->nsamples / 8;
    r->held = r->held > c->batch ? c->batch : r->held;
    r->trained = c->nsamples - r->held;
    c->batch = c->batch > r->trained ? r->trained : c->batch;
    r->steps = c->batch > 0 ? c->epochs * (r->trained / c->batch) : 0;
}

static struct srq_walk_config walk_config(const struct srq_refine *r)
{
    const struct srq_refine_config *c = &r->cfg;

    return (struct srq_walk_config){ r->model, c->compute, c->compute, c->batch, c->seq, .backward = true };
}

static struct srq_states_config states_config(const struct srq_refine *r, bool batch)
{
    const struct srq_refine_config *c = &r->cfg;

    return (struct srq_states_config){ r->model, c->compute, batch ? c->batch : c->nsamples, c->seq, .keep = batch };
}

static int measure(struct srq_refine *r, struct srq_error *err)
{
    const struct srq_refine_config *c = &r->cfg;
    const struct srq_walk_config walk = walk_config(r);
    const struct srq_states_config batch = states_config(r, true), all = states_config(r, false);
    int64_t tokens = c->batch * c->seq;
    struct srq_walk_memory memory;
    size_t teacher = 0;
    int rc = srq_states_bytes(&batch, &r->bytes[PART_STATES], err);

    if (rc == 0)
        rc = srq_states_bytes(&all, &teacher, err);
    if (rc == 0)
        rc = srq_walk_measure(&walk, &memory, err);
    if (rc != 0)
        return rc;
    for (int i = 0; i < srq_model_layer_count(r->model); i++)
        r->groups += groups_of(r->model, r->schemes, i);
    r->taught_bytes = (size_t)(tokens * srq_model_info(r->model)->hidden) * srq_dtype_size(c->compute) +
                      (size_t)tokens * 2 * sizeof(int32_t);
    r->bytes[PART_BLOCK] = memory.block;
    r->bytes[PART_ROPE] = memory.rope;
    r->bytes[PART_TAPE] = memory.tape;
    r->bytes[PART_STATES] += teacher + r->taught_bytes;
    r->bytes[PART_SCALES] = 6 * r->groups * sizeof(float);
    r->bytes[PART_HEAD] = srq_head_bytes(r->model, tokens) + srq_head_loss_bytes(r->model, true, tokens);
    return 0;
}

static struct srq_refine *new_refine(const struct srq_refine_config *cfg)
{
    struct srq_refine *r = srq_calloc(1, sizeof(*r));

    if (r == NULL)
        return NULL;
    r->model = cfg->model;
    r->cfg = *cfg;
    r->schemes = cfg->schemes;
    r->blocks = srq_model_info(cfg->model)->blocks;
    r->loaded = r->epoch = -1;
    divide(r);
    return r;
}

int srq_refine_footprint(const struct srq_refine_config *cfg, struct srq_memory_rows *rows, struct srq_error *err)
{
    struct srq_refine *r = new_refine(cfg);
    int rc = r != NULL ? 0 : srq_fail(err, -SRQ_ENOMEM, "out of memory planning the tuning of scales");

    if (rc == 0 && r->steps > 0)
        rc = measure(r, err);
    for (int i = 0; rc == 0 && i < PART_COUNT; i++)
        srq_memory_add(rows, names[i], r->bytes[i]);
    srq_refine_free(r);
    return rc;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static int create(struct srq_refine *r, struct srq_error *err)
{
    const struct srq_walk_config walk = walk_config(r);
    const struct srq_states_config batch = states_config(r, true), every = states_config(r, false);
    size_t tokens = (size_t)(r->cfg.batch * r->cfg.seq), at = 0;
    int layers = srq_model_layer_count(r->model), rc = measure(r, err);
    float *all;

    if (rc != 0)
        return rc;
    r->layer = srq_calloc((size_t)layers + 1, sizeof(*r->layer));
    r->order = srq_calloc((size_t)r->trained + 1, sizeof(*r->order));
    r->taught = srq_pages_alloc(r->taught_bytes);
    all = srq_pages_alloc(r->bytes[PART_SCALES] + 1);
    r->base = all;
    if (r->layer == NULL || r->order == NULL || r->taught == NULL || all == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for the tuning of scales");
    r->delta = r->base + r->groups;
    r->m = r->delta + r->groups;
    r->v = r->m + r->groups;
    r->scale = r->v + r->groups;
    r->grad = r->scale + r->groups;
    r->ids = (int32_t *)(void *)(r->taught + r->taught_bytes) - 2 * tokens;
    r->target = r->ids + tokens;
    for (int i = 0; i < layers; i++) {
        r->layer[i] = (struct refined_layer){ .on = groups_of(r->model, r->schemes, i) > 0, .first = at, .r = r };
        at += groups_of(r->model, r->schemes, i);
    }
    rc = srq_states_create(&batch, &r->states, err);
    if (rc == 0)
        rc = srq_states_create(&every, &r->teacher, err);
    if (rc == 0)
        rc = srq_walk_create(&walk, &r->walk, err);
    if (rc == 0)
        rc = srq_head_create(r->model, &r->head, err);
    return rc == 0 ? srq_head_loss_create(r->head, r->head, (int64_t)tokens, &r->loss, err) : rc;
}

int srq_refine_create(const struct srq_refine_config *cfg, struct srq_refine **out, struct srq_error *err)
{
    struct srq_refine *r = new_refine(cfg);
    int rc;

    *out = NULL;
    if (r == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for the tuning of scales");
    rc = r->steps > 0 ? create(r, err)
                      : srq_fail(err, -SRQ_EINVAL, "scales cannot be tuned on %lld samples", (long long)cfg->nsamples);
    if (rc != 0) {
        srq_refine_free(r);
        return rc;
    }
    *out = r;
    return 0;
}

void srq_refine_free(struct srq_refine *r)
{
    if (r == NULL)
        return;
    srq_head_loss_free(r->loss);
    srq_head_free(r->head);
    srq_walk_free(r->walk);
    srq_states_free(r->states);
    srq_states_free(r->teacher);
    if (r->taught != NULL)
        srq_pages_free(r->taught, r->taught_bytes);
    if (r->base != NULL)
        srq_pages_free(r->base, r->bytes[PART_SCALES] + 1);
    srq_free(r->layer);
    srq_free(r->order);
    srq_free(r);
}

/* ---- a block ----------------------------------------------------------------------------------------------------- */

/* Rows of dL/dŴ of one layer, on one thread of several: every group lies in one row. */
static void take_gradient(void *ctx, int64_t row, int64_t rows, float *grad)
{
    const struct refined_layer *l = ctx;
    const struct srq_groups *g = &l->codes->groups;

    for (int64_t i = row; i < row + rows; i++, grad += g->in) {
        for (int64_t k = 0; k < g->per_row; k++) {
            int64_t at = i * g->per_row + k, from = k * g->len, to = from + g->len < g->in ? from + g->len : g->in;
            const uint8_t *q = l->codes->codes + i * g->in;
            float sum = 0, zero = (float)l->codes->zero[at];

            for (int64_t c = from; c < to; c++)
                sum += grad[c] * ((float)q[c] - zero);
            l->r->grad[l->first + (size_t)at] += sum * l->r->scale[l->first + (size_t)at];
        }
    }
}

static int begin_unit(void *ctx, int unit, struct srq_error *err)
{
    struct srq_refine *r = ctx;
    const struct srq_unit_info *u = srq_model_unit(r->model, unit);
    int rc = 0;

    for (int i = u->first; rc == 0 && i < u->first + u->count; i++)
        if (r->schemes[i].grid != SRQ_GRID_NONE)
            rc = r->caller->codes(r->caller->ctx, i, &r->layer[i].codes, err);
    return rc;
}

static int has_codes(void *ctx, int layer, struct srq_error *err)
{
    const struct srq_refine *r = ctx;

    (void)err;
    return r->schemes[layer].grid != SRQ_GRID_NONE;
}

static void decode_rows(void *ctx, int layer, int64_t row, int64_t rows, void *dst, enum srq_dtype dtype)
{
    const struct srq_refine *r = ctx;
    struct srq_codes codes = *r->layer[layer].codes;

    if (r->layer[layer].on)
        codes.scale = r->scale + r->layer[layer].first;
    srq_codes_decode_rows(&codes, row, rows, dst, dtype);
}

static int load(struct srq_refine *r, int block, bool sinks, struct srq_error *err)
{
    const struct srq_weights weights = { r, begin_unit, has_codes, decode_rows, NULL, NULL };
    const struct srq_unit_info *u = srq_model_unit(r->model, block);

    if (r->loaded != block) {
        int rc = srq_walk_load(r->walk, block, &weights, err);

        r->loaded = rc == 0 ? block : -1;
        if (rc != 0)
            return rc;
    }
    for (int i = 0; i < u->count; i++) {
        struct srq_linear *linear = srq_block_linear(srq_walk_block(r->walk), i);
        struct refined_layer *l = &r->layer[u->first + i];

        linear->sink = sinks && l->on ? take_gradient : NULL;
        linear->sink_ctx = l;
    }
    return 0;
}

/* ---- a batch ----------------------------------------------------------------------------------------------------- */

/* Final states of all samples through the original's blocks. */
static int make_teacher(struct srq_refine *r, struct srq_error *err)
{
    r->loaded = -1;
    return srq_walk_model(r->walk, r->teacher, r->samples->ids, r->cfg.nsamples, NULL, NULL, err);
}

/* Takes samples [n] up; returns how many of their tokens predict another. */
static int64_t take_batch(struct srq_refine *r, const int64_t *sample, int64_t n)
{
    int64_t seq = r->cfg.seq, valid = 0;
    size_t bytes = (size_t)(srq_states_final(r->teacher, 1) - srq_states_final(r->teacher, 0));

    for (int64_t i = 0; i < n; i++) {
        const uint8_t *mask = r->samples->mask != NULL ? r->samples->mask + sample[i] * seq : NULL;

        memcpy(r->ids + i * seq, r->samples->ids + sample[i] * seq, (size_t)seq * sizeof(*r->ids));
        memcpy(r->taught + (size_t)i * bytes, srq_states_final(r->teacher, sample[i]), bytes);
        for (int64_t k = 0; k < seq; k++) {
            bool predicts = k + 1 < seq && (mask == NULL || (mask[k] != 0 && mask[k + 1] != 0));

            r->target[i * seq + k] = predicts ? 0 : -1; /* which word it is does not matter */
            valid += predicts;
        }
    }
    return valid;
}

/* The divergence of samples [n], summed; with `grad` dL/dδ of every group is added up, L being the mean. */
static int run_batch(struct srq_refine *r, const int64_t *sample, int64_t n, bool grad, double *loss, int64_t *valid,
                     struct srq_error *err)
{
    struct srq_head_words words = { .n = n * r->cfg.seq,
                                    .dtype = r->cfg.compute,
                                    .hidden = srq_states_final(r->states, 0),
                                    .taught = r->taught,
                                    .target = r->target,
                                    .grad = grad ? srq_states_final_gradient(r->states, 0) : NULL };
    int rc;

    *valid = take_batch(r, sample, n);
    words.factor = *valid > 0 ? 1.0f / (float)*valid : 0;
    rc = srq_states_embed(r->states, r->ids, n, err);
    for (int b = 0; rc == 0 && b < r->blocks; b++) {
        rc = load(r, b, false, err);
        if (rc == 0)
            rc = srq_walk_forward(r->walk, r->states, 0, n, err);
    }
    if (rc == 0)
        rc = srq_head_loss_run(r->loss, &words, loss, err);
    for (int b = r->blocks - 1; rc == 0 && grad && b >= 0; b--) {
        rc = load(r, b, true, err);
        if (rc == 0)
            rc = srq_walk_backward(r->walk, r->states, 0, n, err);
    }
    return rc;
}

static int held_loss(struct srq_refine *r, double *out, struct srq_error *err)
{
    double sum = 0;
    int64_t all = 0;
    int rc = 0;

    for (int64_t at = 0; rc == 0 && at < r->held; at += r->cfg.batch) {
        int64_t n = r->held - at < r->cfg.batch ? r->held - at : r->cfg.batch, valid;
        double loss = 0;

        for (int64_t i = 0; i < n; i++)
            r->order[i] = r->trained + at + i; /* made anew before the next step */
        r->epoch = -1;
        rc = run_batch(r, r->order, n, false, &loss, &valid, err);
        sum += loss;
        all += valid;
    }
    *out = all > 0 ? sum / (double)all : 0;
    return rc == 0 && !isfinite(*out) ? srq_fail(err, -SRQ_ENUMERIC, "the quantized model's words are no numbers") : rc;
}

/* ---- steps ------------------------------------------------------------------------------------------------------- */

static const int64_t *samples_of(struct srq_refine *r)
{
    int64_t per_epoch = r->trained / r->cfg.batch, epoch = r->step / per_epoch;

    if (epoch != r->epoch) {
        srq_rng_shuffle(r->cfg.seed, STREAM << 32 | (uint64_t)epoch, r->order, r->trained);
        r->epoch = epoch;
    }
    return r->order + r->step % per_epoch * r->cfg.batch;
}

struct moving {
    struct srq_refine *r;
    const struct refined_layer *l;
    double rate, first, second; /* of the step; corrections of the moments */
};

static void move_share(void *ctx, int64_t begin, int64_t end)
{
    const struct moving *k = ctx;
    struct srq_refine *r = k->r;

    for (size_t i = k->l->first + (size_t)begin; i < k->l->first + (size_t)end; i++) {
        double g = (double)r->grad[i];

        r->grad[i] = 0;
        r->m[i] = (float)(BETA1 * (double)r->m[i] + (1 - BETA1) * g);
        r->v[i] = (float)(BETA2 * (double)r->v[i] + (1 - BETA2) * g * g);
        r->delta[i] -= (float)(k->rate * ((double)r->m[i] / k->first) / (sqrt((double)r->v[i] / k->second) + 1e-12));
        r->scale[i] = r->base[i] * expf(r->delta[i]);
    }
}

static void move(struct srq_refine *r)
{
    double pi = acos(-1), schedule = 0.5 * (1 + cos(pi * (double)r->step / (double)r->steps));
    double warm = (double)(r->steps / WARM), rate = RATE / sqrt((double)r->blocks);

    if ((double)r->step < warm)
        schedule *= ((double)r->step + 1) / (warm + 1);

    for (int i = 0; i < srq_model_layer_count(r->model); i++) {
        struct moving k = { r, &r->layer[i], schedule * rate / (double)(1 << r->schemes[i].bits),
                            1 - pow(BETA1, (double)r->step + 1), 1 - pow(BETA2, (double)r->step + 1) };

        if (r->layer[i].on)
            srq_parallel((int64_t)groups_of(r->model, r->schemes, i), GRAIN, move_share, &k);
    }
    r->loaded = -1; /* decoded with other scales */
}

static void set_scales(struct srq_refine *r, bool tuned)
{
    for (size_t i = 0; i < r->groups; i++) {
        float s = tuned ? srq_f16_to_f32(srq_f32_to_f16(r->base[i] * expf(r->delta[i]))) : r->base[i];

        r->scale[i] = isfinite(s) && s != 0 ? s : r->base[i];
    }
    r->loaded = -1;
}

static int take_base(struct srq_refine *r, struct srq_error *err)
{
    int rc = 0;

    for (int i = 0; rc == 0 && i < srq_model_layer_count(r->model); i++) {
        const struct srq_codes *codes;

        if (!r->layer[i].on)
            continue;
        rc = r->caller->codes(r->caller->ctx, i, &codes, err);
        if (rc == 0)
            memcpy(r->base + r->layer[i].first, codes->scale, groups_of(r->model, r->schemes, i) * sizeof(float));
    }
    memset(r->delta, 0, 3 * r->groups * sizeof(float));
    memset(r->grad, 0, r->groups * sizeof(float));
    return rc;
}

static int restore(struct srq_refine *r, const struct srq_part *state, struct srq_error *err)
{
    struct srq_refine_state s;

    if (state->len != sizeof(s.head) + 3 * r->groups * sizeof(float))
        return srq_fail(err, -SRQ_EFORMAT, "a state of %zu bytes is not one of these scales", state->len);
    memcpy(&s.head, state->data, sizeof(s.head));
    if (s.head.step < 0 || s.head.step > r->steps)
        return srq_fail(err, -SRQ_EFORMAT, "a state at step %lld of %lld", (long long)s.head.step, (long long)r->steps);
    r->step = s.head.step;
    r->loss_first = s.head.loss_first;
    memcpy(r->delta, (const char *)state->data + sizeof(s.head), 3 * r->groups * sizeof(float));
    for (size_t i = 0; i < r->groups; i++)
        r->scale[i] = r->base[i] * expf(r->delta[i]);
    return 0;
}

static int all_steps(struct srq_refine *r, struct srq_error *err)
{
    const struct srq_refine_caller *c = r->caller;
    int rc = 0;

    while (rc == 0 && r->step < r->steps) {
        double loss = 0;
        int64_t valid;

        rc = c->tick != NULL ? c->tick(c->ctx, r->step, r->steps) : 0;
        if (rc > 0)
            return 0;
        if (rc < 0)
            return srq_fail(err, rc, "stopped before step %lld", (long long)r->step);
        rc = run_batch(r, samples_of(r), r->cfg.batch, true, &loss, &valid, err);
        if (rc == 0 && !isfinite(loss))
            rc = srq_fail(err, -SRQ_ENUMERIC, "the divergence at step %lld is no number", (long long)r->step);
        if (rc == 0) {
            move(r);
            r->step++;
        }
    }
    return rc;
}

int srq_refine_run(struct srq_refine *r, const struct srq_samples *samples, const struct srq_refine_caller *caller,
                   const struct srq_part *resume, struct srq_refine_outcome *out, struct srq_error *err)
{
    int rc;

    if (samples->count != r->cfg.nsamples || samples->seqlen != r->cfg.seq)
        return srq_fail(err, -SRQ_EINVAL, "%lld samples of %lld tokens where others were planned",
                        (long long)samples->count, (long long)samples->seqlen);
    r->samples = samples;
    r->caller = caller;
    r->step = 0;
    rc = take_base(r, err);
    if (rc == 0)
        rc = make_teacher(r, err);
    set_scales(r, false);
    if (rc == 0 && resume != NULL)
        rc = restore(r, resume, err);
    else if (rc == 0)
        rc = held_loss(r, &r->loss_first, err);
    if (rc == 0)
        rc = all_steps(r, err);
    *out = (struct srq_refine_outcome){ .steps = r->step, .loss_first = r->loss_first };
    set_scales(r, true);
    if (rc == 0)
        rc = held_loss(r, &out->loss_last, err);
    out->kept = rc == 0 && out->loss_last < out->loss_first;
    if (!out->kept)
        set_scales(r, false);
    return rc;
}

void srq_refine_save(const struct srq_refine *r, struct srq_refine_state *out)
{
    memset(out, 0, sizeof(*out));
    out->head.step = r->step;
    out->head.loss_first = r->loss_first;
    out->parts[0] = (struct srq_part){ &out->head, sizeof(out->head) };
    out->parts[1] = (struct srq_part){ r->delta, 3 * r->groups * sizeof(float) };
    out->count = 2;
}

const float *srq_refine_scales(const struct srq_refine *r, size_t *count)
{
    *count = r->groups;
    return r->scale;
}
