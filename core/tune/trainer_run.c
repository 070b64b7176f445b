/* The trainer: its memory, its passes, its steps. */
#include "core/tune/trainer_parts.h"

#include "core/base/alloc.h"
#include "core/flow/denoise.h"
#include "core/math/team.h"
#include "core/tape/times.h"

#include <inttypes.h>
#include <math.h>

/* ---- what the plugin wants --------------------------------------------------------------------------------------- */

int srq_train_schedule_of(const struct srq_plugin *p, void *self, struct srq_trainer_schedule *out,
                          struct srq_error *err)
{
    struct srq_trainer_schedule s = { .size = sizeof(s), .batch = 1, .decay = -1, .pictures = out->pictures };
    int rc = p->trainer->schedule(srq_host_services(), self, &s, err);

    if (rc != 0)
        return rc < 0 ? rc : -SRQ_EINVAL;
    if (s.batch < 1 || s.steps < 0 || s.warmup < 0 || s.states < 0 || s.states > SRQ_TRAINER_STATES ||
        s.noisy < SRQ_NOISY_UNIFORM || s.noisy > SRQ_NOISY_TRAJECTORY || !(s.task_weight >= 0) || !(s.kd_weight >= 0) ||
        !(s.clip >= 0) || !(s.kd_layers_weight >= 0))
        return srq_fail(err, -SRQ_EINVAL,
                        "%s asks for batch %" PRId64 ", steps %" PRId64 ", warm-up %" PRId64 ", %d states, task_weight "
                        "%g, kd_weight %g, clip %g",
                        p->name, s.batch, s.steps, s.warmup, s.states, s.task_weight, s.kd_weight, s.clip);
    if (s.steps > 0 && s.task_weight == 0 && s.kd_weight == 0 &&
        (s.kd_layers == NULL || s.kd_layers[0] == '\0' || s.kd_layers_weight == 0))
        return srq_fail(err, -SRQ_EINVAL,
                        "%s trains for nothing: task_weight and kd_weight are both 0, and no kd_layers", p->name);
    *out = s;
    return 0;
}

/* ---- sizes ------------------------------------------------------------------------------------------------------- */

static struct srq_walk_config walk_of(const struct srq_train_config *c)
{
    return (struct srq_walk_config){ c->model,
                                     SRQ_F32,
                                     SRQ_F32,
                                     c->schedule.batch,
                                     1,
                                     .backward = true,
                                     .vectors = true,
                                     .roundings = true,
                                     .split = c->schedule.split_skip != 0 };
}

static struct srq_states_config states_of(const struct srq_train_config *c)
{
    return (struct srq_states_config){ c->model, SRQ_F32, c->schedule.batch, 1, true, NULL };
}

/* Elements of all tensors that are trained. */
static int64_t trained_elements(const struct srq_train_config *c, int *tensors, struct srq_error *err)
{
    struct srq_block *b = NULL;
    int64_t n = 0;

    if (srq_block_create(c->model, SRQ_F32, &b, err) != 0)
        return -1;
    *tensors = srq_model_layer_count(c->model);
    for (int i = 0; i < *tensors; i++)
        n += srq_model_layer(c->model, i)->out * srq_model_layer(c->model, i)->in;
    for (int u = 0; u < srq_model_info(c->model)->blocks; u++) {
        srq_block_describe(b, u);
        for (int i = 0; i < srq_block_vector_count(b); i++)
            n += srq_block_vector(b, i)->n;
        *tensors += srq_block_vector_count(b);
    }
    srq_block_free(b);
    return n;
}

static int64_t picture(const struct srq_model *m, bool out)
{
    struct srq_pictures p = srq_model_pictures(m);

    return p.height * p.width * (out ? p.out_channels : p.channels);
}

int srq_train_footprint(const struct srq_train_config *c, struct srq_memory_rows *out, struct srq_error *err)
{
    const struct srq_walk_config walk = walk_of(c);
    const struct srq_states_config states = states_of(c);
    struct srq_walk_memory m = { 0, 0, 0 };
    size_t kept = 0;
    int tensors, rc = srq_walk_measure(&walk, &m, err);
    int64_t n = rc == 0 ? trained_elements(c, &tensors, err) : 0;
    int64_t pixels = picture(c->model, false) + 2 * picture(c->model, true);

    if (rc == 0)
        rc = n < 0 ? -SRQ_ENOMEM : srq_states_bytes(&states, &kept, err);
    if (rc != 0)
        return rc;
    srq_memory_add(out, "train: block parameters", m.block);
    srq_memory_add(out, "train: activations and gradients of a block", m.tape);
    srq_memory_add(out, "train: values between blocks and their gradients", kept);
    srq_memory_add(out, "train: weights, gradients and optimizer",
                   (uint64_t)n * sizeof(float) * (uint64_t)(2 + c->schedule.states));
    srq_memory_add(out, "train: what blocks are to give", srq_train_features_bytes(c));
    srq_memory_add(out, "train: pictures of a batch", (uint64_t)(pixels * c->schedule.batch) * sizeof(float));
    return 0;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static int no_memory(struct srq_error *err)
{
    return srq_fail(err, -SRQ_ENOMEM, "out of memory for training");
}

/* The tensor's arrays in the area, from `at` on. */
static void take_arrays(struct srq_train *t, struct srq_train_tensor *e, float **at)
{
    e->n = e->info.rows * e->info.cols;
    e->info.value = *at;
    e->info.grad = *at + e->n;
    for (int i = 0; i < t->cfg.schedule.states; i++)
        e->state[i] = *at + (2 + i) * e->n;
    e->info.state = e->state;
    *at += (2 + t->cfg.schedule.states) * e->n;
}

static int make_weight(struct srq_train *t, int layer, float **at, struct srq_error *err)
{
    struct srq_train_tensor *e = &t->tensors[layer];
    const struct srq_layer_info *l = srq_model_layer(t->cfg.model, layer);
    struct srq_tensor stored;
    int rc;

    e->name = srq_asprintf("%s.weight", l->name);
    if (e->name == NULL)
        return no_memory(err);
    e->weight = srq_tensor_2d(NULL, l->dtype, l->out, l->in);
    e->layer = (struct srq_layer){ .size = sizeof(e->layer),
                                   .name = l->name,
                                   .block = l->block,
                                   .index = layer - srq_model_unit(t->cfg.model, l->unit)->first,
                                   .weight = &e->weight,
                                   .scheme = &t->cfg.schemes[layer],
                                   .tensor_scale = 1,
                                   .groups = &e->groups };
    e->info = (struct srq_trained){
        .size = sizeof(e->info), .index = layer, .name = e->name, .layer = &e->layer, .rows = l->out, .cols = l->in
    };
    take_arrays(t, e, at);
    rc = srq_model_weight(t->cfg.model, layer, &stored, err);
    if (rc == 0)
        rc = srq_convert(stored.data, stored.dtype, e->info.value, SRQ_F32, e->n);
    return rc;
}

static int make_vectors(struct srq_train *t, float **at, struct srq_error *err)
{
    struct srq_block *b = srq_walk_block(t->walk);
    char name[SRQ_NAME_CAP];
    int next = t->layers, rc = 0;

    for (int u = 0; rc == 0 && u < srq_model_info(t->cfg.model)->blocks; u++) {
        t->first_vector[u] = next;
        rc = srq_block_load_vectors(b, u, err);
        for (int i = 0; rc == 0 && i < srq_block_vector_count(b); i++, next++) {
            struct srq_train_tensor *e = &t->tensors[next];
            const struct srq_vector *v = srq_block_vector(b, i);

            srq_block_vector_name(b, i, name);
            e->name = srq_strdup(name);
            if (e->name == NULL)
                return no_memory(err);
            e->info = (struct srq_trained){
                .size = sizeof(e->info), .index = next, .name = e->name, .rows = 1, .cols = v->n
            };
            take_arrays(t, e, at);
            memcpy(e->info.value, v->value, (size_t)v->n * sizeof(float));
        }
    }
    return rc;
}

static void observe(void *ctx, struct srq_rounding *r, const struct srq_tensor *x);

static void make_activations(struct srq_train *t)
{
    for (int i = 0; i < SRQ_TRAIN_SIDES * t->layers; i++) {
        int layer = i / SRQ_TRAIN_SIDES, side = i % SRQ_TRAIN_SIDES;

        t->activation[i].t = t;
        t->activation[i].side = side;
        t->activation[i].info = (struct srq_activation){ .size = sizeof(t->activation[i].info),
                                                         .layer = srq_model_layer(t->cfg.model, layer)->name,
                                                         .output = side == SRQ_TRAIN_OUTPUT };
    }
    for (int i = 0; i < t->layers; i++) {
        t->roundings[i].input.ctx = &t->activation[SRQ_TRAIN_SIDES * i + SRQ_TRAIN_INPUT];
        t->roundings[i].input.split = srq_train_split(&t->cfg, i);
        t->roundings[i].output.ctx = &t->activation[SRQ_TRAIN_SIDES * i + SRQ_TRAIN_OUTPUT];
    }
}

static int make(struct srq_train *t, struct srq_error *err)
{
    const struct srq_train_config *c = &t->cfg;
    const struct srq_walk_config walk = walk_of(c);
    const struct srq_states_config states = states_of(c);
    int64_t n = trained_elements(c, &t->count, err), batch = c->schedule.batch;
    int64_t in = picture(c->model, false), out = picture(c->model, true);
    float *at;
    int rc;

    if (n < 0)
        return -SRQ_ENOMEM;
    t->layers = srq_model_layer_count(c->model);
    t->area_bytes = (size_t)n * sizeof(float) * (size_t)(2 + c->schedule.states);
    t->tensors = srq_calloc((size_t)t->count + 1, sizeof(*t->tensors));
    t->first_vector = srq_calloc((size_t)srq_model_info(c->model)->blocks + 1, sizeof(*t->first_vector));
    t->activation = srq_calloc(SRQ_TRAIN_SIDES * (size_t)t->layers + 1, sizeof(*t->activation));
    t->roundings = srq_calloc((size_t)t->layers + 1, sizeof(*t->roundings));
    t->batch.x = srq_calloc((size_t)(batch * (in + out)), sizeof(float));
    t->batch.target = t->batch.x != NULL ? t->batch.x + batch * in : NULL;
    t->batch.at = srq_calloc((size_t)batch, sizeof(*t->batch.at));
    t->kd = srq_calloc((size_t)batch, sizeof(*t->kd));
    t->taught = srq_calloc((size_t)(batch * out), sizeof(float));
    t->area = at = srq_pages_alloc(t->area_bytes);
    if (t->tensors == NULL || t->first_vector == NULL || t->activation == NULL || t->roundings == NULL ||
        t->batch.x == NULL || t->batch.at == NULL || t->kd == NULL || t->taught == NULL || t->area == NULL)
        return no_memory(err);
    t->batch.n = batch;
    rc = srq_walk_create(&walk, &t->walk, err);
    if (rc == 0)
        rc = srq_states_create(&states, &t->states, err);
    if (rc == 0)
        rc = srq_train_features_create(t, err);
    for (int i = 0; rc == 0 && i < t->layers; i++)
        rc = make_weight(t, i, &at, err);
    if (rc == 0)
        rc = make_vectors(t, &at, err);
    make_activations(t);
    return rc;
}

int srq_train_create(const struct srq_train_config *c, struct srq_train **out, struct srq_error *err)
{
    struct srq_train *t = srq_calloc(1, sizeof(*t));
    int rc;

    *out = NULL;
    if (t == NULL)
        return no_memory(err);
    t->cfg = *c;
    t->part = c->plugin->trainer;
    t->done = -c->schedule.warmup;
    t->rate = 1;
    rc = make(t, err);
    if (rc != 0)
        srq_train_free(t);
    else
        *out = t;
    return rc;
}

void srq_train_free(struct srq_train *t)
{
    if (t == NULL)
        return;
    for (int i = 0; t->tensors != NULL && i < t->count; i++)
        srq_free(t->tensors[i].name);
    srq_walk_free(t->walk);
    srq_states_free(t->states);
    if (t->area != NULL)
        srq_pages_free(t->area, t->area_bytes);
    srq_free(t->tensors);
    srq_free(t->first_vector);
    srq_free(t->activation);
    srq_free(t->roundings);
    srq_free(t->batch.x);
    srq_free(t->batch.at);
    srq_free(t->kd);
    srq_free(t->taught);
    srq_train_features_free(t);
    srq_free(t);
}

struct srq_tape *srq_train_tape(const struct srq_train *t)
{
    return srq_walk_tape(t->walk);
}

int64_t srq_train_step(const struct srq_train *t)
{
    return t->done;
}

void srq_train_set_rate(struct srq_train *t, double factor)
{
    t->rate = factor;
}

/* ---- activations ------------------------------------------------------------------------------------------------- */

#define EXTENT_GRAIN 65536
#define EXTENT_SHARES 64
#define OBSERVED_BITS 8 /* that the plugin is told of a layer that is not rounded (yet) */

/* The least and the largest of columns [first, first + cols) of a matrix. */
struct extent {
    const struct srq_tensor *x;
    int64_t first, cols, share; /* share: rows */
    float low[EXTENT_SHARES], high[EXTENT_SHARES];
};

static void find_extent(void *ctx, int64_t begin, int64_t end)
{
    struct extent *e = ctx;
    int64_t rows = e->x->shape[0], width = e->x->shape[1];
    bool whole = e->cols == width; /* rows then are one run */
    float wide[256];

    for (int64_t s = begin; s < end; s++) {
        int64_t first = s * e->share, last = first + e->share < rows ? first + e->share : rows;
        int64_t runs = whole ? 1 : last - first, n = whole ? (last - first) * width : e->cols;
        float low = INFINITY, high = -INFINITY;

        for (int64_t run = 0; first < last && run < runs; run++) {
            const uint8_t *at =
                (const uint8_t *)e->x->data + (size_t)((first + run) * width + e->first) * srq_dtype_size(e->x->dtype);

            for (int64_t i = 0; i < n; i += 256) {
                int64_t count = n - i < 256 ? n - i : 256;

                (void)srq_convert(at + (size_t)i * srq_dtype_size(e->x->dtype), e->x->dtype, wide, SRQ_F32, count);
                for (int64_t k = 0; k < count; k++) {
                    low = wide[k] < low ? wide[k] : low;
                    high = wide[k] > high ? wide[k] : high;
                }
            }
        }
        e->low[s] = low;
        e->high[s] = high;
    }
}

/* The grid that the layer rounds this side to. */
static void take_grid(const struct srq_train_activation *a, struct srq_rounding *r)
{
    float high = (float)((1 << a->info.bits) - 1);

    if (a->side == SRQ_TRAIN_REST) {
        r->rest.scale = a->info.scale;
        r->rest.zero = a->info.zero;
        r->rest.low = 0;
        r->rest.high = high;
        return;
    }
    r->scale = a->info.scale;
    r->zero = a->info.zero;
    r->low = 0;
    r->high = high;
}

static void observe_part(struct srq_train_activation *a, struct srq_rounding *r, const struct srq_tensor *x,
                         int64_t first, int64_t cols)
{
    int64_t n = x->shape[0] * cols, shares = (n + EXTENT_GRAIN - 1) / EXTENT_GRAIN;
    struct extent e = { .x = x, .first = first, .cols = cols };
    float low = INFINITY, high = -INFINITY;

    shares = shares < 1 ? 1 : shares > EXTENT_SHARES ? EXTENT_SHARES : shares;
    e.share = (x->shape[0] + shares - 1) / shares;
    srq_parallel(shares, 1, find_extent, &e);
    for (int64_t s = 0; s < shares; s++) {
        low = e.low[s] < low ? e.low[s] : low;
        high = e.high[s] > high ? e.high[s] : high;
    }
    if (low <= high && isfinite(low) && isfinite(high)) {
        int bits = a->info.bits;

        a->info.bits = bits > 0 ? bits : OBSERVED_BITS;
        a->t->part->observe(srq_host_services(), a->t->cfg.self, &a->info, low, high);
        a->info.bits = bits;
        a->info.seen = true;
    }
    if (a->info.bits > 0)
        take_grid(a, r);
}

static void observe(void *ctx, struct srq_rounding *r, const struct srq_tensor *x)
{
    struct srq_train_activation *a = ctx;
    int64_t width = x->shape[1];

    if (r->split == 0) {
        observe_part(a, r, x, 0, width);
        return;
    }
    observe_part(a, r, x, 0, r->split);
    observe_part(a - SRQ_TRAIN_INPUT + SRQ_TRAIN_REST, r, x, r->split, width - r->split);
}

int64_t srq_train_split(const struct srq_train_config *c, int layer)
{
    return c->schedule.split_skip ? srq_model_layer(c->model, layer)->split : 0;
}

/* Whether that side of a layer is rounded where schemes say so. */
static bool may_round(const struct srq_train *t, int i)
{
    int side = i % SRQ_TRAIN_SIDES;

    return side == SRQ_TRAIN_INPUT || (side == SRQ_TRAIN_OUTPUT && t->cfg.schedule.outputs) ||
           (side == SRQ_TRAIN_REST && srq_train_split(&t->cfg, i / SRQ_TRAIN_SIDES) > 0);
}

static bool rounds(const struct srq_train *t, int i)
{
    return t->cfg.schemes[i / SRQ_TRAIN_SIDES].act_bits > 0 && may_round(t, i);
}

static struct srq_rounding *rounding_of(struct srq_train *t, int i)
{
    struct srq_layer_roundings *r = &t->roundings[i / SRQ_TRAIN_SIDES];

    return i % SRQ_TRAIN_SIDES == SRQ_TRAIN_OUTPUT ? &r->output : &r->input;
}

void srq_train_take_schemes(struct srq_train *t)
{
    for (int i = 0; i < t->layers; i++)
        t->tensors[i].groups = srq_groups_of(t->tensors[i].info.rows, t->tensors[i].info.cols, t->cfg.schemes[i].group);
    for (int i = 0; i < SRQ_TRAIN_SIDES * t->layers; i++) {
        struct srq_train_activation *a = &t->activation[i];
        struct srq_rounding *r = rounding_of(t, i);

        a->info.bits = rounds(t, i) ? t->cfg.schemes[i / SRQ_TRAIN_SIDES].act_bits : 0;
        if (a->side != SRQ_TRAIN_REST)
            r->scale = 0;
        if (a->info.bits > 0 && a->info.seen) {
            t->part->observe(srq_host_services(), t->cfg.self, &a->info, a->info.low, a->info.high);
            take_grid(a, r);
        }
    }
}

/* Whether what passes moves the ranges: of all layers, as a change of the plan may have any of them rounded later. */
static void listen(struct srq_train *t, bool on)
{
    for (int i = 0; i < SRQ_TRAIN_SIDES * t->layers; i++)
        if (i % SRQ_TRAIN_SIDES != SRQ_TRAIN_REST)
            rounding_of(t, i)->observe = on && may_round(t, i) ? observe : NULL;
}

/* ---- passes ------------------------------------------------------------------------------------------------------ */

static int has_weight(void *ctx, int layer, struct srq_error *err)
{
    (void)ctx;
    (void)layer;
    (void)err;
    return 1;
}

static void student_rows(void *ctx, int layer, int64_t row, int64_t rows, void *dst, enum srq_dtype dtype)
{
    const struct srq_train *t = ctx;
    const struct srq_trained *w = &t->tensors[layer].info;

    if (t->cfg.schemes[layer].grid != SRQ_GRID_NONE)
        t->part->weight(srq_host_services(), t->cfg.self, w, row, rows, dst);
    else
        (void)srq_convert(w->value + row * w->cols, SRQ_F32, dst, dtype, rows * w->cols);
}

static void weight_sink(void *ctx, int64_t row, int64_t rows, float *grad)
{
    const struct srq_train_tensor *e = ctx;

    memcpy(e->info.grad + row * e->info.cols, grad, (size_t)(rows * e->info.cols) * sizeof(float));
}

static void vector_sink(void *ctx, const float *grad)
{
    const struct srq_train_tensor *e = ctx;

    memcpy(e->info.grad, grad, (size_t)e->n * sizeof(float));
}

static int load_student(struct srq_train *t, int unit, bool backward, struct srq_error *err)
{
    const struct srq_weights weights = { .ctx = t, .has = has_weight, .rows = student_rows };
    struct srq_block *b = srq_walk_block(t->walk);
    int first = srq_model_unit(t->cfg.model, unit)->first, rc = srq_walk_load(t->walk, unit, &weights, err);

    for (int i = 0; rc == 0 && i < srq_block_vector_count(b); i++) {
        struct srq_train_tensor *e = &t->tensors[t->first_vector[unit] + i];
        struct srq_vector *v = srq_block_vector(b, i);

        v->value = e->info.value;
        v->sink = backward ? vector_sink : NULL;
        v->sink_ctx = e;
    }
    for (int i = 0; rc == 0 && backward && i < srq_block_linear_count(b); i++) {
        srq_block_linear(b, i)->sink = weight_sink;
        srq_block_linear(b, i)->sink_ctx = &t->tensors[first + i];
    }
    return rc;
}

static int student_forward(struct srq_train *t, int64_t n, struct srq_error *err)
{
    int rc = 0;

    for (int u = 0; rc == 0 && u < srq_model_info(t->cfg.model)->blocks; u++) {
        rc = load_student(t, u, false, err);
        if (rc == 0)
            rc = srq_walk_forward(t->walk, t->states, 0, n, err);
    }
    return rc;
}

static int student_backward(struct srq_train *t, struct srq_error *err)
{
    int rc = 0;

    for (int u = srq_model_info(t->cfg.model)->blocks - 1; rc == 0 && u >= 0; u--) {
        rc = load_student(t, u, true, err);
        srq_train_features_push(t, u);
        if (rc == 0)
            rc = srq_walk_backward(t->walk, t->states, 0, t->batch.n, err);
    }
    return rc;
}

static int teach(struct srq_train *t, struct srq_error *err)
{
    int64_t n = t->batch.n * picture(t->cfg.model, true);
    int rc;

    srq_walk_round(t->walk, NULL);
    rc = srq_walk_units(t->walk, t->states, t->batch.n, NULL, err);
    srq_train_features_teach(t);
    return rc == 0 ? srq_convert(srq_states_final(t->states, 0), SRQ_F32, t->taught, SRQ_F32, n) : rc;
}

/* The losses; what the student said becomes the gradient of their sum. */
static int take_loss(struct srq_train *t, struct srq_train_point *p, struct srq_error *err)
{
    const struct srq_trainer_schedule *s = &t->cfg.schedule;
    int64_t each = picture(t->cfg.model, true), n = t->batch.n;
    float *said = srq_malloc((size_t)each * sizeof(*said));
    double task = 0, kd = 0;

    if (said == NULL)
        return no_memory(err);
    for (int64_t i = 0; i < n; i++) {
        uint8_t *at = srq_states_final(t->states, i);
        double a = 0, b = 0;

        (void)srq_convert(at, SRQ_F32, said, SRQ_F32, each);
        for (int64_t k = 0; k < each; k++) {
            double far = s->task_weight > 0 ? (double)said[k] - (double)t->batch.target[i * each + k] : 0;
            double off = (double)said[k] - (double)t->taught[i * each + k];

            a += far * far;
            b += off * off;
            said[k] = (float)(2 * (s->task_weight * far + s->kd_weight * off) / (double)(n * each));
        }
        t->kd[i] = b / (double)each;
        task += a / (double)each;
        kd += b / (double)each;
        (void)srq_convert(said, SRQ_F32, srq_states_final_gradient(t->states, i), SRQ_F32, each);
    }
    srq_free(said);
    p->task = s->task_weight > 0 ? task / (double)n : (double)NAN;
    p->kd = kd / (double)n;
    p->layers = t->feature_count > 0 ? srq_train_features_loss(t) : (double)NAN;
    p->loss = (s->task_weight > 0 ? s->task_weight * p->task : 0) + s->kd_weight * p->kd +
              (t->feature_count > 0 ? s->kd_layers_weight * p->layers : 0);
    return isfinite(p->loss) ? 0
                             : srq_fail(err, -SRQ_ENUMERIC,
                                        "the loss of step %" PRId64 " is not finite: a smaller "
                                        "learning rate may help",
                                        p->step);
}

/* ---- steps ------------------------------------------------------------------------------------------------------- */

struct masking {
    const struct srq_train *t;
    const struct srq_trained *w;
};

static void mask_rows(void *ctx, int64_t begin, int64_t end)
{
    const struct masking *m = ctx;

    m->t->part->gradient(srq_host_services(), m->t->cfg.self, m->w, begin, end - begin,
                         m->w->grad + begin * m->w->cols);
}

static double squares(const float *x, int64_t n)
{
    double sum = 0;

    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    return sum;
}

static double decayed(const struct srq_trainer_schedule *s, int64_t step)
{
    double at = (double)step / (double)s->steps;

    return s->decay == SRQ_DECAY_LINEAR ? 1 - at : s->decay == SRQ_DECAY_COSINE ? (1 + cos(M_PI * at)) / 2 : 1;
}

static int take_step(struct srq_train *t, struct srq_train_point *p, struct srq_error *err)
{
    const struct srq_trainer_schedule *s = &t->cfg.schedule;
    const struct srq_step step = {
        .size = sizeof(step), .iter = t->done, .iters = s->steps, .accum = 1, .schedule = t->rate * decayed(s, t->done)
    };
    double since = srq_tape_clock(srq_walk_tape(t->walk)), sum = 0, shrink;
    int rc = 0;

    for (int i = 0; i < t->count; i++) {
        struct masking m = { t, &t->tensors[i].info };

        if (i < t->layers && t->cfg.schemes[i].grid != SRQ_GRID_NONE)
            srq_parallel(m.w->rows, 1 + EXTENT_GRAIN / (m.w->cols + 1), mask_rows, &m);
        sum += squares(m.w->grad, t->tensors[i].n);
    }
    p->norm = sqrt(sum);
    shrink = s->clip > 0 && p->norm > s->clip ? s->clip / p->norm : 1;
    for (int i = 0; rc == 0 && i < t->count; i++)
        rc = t->part->step(srq_host_services(), t->cfg.self, &t->tensors[i].info, &step, shrink, err);
    /* Values and states are read and written, gradients read. */
    srq_tape_account(
        srq_walk_tape(t->walk), SRQ_TAPE_STEP, false, since,
        (struct srq_tape_work){ .bytes = (double)t->area_bytes / (2 + s->states) * (2 * (1 + s->states) + 1) });
    return rc > 0 ? -SRQ_EINVAL : rc;
}

static int one_step(struct srq_train *t, const struct srq_train_events *events, struct srq_error *err)
{
    struct srq_train_point p = {
        .step = t->done, .loss = NAN, .task = NAN, .kd = NAN, .layers = NAN, .norm = NAN, t->batch.at, t->kd, t->batch.n
    };
    int rc;

    srq_train_take_schemes(t);
    rc = t->cfg.batch(t->cfg.batch_ctx, t->done, &t->batch, err);
    if (rc == 0)
        rc = srq_states_put_pictures(t->states, t->batch.x, t->batch.at, t->batch.n, err);
    if (rc == 0 && t->done >= 0)
        rc = teach(t, err);
    srq_walk_round(t->walk, t->roundings);
    listen(t, true);
    if (rc == 0)
        rc = student_forward(t, t->batch.n, err);
    listen(t, false); /* the way back computes everything again, which is no second observation */
    if (rc == 0 && t->done >= 0)
        rc = take_loss(t, &p, err);
    if (rc == 0 && t->done >= 0)
        rc = student_backward(t, err);
    if (rc == 0 && t->done >= 0)
        rc = take_step(t, &p, err);
    if (rc == 0 && t->done >= 0 && events->point != NULL)
        events->point(events->ctx, &p);
    t->done += rc == 0;
    return rc;
}

int srq_train_run(struct srq_train *t, const char *from, const struct srq_train_events *events, struct srq_error *err)
{
    const struct srq_trainer_schedule *s = &t->cfg.schedule;
    int rc = from != NULL ? srq_train_load(t, from, err) : 0, end = 0;

    while (rc == 0 && end == 0 && t->done < s->steps) {
        end = events->tick != NULL ? events->tick(events->ctx, t->done + s->warmup, s->steps + s->warmup) : 0;
        rc = end < 0 ? end : end == 0 ? one_step(t, events, err) : 0;
    }
    /* Told to end before the first step, tensors are as they are stored and their states still zero. */
    for (int i = 0; rc == 0 && t->done > 0 && i < t->count; i++)
        rc = t->part->finish(srq_host_services(), t->cfg.self, &t->tensors[i].info, err);
    return rc > 0 ? -SRQ_EINVAL : rc;
}

/* ---- asked between steps ----------------------------------------------------------------------------------------- */

/* States and walk hold nothing between steps; the ranges of activations stay as they are, since nobody listens. */
int srq_train_denoise(struct srq_train *t, bool taught, const float *x, const struct srq_moment *when, int64_t n,
                      float *y, struct srq_error *err)
{
    int64_t in = picture(t->cfg.model, false), out = picture(t->cfg.model, true);
    int rc = 0;

    srq_train_take_schemes(t);
    srq_walk_round(t->walk, taught ? NULL : t->roundings);
    for (int64_t at = 0; rc == 0 && at < n; at += t->batch.n) {
        int64_t count = n - at < t->batch.n ? n - at : t->batch.n;

        rc = srq_states_put_pictures(t->states, x + at * in, when + at, count, err);
        if (rc == 0)
            rc = taught ? srq_walk_units(t->walk, t->states, count, NULL, err) : student_forward(t, count, err);
        if (rc == 0)
            rc = srq_convert(srq_states_final(t->states, 0), SRQ_F32, y + at * out, SRQ_F32, count * out);
    }
    return rc;
}
