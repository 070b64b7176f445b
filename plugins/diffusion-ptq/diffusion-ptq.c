/* Post-training quantization of a diffusion model: ranges of activations are observed, weights are rounded to the
 * nearest value of their grid. What diffusion-qat begins with, and is to be held against. */
#include "plugins/diffusion_grid.h"

#include <string.h>

struct ptq {
    struct srq_trainer_schedule schedule;
    float momentum;
};

static int ptq_create(const struct srq_host *h, const struct srq_options *o, void **self, struct srq_error *err)
{
    struct ptq *s = h->alloc(sizeof(*s));
    const char *noisy;

    if (s == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "no memory for diffusion-ptq");
    noisy = h->opt_string(o, "calib");
    s->schedule = (struct srq_trainer_schedule){
        .size = sizeof(s->schedule),
        .noisy = strcmp(noisy, "auto") == 0        ? -1
                 : strcmp(noisy, "uniform_t") == 0 ? SRQ_NOISY_UNIFORM
                                                   : SRQ_NOISY_TRAJECTORY,
        .decay = -1,
        .batch = h->opt_int(o, "batch"),
        .warmup = h->opt_int(o, "batches"),
        .kd_weight = 1,
        .outputs = h->opt_bool(o, "out_q"),
        .split_skip = h->opt_bool(o, "split_skip"),
    };
    s->momentum = strcmp(h->opt_string(o, "observer"), "minmax") == 0 ? 0 : (float)h->opt_float(o, "momentum");
    *self = s;
    return 0;
}

static void ptq_destroy(const struct srq_host *h, void *self)
{
    h->free(self);
}

static int ptq_accepts(const struct srq_host *h, void *self, const struct srq_layer *layer, struct srq_error *err)
{
    (void)h;
    (void)self;
    return accept_layer(layer, err);
}

static int ptq_schedule(const struct srq_host *h, void *self, struct srq_trainer_schedule *out, struct srq_error *err)
{
    struct srq_trainer_schedule own = ((const struct ptq *)self)->schedule;

    (void)h;
    (void)err;
    own.pictures = out->pictures;
    if (own.noisy < 0)
        own.noisy = own.pictures ? SRQ_NOISY_UNIFORM : SRQ_NOISY_TRAJECTORY;
    srq_copy_known(out, &own);
    return 0;
}

static void ptq_observe(const struct srq_host *h, void *self, struct srq_activation *a, float low, float high)
{
    (void)h;
    observe_range(a, low, high, ((const struct ptq *)self)->momentum);
}

static void ptq_weight(const struct srq_host *h, void *self, const struct srq_trained *w, int64_t row, int64_t rows,
                       float *dst)
{
    (void)h;
    (void)self;
    round_rows(w, row, rows, dst);
}

/* There are no steps. */
static void ptq_gradient(const struct srq_host *h, void *self, const struct srq_trained *w, int64_t row, int64_t rows,
                         float *grad)
{
    (void)h;
    (void)self;
    (void)row;
    memset(grad, 0, (size_t)(rows * w->cols) * sizeof(*grad));
}

static int ptq_step(const struct srq_host *h, void *self, struct srq_trained *t, const struct srq_step *step,
                    double shrink, struct srq_error *err)
{
    (void)h;
    (void)self;
    (void)step;
    (void)shrink;
    return srq_fail(err, -SRQ_ESTATE, "diffusion-ptq does not train %s", t->name);
}

static int ptq_finish(const struct srq_host *h, void *self, struct srq_trained *t, struct srq_error *err)
{
    (void)h;
    (void)self;
    (void)t;
    (void)err;
    return 0;
}

static int ptq_quantize(const struct srq_host *h, void *self, struct srq_layer *layer, struct srq_result *out,
                        struct srq_error *err)
{
    (void)self;
    return encode_layer(h, layer, out, err);
}

static const struct srq_option options[] = {
    SRQ_OPTION(.name = "batches", .type = SRQ_OPT_INT, .unit = "batches", .min = 1, .max = 1000000, .value = "32",
               .help = "Batches that ranges of activations are observed on."),
    SRQ_OPTION(.name = "batch", .type = SRQ_OPT_INT, .unit = "pictures", .min = 1, .max = 65536, .value = "32",
               .help = "Noisy pictures in a batch."),
    OPTION_CALIB,
    SRQ_OPTION(.name = "out_q", .type = SRQ_OPT_BOOL, .value = "false", .help = "Round what layers give too."),
    OPTION_SPLIT,
    OPTIONS_OBSERVER,
};

static const struct srq_trainer trainer = {
    .size = sizeof(trainer),
    .schedule = ptq_schedule,
    .observe = ptq_observe,
    .weight = ptq_weight,
    .gradient = ptq_gradient,
    .step = ptq_step,
    .finish = ptq_finish,
};

static const struct srq_oneshot oneshot = {
    .size = sizeof(oneshot),
    .quantize = ptq_quantize,
};

const struct srq_plugin srq_plugin = {
    SRQ_PLUGIN_HEAD,
    .name = "diffusion-ptq",
    .version = "1.0",
    .summary = "Rounds a diffusion model after observing the ranges of its activations, without training.",
    SRQ_OPTIONS(options),
    .create = ptq_create,
    .destroy = ptq_destroy,
    .accepts = ptq_accepts,
    .oneshot = &oneshot,
    .trainer = &trainer,
};
