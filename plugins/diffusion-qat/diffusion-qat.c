/* Quantization-aware training of a diffusion model with distillation (arXiv 2311.16133; spec diffusion-qat 2, 3).
 *
 * The student computes with weights, inputs and (asked for) outputs of layers that were rounded, its loss is the mean
 * squared error to the noise plus that to the full-precision model; AdamW moves all weights, biases and norms, and what
 * is kept is their moving average. Ranges of weights are their present extremes, so that none is cut off and rounding
 * passes gradients straight through; those of activations are moving averages, and what they cut off gets none. */
#include "plugins/diffusion_grid.h"

#include <stdio.h>
#include <string.h>

enum { M, V, EMA, STATES };

struct qat {
    struct srq_trainer_schedule schedule;
    double lr, lr_scale, beta1, beta2, eps, decay, ema;
    float momentum;
    char kd_layers[1024];
};

static int qat_create(const struct srq_host *h, const struct srq_options *o, void **self, struct srq_error *err)
{
    struct qat *s = h->alloc(sizeof(*s));
    const char *noisy;

    if (s == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "no memory for diffusion-qat");
    noisy = h->opt_string(o, "calib");
    snprintf(s->kd_layers, sizeof(s->kd_layers), "%s", h->opt_string(o, "kd_layers"));
    s->schedule = (struct srq_trainer_schedule){
        .size = sizeof(s->schedule),
        .noisy = strcmp(noisy, "auto") == 0        ? -1
                 : strcmp(noisy, "uniform_t") == 0 ? SRQ_NOISY_UNIFORM
                                                   : SRQ_NOISY_TRAJECTORY,
        .states = STATES,
        .decay = strcmp(h->opt_string(o, "decay"), "none") == 0 ? -1 : SRQ_DECAY_COSINE,
        .steps = h->opt_int(o, "steps"),
        .batch = h->opt_int(o, "batch"),
        .lr = h->opt_float(o, "lr"),
        .clip = h->opt_float(o, "clip"),
        .task_weight = h->opt_set(o, "task_weight") ? h->opt_float(o, "task_weight") : -1,
        .kd_weight = h->opt_float(o, "kd_weight"),
        .outputs = h->opt_bool(o, "out_q"),
        .split_skip = h->opt_bool(o, "split_skip"),
        .kd_layers = s->kd_layers,
        .kd_layers_weight = h->opt_float(o, "kd_layers_weight"),
    };
    s->schedule.warmup = h->opt_set(o, "warmup")   ? h->opt_int(o, "warmup")
                         : s->schedule.steps < 600 ? (s->schedule.steps + 1) / 2
                                                   : 300;
    s->lr = s->schedule.lr;
    s->lr_scale = h->opt_float(o, "lr_scale");
    s->beta1 = h->opt_float(o, "beta1");
    s->beta2 = h->opt_float(o, "beta2");
    s->eps = h->opt_float(o, "eps");
    s->decay = h->opt_float(o, "weight_decay");
    s->ema = h->opt_float(o, "ema");
    s->momentum = strcmp(h->opt_string(o, "observer"), "minmax") == 0 ? 0 : (float)h->opt_float(o, "momentum");
    *self = s;
    return 0;
}

static void qat_destroy(const struct srq_host *h, void *self)
{
    h->free(self);
}

static int qat_accepts(const struct srq_host *h, void *self, const struct srq_layer *layer, struct srq_error *err)
{
    (void)h;
    (void)self;
    return accept_layer(layer, err);
}

/* ---- training ---------------------------------------------------------------------------------------------------- */

static int qat_schedule(const struct srq_host *h, void *self, struct srq_trainer_schedule *out, struct srq_error *err)
{
    const struct qat *s = self;
    struct srq_trainer_schedule own = s->schedule;

    (void)h;
    own.pictures = out->pictures;
    if (own.noisy < 0)
        own.noisy = own.pictures ? SRQ_NOISY_UNIFORM : SRQ_NOISY_TRAJECTORY;
    if (own.task_weight < 0)
        own.task_weight = own.noisy == SRQ_NOISY_UNIFORM ? 1 : 0;
    if (own.task_weight > 0 && own.noisy != SRQ_NOISY_UNIFORM)
        return srq_fail_field(err, -SRQ_EINVAL, "task_weight",
                              "diffusion-qat.task_weight %g: along a trajectory there is no noise to be told from; "
                              "give pictures and diffusion-qat.calib=uniform_t",
                              own.task_weight);
    srq_copy_known(out, &own);
    return 0;
}

static void qat_observe(const struct srq_host *h, void *self, struct srq_activation *a, float low, float high)
{
    (void)h;
    observe_range(a, low, high, ((const struct qat *)self)->momentum);
}

static void qat_weight(const struct srq_host *h, void *self, const struct srq_trained *w, int64_t row, int64_t rows,
                       float *dst)
{
    (void)h;
    (void)self;
    round_rows(w, row, rows, dst);
}

static void qat_gradient(const struct srq_host *h, void *self, const struct srq_trained *w, int64_t row, int64_t rows,
                         float *grad)
{
    /* nothing of a weight is cut off: the straight-through gradient is all of it */
    (void)h;
    (void)self;
    (void)w;
    (void)row;
    (void)rows;
    (void)grad;
}

struct adam {
    const struct qat *s;
    const struct srq_trained *t;
    double lr, shrink, fix1, fix2, ema;
};

static void adam_range(void *ctx, int64_t begin, int64_t end)
{
    const struct adam *a = ctx;
    const struct qat *s = a->s;
    float *w = a->t->value, *m = a->t->state[M], *v = a->t->state[V], *ema = a->t->state[EMA];
    bool decays = a->t->layer != NULL;

    for (int64_t i = begin; i < end; i++) {
        double g = (double)a->t->grad[i] * a->shrink, to = (double)w[i];

        if (decays)
            to -= a->lr * s->decay * to;
        m[i] = (float)(s->beta1 * (double)m[i] + (1 - s->beta1) * g);
        v[i] = (float)(s->beta2 * (double)v[i] + (1 - s->beta2) * g * g);
        to -= a->lr * ((double)m[i] * a->fix1) / (sqrt((double)v[i] * a->fix2) + s->eps);
        w[i] = (float)to;
        ema[i] = (float)(a->ema * (double)ema[i] + (1 - a->ema) * to);
    }
}

/* The mean size of a weight's steps on its grid. */
static double mean_scale(const struct srq_trained *w)
{
    const struct srq_groups *g = w->layer->groups;
    double sum = 0;

    for (int64_t r = 0; r < g->out; r++)
        for (int64_t k = 0; k < g->per_row; k++) {
            int64_t at = k * g->len, n = g->in - at < g->len ? g->in - at : g->len;

            sum += (double)grid_of(w->value + r * g->in + at, n, w->layer->scheme).scale;
        }
    return sum / (double)g->count;
}

static int qat_step(const struct srq_host *h, void *self, struct srq_trained *t, const struct srq_step *step,
                    double shrink, struct srq_error *err)
{
    const struct qat *s = self;
    double n = (double)step->iter + 1;
    struct adam a = {
        .s = s,
        .t = t,
        .lr = s->lr * step->schedule,
        .shrink = shrink,
        .fix1 = 1 / (1 - pow(s->beta1, n)),
        .fix2 = 1 / (1 - pow(s->beta2, n)),
        .ema = step->iter == 0 ? 0 : fmin((n - 1) / (8 + n), s->ema), /* the first one copies */
    };

    (void)err;
    if (s->lr_scale > 0 && t->layer != NULL && t->layer->scheme->grid != SRQ_GRID_NONE)
        a.lr = s->lr_scale * mean_scale(t) * step->schedule;
    h->parallel(t->rows * t->cols, 16384, adam_range, &a);
    return 0;
}

static int qat_finish(const struct srq_host *h, void *self, struct srq_trained *t, struct srq_error *err)
{
    const struct qat *s = self;

    (void)h;
    (void)err;
    if (s->ema > 0 && s->schedule.steps > 0)
        memcpy(t->value, t->state[EMA], (size_t)(t->rows * t->cols) * sizeof(float));
    return 0;
}

/* ---- codes ------------------------------------------------------------------------------------------------------- */

static int qat_quantize(const struct srq_host *h, void *self, struct srq_layer *layer, struct srq_result *out,
                        struct srq_error *err)
{
    (void)self;
    return encode_layer(h, layer, out, err);
}

static const struct srq_option options[] = {
    SRQ_OPTION(.name = "steps", .type = SRQ_OPT_INT, .unit = "steps", .min = 1, .max = 10000000, .value = "300",
               .help = "Steps of training."),
    SRQ_OPTION(.name = "batch", .type = SRQ_OPT_INT, .unit = "pictures", .min = 1, .max = 65536, .value = "32",
               .help = "Noisy pictures in a step."),
    SRQ_OPTION(.name = "warmup", .type = SRQ_OPT_INT, .unit = "batches", .min = 0, .max = 1000000,
               .help = "Batches that ranges of activations are observed on before the first step; unset: half as many "
                       "as steps, at most 300."),
    SRQ_OPTION(.name = "lr", .type = SRQ_OPT_FLOAT, .min = 0, .max = 1, .value = "1e-5", .help = "Learning rate."),
    SRQ_OPTION(.name = "lr_scale", .type = SRQ_OPT_FLOAT, .min = 0, .max = 1, .value = "0",
               .help = "Above 0: a rounded weight moves with this share of the mean step of its grid instead, as a "
                       "coarse grid needs longer ways."),
    SRQ_OPTION(.name = "decay", .type = SRQ_OPT_CHOICE, .choices = "none,cosine", .value = "none",
               .help = "How learning rates fall over the steps."),
    SRQ_OPTION(.name = "beta1", .type = SRQ_OPT_FLOAT, .min = 0, .max = 0.99999, .value = "0.9",
               .help = "AdamW: memory of the gradient."),
    SRQ_OPTION(.name = "beta2", .type = SRQ_OPT_FLOAT, .min = 0, .max = 0.99999999, .value = "0.999",
               .help = "AdamW: memory of its square."),
    SRQ_OPTION(.name = "eps", .type = SRQ_OPT_FLOAT, .min = 1e-30, .max = 1, .value = "1e-8",
               .help = "AdamW: added to the root of the square."),
    SRQ_OPTION(.name = "weight_decay", .type = SRQ_OPT_FLOAT, .min = 0, .max = 1, .value = "0.01",
               .help = "AdamW: decay of weights, times the learning rate; biases and norms have none."),
    SRQ_OPTION(.name = "clip", .type = SRQ_OPT_FLOAT, .min = 0, .max = 1e9, .value = "1",
               .help = "Greatest norm of the whole gradient; 0: any."),
    SRQ_OPTION(.name = "ema", .type = SRQ_OPT_FLOAT, .min = 0, .max = 0.99999999, .value = "0.9999",
               .help = "Greatest memory of the moving average of weights, which is what is kept; 0: the last weights "
                       "are."),
    SRQ_OPTION(.name = "kd_weight", .type = SRQ_OPT_FLOAT, .min = 0, .max = 1e6, .value = "1",
               .help = "Weight of the error to the full-precision model."),
    SRQ_OPTION(.name = "kd_layers", .type = SRQ_OPT_STRING, .value = "",
               .help =
                   "Blocks whose outputs are distilled too, as patterns separated by commas: mid_block.*,up_blocks.*"),
    SRQ_OPTION(.name = "kd_layers_weight", .type = SRQ_OPT_FLOAT, .min = 0, .max = 1e6, .value = "1",
               .help = "Weight of the mean over those blocks of their errors, each divided by the mean square of what "
                       "the full-precision model's gives."),
    SRQ_OPTION(.name = "task_weight", .type = SRQ_OPT_FLOAT, .min = 0, .max = 1e6,
               .help = "Weight of the error to the noise; unset: 1 where pictures are given, else 0."),
    OPTION_CALIB,
    SRQ_OPTION(.name = "out_q", .type = SRQ_OPT_BOOL, .value = "false",
               .help = "Round what layers give too, as the published method does."),
    OPTION_SPLIT,
    OPTIONS_OBSERVER,
};

static const struct srq_trainer trainer = {
    .size = sizeof(trainer),
    .schedule = qat_schedule,
    .observe = qat_observe,
    .weight = qat_weight,
    .gradient = qat_gradient,
    .step = qat_step,
    .finish = qat_finish,
};

static const struct srq_oneshot oneshot = {
    .size = sizeof(oneshot),
    .quantize = qat_quantize,
};

const struct srq_plugin srq_plugin = {
    SRQ_PLUGIN_HEAD,
    .name = "diffusion-qat",
    .version = "1.0",
    .summary = "Trains a diffusion model with its rounding in the loop and distils the full-precision one into it.",
    SRQ_OPTIONS(options),
    .create = qat_create,
    .destroy = qat_destroy,
    .accepts = qat_accepts,
    .oneshot = &oneshot,
    .trainer = &trainer,
};
