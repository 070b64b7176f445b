/* A plugin with the part that GIVE says (.oneshot = &oneshot_part), which looks at all that it is shown: each struct
 * must say that it is as long as in ABI 2.0, and be what it says it is of. LATER: bytes of members that its own headers
 * have beyond that. It rounds plainly. Built by tests/e2e/plugin_growth.py. */
#include <srq/plugin.h>

#include <math.h>

#define LONG_ENOUGH(p) ((p) != NULL && (p)->size >= sizeof(*(p)) - LATER)

static char nothing;

static int create(const struct srq_host *h, const struct srq_options *o, void **self, struct srq_error *err)
{
    *self = &nothing;
    if (!LONG_ENOUGH(h) || h->opt_int(o, "number") != 7 || strcmp(h->opt_string(o, "word"), "yes") != 0)
        return srq_fail(err, -SRQ_EINVAL, "the host or its options are not what they should be");
    return 0;
}

static void destroy(const struct srq_host *h, void *self)
{
    (void)h;
    (void)self;
}

static int wrong(struct srq_error *err, const char *what)
{
    return srq_fail(err, -SRQ_EINVAL, "%s is not as long as it should be, or not of what it should be", what);
}

/* Weight, scheme and groups of one layer; with `data` what the weight holds too. */
static bool is_sound(const struct srq_layer *l, bool data)
{
    return LONG_ENOUGH(l) && LONG_ENOUGH(l->weight) && LONG_ENOUGH(l->scheme) && LONG_ENOUGH(l->groups) &&
           l->name != NULL && l->weight->rank == 2 && l->weight->shape[0] == l->groups->out &&
           l->weight->shape[1] == l->groups->in && (l->weight->data != NULL) >= data &&
           (l->scheme->group <= 0 || l->groups->len <= l->scheme->group);
}

static int accepts(const struct srq_host *h, void *self, const struct srq_layer *layer, struct srq_error *err)
{
    (void)h;
    (void)self;
    return is_sound(layer, false) ? 0 : wrong(err, "a layer that is asked about");
}

/* ---- quantizers -------------------------------------------------------------------------------------------------- */

static struct srq_grid_args args_of(const struct srq_layer *l, const float *range)
{
    return (struct srq_grid_args){ .size = sizeof(struct srq_grid_args),
                                   .tensor_scale = l->tensor_scale,
                                   .weight = l->weight,
                                   .scheme = l->scheme,
                                   .groups = l->groups,
                                   .lo = range,
                                   .hi = range + l->groups->count };
}

static int quantize(const struct srq_host *h, void *self, struct srq_layer *layer, struct srq_result *out,
                    struct srq_error *err)
{
    const struct srq_grid_ops *grid = h->grid(layer->scheme->grid);
    float *range = h->alloc(2 * (size_t)layer->groups->count * sizeof(*range));
    struct srq_grid_args a = args_of(layer, range);
    int rc;

    (void)self;
    if (!is_sound(layer, true) || !LONG_ENOUGH(out) || !LONG_ENOUGH(grid) || range == NULL || layer->in_max == NULL)
        return wrong(err, "a layer to round");
    rc = grid->extrema(&a, range, range + layer->groups->count);
    grid->encode(&a, 0, layer->groups->out, out);
    h->free(range);
    return rc;
}

static uint32_t needs_ranges(const struct srq_host *h, void *self)
{
    (void)h;
    (void)self;
    return SRQ_NEED_RANGES;
}

static int schedule(const struct srq_host *h, void *self, struct srq_schedule *out, struct srq_error *err)
{
    (void)h;
    (void)self;
    if (!LONG_ENOUGH(out))
        return wrong(err, "a schedule");
    out->iters = 2;
    return 0;
}

static int declare(const struct srq_host *h, void *self, const struct srq_layer *layer, struct srq_params *to,
                   struct srq_error *err)
{
    struct srq_param range = {
        .size = sizeof(range), .kind = SRQ_PARAM_SCRATCH, .name = "range", .count = 2 * layer->groups->count
    };
    struct srq_param sum = { .size = sizeof(sum), .kind = SRQ_PARAM_TUNED, .init = 3, .name = "sum", .count = 1 };

    (void)self;
    h->declare(to, &range);
    h->declare(to, &sum);
    return is_sound(layer, false) ? 0 : wrong(err, "a layer to declare arrays for");
}

static int begin(const struct srq_host *h, void *self, struct srq_layer *layer, struct srq_error *err)
{
    struct srq_grid_args a = args_of(layer, layer->param[0]);

    (void)self;
    if (!is_sound(layer, true) || !(layer->param[1][0] == 3) || layer->importance == NULL)
        return wrong(err, "a layer to tune");
    return h->grid(layer->scheme->grid)->extrema(&a, layer->param[0], layer->param[0] + layer->groups->count);
}

static int weight(const struct srq_host *h, void *self, struct srq_layer *layer, struct srq_tensor *dst,
                  struct srq_error *err)
{
    struct srq_grid_args a = args_of(layer, layer->param[0]);

    (void)self;
    if (!is_sound(layer, true) || !LONG_ENOUGH(dst) || dst->data == NULL)
        return wrong(err, "where a weight goes");
    h->grid(layer->scheme->grid)->fake(&a, 0, layer->groups->out, dst->data, dst->dtype, layer->groups->in);
    return 0;
}

static void sink(const struct srq_host *h, void *self, struct srq_layer *layer, const struct srq_step *step,
                 int64_t row, int64_t rows, float *grad)
{
    struct srq_grid_args a = args_of(layer, layer->param[0]);

    (void)self;
    h->grid(layer->scheme->grid)->grad(&a, row, rows, grad, NULL, NULL);
    if (row == 0 && is_sound(layer, true) && LONG_ENOUGH(step))
        layer->param[1][0]++;
}

static int step(const struct srq_host *h, void *self, struct srq_layer *layer, const struct srq_step *step,
                struct srq_error *err)
{
    (void)h;
    (void)self;
    return is_sound(layer, true) && LONG_ENOUGH(step) && layer->param[1][0] > 3 ? 0 : wrong(err, "a step");
}

static int finish(const struct srq_host *h, void *self, struct srq_layer *layer, struct srq_result *out,
                  struct srq_error *err)
{
    struct srq_grid_args a = args_of(layer, layer->param[0]);

    (void)self;
    if (!is_sound(layer, true) || !LONG_ENOUGH(out))
        return wrong(err, "a layer to finish");
    h->grid(layer->scheme->grid)->encode(&a, 0, layer->groups->out, out);
    return 0;
}

static uint32_t needs_importance(const struct srq_host *h, void *self)
{
    (void)h;
    (void)self;
    return SRQ_NEED_IMPORTANCE;
}

static int rules(const struct srq_host *h, void *self, const struct srq_layer *const *layers, int count,
                 struct srq_block_rules *out, struct srq_error *err)
{
    (void)h;
    (void)self;
    for (int i = 0; i < count; i++) {
        if (!is_sound(layers[i], false))
            return wrong(err, "a layer of a block");
    }
    return LONG_ENOUGH(out) ? 0 : wrong(err, "the rules of a block");
}

/* ---- scores and plans -------------------------------------------------------------------------------------------- */

static int data(const struct srq_host *h, void *self, struct srq_score_data *out, struct srq_error *err)
{
    struct srq_score_data mine = { .size = sizeof(mine), .nsamples = 2, .seqlen = 32 };

    (void)h;
    (void)self;
    if (!LONG_ENOUGH(out))
        return wrong(err, "what scores are taken on");
    srq_copy_known(out, &mine);
    return 0;
}

static double rows(const struct srq_host *h, void *self, const struct srq_score_rows *r)
{
    (void)h;
    (void)self;
    return LONG_ENOUGH(r) && is_sound(r->layer, true) && r->rows > 0 ? 1.0 / r->layer->scheme->bits : (double)NAN;
}

/* The fewest bits everywhere. */
static int solve(const struct srq_host *h, void *self, const struct srq_alloc_unit *const *units, int count,
                 uint64_t budget, struct srq_alloc_result *out, struct srq_error *err)
{
    (void)h;
    (void)self;
    (void)budget;
    if (!LONG_ENOUGH(out) || out->front_cap < 1)
        return wrong(err, "where a plan goes");
    out->bits = 0;
    out->loss = 0;
    for (int u = 0; u < count; u++) {
        int best = 0;

        if (!LONG_ENOUGH(units[u]) || units[u]->choices < 1)
            return wrong(err, "a unit");
        for (int c = 1; c < units[u]->choices; c++)
            best = units[u]->bits[c] < units[u]->bits[best] ? c : best;
        out->choice[u] = best;
        out->bits += units[u]->bits[best];
        out->loss += units[u]->loss[best];
    }
    out->bound = -INFINITY;
    out->front_bits[0] = out->bits;
    out->front_loss[0] = out->loss;
    out->front_count = 1;
    return 0;
}

/* ---- scales ------------------------------------------------------------------------------------------------------ */

static const char *kinds(const struct srq_host *h, void *self)
{
    (void)h;
    (void)self;
    return "ABCD";
}

static int training(const struct srq_host *h, void *self, struct srq_transform_schedule *out, struct srq_error *err)
{
    struct srq_transform_schedule mine = { .size = sizeof(mine),
                                           .objective = SRQ_OBJECTIVE_BLOCK_MSE,
                                           .steps = 1,
                                           .batch = 2,
                                           .nsamples = 4,
                                           .seqlen = 32,
                                           .probe_every = 1,
                                           .states = 1 };

    (void)h;
    (void)self;
    if (!LONG_ENOUGH(out))
        return wrong(err, "how scales are trained");
    srq_copy_known(out, &mine);
    return 0;
}

static int start(const struct srq_host *h, void *self, struct srq_scale_group *g, struct srq_error *err)
{
    (void)h;
    (void)self;
    if (!LONG_ENOUGH(g) || g->count < 1 || g->state[0] == NULL)
        return wrong(err, "a group of scales");
    for (int i = 0; i < g->count; i++) {
        if (!is_sound(g->consumers[i], true) || g->consumers[i]->in_max == NULL)
            return wrong(err, "a consumer of scales");
    }
    return 0;
}

static int move(const struct srq_host *h, void *self, struct srq_scale_group *g, const struct srq_step *step,
                float *grad, struct srq_error *err)
{
    (void)h;
    (void)self;
    (void)grad;
    return LONG_ENOUGH(g) && LONG_ENOUGH(step) && g->state[0] != NULL ? 0 : wrong(err, "a step of scales");
}

/* ---- tables ------------------------------------------------------------------------------------------------------ */

static const struct srq_option options[] = {
    SRQ_OPTION(.name = "word", .type = SRQ_OPT_CHOICE, .choices = "no,yes", .value = "yes", .help = "A word."),
    SRQ_OPTION(.name = "number", .type = SRQ_OPT_INT, .min = 1, .max = 9, .value = "1", .help = "A number."),
    SRQ_OPTION(.name = "recipe", .type = SRQ_OPT_CHOICE, .choices = "all", .value = "all", .help = "A recipe."),
};
static const struct srq_recipe_row recipes[] = { SRQ_RECIPE("all", "word", "yes"), SRQ_RECIPE("all", "number", "7") };

extern const struct srq_oneshot oneshot_part;
const struct srq_oneshot oneshot_part = { .size = sizeof(oneshot_part), .quantize = quantize, .needs = needs_ranges };
extern const struct srq_tunable tunable_part;
const struct srq_tunable tunable_part = { .size = sizeof(tunable_part),
                                          .schedule = schedule,
                                          .declare = declare,
                                          .begin = begin,
                                          .weight = weight,
                                          .sink = sink,
                                          .step = step,
                                          .finish = finish,
                                          .needs = needs_importance,
                                          .rules = rules };
extern const struct srq_scorer scorer_part;
const struct srq_scorer scorer_part = { .size = sizeof(scorer_part), .data = data, .rows = rows };
extern const struct srq_allocator allocator_part;
const struct srq_allocator allocator_part = { .size = sizeof(allocator_part), .solve = solve };
extern const struct srq_transform transform_part;
const struct srq_transform transform_part = { .size = sizeof(transform_part),
                                              .needs = needs_ranges,
                                              .kinds = kinds,
                                              .schedule = training,
                                              .begin = start,
                                              .step = move };

const struct srq_plugin srq_plugin = {
    .magic = SRQ_PLUGIN_MAGIC,
    .abi_major = SRQ_ABI_MAJOR,
    .abi_minor = SRQ_ABI_MINOR,
    .size = sizeof(struct srq_plugin),
    .name = NAME,
    .version = "1",
    .summary = "Looks at what it is shown.",
    SRQ_OPTIONS(options),
    SRQ_RECIPES(recipes),
    .create = create,
    .destroy = destroy,
    .accepts = accepts,
    GIVE,
};
