/* SmoothQuant: part of the range of inputs moves into the weights, s = max|x|^alpha / max|w|^(1 - alpha), so that
 * activations of 8 bits lose less (spec seed-methods 4). */
#include "plugins/scale_rules.h"

struct smooth {
    float alpha;
    char pairs[8];
};

static int smooth_create(const struct srq_host *h, const struct srq_options *o, void **self, struct srq_error *err)
{
    struct smooth *s = h->alloc(sizeof(*s));

    if (s == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "no memory for smoothquant");
    s->alpha = (float)h->opt_float(o, "alpha");
    snprintf(s->pairs, sizeof(s->pairs), "%s", h->opt_string(o, "pairs"));
    *self = s;
    return 0;
}

static void smooth_destroy(const struct srq_host *h, void *self)
{
    h->free(self);
}

static uint32_t smooth_needs(const struct srq_host *h, void *self)
{
    (void)h;
    (void)self;
    return SRQ_NEED_RANGES;
}

static const char *smooth_kinds(const struct srq_host *h, void *self)
{
    (void)h;
    return ((const struct smooth *)self)->pairs;
}

static int smooth_schedule(const struct srq_host *h, void *self, struct srq_transform_schedule *out,
                           struct srq_error *err)
{
    (void)h;
    (void)self;
    (void)out;
    (void)err;
    return 0; /* begin() is all there is */
}

static int smooth_begin(const struct srq_host *h, void *self, struct srq_scale_group *g, struct srq_error *err)
{
    return scale_rules_smooth(h, ((const struct smooth *)self)->alpha, 1e-5f, g, err);
}

static const struct srq_option options[] = {
    SRQ_OPTION(.name = "alpha", .type = SRQ_OPT_FLOAT, .max = 1, .value = "0.5",
               .help = "How much of the range of the inputs moves into the weights; 0.7 to 0.8 for models with large "
                       "outliers."),
    SRQ_OPTION(.name = "pairs", .type = SRQ_OPT_CHOICE, .choices = "AB,ABCD", .value = "AB",
               .help = "Which layers have their inputs scaled: AB those behind norms."),
};

static const struct srq_transform smooth_transform = {
    .size = sizeof(smooth_transform),
    .needs = smooth_needs,
    .kinds = smooth_kinds,
    .schedule = smooth_schedule,
    .begin = smooth_begin,
};

const struct srq_plugin srq_plugin = {
    SRQ_PLUGIN_HEAD,
    .name = "smoothquant",
    .version = "1",
    .summary = "Scales that move part of the range of the inputs into the weights (SmoothQuant).",
    SRQ_OPTIONS(options),
    .create = smooth_create,
    .destroy = smooth_destroy,
    .transform = &smooth_transform,
};
