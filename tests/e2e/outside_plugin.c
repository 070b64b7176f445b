/* A one-shot plugin built outside the tree: rounds with a random offset, so that values between two codes take either
 * in proportion. Uses only what is installed. */
#include <srq/plugin.h>

struct dither {
    double strength;
};

static int create(const struct srq_host *h, const struct srq_options *o, void **self, struct srq_error *err)
{
    struct dither *d = h->alloc(sizeof(*d));

    if (d == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "no memory for dither");
    d->strength = h->opt_float(o, "strength");
    *self = d;
    return 0;
}

static void destroy(const struct srq_host *h, void *self)
{
    h->free(self);
}

static int quantize(const struct srq_host *h, void *self, struct srq_layer *layer, struct srq_result *out,
                    struct srq_error *err)
{
    const struct dither *d = self;
    const struct srq_grid_ops *grid = h->grid(layer->scheme->grid);
    int64_t n = layer->groups->out * layer->groups->in, groups = layer->groups->count;
    float *memory = h->alloc((size_t)(n + 2 * groups) * sizeof(*memory)), *lo = memory + n, *hi = lo + groups;
    struct srq_grid_args args = { .size = sizeof(args),
                                  .weight = layer->weight,
                                  .scheme = layer->scheme,
                                  .groups = layer->groups,
                                  .lo = lo,
                                  .hi = hi,
                                  .v = memory };
    int rc;

    if (memory == NULL || grid == NULL) {
        h->free(memory);
        return srq_fail_field(err, -SRQ_ENOMEM, layer->name, "no memory or no grid for %s", layer->name);
    }
    for (int64_t i = 0; i < n; i++)
        memory[i] = (float)(d->strength * (h->uniform((uint64_t)layer->index, (uint64_t)i) - 0.5));
    rc = grid->extrema(&args, lo, hi);
    if (rc == 0)
        grid->encode(&args, 0, layer->groups->out, out);
    h->free(memory);
    return rc != 0 ? srq_fail(err, rc, "the ranges of %s could not be found", layer->name) : 0;
}

static const struct srq_option options[] = {
    SRQ_OPTION(.name = "strength", .type = SRQ_OPT_FLOAT, .max = 1, .value = "1",
               .help = "Width of the offset; 0: plain rounding."),
};

static const struct srq_oneshot oneshot = { .size = sizeof(oneshot), .quantize = quantize };

const struct srq_plugin srq_plugin = {
    .magic = SRQ_PLUGIN_MAGIC,
    .abi_major = SRQ_ABI_MAJOR,
    .abi_minor = SRQ_ABI_MINOR,
    .size = sizeof(struct srq_plugin),
    .name = "dither",
    .version = "1.0",
    .summary = "Rounds with a random offset.",
    SRQ_OPTIONS(options),
    .create = create,
    .destroy = destroy,
    .oneshot = &oneshot,
};
