/* AWQ: channels with large inputs are scaled up before rounding, by a search for the least error of the layers'
 * outputs; then the range of every group is clipped where that lessens the error further (spec seed-methods 4).
 *
 * The scales are a transform, which the host folds into the model; the clipping is part of rounding. `awq` alone does
 * both, `awq,rtn` or any other quantizer behind it takes the scales only. A group's clipping is judged by its own
 * columns of the second moment of the inputs: d H d with d the error of the row in that group, shares of its range from
 * 1 to 1 - 9/20. */
#include "plugins/one_group.h"
#include "plugins/scale_rules.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#define SHARES 10 /* 1, 0.95 … 0.55 */
#define LANES 12  /* of whole vectors, the last ones 0 */

struct awq {
    bool clip, clip_all;
    char pairs[8];
};

static int awq_create(const struct srq_host *h, const struct srq_options *o, void **self, struct srq_error *err)
{
    struct awq *s = h->alloc(sizeof(*s));
    const char *clip;

    if (s == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "no memory for awq");
    clip = h->opt_string(o, "clip");
    s->clip = strcmp(clip, "off") != 0;
    s->clip_all = strcmp(clip, "all") == 0;
    snprintf(s->pairs, sizeof(s->pairs), "%s", h->opt_string(o, "pairs"));
    *self = s;
    return 0;
}

static void awq_destroy(const struct srq_host *h, void *self)
{
    h->free(self);
}

/* ---- scales ------------------------------------------------------------------------------------------------------ */

static uint32_t awq_needs(const struct srq_host *h, void *self)
{
    (void)h;
    (void)self;
    return SRQ_NEED_RANGES | SRQ_NEED_HESSIAN;
}

static const char *awq_kinds(const struct srq_host *h, void *self)
{
    (void)h;
    return ((const struct awq *)self)->pairs;
}

static int awq_schedule(const struct srq_host *h, void *self, struct srq_transform_schedule *out, struct srq_error *err)
{
    (void)h;
    (void)self;
    (void)out;
    (void)err;
    return 0; /* begin() is all there is */
}

static int awq_begin(const struct srq_host *h, void *self, struct srq_scale_group *g, struct srq_error *err)
{
    (void)self;
    return scale_rules_search(h, 1e-4f, g, err);
}

/* ---- clipping and rounding --------------------------------------------------------------------------------------- */

struct work {
    const struct srq_host *h;
    const struct srq_layer *layer;
    const struct srq_grid_ops *grid;
    struct srq_grid_args args;
    struct srq_result *out;
    float *lo, *hi;
    atomic_bool no_memory;
};

static uint32_t needs_of(const struct srq_host *h, void *self)
{
    (void)h;
    return ((const struct awq *)self)->clip ? SRQ_NEED_HESSIAN : 0;
}

static int awq_accepts(const struct srq_host *h, void *self, const struct srq_layer *layer, struct srq_error *err)
{
    (void)h;
    (void)self;
    if (layer->scheme->grid == SRQ_GRID_INT_SYM || layer->scheme->grid == SRQ_GRID_INT_ASYM)
        return 0;
    return srq_fail_field(err, -SRQ_EUNSUPPORTED, layer->name,
                          "awq rounds to integers (w4g64, w3g64z, …) only; give another quantizer behind it: awq,rtn");
}

/* Queries and keys are left as they are: clipping there disturbs the scores of attention. */
static bool clips(const struct awq *s, const struct srq_layer *l)
{
    const char *dot = strrchr(l->name, '.'), *name = dot != NULL ? dot + 1 : l->name;

    return s->clip && l->scheme->group != 0 && l->hessian != NULL &&
           (s->clip_all || (strcmp(name, "q_proj") != 0 && strcmp(name, "k_proj") != 0));
}

static float share(int s)
{
    return 1 - 0.05f * (float)s;
}

/* One group: weights w [n], its columns of H from `first` on; lo and hi become those of the best share. line: scratch,
 * [1 + LANES] times a whole group, zeros at first. The errors of all shares are summed up side by side. */
static void clip_group(const struct work *k, const float *w, int64_t first, int64_t n, float *lo, float *hi,
                       float *line)
{
    float *fake = line, (*d)[LANES] = (float(*)[LANES])(void *)(line + k->layer->groups->len);
    float low = *lo, high = *hi, at_lo = low, at_hi = high;
    double sums[LANES] = { 0 };
    struct one_group g;
    int best = 0;

    one_group_make(&g, k->layer, w, n, &at_lo, &at_hi);
    for (int s = 0; s < SHARES; s++) {
        at_lo = low * share(s);
        at_hi = high * share(s);
        k->grid->fake(&g.args, 0, 1, fake, SRQ_F32, n);
        for (int64_t i = 0; i < n; i++)
            d[i][s] = fake[i] - w[i];
    }
    for (int64_t i = 0; i < n; i++) {
        const float *row = k->layer->hessian + (first + i) * k->layer->groups->in + first;
        float dots[LANES] = { 0 };

        for (int64_t j = 0; j < n; j++)
            for (int s = 0; s < LANES; s++)
                dots[s] += row[j] * d[j][s];
        for (int s = 0; s < LANES; s++)
            sums[s] += (double)(d[i][s] * dots[s]);
    }
    for (int s = 1; s < SHARES; s++)
        best = sums[s] < sums[best] ? s : best;
    *lo = low * share(best);
    *hi = high * share(best);
}

static void clip_rows(void *ctx, int64_t begin, int64_t end)
{
    struct work *k = ctx;
    const struct srq_groups *g = k->layer->groups;
    const struct srq_tensor *t = k->layer->weight;
    size_t bytes = (size_t)g->in * (t->dtype == SRQ_F32 ? sizeof(float) : sizeof(uint16_t));
    float *line = k->h->alloc((size_t)(g->in + (1 + LANES) * g->len) * sizeof(*line));

    if (line == NULL) {
        k->no_memory = true;
        return;
    }
    for (int64_t row = begin; row < end; row++) {
        k->h->widen((const uint8_t *)t->data + (size_t)row * bytes, t->dtype, line, g->in);
        for (int64_t i = 0; i < g->per_row; i++) {
            int64_t first = i * g->len, n = g->in - first < g->len ? g->in - first : g->len, at = row * g->per_row + i;

            clip_group(k, line + first, first, n, &k->lo[at], &k->hi[at], line + g->in);
        }
    }
    k->h->free(line);
}

static void encode_rows(void *ctx, int64_t begin, int64_t end)
{
    const struct work *k = ctx;

    k->grid->encode(&k->args, begin, end - begin, k->out);
}

static int awq_quantize(const struct srq_host *h, void *self, struct srq_layer *layer, struct srq_result *out,
                        struct srq_error *err)
{
    struct work k = { .h = h, .layer = layer, .grid = h->grid(layer->scheme->grid), .out = out };
    int64_t n = layer->groups->count;
    int rc;

    if (k.grid == NULL)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, layer->name, "the grid of %s is not in this build", layer->name);
    k.lo = h->alloc(2 * (size_t)n * sizeof(*k.lo));
    if (k.lo == NULL)
        return srq_fail_field(err, -SRQ_ENOMEM, layer->name, "no memory for the ranges of %s", layer->name);
    k.hi = k.lo + n;
    k.args = (struct srq_grid_args){ .size = sizeof(k.args),
                                     .weight = layer->weight,
                                     .scheme = layer->scheme,
                                     .groups = layer->groups,
                                     .lo = k.lo,
                                     .hi = k.hi,
                                     .tensor_scale = layer->tensor_scale };
    rc = k.grid->extrema(&k.args, k.lo, k.hi);
    if (rc != 0)
        srq_fail_field(err, rc, layer->name, "the ranges of %s could not be found", layer->name);
    if (rc == 0 && clips(self, layer))
        h->parallel(layer->groups->out, 2, clip_rows, &k);
    if (rc == 0 && k.no_memory)
        rc = srq_fail_field(err, -SRQ_ENOMEM, layer->name, "no memory for clipping %s", layer->name);
    if (rc == 0)
        h->parallel(layer->groups->out, 16, encode_rows, &k);
    h->free(k.lo);
    return rc;
}

static const struct srq_option options[] = {
    SRQ_OPTION(.name = "clip", .type = SRQ_OPT_CHOICE, .choices = "on,off,all", .value = "on",
               .help =
                   "Clip the ranges of groups where that lessens the error: on for all layers but queries and keys."),
    SRQ_OPTION(.name = "pairs", .type = SRQ_OPT_CHOICE, .choices = "AB,ABCD", .value = "ABCD",
               .help = "Which layers have their inputs scaled: A q, k and v; B gate and up; C o; D down."),
};

static const struct srq_transform awq_transform = {
    .size = sizeof(awq_transform),
    .needs = awq_needs,
    .kinds = awq_kinds,
    .schedule = awq_schedule,
    .begin = awq_begin,
};

static const struct srq_oneshot awq_oneshot = {
    .size = sizeof(awq_oneshot),
    .quantize = awq_quantize,
    .needs = needs_of,
};

const struct srq_plugin srq_plugin = {
    SRQ_PLUGIN_HEAD,
    .name = "awq",
    .version = "1",
    .summary = "Scales by a search over powers of the mean inputs, and clipped ranges (AWQ); with another quantizer "
               "behind it the scales alone.",
    SRQ_OPTIONS(options),
    .create = awq_create,
    .destroy = awq_destroy,
    .accepts = awq_accepts,
    .oneshot = &awq_oneshot,
    .transform = &awq_transform,
};
