/* Rounding to the nearest value of the grid, without tuning (spec signround 6).
 *
 * Plain: the scale of every group comes from its extrema; needs no data. With the option "opt" it comes from a search
 * for the least sum of squared errors, weighted by the importance of the inputs where calibration data gives it:
 * symmetric integers of less than 8 bits, nvfp4 and k-quants. The mx formats, whose scales are powers of two, are
 * searched without weights; asymmetric integers, 8 bits and fp8 are rounded plainly in any case. */
#include <srq/plugin.h>

#include <string.h>

enum opt { OFF, WEIGHTED, FREE };

struct rtn {
    enum opt opt;
};

struct job {
    struct srq_grid_args args;
    const struct srq_grid_ops *grid;
    const float *importance;
    float *start;
    struct srq_result *out;
};

static int rtn_create(const struct srq_host *h, const struct srq_options *o, void **self, struct srq_error *err)
{
    struct rtn *s = h->alloc(sizeof(*s));
    const char *opt = o != NULL ? h->opt_string(o, "opt") : NULL;

    if (s == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "no memory for rtn");
    s->opt = opt == NULL || strcmp(opt, "off") == 0 ? OFF : strcmp(opt, "on") == 0 ? WEIGHTED : FREE;
    *self = s;
    return 0;
}

static void rtn_destroy(const struct srq_host *h, void *self)
{
    h->free(self);
}

static uint32_t needs_of(const struct srq_host *h, void *self)
{
    const struct rtn *s = self;

    (void)h;
    return s->opt == WEIGHTED ? SRQ_NEED_IMPORTANCE : 0;
}

static bool searches(const struct rtn *s, const struct srq_grid_ops *grid, const struct srq_scheme *scheme)
{
    if (s->opt == OFF || grid->search == NULL)
        return false;
    return scheme->grid != SRQ_GRID_INT_SYM || scheme->bits < 8;
}

static void search_rows(void *ctx, int64_t begin, int64_t end)
{
    const struct job *j = ctx;

    j->grid->search(&j->args, j->importance, begin, end - begin, j->start);
}

static void encode_rows(void *ctx, int64_t begin, int64_t end)
{
    const struct job *j = ctx;

    j->grid->encode(&j->args, begin, end - begin, j->out);
}

static void round_layer(const struct srq_host *h, const struct rtn *s, struct job *j)
{
    const struct srq_scheme *scheme = j->args.scheme;
    bool mx = scheme->grid == SRQ_GRID_MXFP4 || scheme->grid == SRQ_GRID_MXFP8;
    int64_t out = j->args.groups->out;

    if (searches(s, j->grid, scheme)) {
        if (s->opt == FREE || mx)
            j->importance = NULL;
        if (scheme->group == 0) /* one group: its rows cannot be shared out */
            search_rows(j, 0, out);
        else
            h->parallel(out, 1, search_rows, j);
        j->args.start = j->start;
    }
    h->parallel(out, 16, encode_rows, j);
}

static int rtn_quantize(const struct srq_host *h, void *self, struct srq_layer *layer, struct srq_result *out,
                        struct srq_error *err)
{
    struct job j = { .grid = h->grid(layer->scheme->grid), .importance = layer->importance, .out = out };
    int64_t n = layer->groups->count;
    float *range;
    int rc;

    if (j.grid == NULL)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, layer->name, "the grid of %s is not in this build", layer->name);
    range = h->alloc(4 * (size_t)n * sizeof(*range));
    if (range == NULL)
        return srq_fail_field(err, -SRQ_ENOMEM, layer->name, "no memory for the ranges of %s", layer->name);
    j.args = (struct srq_grid_args){
        .size = sizeof(j.args),
        .weight = layer->weight,
        .scheme = layer->scheme,
        .groups = layer->groups,
        .lo = range,
        .hi = range + n,
        .start_min = range + 3 * n,
        .tensor_scale = layer->tensor_scale,
    };
    j.start = range + 2 * n;
    rc = j.grid->extrema(&j.args, range, range + n);
    if (rc != 0)
        srq_fail_field(err, rc, layer->name, "the ranges of %s could not be found", layer->name);
    else
        round_layer(h, self, &j);
    h->free(range);
    return rc;
}

static const struct srq_option options[] = {
    SRQ_OPTION(
            .name = "recipe", .type = SRQ_OPT_CHOICE, .choices = "rtn,opt_rtn", .value = "rtn",
            .help =
                "Set of defaults: opt_rtn searches the scales with importance from 128 samples of calibration text."),
    SRQ_OPTION(.name = "opt", .type = SRQ_OPT_CHOICE, .choices = "off,on,free", .value = "off",
               .help =
                   "Search the scale of every group: on weighs errors by the inputs of calibration text, free weighs "
                   "all alike and needs no text. Asymmetric and 8-bit integers and fp8 are rounded plainly."),
};

static const struct srq_recipe_row recipes[] = {
    SRQ_RECIPE("rtn", "opt", "off"),
    SRQ_RECIPE("opt_rtn", "opt", "on"),
    SRQ_RECIPE("opt_rtn", "job.nsamples", "128"),
    SRQ_RECIPE("opt_rtn", "job.seqlen", "2048"),
    SRQ_RECIPE("opt_rtn", "job.batch", "8"),
};

static const struct srq_oneshot rtn_oneshot = {
    .size = sizeof(rtn_oneshot),
    .quantize = rtn_quantize,
    .needs = needs_of,
};

const struct srq_plugin srq_plugin = {
    SRQ_PLUGIN_HEAD,
    .name = "rtn",
    .version = "1.1",
    .summary =
        "Rounding of every weight to the nearest value of its grid: plainly, without data, or with searched scales.",
    SRQ_OPTIONS(options),
    SRQ_RECIPES(recipes),
    .create = rtn_create,
    .destroy = rtn_destroy,
    .oneshot = &rtn_oneshot,
};
