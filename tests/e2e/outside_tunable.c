/* A tunable plugin built outside the tree against the headers of ABI 1.0 (tests/e2e/abi_1_0): rounding offsets alone
 * are moved by the sign of their gradients. Its structs lack what later minor versions appended. */
#include <srq/plugin.h>

_Static_assert(SRQ_ABI_MINOR < 2, "the frozen headers are used");

enum { V, LO, HI, ARRAYS };

static int create(const struct srq_host *h, const struct srq_options *o, void **self, struct srq_error *err)
{
    (void)h;
    (void)o;
    (void)self;
    (void)err;
    return 0;
}

static void destroy(const struct srq_host *h, void *self)
{
    (void)h;
    (void)self;
}

static int schedule(const struct srq_host *h, void *self, struct srq_schedule *out, struct srq_error *err)
{
    (void)h;
    (void)self;
    (void)err;
    out->iters = 5;
    out->accum = 1;
    out->keep_best = true;
    return 0;
}

static int declare(const struct srq_host *h, void *self, const struct srq_layer *layer,
                   struct srq_param param[SRQ_MAX_PARAMS], int *count, struct srq_error *err)
{
    (void)h;
    (void)self;
    (void)err;
    param[V] = (struct srq_param){ "v", layer->groups.out * layer->groups.in, 0, SRQ_PARAM_TUNED };
    param[LO] = (struct srq_param){ "lo", layer->groups.count, 0, SRQ_PARAM_SCRATCH };
    param[HI] = (struct srq_param){ "hi", layer->groups.count, 0, SRQ_PARAM_SCRATCH };
    *count = ARRAYS;
    return 0;
}

static struct srq_grid_args args_of(const struct srq_layer *layer)
{
    return (struct srq_grid_args){ .size = sizeof(struct srq_grid_args),
                                   .weight = &layer->weight,
                                   .scheme = layer->scheme,
                                   .groups = layer->groups,
                                   .lo = layer->param[LO],
                                   .hi = layer->param[HI],
                                   .v = layer->param[V] };
}

static int begin(const struct srq_host *h, void *self, struct srq_layer *layer, struct srq_error *err)
{
    struct srq_grid_args args = args_of(layer);
    int rc = h->grid(layer->scheme.grid)->extrema(&args, layer->param[LO], layer->param[HI]);

    (void)self;
    return rc != 0 ? srq_fail_field(err, rc, layer->name, "the ranges of %s could not be found", layer->name) : 0;
}

static int weight(const struct srq_host *h, void *self, struct srq_layer *layer, struct srq_tensor *dst,
                  struct srq_error *err)
{
    struct srq_grid_args args = args_of(layer);

    (void)self;
    (void)err;
    h->grid(layer->scheme.grid)->fake(&args, 0, layer->groups.out, dst->data, dst->dtype, layer->groups.in);
    return 0;
}

static void sink(const struct srq_host *h, void *self, struct srq_layer *layer, const struct srq_step *step,
                 int64_t row, int64_t rows, float *grad)
{
    struct srq_grid_args args = args_of(layer);
    int64_t n = rows * layer->groups.in;

    (void)self;
    h->grid(layer->scheme.grid)->grad(&args, row, rows, grad, NULL, NULL);
    h->sign_step(layer->param[V] + row * layer->groups.in, grad, (float)(0.05 * step->schedule), n);
}

static int step(const struct srq_host *h, void *self, struct srq_layer *layer, const struct srq_step *at,
                struct srq_error *err)
{
    (void)h;
    (void)self;
    (void)layer;
    (void)at;
    (void)err;
    return 0;
}

static int finish(const struct srq_host *h, void *self, struct srq_layer *layer, struct srq_result *out,
                  struct srq_error *err)
{
    struct srq_grid_args args = args_of(layer);

    (void)self;
    (void)err;
    h->grid(layer->scheme.grid)->encode(&args, 0, layer->groups.out, out);
    return 0;
}

static const struct srq_tunable tunable = { .size = sizeof(tunable),
                                            .schedule = schedule,
                                            .declare = declare,
                                            .begin = begin,
                                            .weight = weight,
                                            .sink = sink,
                                            .step = step,
                                            .finish = finish };

const struct srq_plugin srq_plugin = {
    .magic = SRQ_PLUGIN_MAGIC,
    .abi_major = SRQ_ABI_MAJOR,
    .abi_minor = SRQ_ABI_MINOR,
    .size = sizeof(struct srq_plugin),
    .name = "nudge",
    .version = "1.0",
    .summary = "Moves rounding offsets by the sign of their gradients.",
    .create = create,
    .destroy = destroy,
    .tunable = &tunable,
};
