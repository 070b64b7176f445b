/* diffusion-qat: teacher, student and its way back through the whole model, by the trainer, on what the model passes
 * through while it samples. */
#include "bench_meter.h"

#include "core/base/alloc.h"
#include "core/job/noisy.h"

static int pictures_tick(void *ctx, int64_t done, int64_t all)
{
    (void)done;
    (void)all;
    bench_meter_begin(ctx);
    return 0;
}

static void pictures_point(void *ctx, const struct srq_train_point *p)
{
    (void)p;
    bench_meter_end(ctx);
}

static int noisy_open(struct srq_model *m, int64_t batch, struct srq_noise_schedule **schedule, struct srq_noisy **out,
                      struct srq_error *err)
{
    struct srq_noisy_config c = { .model = m, .trajectories = batch, .steps = 2, .batch = batch, .seed = 1 };
    char *text = NULL;
    size_t len = 0;
    int rc = srq_model_scheduler(m, &text, &len, err);

    if (rc == 0)
        rc = srq_schedule_read(text, len, schedule, err);
    srq_free(text);
    c.schedule = *schedule;
    return rc == 0 ? srq_noisy_create(&c, out, err) : rc;
}

static int train_pictures(struct srq_train_config *cfg, struct bench_meter *meter, struct srq_error *err)
{
    const struct srq_train_events events = { .ctx = meter, .tick = pictures_tick, .point = pictures_point };
    struct srq_memory_rows rows = { .count = 0 };
    struct srq_noise_schedule *schedule = NULL;
    struct srq_noisy *noisy = NULL;
    struct srq_train *t = NULL;
    int rc = srq_train_schedule_of(cfg->plugin, cfg->self, &cfg->schedule, err);

    if (rc == 0)
        rc = srq_train_footprint(cfg, &rows, err);
    if (rc == 0)
        rc = noisy_open((struct srq_model *)(uintptr_t)cfg->model, cfg->schedule.batch, &schedule, &noisy, err);
    cfg->batch = srq_noisy_batch;
    cfg->batch_ctx = noisy;
    if (rc == 0)
        rc = srq_train_create(cfg, &t, err);
    if (rc == 0) {
        meter->tape = srq_train_tape(t);
        rc = srq_train_run(t, NULL, &events, err);
    }
    bench_meter_memory(meter->out, &rows, meter->out->tape_bytes + meter->out->weight_bytes);
    srq_train_free(t);
    srq_noisy_free(noisy);
    srq_schedule_free(schedule);
    return rc;
}

int bench_qat(struct srq_model *m, const struct bench_shape *s, int iterations, struct bench_iteration *out,
              struct srq_error *err)
{
    struct srq_train_config cfg = { .model = m };
    struct srq_pictures p = srq_model_pictures(m);
    struct bench_plugin plugin = { .self = NULL };
    struct srq_scheme *schemes = NULL;
    struct bench_meter meter;
    char steps[24];
    int rc = bench_meter_open(&meter, iterations, out, err);

    snprintf(steps, sizeof(steps), "%d", iterations + BENCH_SKIPPED);
    out->dtype = SRQ_F32;
    out->weight_bytes = srq_block_bytes(m, out->dtype);
    if (rc == 0)
        rc = bench_plugin_open(&plugin, "diffusion-qat", (const char *const[]){ "steps", steps, "warmup", "1", NULL },
                               err);
    if (rc == 0 && (schemes = bench_schemes(m, "w8a8", err)) == NULL)
        rc = -SRQ_EINVAL;
    cfg.plugin = plugin.handle.plugin;
    cfg.self = plugin.self;
    cfg.schemes = schemes;
    if (rc == 0)
        rc = train_pictures(&cfg, &meter, err);
    snprintf(out->what, sizeof(out->what), "%s, %d units; %d pictures of %d x %d x %d, w8a8, %s", s->pictures,
             srq_model_info(m)->blocks, (int)cfg.schedule.batch, (int)p.height, (int)p.width, (int)p.channels,
             srq_dtype_name(out->dtype));
    srq_free(schemes);
    bench_plugin_close(&plugin);
    bench_meter_close(&meter);
    return rc;
}
