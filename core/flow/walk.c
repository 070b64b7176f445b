/* Units over stored states. */
#include "core/flow/walk.h"

#include "core/base/alloc.h"
#include "core/flow/round_inputs.h"
#include "core/flow/unit_loss.h"
#include "core/math/int8.h"
#include "core/math/team.h"
#include "core/tape/times.h"

#define ENOUGH 2048 /* tokens of a pass that products are quick with */
#define STRIP 16    /* rows of a weight that one thread asks for at least */

struct srq_walk {
    struct srq_walk_config cfg;
    struct srq_block *block;
    struct srq_tape *tape;
    struct srq_layer_roundings *roundings; /* [layers of the model], or NULL */
    struct srq_scheme *inputs; /* that inputs of the unit's layers are rounded by, in a walk where they may be */
    uint8_t *staging;          /* inputs of a batch in the compute type, where the store has another */
    size_t staging_bytes;
};

/* ---- sizes ------------------------------------------------------------------------------------------------------- */

static void hear_nothing(void *ctx, int64_t row, int64_t rows, float *grad)
{
    (void)ctx;
    (void)row;
    (void)rows;
    (void)grad;
}

static void hear_no_vector(void *ctx, const float *grad)
{
    (void)ctx;
    (void)grad;
}

static void feed_nothing(void *ctx, const struct srq_tensor *x, int64_t row, int64_t rows, void *to)
{
    (void)ctx;
    (void)x;
    (void)row;
    (void)rows;
    (void)to;
}

static int64_t rows_of(const struct srq_walk_config *c, int port)
{
    const struct srq_port_info *p = srq_model_port(c->model, port);

    return p->rows > 0 ? p->rows : c->seq;
}

/* Values of a port for n samples, in the compute type. */
static struct srq_tensor matrix(const struct srq_walk_config *c, int port, void *data, int64_t n)
{
    return srq_tensor_2d(data, c->compute, n * rows_of(c, port), srq_model_port(c->model, port)->cols);
}

/* What n samples take on a tape that only measures, forwards and (where it is wanted) backwards; and, given any codes,
 * on integers. */
static int measure_unit(const struct srq_walk_config *c, struct srq_block *b, struct srq_tape *t, int unit,
                        const struct srq_int8_weight *any, struct srq_error *err)
{
    const struct srq_unit_info *u = srq_model_unit(c->model, unit);
    struct srq_var *in[SRQ_UNIT_PORTS], *out[SRQ_UNIT_PORTS], *dot[SRQ_UNIT_PORTS];
    struct srq_rounding *rounded = srq_calloc((size_t)u->count + 1, sizeof(*rounded));
    int rc = rounded != NULL ? 0 : srq_fail(err, -SRQ_ENOMEM, "out of memory for a walk");

    if (rc != 0)
        return rc;
    srq_block_describe(b, unit);
    for (int i = 0; c->backward && i < u->count; i++)
        srq_block_linear(b, i)->sink = hear_nothing;
    for (int i = 0; c->roundings && i < u->count; i++) {
        srq_rounding_measure(&rounded[i], c->split ? srq_model_layer(c->model, u->first + i)->split : 0);
        srq_block_linear(b, i)->input = srq_block_linear(b, i)->output = &rounded[i];
    }
    for (int i = 0; c->inputs && i < u->count; i++)
        srq_block_linear(b, i)->feed = feed_nothing;
    for (int i = 0; c->backward && c->vectors && i < srq_block_vector_count(b); i++)
        srq_block_vector(b, i)->sink = hear_no_vector;
    for (int way = c->backward; rc == 0 && way >= (any != NULL ? -1 : 0); way--) {
        bool back = way > 0;

        for (int i = 0; way < 0 && i < u->count; i++)
            srq_block_linear(b, i)->integer = any;
        srq_tape_reset(t);
        srq_tape_record(t, back);
        for (int i = 0; i < u->ins; i++) {
            struct srq_tensor x = matrix(c, u->in[i], NULL, c->batch);

            in[i] = srq_tape_input(t, &x, back);
        }
        srq_block_forward(b, t, in, out, c->batch, c->seq);
        for (int i = 0; back && i < u->outs; i++) {
            struct srq_tensor g = matrix(c, u->out[i], NULL, c->batch);

            dot[i] = srq_op_dot(t, out[i], &g);
        }
        rc = srq_tape_error(t, err);
        if (rc == 0 && back)
            rc = srq_tape_backward_from(t, dot, u->outs, err);
    }
    srq_free(rounded);
    return rc;
}

static size_t staging_of(const struct srq_walk_config *c, const struct srq_unit_info *u)
{
    size_t all = 0;

    for (int i = 0; i < u->ins && c->states != c->compute; i++)
        all += (size_t)(c->batch * rows_of(c, u->in[i]) * srq_model_port(c->model, u->in[i])->cols) *
               srq_dtype_size(c->compute);
    return all;
}

/* The tape and what is staged beside it, apart. */
static int measure(const struct srq_walk_config *c, size_t *tape, size_t *staging, struct srq_error *err)
{
    struct srq_block *b = NULL;
    struct srq_tape *t = NULL;
    struct srq_int8_weight *any = NULL;
    int rc = srq_block_create(c->model, c->compute, &b, err);

    *tape = *staging = 0;
    if (rc == 0)
        rc = srq_tape_create(0, c->compute, true, &t, err);
    if (rc == 0 && c->integers)
        rc = srq_int8_weight_create(&(struct srq_int8_codes){ 1, 1, (const int8_t[]){ 0 }, (const float[]){ 1 }, 0 },
                                    &any, err);
    for (int unit = 0; rc == 0 && unit < srq_model_unit_count(c->model); unit++) {
        const struct srq_unit_info *u = srq_model_unit(c->model, unit);

        if (u->kind != SRQ_UNIT_BLOCK || u->alike != unit)
            continue;
        rc = measure_unit(c, b, t, unit, any, err);
        *staging = staging_of(c, u) > *staging ? staging_of(c, u) : *staging;
    }
    *tape = rc == 0 ? srq_tape_peak(t) : 0;
    if (rc == 0 && c->errors) {
        const struct srq_unit_target target = { .n = c->batch, .seq = c->seq, .dtype = c->compute };
        size_t bytes;

        rc = srq_unit_loss_bytes(c->model, c->compute, &target, &bytes, err);
        *tape = bytes > *tape ? bytes : *tape;
    }
    srq_int8_weight_free(any);
    srq_tape_free(t);
    srq_block_free(b);
    return rc;
}

int64_t srq_walk_samples(int64_t most, int64_t seq)
{
    const int64_t n = ENOUGH / (seq > 0 ? seq : 1);

    return n < 1 ? 1 : n < most ? n : most;
}

int srq_walk_measure(const struct srq_walk_config *c, struct srq_walk_memory *out, struct srq_error *err)
{
    size_t tape, staging;
    int rc = measure(c, &tape, &staging, err);

    out->block = srq_block_bytes(c->model, c->compute);
    out->rope = srq_block_rope_bytes(c->model, c->seq);
    out->tape = tape + staging;
    return rc;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

int srq_walk_create(const struct srq_walk_config *c, struct srq_walk **out, struct srq_error *err)
{
    struct srq_walk *w = srq_calloc(1, sizeof(*w));
    size_t tape;
    int rc;

    *out = NULL;
    if (w == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for a walk");
    w->cfg = *c;
    rc = measure(c, &tape, &w->staging_bytes, err);
    if (rc == 0)
        rc = srq_block_create(c->model, c->compute, &w->block, err);
    if (rc == 0)
        rc = srq_tape_create_measured(tape, c->compute, &w->tape, err);
    if (rc == 0 && c->inputs) {
        w->inputs = srq_calloc((size_t)srq_model_unit_layers(c->model) + 1, sizeof(*w->inputs));
        rc = w->inputs != NULL ? 0 : srq_fail(err, -SRQ_ENOMEM, "out of memory for a walk");
    }
    if (rc == 0 && w->staging_bytes > 0 && (w->staging = srq_pages_alloc(w->staging_bytes)) == NULL)
        rc = srq_fail(err, -SRQ_ENOMEM, "out of memory for a batch of %zu bytes", w->staging_bytes);
    if (rc != 0)
        srq_walk_free(w);
    else
        *out = w;
    return rc;
}

void srq_walk_free(struct srq_walk *w)
{
    if (w == NULL)
        return;
    srq_tape_free(w->tape);
    srq_block_free(w->block);
    srq_free(w->inputs);
    if (w->staging != NULL)
        srq_pages_free(w->staging, w->staging_bytes);
    srq_free(w);
}

struct srq_block *srq_walk_block(const struct srq_walk *w)
{
    return w->block;
}

struct srq_tape *srq_walk_tape(const struct srq_walk *w)
{
    return w->tape;
}

/* ---- weights ----------------------------------------------------------------------------------------------------- */

struct filling {
    const struct srq_weights *from;
    int layer;
    struct srq_tensor *to;
};

static void fill_rows(void *ctx, int64_t begin, int64_t end)
{
    const struct filling *f = ctx;
    size_t row = (size_t)f->to->shape[1] * srq_dtype_size(f->to->dtype);

    f->from->rows(f->from->ctx, f->layer, begin, end - begin, (uint8_t *)f->to->data + (size_t)begin * row,
                  f->to->dtype);
}

void srq_walk_round(struct srq_walk *w, struct srq_layer_roundings *all)
{
    w->roundings = all;
}

/* Rounds the inputs of linear i of the loaded unit where they are to be. */
static void take_inputs(struct srq_walk *w, int i, int layer, const struct srq_weights *weights)
{
    const struct srq_scheme *s =
        w->inputs != NULL && weights->inputs != NULL ? weights->inputs(weights->ctx, layer) : NULL;

    if (s == NULL)
        return;
    w->inputs[i] = *s;
    srq_round_inputs(srq_block_linear(w->block, i), &w->inputs[i]);
}

/* What linear i of the loaded unit is to multiply with, if not with its weight. */
static const struct srq_int8_weight *integers_of(const struct srq_walk *w, int layer, const struct srq_weights *weights)
{
    if (!w->cfg.integers || w->roundings == NULL || weights->integer == NULL ||
        !srq_rounding_fits_bytes(&w->roundings[layer].input))
        return NULL;
    return weights->integer(weights->ctx, layer);
}

static int load_weights(struct srq_walk *w, int unit, const struct srq_weights *weights, struct srq_error *err)
{
    int rc;

    if (weights == NULL)
        return srq_block_load(w->block, unit, err);
    rc = srq_block_load_vectors(w->block, unit, err);
    if (rc == 0 && weights->begin != NULL)
        rc = weights->begin(weights->ctx, unit, err);
    for (int i = 0; rc == 0 && i < srq_block_linear_count(w->block); i++) {
        struct filling f = { weights, srq_model_unit(w->cfg.model, unit)->first + i,
                             &srq_block_linear(w->block, i)->weight };

        srq_block_linear(w->block, i)->integer = integers_of(w, f.layer, weights);
        if (srq_block_linear(w->block, i)->integer != NULL)
            continue;
        rc = weights->has(weights->ctx, f.layer, err);
        if (rc > 0)
            srq_parallel(f.to->shape[0], STRIP, fill_rows, &f);
        rc = rc == 0 ? srq_block_load_weight(w->block, i, err) : rc > 0 ? 0 : rc;
        if (rc == 0)
            take_inputs(w, i, f.layer, weights);
    }
    return rc == 0 ? srq_tensors_check(srq_model_tensors(w->cfg.model), err) : rc;
}

void srq_walk_rounds(struct srq_walk *w, bool on)
{
    int first = srq_model_unit(w->cfg.model, srq_block_unit(w->block))->first;

    for (int i = 0; w->cfg.roundings && w->roundings != NULL && i < srq_block_linear_count(w->block); i++) {
        srq_block_linear(w->block, i)->input = on ? &w->roundings[first + i].input : NULL;
        srq_block_linear(w->block, i)->output = on ? &w->roundings[first + i].output : NULL;
    }
}

/* Weights as they are stored, and as they are computed with. */
static double weights_bytes(const struct srq_walk *w, int unit)
{
    const struct srq_unit_info *u = srq_model_unit(w->cfg.model, unit);
    double all = 0;

    for (int i = u->first; i < u->first + u->count; i++) {
        const struct srq_layer_info *l = srq_model_layer(w->cfg.model, i);

        all += (double)(l->out * l->in) * (double)(srq_dtype_size(l->dtype) + srq_dtype_size(w->cfg.compute));
    }
    return all;
}

int srq_walk_load(struct srq_walk *w, int unit, const struct srq_weights *weights, struct srq_error *err)
{
    double since = srq_tape_clock(w->tape);
    int rc = load_weights(w, unit, weights, err);

    if (rc == 0)
        srq_walk_rounds(w, true);
    if (rc == 0)
        srq_tape_account(w->tape, SRQ_TAPE_WEIGHTS, false, since,
                         (struct srq_tape_work){ .bytes = weights_bytes(w, unit) });
    return rc;
}

/* ---- passes ------------------------------------------------------------------------------------------------------ */

/* The unit's inputs on the tape. */
static int put_inputs(struct srq_walk *w, const struct srq_unit_info *u, const struct srq_states *s, int64_t first,
                      int64_t n, bool backward, struct srq_var **in, struct srq_error *err)
{
    uint8_t *staged = w->staging;

    for (int i = 0; i < u->ins; i++) {
        uint8_t *at = srq_states_at(s, u->in[i], first);
        struct srq_tensor x = matrix(&w->cfg, u->in[i], at, n);

        if (w->cfg.states != w->cfg.compute) {
            int64_t count = srq_tensor_count(&x);
            int rc = srq_convert(at, w->cfg.states, staged, w->cfg.compute, count);

            if (rc != 0)
                return srq_fail(err, rc, "activations cannot be converted to %s", srq_dtype_name(w->cfg.compute));
            x.data = staged;
            staged += (size_t)count * srq_dtype_size(w->cfg.compute);
        }
        in[i] = srq_tape_input(w->tape, &x, backward && srq_model_port(w->cfg.model, u->in[i])->writer >= 0);
    }
    return 0;
}

static int pass(struct srq_walk *w, const struct srq_states *s, int64_t first, int64_t n, bool backward,
                struct srq_var **in, struct srq_var **out, struct srq_error *err)
{
    const struct srq_unit_info *u = srq_model_unit(w->cfg.model, srq_block_unit(w->block));
    int rc;

    srq_tape_reset(w->tape);
    srq_tape_record(w->tape, backward);
    rc = u != NULL ? put_inputs(w, u, s, first, n, backward, in, err)
                   : srq_fail(err, -SRQ_ESTATE, "no block has been loaded");
    if (rc != 0)
        return rc;
    srq_block_forward(w->block, w->tape, in, out, n, w->cfg.seq);
    return srq_tape_error(w->tape, err);
}

int srq_walk_listen(struct srq_walk *w, const struct srq_states *s, int64_t first, int64_t n, struct srq_error *err)
{
    struct srq_var *in[SRQ_UNIT_PORTS], *out[SRQ_UNIT_PORTS];

    return pass(w, s, first, n, false, in, out, err);
}

int srq_walk_forward(struct srq_walk *w, const struct srq_states *s, int64_t first, int64_t n, struct srq_error *err)
{
    struct srq_var *in[SRQ_UNIT_PORTS], *out[SRQ_UNIT_PORTS];
    int rc = pass(w, s, first, n, false, in, out, err);
    const struct srq_unit_info *u = rc == 0 ? srq_model_unit(w->cfg.model, srq_block_unit(w->block)) : NULL;

    for (int i = 0; rc == 0 && i < u->outs; i++)
        rc = srq_convert(out[i]->value.data, out[i]->value.dtype, srq_states_at(s, u->out[i], first), w->cfg.states,
                         srq_tensor_count(&out[i]->value));
    return rc;
}

struct adding {
    uint8_t *to;
    const uint8_t *from;
    enum srq_dtype dtype;
};

static void add_share(void *ctx, int64_t begin, int64_t end)
{
    const struct adding *a = ctx;
    size_t size = srq_dtype_size(a->dtype);
    float x[256], y[256];

    for (int64_t i = begin; i < end; i += 256) {
        int64_t n = end - i < 256 ? end - i : 256;

        (void)srq_convert(a->to + (size_t)i * size, a->dtype, x, SRQ_F32, n);
        (void)srq_convert(a->from + (size_t)i * size, a->dtype, y, SRQ_F32, n);
        for (int64_t k = 0; k < n; k++)
            x[k] += y[k];
        (void)srq_convert(x, SRQ_F32, a->to + (size_t)i * size, a->dtype, n);
    }
}

/* What a unit says of an input's gradient: the first that is heard of it, or one more part. */
static void take_gradient(struct srq_walk *w, const struct srq_states *s, int unit, int port, int64_t first,
                          const struct srq_var *x)
{
    const struct srq_port_info *p = srq_model_port(w->cfg.model, port);
    struct adding a = { srq_states_gradient(s, port, first), x->grad.data, w->cfg.compute };
    int64_t n = srq_tensor_count(&x->value);

    if (p->writer < 0)
        return;
    if (x->grad.data == NULL && p->last_reader == unit)
        memset(a.to, 0, (size_t)n * srq_dtype_size(a.dtype));
    else if (x->grad.data != NULL && p->last_reader == unit)
        memcpy(a.to, a.from, (size_t)n * srq_dtype_size(a.dtype));
    else if (x->grad.data != NULL)
        srq_parallel(n, 65536, add_share, &a);
}

int srq_walk_backward(struct srq_walk *w, const struct srq_states *s, int64_t first, int64_t n, struct srq_error *err)
{
    struct srq_var *in[SRQ_UNIT_PORTS], *out[SRQ_UNIT_PORTS], *dot[SRQ_UNIT_PORTS];
    int unit = srq_block_unit(w->block), count = 0, rc = pass(w, s, first, n, true, in, out, err);
    const struct srq_unit_info *u = rc == 0 ? srq_model_unit(w->cfg.model, unit) : NULL;

    for (int i = 0; rc == 0 && i < u->outs; i++) {
        struct srq_tensor g = matrix(&w->cfg, u->out[i], srq_states_gradient(s, u->out[i], first), n);

        if (srq_model_port(w->cfg.model, u->out[i])->readers > 0 ||
            u->out[i] == srq_model_port_count(w->cfg.model) - 1) /* what a model without a head gives */
            dot[count++] = srq_op_dot(w->tape, out[i], &g);
    }
    if (rc == 0)
        rc = srq_tape_error(w->tape, err);
    if (rc == 0)
        rc = srq_tape_backward_from(w->tape, dot, count, err);
    for (int i = 0; rc == 0 && i < u->ins; i++)
        take_gradient(w, s, unit, u->in[i], first, in[i]);
    return rc;
}

int srq_walk_error(struct srq_walk *w, const struct srq_states *s, int64_t n, const uint8_t *mask, bool backward,
                   double *loss, struct srq_error *err)
{
    const struct srq_unit_info *u = srq_model_unit(w->cfg.model, srq_block_unit(w->block));
    struct srq_unit_target target = { .n = n, .seq = w->cfg.seq, .dtype = w->cfg.compute, .mask = mask };

    for (int i = 0; i < u->ins; i++)
        target.input[i] = srq_states_at(s, u->in[i], 0);
    for (int i = 0; i < u->outs; i++)
        target.target[i] = srq_states_at(s, u->out[i], 0);
    return srq_unit_loss(w->block, w->tape, &target, backward, loss, err);
}

int srq_walk_over(struct srq_walk *w, const struct srq_states *s, int64_t n, bool listen,
                  const struct srq_walk_tick *tick, struct srq_error *err)
{
    int unit = srq_block_unit(w->block), rc = 0;

    for (int64_t at = 0; rc == 0 && at < n; at += w->cfg.batch) {
        int64_t count = n - at < w->cfg.batch ? n - at : w->cfg.batch;

        rc = tick != NULL && tick->call != NULL ? tick->call(tick->ctx, unit, at, n) : 0;
        if (rc == 0)
            rc = listen ? srq_walk_listen(w, s, at, count, err) : srq_walk_forward(w, s, at, count, err);
    }
    return rc;
}

int srq_walk_units(struct srq_walk *w, const struct srq_states *s, int64_t n, const struct srq_weights *weights,
                   struct srq_error *err)
{
    int rc = 0;

    for (int u = 0; rc == 0 && u < srq_model_info(w->cfg.model)->blocks; u++) {
        rc = srq_walk_load(w, u, weights, err);
        if (rc == 0)
            rc = srq_walk_over(w, s, n, false, NULL, err);
    }
    return rc;
}

int srq_walk_model(struct srq_walk *w, const struct srq_states *s, const int32_t *ids, int64_t n,
                   const struct srq_weights *weights, const struct srq_walk_tick *tick, struct srq_error *err)
{
    int rc = srq_states_embed(s, ids, n, err);

    for (int u = 0; rc == 0 && u < srq_model_info(w->cfg.model)->blocks; u++) {
        rc = srq_walk_load(w, u, weights, err);
        if (rc == 0)
            rc = srq_walk_over(w, s, n, false, tick, err);
    }
    return rc;
}
