/* Trainable equivalent transformation (Cheng et al. 2023, arXiv 2310.10944; spec teq): one positive scale for every
 * input channel of the layers that read the same thing, trained through the rounded model and folded away afterwards.
 *
 * The host makes gradients; here are where scales begin and how Adam moves them. */
#include "plugins/scale_rules.h"
#include "plugins/teq/teq.h"

#include <math.h>
#include <string.h>

/* ---- life -------------------------------------------------------------------------------------------------------- */

static enum teq_init init_of(const char *text)
{
    static const char *const names[] = { "ones", "sqrtw", "awq", "smooth" };

    for (int i = 0; i < 4; i++) {
        if (strcmp(text, names[i]) == 0)
            return (enum teq_init)i;
    }
    return TEQ_ONES;
}

static int objective_of(const char *text)
{
    return strcmp(text, "kd") == 0          ? SRQ_OBJECTIVE_KD
           : strcmp(text, "block_mse") == 0 ? SRQ_OBJECTIVE_BLOCK_MSE
                                            : SRQ_OBJECTIVE_CE;
}

static int take_pairs(struct teq *s, const char *text, struct srq_error *err)
{
    size_t n = strlen(text);

    if (n == 0 || n > 5 || strspn(text, "ABCDE") != n)
        return srq_fail_field(err, -SRQ_EINVAL, "options.teq.pairs",
                              "teq.pairs is \"%.40s\"; it is made of the letters A, B, C, D and E", text);
    for (size_t i = 0; i < n; i++) {
        if (strchr(text + i + 1, text[i]) != NULL)
            return srq_fail_field(err, -SRQ_EINVAL, "options.teq.pairs", "teq.pairs \"%s\" has %c twice", text,
                                  text[i]);
    }
    snprintf(s->pairs, sizeof(s->pairs), "%s", text);
    return 0;
}

static int take_load(const struct srq_host *h, struct teq *s, const char *path, struct srq_error *err)
{
    size_t n;

    if (path == NULL || path[0] == '\0')
        return 0;
    if (path[0] != '/')
        return srq_fail_field(err, -SRQ_EINVAL, "options.teq.load", "teq.load is \"%.300s\"; give an absolute path",
                              path);
    n = strlen(path) + 1;
    s->load = h->alloc(n);
    if (s->load == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "no memory for teq");
    memcpy(s->load, path, n);
    return 0;
}

static void teq_destroy(const struct srq_host *h, void *self)
{
    struct teq *s = self;

    h->free(s->load);
    h->free(s);
}

static void take_schedule(const struct srq_host *h, const struct srq_options *o, struct teq *s)
{
    s->schedule = (struct srq_transform_schedule){
        .size = sizeof(s->schedule),
        .objective = objective_of(h->opt_string(o, "objective")),
        .steps = h->opt_int(o, "steps"),
        .batch = h->opt_int(o, "batch"),
        .nsamples = h->opt_int(o, "nsamples"),
        .seqlen = h->opt_int(o, "seqlen"),
        .holdout = h->opt_int(o, "holdout"),
        .probe_every = h->opt_int(o, "probe_every"),
        .keep_best = h->opt_bool(o, "keep_best"),
        .lr = s->lr,
        .warmup = h->opt_float(o, "warmup"),
        .decay = strcmp(h->opt_string(o, "decay"), "cosine") == 0 ? SRQ_DECAY_COSINE : SRQ_DECAY_LINEAR,
        .states = s->log_domain ? 3 : 2,
        .load = s->load,
        .ranges = h->opt_bool(o, "ranges"),
    };
}

static int teq_create(const struct srq_host *h, const struct srq_options *o, void **self, struct srq_error *err)
{
    struct teq *s = h->alloc(sizeof(*s));
    int rc;

    if (s == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "no memory for teq");
    s->init = init_of(h->opt_string(o, "init"));
    s->log_domain = strcmp(h->opt_string(o, "param"), "log") == 0;
    s->lr = h->opt_float(o, "lr");
    s->beta1 = h->opt_float(o, "beta1");
    s->beta2 = h->opt_float(o, "beta2");
    s->eps = h->opt_float(o, "eps");
    s->clip_min = h->opt_float(o, "clip_min");
    rc = take_pairs(s, h->opt_string(o, "pairs"), err);
    if (rc == 0)
        rc = take_load(h, s, h->opt_set(o, "load") ? h->opt_string(o, "load") : NULL, err);
    if (rc != 0) {
        teq_destroy(h, s);
        return rc;
    }
    take_schedule(h, o, s);
    *self = s;
    return 0;
}

/* ---- transform --------------------------------------------------------------------------------------------------- */

static uint32_t teq_needs(const struct srq_host *h, void *self)
{
    const struct teq *s = self;

    (void)h;
    return s->init == TEQ_AWQ ? SRQ_NEED_HESSIAN | SRQ_NEED_RANGES : s->init == TEQ_SMOOTH ? SRQ_NEED_RANGES : 0;
}

static const char *teq_kinds(const struct srq_host *h, void *self)
{
    (void)h;
    return ((const struct teq *)self)->pairs;
}

static int teq_schedule(const struct srq_host *h, void *self, struct srq_transform_schedule *out, struct srq_error *err)
{
    (void)h;
    (void)err;
    srq_copy_known(out, &((const struct teq *)self)->schedule);
    return 0;
}

static int teq_begin(const struct srq_host *h, void *self, struct srq_scale_group *g, struct srq_error *err)
{
    const struct teq *s = self;
    float least = (float)s->clip_min;

    switch (s->init) {
    case TEQ_SQRTW:
        return scale_rules_weights(h, least, g, err);
    case TEQ_SMOOTH:
        return scale_rules_smooth(h, 0.5f, least, g, err);
    case TEQ_AWQ:
        return scale_rules_search(h, least, g, err);
    default:
        return 0;
    }
}

/* Adam without weight decay, in the scale itself or in its logarithm: there d/dtheta = alpha d/dalpha. The logarithm is
 * kept as a state, so that it is not rounded through exp and back at every step. */
static int teq_step(const struct srq_host *h, void *self, struct srq_scale_group *g, const struct srq_step *step,
                    float *grad, struct srq_error *err)
{
    const struct teq *s = self;
    double t = (double)(step->iter + 1), lr = s->lr * step->schedule;
    double c1 = 1 - pow(s->beta1, t), c2 = 1 - pow(s->beta2, t);
    float *m = g->state[0], *v = g->state[1], *theta = s->log_domain ? g->state[2] : NULL;

    (void)h;
    (void)err;
    for (int64_t j = 0; j < g->channels; j++) {
        double slope = (double)grad[j] * (s->log_domain ? (double)g->scale[j] : 1), move;

        if (s->log_domain && step->iter == 0)
            theta[j] = logf(g->scale[j]);
        m[j] = (float)(s->beta1 * (double)m[j] + (1 - s->beta1) * slope);
        v[j] = (float)(s->beta2 * (double)v[j] + (1 - s->beta2) * slope * slope);
        move = lr * ((double)m[j] / c1) / (sqrt((double)v[j] / c2) + s->eps);
        if (s->log_domain) {
            theta[j] -= (float)move;
            g->scale[j] = expf(theta[j]);
        } else {
            g->scale[j] -= (float)move;
        }
        g->scale[j] = fmaxf(g->scale[j], (float)s->clip_min);
    }
    return 0;
}

static const struct srq_option options[] = {
    SRQ_OPTION(.name = "recipe", .type = SRQ_OPT_CHOICE, .choices = "default,published", .value = "default",
               .help = "Defaults of the options below: sized for two processors, or the paper's 1,000 steps, whose "
                       "gradients take ranges as constants."),
    SRQ_OPTION(.name = "pairs", .type = SRQ_OPT_STRING, .value = "ABCD",
               .help = "Which layers have their inputs scaled: A q, k and v; B gate and up; C o; D down; E an untied "
                       "lm_head, which gets the scales it begins with and is not trained."),
    SRQ_OPTION(.name = "init", .type = SRQ_OPT_CHOICE, .choices = "ones,sqrtw,awq,smooth", .value = "ones",
               .help = "Where scales begin: ones; sqrtw by the largest weights; smooth by largest inputs and weights; "
                       "awq by a search for the least error of the layers' outputs."),
    SRQ_OPTION(.name = "param", .type = SRQ_OPT_CHOICE, .choices = "linear,log", .value = "linear",
               .help = "Train the scale itself, or its logarithm."),
    SRQ_OPTION(.name = "objective", .type = SRQ_OPT_CHOICE, .choices = "ce,kd,block_mse", .value = "ce",
               .help = "What training lowers: ce, the loss of the next token; kd, the divergence from the original's "
                       "words; block_mse, the error of each block's output."),
    SRQ_OPTION(.name = "steps", .type = SRQ_OPT_INT, .unit = "steps", .max = 1e9, .value = "300",
               .help = "Training steps; 0: scales stay where they begin."),
    SRQ_OPTION(.name = "lr", .type = SRQ_OPT_FLOAT, .max = 1, .value = "0.001", .help = "Step size of Adam."),
    SRQ_OPTION(.name = "beta1", .type = SRQ_OPT_FLOAT, .max = 0.999999, .value = "0.9",
               .help = "Decay of its mean of gradients."),
    SRQ_OPTION(.name = "beta2", .type = SRQ_OPT_FLOAT, .max = 0.999999, .value = "0.9",
               .help = "Decay of its mean of squared gradients."),
    SRQ_OPTION(.name = "eps", .type = SRQ_OPT_FLOAT, .max = 1, .value = "1e-08",
               .help = "What is added to its denominator."),
    SRQ_OPTION(.name = "warmup", .type = SRQ_OPT_FLOAT, .max = 1, .value = "0.05",
               .help = "Share of the steps over which the step size rises."),
    SRQ_OPTION(.name = "decay", .type = SRQ_OPT_CHOICE, .choices = "linear,cosine", .value = "linear",
               .help = "How it falls to 0 after that."),
    SRQ_OPTION(.name = "batch", .type = SRQ_OPT_INT, .unit = "samples", .min = 1, .max = 65536, .value = "2",
               .help = "Samples a step."),
    SRQ_OPTION(.name = "seqlen", .type = SRQ_OPT_INT, .unit = "tokens", .max = 1048576, .value = "256",
               .help = "Tokens of a sample; 0: the job's seqlen."),
    SRQ_OPTION(.name = "nsamples", .type = SRQ_OPT_INT, .unit = "samples", .max = 1e9, .value = "256",
               .help = "Samples of the calibration text; 0: the job's nsamples."),
    SRQ_OPTION(.name = "holdout", .type = SRQ_OPT_INT, .unit = "samples", .max = 1e6, .value = "16",
               .help = "How many of them are not trained on but probed with."),
    SRQ_OPTION(.name = "clip_min", .type = SRQ_OPT_FLOAT, .min = 1e-5, .max = 1, .value = "1e-05",
               .help = "The smallest scale."),
    SRQ_OPTION(.name = "keep_best", .type = SRQ_OPT_BOOL, .value = "true",
               .help = "Keep the scales of the best probe, those before training among them; otherwise the last ones."),
    SRQ_OPTION(.name = "probe_every", .type = SRQ_OPT_INT, .unit = "steps", .min = 1, .max = 1e9, .value = "25",
               .help = "Steps between probes on the samples held out."),
    SRQ_OPTION(.name = "ranges", .type = SRQ_OPT_BOOL, .value = "true",
               .help = "Let gradients follow the ends of a group's range, which move with the scales of their "
                       "channels; otherwise ranges count as constants."),
    SRQ_OPTION(.name = "load", .type = SRQ_OPT_STRING,
               .help = "Take the scales from this file (srq_scales.st of an earlier job's output) instead of looking "
                       "for them."),
};

/* Spec teq 6: the paper's reference code. Keeping the best scales is of this implementation and stays. */
static const struct srq_recipe_row recipes[] = {
    SRQ_RECIPE("default", "steps", "300"),      SRQ_RECIPE("default", "batch", "2"),
    SRQ_RECIPE("default", "seqlen", "256"),     SRQ_RECIPE("default", "nsamples", "256"),
    SRQ_RECIPE("default", "ranges", "true"),    SRQ_RECIPE("published", "steps", "1000"),
    SRQ_RECIPE("published", "batch", "1"),      SRQ_RECIPE("published", "seqlen", "512"),
    SRQ_RECIPE("published", "nsamples", "512"), SRQ_RECIPE("published", "ranges", "false"),
};

static const struct srq_transform teq_transform = {
    .size = sizeof(teq_transform),
    .needs = teq_needs,
    .kinds = teq_kinds,
    .schedule = teq_schedule,
    .begin = teq_begin,
    .step = teq_step,
};

const struct srq_plugin srq_plugin = {
    SRQ_PLUGIN_HEAD,
    .name = "teq",
    .version = "1.0",
    .summary = "Trains scales of the layers' inputs that leave the model as it is but make it lose less by rounding.",
    SRQ_OPTIONS(options),
    SRQ_RECIPES(recipes),
    .create = teq_create,
    .destroy = teq_destroy,
    .transform = &teq_transform,
};
