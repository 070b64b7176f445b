/* Methods on language models, by the product's own loops on samples that are random. */
#include "bench_meter.h"

#include "core/base/alloc.h"
#include "core/base/rng.h"
#include "core/flow/walk.h"
#include "core/text/samples.h"
#include "core/tune/importance.h"
#include "core/tune/transform.h"

/* ---- words ---- */

/* Samples that are random, as many as a step takes. */
static int samples_make(const struct srq_model *m, const struct bench_shape *s, struct srq_samples *out,
                        struct srq_error *err)
{
    int64_t n = s->batch * s->seq;

    *out = (struct srq_samples){ .count = s->batch, .seqlen = s->seq, .ids = srq_calloc((size_t)n, sizeof(int32_t)) };
    if (out->ids == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "no memory for samples");
    for (int64_t i = 0; i < n; i++)
        out->ids[i] = (int32_t)srq_rng_below(1, 0, (uint64_t)i, (uint64_t)srq_model_info(m)->vocab);
    return 0;
}

static void describe_words(const struct srq_model *m, const struct bench_shape *s, bool whole,
                           struct bench_iteration *out)
{
    int blocks = whole ? srq_model_info(m)->blocks : 1;

    out->dtype = srq_gemm_preferred();
    out->weight_bytes = srq_block_bytes(m, out->dtype);
    snprintf(out->what, sizeof(out->what),
             "%d block%s of hidden %d, %d heads, %d kv, MLP %d; %d x %d tokens, w4g%d, %s", blocks,
             blocks > 1 ? "s" : "", (int)s->hidden, (int)s->heads, (int)s->kv_heads, (int)s->inner, (int)s->batch,
             (int)s->seq, (int)s->group, srq_dtype_name(out->dtype));
}

static struct srq_scheme *word_schemes(const struct srq_model *m, const struct bench_shape *s, struct srq_error *err)
{
    char text[24];

    snprintf(text, sizeof(text), "w4g%d", (int)s->group);
    return bench_schemes(m, text, err);
}

/* ---- signround: the first block by the block tuner ---- */

struct tuning {
    struct bench_plugin plugin;
    struct srq_samples samples;
    struct srq_scheme *schemes;
    struct srq_walk *walk;
    struct srq_states *states;
    struct srq_importance *importance;
    struct srq_tuner *tuner;
    struct srq_block_io io;
};

static int tuning_tick(void *ctx, int64_t iter)
{
    (void)iter;
    bench_meter_begin(ctx);
    return 0;
}

static void tuning_point(void *ctx, int64_t iter, double loss, double lr)
{
    (void)iter;
    (void)loss;
    (void)lr;
    bench_meter_end(ctx);
}

/* The block's inputs, what it makes of them, and what the plugin wants to know of them. */
static int tuning_data(struct tuning *t, struct srq_model *m, const struct bench_shape *s, enum srq_dtype dtype,
                       struct srq_error *err)
{
    const struct srq_walk_config walk = { m, dtype, dtype, s->batch, s->seq, .backward = false };
    const struct srq_states_config states = { m, dtype, s->batch, s->seq, true, NULL };
    const struct srq_unit_info *u = srq_model_unit(m, 0);
    int rc = samples_make(m, s, &t->samples, err);

    if (rc == 0)
        rc = srq_walk_create(&walk, &t->walk, err);
    if (rc == 0)
        rc = srq_states_create(&states, &t->states, err);
    if (rc == 0)
        rc = srq_importance_create(m, &t->importance, err);
    if (rc == 0)
        rc = srq_states_embed(t->states, t->samples.ids, s->batch, err);
    if (rc == 0)
        rc = srq_walk_load(t->walk, 0, NULL, err);
    if (rc != 0)
        return rc;
    srq_importance_begin(t->importance, srq_walk_block(t->walk));
    rc = srq_walk_forward(t->walk, t->states, 0, s->batch, err);
    srq_importance_end(t->importance);
    t->io = (struct srq_block_io){
        .dtype = dtype, .nsamples = s->batch, .seq = s->seq, .importance = srq_importance_sums(t->importance)
    };
    for (int i = 0; i < u->ins; i++)
        t->io.input[i] = srq_states_at(t->states, u->in[i], 0);
    for (int i = 0; i < u->outs; i++)
        t->io.target[i] = srq_states_at(t->states, u->out[i], 0);
    return rc;
}

static int tuning_run(struct tuning *t, struct srq_model *m, const struct bench_shape *s, struct bench_meter *meter,
                      struct srq_error *err)
{
    const struct srq_tune_events events = { .ctx = meter, .point = tuning_point, .tick = tuning_tick };
    const struct srq_tune_config cfg = { .model = m,
                                         .plugin = t->plugin.handle.plugin,
                                         .self = t->plugin.self,
                                         .schemes = t->schemes,
                                         .batch = s->batch,
                                         .seq = s->seq,
                                         .nsamples = s->batch,
                                         .seed = 1,
                                         .probe_every = INT64_MAX,
                                         .probe_samples = 1,
                                         .compute = t->io.dtype,
                                         .cache = t->io.dtype };
    const struct srq_tune_task task = { 0, srq_walk_block(t->walk), t->schemes, &t->io, { NULL, 0 }, &events };
    struct srq_memory_rows rows = { .count = 0 };
    struct srq_tune_outcome outcome;
    int rc = srq_tuner_footprint(&cfg, &rows, err);

    if (rc == 0)
        rc = srq_tuner_create(&cfg, &t->tuner, err);
    if (rc != 0)
        return rc;
    meter->tape = srq_tuner_tape(t->tuner);
    rc = srq_tuner_run(t->tuner, &task, &outcome, err);
    bench_meter_memory(meter->out, &rows, meter->out->tape_bytes);
    return rc;
}

int bench_signround(struct srq_model *m, const struct bench_shape *s, int iterations, struct bench_iteration *out,
                    struct srq_error *err)
{
    struct tuning t = { .samples = { .count = 0 } };
    struct bench_meter meter;
    char steps[24];
    int rc = bench_meter_open(&meter, iterations, out, err);

    snprintf(steps, sizeof(steps), "%d", iterations + BENCH_SKIPPED);
    describe_words(m, s, false, out);
    if (rc == 0)
        rc = bench_plugin_open(&t.plugin, "signround", (const char *const[]){ "iters", steps, NULL }, err);
    if (rc == 0 && (t.schemes = word_schemes(m, s, err)) == NULL)
        rc = -SRQ_EINVAL;
    if (rc == 0)
        rc = tuning_data(&t, m, s, out->dtype, err);
    if (rc == 0)
        rc = tuning_run(&t, m, s, &meter, err);
    srq_tuner_free(t.tuner);
    srq_importance_free(t.importance);
    srq_states_free(t.states);
    srq_walk_free(t.walk);
    srq_samples_fini(&t.samples);
    srq_free(t.schemes);
    bench_plugin_close(&t.plugin);
    bench_meter_close(&meter);
    return rc;
}

/* ---- teq: all blocks and the head by the transformer ---- */

static int scales_tick(void *ctx, double done, double total, const char *unit, bool at_step)
{
    (void)done;
    (void)total;
    (void)unit;
    if (at_step)
        bench_meter_begin(ctx);
    return 0;
}

static void scales_point(void *ctx, int64_t step, double loss, double lr)
{
    (void)step;
    (void)loss;
    (void)lr;
    bench_meter_end(ctx);
}

static int train_scales(const struct srq_transform_config *cfg, const struct srq_samples *samples,
                        struct bench_meter *meter, struct srq_error *err)
{
    const struct srq_transform_events events = { .ctx = meter, .tick = scales_tick, .point = scales_point };
    struct srq_memory_rows rows = { .count = 0 };
    struct srq_transformer *t = NULL;
    int rc = srq_transform_footprint(cfg, &rows, err);

    if (rc == 0)
        rc = srq_transform_create(cfg, samples, &t, err);
    if (rc == 0) {
        meter->tape = srq_transform_tape(t);
        rc = srq_transform_run(t, NULL, &events, err);
    }
    bench_meter_memory(meter->out, &rows, meter->out->tape_bytes + meter->out->weight_bytes);
    srq_transform_free(t);
    return rc;
}

int bench_teq(struct srq_model *m, const struct bench_shape *s, int iterations, struct bench_iteration *out,
              struct srq_error *err)
{
    struct srq_transform_config cfg = { .model = m, .nsamples = s->batch, .seq = s->seq, .batch = s->batch, .seed = 1 };
    struct bench_plugin plugin = { .self = NULL };
    struct srq_scheme *schemes = NULL;
    struct srq_samples samples = { .count = 0 };
    struct bench_meter meter;
    char steps[24], batch[24];
    int rc = bench_meter_open(&meter, iterations, out, err);

    snprintf(steps, sizeof(steps), "%d", iterations + BENCH_SKIPPED);
    snprintf(batch, sizeof(batch), "%d", (int)s->batch);
    describe_words(m, s, true, out);
    if (rc == 0)
        rc = bench_plugin_open(
            &plugin, "teq",
            (const char *const[]){ "steps", steps, "batch", batch, "holdout", "0", "keep_best", "false", NULL }, err);
    if (rc == 0 && (schemes = word_schemes(m, s, err)) == NULL)
        rc = -SRQ_EINVAL;
    if (rc == 0)
        rc = samples_make(m, s, &samples, err);
    cfg.plugin = plugin.handle.plugin;
    cfg.self = plugin.self;
    cfg.schemes = schemes;
    cfg.compute = out->dtype;
    if (rc == 0)
        rc = train_scales(&cfg, &samples, &meter, err);
    srq_samples_fini(&samples);
    srq_free(schemes);
    bench_plugin_close(&plugin);
    bench_meter_close(&meter);
    return rc;
}
