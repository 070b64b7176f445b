/* Plain rounding to the nearest value of the grid: no data, no tuning (spec signround 6, pure RTN). */
#include <srq/plugin.h>

struct job {
    const struct srq_host *h;
    struct srq_grid_args args;
    const struct srq_grid_ops *grid;
    struct srq_result *out;
};

static int rtn_create(const struct srq_host *h, const struct srq_options *o, void **self, struct srq_error *err)
{
    (void)h;
    (void)o;
    (void)err;
    *self = NULL;
    return 0;
}

static void rtn_destroy(const struct srq_host *h, void *self)
{
    (void)h;
    (void)self;
}

static void encode_rows(void *ctx, int64_t begin, int64_t end)
{
    const struct job *j = ctx;

    j->grid->encode(&j->args, begin, end - begin, j->out);
}

static int rtn_quantize(const struct srq_host *h, void *self, struct srq_layer *layer, struct srq_result *out,
                        struct srq_error *err)
{
    struct job j = { .h = h, .grid = h->grid(layer->scheme.grid), .out = out };
    float *range;
    int rc;

    (void)self;
    if (j.grid == NULL)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, layer->name, "the grid of %s is not in this build", layer->name);
    range = h->alloc(2 * (size_t)layer->groups.count * sizeof(*range));
    if (range == NULL)
        return srq_fail_field(err, -SRQ_ENOMEM, layer->name, "no memory for the ranges of %s", layer->name);
    j.args = (struct srq_grid_args){
        .size = sizeof(j.args),
        .weight = &layer->weight,
        .scheme = layer->scheme,
        .groups = layer->groups,
        .lo = range,
        .hi = range + layer->groups.count,
        .tensor_scale = layer->tensor_scale,
    };
    rc = j.grid->extrema(&j.args, range, range + layer->groups.count);
    if (rc != 0)
        srq_fail_field(err, rc, layer->name, "the ranges of %s could not be found", layer->name);
    else
        h->parallel(layer->groups.out, 16, encode_rows, &j);
    h->free(range);
    return rc;
}

static const struct srq_oneshot rtn_oneshot = { .size = sizeof(rtn_oneshot), .quantize = rtn_quantize };

const struct srq_plugin srq_plugin = {
    .magic = SRQ_PLUGIN_MAGIC,
    .abi_major = SRQ_ABI_MAJOR,
    .abi_minor = SRQ_ABI_MINOR,
    .size = sizeof(struct srq_plugin),
    .name = "rtn",
    .version = "1.0",
    .summary = "Plain rounding of every weight to the nearest value of its grid; needs no data.",
    .create = rtn_create,
    .destroy = rtn_destroy,
    .oneshot = &rtn_oneshot,
};
