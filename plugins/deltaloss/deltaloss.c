/* DeltaLoss: first-order sensitivity of the model's loss to a layer's rounding (SignRoundV2, arXiv 2512.04746; spec
 * signround 7.1), with what measurements changed.
 *
 * score(layer, scheme) = sum over samples and runs of 64 weights of a row of |sum of dL/dW (W - Ŵ)|. Inside a run
 * errors cancel, as they do in the model's sums; over whole rows they would cancel by chance, and the published
 * absolute value of each element counts noise. The gradient is taken where every layer is rounded to 4 bits at least
 * (core/tune/scoring.h), of one sample at a time. The activation term of the paper belongs to schemes that quantize
 * activations. */
#include <srq/plugin.h>

#define LANES 16
#define RUN 64 /* a multiple of LANES */

struct deltaloss {
    struct srq_score_data data;
};

static int deltaloss_create(const struct srq_host *h, const struct srq_options *o, void **self, struct srq_error *err)
{
    struct deltaloss *d = h->alloc(sizeof(*d));

    if (d == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "no memory for the scorer");
    d->data = (struct srq_score_data){ .size = sizeof(d->data),
                                       .nsamples = h->opt_int(o, "nsamples"),
                                       .seqlen = h->opt_int(o, "seqlen"),
                                       .batch = h->opt_int(o, "batch") };
    *self = d;
    return 0;
}

static void deltaloss_destroy(const struct srq_host *h, void *self)
{
    h->free(self);
}

static int deltaloss_data(const struct srq_host *h, void *self, struct srq_score_data *out, struct srq_error *err)
{
    const struct deltaloss *d = self;

    (void)h;
    (void)err;
    srq_copy_known(out, &d->data);
    return 0;
}

/* Signed, of n weights: partial sums in lanes, so that the compiler vectorizes them in an order that does not
 * change. */
static double run_sum(const float *restrict w, const float *restrict fake, const float *restrict grad, int64_t n)
{
    float lane[LANES] = { 0 };
    double sum = 0;
    int64_t i = 0;

    for (; i + LANES <= n; i += LANES) {
        for (int k = 0; k < LANES; k++)
            lane[k] += grad[i + k] * (w[i + k] - fake[i + k]);
    }
    for (; i < n; i++)
        sum += (double)(grad[i] * (w[i] - fake[i]));
    for (int k = 0; k < LANES; k++)
        sum += (double)lane[k];
    return sum;
}

static double row_sum(const float *w, const float *fake, const float *grad, int64_t n)
{
    double sum = 0;

    for (int64_t i = 0; i < n; i += RUN) {
        double part = run_sum(w + i, fake + i, grad + i, n - i < RUN ? n - i : RUN);

        sum += part < 0 ? -part : part;
    }
    return sum;
}

static double deltaloss_rows(const struct srq_host *h, void *self, const struct srq_score_rows *r)
{
    int64_t in = r->layer->groups->in;
    double sum = 0;

    (void)h;
    (void)self;
    for (int64_t i = 0; i < r->rows; i++)
        sum += row_sum(r->weight + i * in, r->fake + i * in, r->grad + i * in, in);
    return sum;
}

static const struct srq_option options[] = {
    SRQ_OPTION(.name = "nsamples", .type = SRQ_OPT_INT, .unit = "samples", .min = 1, .max = 100000, .value = "32",
               .help = "Calibration samples on which gradients are taken; 2-bit candidates want 128 or more."),
    SRQ_OPTION(.name = "seqlen", .type = SRQ_OPT_INT, .unit = "tokens", .min = 2, .max = 1048576, .value = "256",
               .help = "Tokens of such a sample; 2-bit candidates want 1024 or more."),
    SRQ_OPTION(.name = "batch", .type = SRQ_OPT_INT, .unit = "samples", .min = 1, .max = 65536, .value = "1",
               .help = "Samples whose mean loss is differentiated together: more are faster and blur what each says."),
};

static const struct srq_scorer scorer = { .size = sizeof(scorer), .data = deltaloss_data, .rows = deltaloss_rows };

const struct srq_plugin srq_plugin = {
    SRQ_PLUGIN_HEAD,
    .name = "deltaloss",
    .version = "1.1",
    .summary = "Scores layers by the first-order change of the model's loss under each candidate scheme.",
    SRQ_OPTIONS(options),
    .create = deltaloss_create,
    .destroy = deltaloss_destroy,
    .scorer = &scorer,
};
