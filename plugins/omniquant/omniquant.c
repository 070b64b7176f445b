/* OmniQuant's learned clipping: how far the range of every group reaches is tuned block by block against the block's
 * output (Shao et al. 2023, arXiv 2308.13137; spec seed-methods 4).
 *
 * A group's extrema m and M become m sigmoid(low) and M sigmoid(high); both start at 4, or where that would clip more
 * than half a step of the grid at the value that clips so much, and are moved by Adam without weight decay. Weights are
 * rounded to the nearest code, and gradients pass through that. Scales of input channels are not learned here: put teq,
 * awq or smoothquant before it. */
#include "plugins/grid_rows.h"

#include <math.h>

enum { LO, HI, LOW, HIGH, ALPHA, BETA, GALPHA, GBETA, MEAN_LOW, MEAN_HIGH, SQUARE_LOW, SQUARE_HIGH, ARRAYS };

#define START 4.0f /* clips 1.8 %, less than half a step up to 6 bits */
#define BETA1 0.9
#define BETA2 0.999
#define EPS 1e-8

struct omni {
    int64_t iters, accum, patience;
    double lr;
    bool keep_best;
};

static int create(const struct srq_host *h, const struct srq_options *o, void **self, struct srq_error *err)
{
    struct omni *s = h->alloc(sizeof(*s));

    if (s == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "no memory for omniquant");
    s->iters = h->opt_int(o, "iters");
    s->accum = h->opt_int(o, "accum");
    s->patience = h->opt_int(o, "patience");
    s->lr = h->opt_float(o, "lr");
    s->keep_best = h->opt_bool(o, "keep_best");
    *self = s;
    return 0;
}

static void destroy(const struct srq_host *h, void *self)
{
    h->free(self);
}

static int accepts(const struct srq_host *h, void *self, const struct srq_layer *layer, struct srq_error *err)
{
    (void)h;
    (void)self;
    if (layer->scheme->grid == SRQ_GRID_INT_SYM || layer->scheme->grid == SRQ_GRID_INT_ASYM)
        return 0;
    return srq_fail_field(err, -SRQ_EUNSUPPORTED, layer->name, "omniquant clips integers (w4g64, w3g64z, …) only");
}

static int schedule(const struct srq_host *h, void *self, struct srq_schedule *out, struct srq_error *err)
{
    const struct omni *s = self;

    (void)h;
    (void)err;
    out->iters = s->iters;
    out->accum = s->accum;
    out->keep_best = s->keep_best;
    out->patience = s->patience;
    out->lr = s->lr;
    out->decay = SRQ_DECAY_LINEAR;
    return 0;
}

/* With one group for a whole tensor every row has an entry of its own, which step() adds up in order. */
static int64_t parts_of(const struct srq_layer *layer)
{
    return layer->scheme->group == 0 ? layer->groups->out : layer->groups->count;
}

/* Half a step of n is 1/n of the way from the middle to an end, and sigmoid(ln n) leaves out 1/(n + 1) of that. */
static float start_of(const struct srq_scheme *s)
{
    return fmaxf(START, logf((float)((1 << s->bits) - 1)));
}

static int declare(const struct srq_host *h, void *self, const struct srq_layer *layer, struct srq_params *to,
                   struct srq_error *err)
{
    static const char *const names[ARRAYS] = {
        "lo",     "hi",    "low",      "high",      "alpha",      "beta",
        "galpha", "gbeta", "low_mean", "high_mean", "low_square", "high_square"
    };

    (void)self;
    (void)err;
    for (int i = 0; i < ARRAYS; i++) {
        bool grad = i == GALPHA || i == GBETA, tuned = i == LOW || i == HIGH;
        struct srq_param param = { .size = sizeof(param),
                                   .kind = tuned           ? SRQ_PARAM_TUNED
                                           : i >= MEAN_LOW ? SRQ_PARAM_STATE
                                                           : SRQ_PARAM_SCRATCH,
                                   .init = tuned ? start_of(layer->scheme) : 0,
                                   .name = names[i],
                                   .count = grad ? parts_of(layer) : layer->groups->count };

        h->declare(to, &param);
    }
    return 0;
}

static struct srq_grid_args grid_args(const struct srq_layer *layer)
{
    return (struct srq_grid_args){ .size = sizeof(struct srq_grid_args),
                                   .weight = layer->weight,
                                   .scheme = layer->scheme,
                                   .groups = layer->groups,
                                   .lo = layer->param[LO],
                                   .hi = layer->param[HI],
                                   .alpha = layer->param[ALPHA],
                                   .beta = layer->param[BETA],
                                   .tensor_scale = layer->tensor_scale };
}

static int begin(const struct srq_host *h, void *self, struct srq_layer *layer, struct srq_error *err)
{
    const struct srq_grid_ops *grid = h->grid(layer->scheme->grid);
    struct srq_grid_args args = grid_args(layer);
    int rc = grid != NULL ? grid->extrema(&args, layer->param[LO], layer->param[HI]) : -SRQ_EUNSUPPORTED;

    (void)self;
    return rc == 0 ? 0 : srq_fail_field(err, rc, layer->name, "the ranges of %s could not be found", layer->name);
}

static float sigmoid(float x)
{
    return 1 / (1 + expf(-x));
}

/* The factors as the clipping stands. */
static void set_factors(struct srq_layer *layer)
{
    for (int64_t i = 0; i < layer->groups->count; i++) {
        layer->param[ALPHA][i] = sigmoid(layer->param[LOW][i]);
        layer->param[BETA][i] = sigmoid(layer->param[HIGH][i]);
    }
}

static int weight(const struct srq_host *h, void *self, struct srq_layer *layer, struct srq_tensor *dst,
                  struct srq_error *err)
{
    struct srq_grid_args args = grid_args(layer);

    (void)self;
    (void)err;
    set_factors(layer);
    grid_rows_fake(h, layer, &args, dst);
    return 0;
}

static void sink(const struct srq_host *h, void *self, struct srq_layer *layer, const struct srq_step *step,
                 int64_t row, int64_t rows, float *grad)
{
    const struct srq_grid_ops *grid = h->grid(layer->scheme->grid);
    struct srq_grid_args args = grid_args(layer);

    (void)self;
    (void)step;
    for (int64_t r = row; r < row + rows; r++, grad += layer->groups->in) {
        int64_t shift = layer->scheme->group == 0 ? r : 0;

        grid->grad(&args, r, 1, grad, layer->param[GALPHA] + shift, layer->param[GBETA] + shift);
    }
}

/* One array: d/dx of a factor sigmoid(x) is factor (1 - factor). */
static void adam(const struct omni *s, const struct srq_layer *layer, const struct srq_step *step, int x, int factor,
                 int grad, int mean, int square)
{
    float **p = layer->param;
    int64_t n = layer->groups->count, parts = parts_of(layer);
    double c1 = 1 - pow(BETA1, (double)(step->iter + 1)), c2 = 1 - pow(BETA2, (double)(step->iter + 1));

    for (int64_t i = n; i < parts; i++)
        p[grad][0] += p[grad][i];
    for (int64_t i = 0; i < n; i++) {
        double f = (double)p[factor][i], g = (double)p[grad][i] * f * (1 - f);

        p[mean][i] = (float)(BETA1 * (double)p[mean][i] + (1 - BETA1) * g);
        p[square][i] = (float)(BETA2 * (double)p[square][i] + (1 - BETA2) * g * g);
        p[x][i] -= (float)(s->lr * ((double)p[mean][i] / c1) / (sqrt((double)p[square][i] / c2) + EPS));
    }
    for (int64_t i = 0; i < parts; i++)
        p[grad][i] = 0;
}

static int step(const struct srq_host *h, void *self, struct srq_layer *layer, const struct srq_step *now,
                struct srq_error *err)
{
    (void)h;
    (void)err;
    adam(self, layer, now, LOW, ALPHA, GALPHA, MEAN_LOW, SQUARE_LOW);
    adam(self, layer, now, HIGH, BETA, GBETA, MEAN_HIGH, SQUARE_HIGH);
    return 0;
}

static int finish(const struct srq_host *h, void *self, struct srq_layer *layer, struct srq_result *out,
                  struct srq_error *err)
{
    struct srq_grid_args args = grid_args(layer);

    (void)self;
    (void)err;
    set_factors(layer);
    grid_rows_encode(h, layer, &args, out);
    return 0;
}

static const struct srq_option options[] = {
    SRQ_OPTION(.name = "iters", .type = SRQ_OPT_INT, .unit = "iterations", .max = 100000, .value = "600",
               .help = "Steps per block; 0 rounds nearly plainly."),
    SRQ_OPTION(.name = "lr", .type = SRQ_OPT_FLOAT, .max = 1, .value = "0.01", .help = "Step size of Adam."),
    SRQ_OPTION(.name = "accum", .type = SRQ_OPT_INT, .unit = "micro-batches", .min = 1, .max = 1024, .value = "1",
               .help = "Micro-batches whose gradients make one step."),
    SRQ_OPTION(.name = "keep_best", .type = SRQ_OPT_BOOL, .value = "true",
               .help = "Keep the iterate with the lowest loss on the probe samples; false: the last one."),
    SRQ_OPTION(.name = "patience", .type = SRQ_OPT_INT, .unit = "iterations", .max = 100000, .value = "0",
               .help = "Stop a block after so many iterations without a better one; 0: never."),
};

static const struct srq_tunable tunable = {
    .size = sizeof(tunable),
    .schedule = schedule,
    .declare = declare,
    .begin = begin,
    .weight = weight,
    .sink = sink,
    .step = step,
    .finish = finish,
};

const struct srq_plugin srq_plugin = {
    SRQ_PLUGIN_HEAD,
    .name = "omniquant",
    .version = "1",
    .summary = "Tunes how far every group's range is clipped, block by block (OmniQuant's learned clipping).",
    SRQ_OPTIONS(options),
    .create = create,
    .destroy = destroy,
    .accepts = accepts,
    .tunable = &tunable,
};
