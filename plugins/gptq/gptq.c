/* GPTQ: columns are rounded one after the other, and what that does to the layer's output is made up for in the columns
 * still to come (spec seed-methods 4).
 *
 * H is the second moment of the layer's inputs, H + λI = R Rᵀ with λ = damp · mean diag H, and U = R⁻¹ says how much of
 * a column's error goes where. The scale of a group is taken from its weights as they are when its first column is
 * reached, with all feedback in them, or beforehand from the original ones (static_groups), which an order of columns
 * by their importance (act_order) needs: exports have no place for groups of scattered columns. Columns that no token
 * reached are rounded plainly. */
#include "plugins/one_group.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define RETRIES 3       /* of damping, each ten times the one before */
#define SEARCH_STEPS 80 /* of 1 % */
#define SEARCH_POWER 2.4f

struct gptq {
    bool act_order, static_groups, search, sequential;
    double damp;
    int64_t block;
};

/* One layer at work. Columns are in the order in which they are rounded. */
struct work {
    const struct gptq *o;
    const struct srq_layer *layer;
    struct srq_result *out;
    const struct srq_grid_ops *grid;
    int64_t *order; /* [in] column of the layer; NULL: as stored */
    bool fixed;     /* scales are there already */
    float most;     /* largest code */
};

/* ---- options ----------------------------------------------------------------------------------------------------- */

static int gptq_create(const struct srq_host *h, const struct srq_options *o, void **self, struct srq_error *err)
{
    struct gptq *s = h->alloc(sizeof(*s));

    if (s == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "no memory for gptq");
    s->act_order = h->opt_bool(o, "act_order");
    s->static_groups = h->opt_bool(o, "static_groups") || s->act_order;
    s->search = h->opt_bool(o, "range_search");
    s->sequential = h->opt_bool(o, "true_sequential");
    s->damp = h->opt_float(o, "damp");
    s->block = h->opt_int(o, "block");
    *self = s;
    return 0;
}

static void gptq_destroy(const struct srq_host *h, void *self)
{
    h->free(self);
}

static uint32_t needs_of(const struct srq_host *h, void *self)
{
    const struct gptq *s = self;

    (void)h;
    return SRQ_NEED_HESSIAN | SRQ_NEED_FEEDBACK | (s->sequential ? SRQ_NEED_SEQUENTIAL : 0);
}

static int gptq_accepts(const struct srq_host *h, void *self, const struct srq_layer *layer, struct srq_error *err)
{
    (void)h;
    (void)self;
    if (layer->scheme->grid == SRQ_GRID_INT_SYM || layer->scheme->grid == SRQ_GRID_INT_ASYM)
        return 0;
    return srq_fail_field(err, -SRQ_EUNSUPPORTED, layer->name, "gptq rounds to integers (w4g64, w3g64z, …) only");
}

/* ---- groups ------------------------------------------------------------------------------------------------------ */

/* Scale, zero-point and codes of one group of `len` weights whose range is shrunk to `share`. */
static void fit_once(const struct work *k, const float *w, int64_t len, float share, uint8_t *codes, float *scale,
                     uint8_t *zero)
{
    struct srq_result r = { .size = sizeof(r), .codes = codes, .scale = scale, .zero = zero };
    struct one_group g;
    float lo = 0, hi = 0;

    for (int64_t i = 0; i < len; i++) {
        lo = w[i] < lo ? w[i] : lo;
        hi = w[i] > hi ? w[i] : hi;
    }
    lo *= share;
    hi *= share;
    one_group_make(&g, k->layer, w, len, &lo, &hi);
    k->grid->encode(&g.args, 0, 1, &r);
}

/* Its scale and zero-point, by the whole range or by that share of it which leaves the least error. codes: scratch
 * [len]. */
static void fit(const struct work *k, const float *w, int64_t len, uint8_t *codes, float *scale, uint8_t *zero)
{
    double least = INFINITY;
    float best = 1;

    for (int step = 0; k->o->search && step < SEARCH_STEPS; step++) {
        float share = 1 - 0.01f * (float)step;
        double sum = 0;

        fit_once(k, w, len, share, codes, scale, zero);
        for (int64_t i = 0; i < len; i++)
            sum += (double)powf(fabsf(((float)codes[i] - (float)*zero) * *scale - w[i]), SEARCH_POWER);
        if (sum < least) {
            least = sum;
            best = share;
        }
    }
    fit_once(k, w, len, best, codes, scale, zero);
}

static int64_t group_of(const struct srq_groups *g, int64_t row, int64_t col)
{
    return g->count == 1 ? 0 : row * g->per_row + col / g->len;
}

/* What GPTQ calls for every column: the value that stands for the weight. */
static float round_one(void *ctx, int64_t row, int64_t at, const float *w)
{
    const struct work *k = ctx;
    const struct srq_groups *g = k->layer->groups;
    int64_t col = k->order != NULL ? k->order[at] : at, group = group_of(g, row, col);
    struct srq_result *out = k->out;
    float q, s, z;

    if (!k->fixed && col % g->len == 0) {
        int64_t len = g->in - col < g->len ? g->in - col : g->len;

        fit(k, w + col, len, out->codes + row * g->in + col, &out->scale[group], &out->zero[group]);
    }
    s = out->scale[group];
    z = (float)out->zero[group];
    q = rintf(w[at] / s) + z;
    q = !(q > 0) ? 0 : q > k->most ? k->most : q;
    out->codes[row * g->in + col] = (uint8_t)q;
    return (q - z) * s;
}

/* Scales from the original weights, as plain rounding has them. */
struct whole {
    const struct work *k;
    struct srq_grid_args args;
    const float *w; /* [out, in] */
};

static void encode_rows(void *ctx, int64_t begin, int64_t end)
{
    const struct whole *c = ctx;

    c->k->grid->encode(&c->args, begin, end - begin, c->k->out);
}

static void fit_rows(void *ctx, int64_t begin, int64_t end)
{
    const struct whole *c = ctx;
    const struct srq_groups *g = c->k->layer->groups;
    struct srq_result *out = c->k->out;

    for (int64_t row = begin; row < end; row++) {
        for (int64_t col = 0; col < g->in; col += g->len) {
            int64_t len = g->in - col < g->len ? g->in - col : g->len, group = group_of(g, row, col);

            fit(c->k, c->w + row * g->in + col, len, out->codes + row * g->in + col, &out->scale[group],
                &out->zero[group]);
        }
    }
}

static int fit_all(const struct srq_host *h, struct work *k, const float *w, struct srq_error *err)
{
    const struct srq_layer *l = k->layer;
    int64_t n = l->groups->count;
    struct whole c = { .k = k,
                       .w = w,
                       .args = { .size = sizeof(c.args),
                                 .weight = l->weight,
                                 .scheme = l->scheme,
                                 .groups = l->groups,
                                 .tensor_scale = 1 } };
    float *range;
    int rc;

    k->fixed = true;
    if (k->o->search && l->scheme->group != 0) {
        h->parallel(l->groups->out, 4, fit_rows, &c);
        return 0;
    }
    range = h->alloc(2 * (size_t)n * sizeof(*range));
    if (range == NULL)
        return srq_fail_field(err, -SRQ_ENOMEM, l->name, "no memory for the ranges of %s", l->name);
    c.args.lo = range;
    c.args.hi = range + n;
    rc = k->grid->extrema(&c.args, range, range + n);
    if (rc == 0)
        h->parallel(l->groups->out, 16, encode_rows, &c);
    else
        srq_fail_field(err, rc, l->name, "the ranges of %s could not be found", l->name);
    h->free(range);
    return rc;
}

/* ---- the factor -------------------------------------------------------------------------------------------------- */

struct ranked {
    float weight;
    int64_t col;
};

static int by_weight(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;

    if (x->weight != y->weight)
        return x->weight > y->weight ? -1 : 1;
    return x->col < y->col ? -1 : x->col > y->col;
}

/* Columns by the size of their inputs, largest first. */
static int64_t *order_of(const struct srq_host *h, const struct srq_layer *l)
{
    int64_t n = l->groups->in, *order = h->alloc((size_t)n * sizeof(*order));
    struct ranked *r = h->alloc((size_t)n * sizeof(*r));

    if (order == NULL || r == NULL) {
        h->free(order);
        h->free(r);
        return NULL;
    }
    for (int64_t i = 0; i < n; i++)
        r[i] = (struct ranked){ l->hessian[i * n + i], i };
    qsort(r, (size_t)n, sizeof(*r), by_weight);
    for (int64_t i = 0; i < n; i++)
        order[i] = r[i].col;
    h->free(r);
    return order;
}

/* H in the order of columns, with ones for those that nothing reached. Returns the mean of its diagonal. */
static double take_hessian(const struct work *k, float *m)
{
    int64_t n = k->layer->groups->in;
    double trace = 0;

    for (int64_t i = 0; i < n; i++) {
        const float *row = k->layer->hessian + (k->order != NULL ? k->order[i] : i) * n;

        for (int64_t j = 0; j < n; j++)
            m[i * n + j] = row[k->order != NULL ? k->order[j] : j];
        trace += (double)m[i * n + i];
    }
    for (int64_t i = 0; i < n; i++)
        if (!(m[i * n + i] > 0))
            m[i * n + i] = 1;
    return trace / (double)n;
}

/* U, with more damping where the one asked for is too little. *usable false: none was enough. */
static int factor(const struct srq_host *h, const struct work *k, const float *m, double mean, float *u, bool *usable,
                  struct srq_error *err)
{
    const char *name = k->layer->name;
    double damp = k->o->damp;
    int rc = 0;

    *usable = false;
    for (int i = 0; i <= RETRIES; i++) {
        rc = h->inverse_factor(m, k->layer->groups->in, damp * mean, u);
        if (rc != -SRQ_ENUMERIC)
            break;
        if (i < RETRIES)
            h->log(SRQ_LOG_WARN,
                   "gptq: the second moment of the inputs of %s is not positive definite with damping "
                   "%g; trying %g",
                   name, damp, damp * 10);
        damp *= 10;
    }
    if (rc == -SRQ_ENUMERIC) {
        h->log(SRQ_LOG_WARN,
               "gptq: %s is rounded plainly: no damping up to %g made its second moment positive definite", name,
               damp / 10);
        return 0;
    }
    *usable = rc == 0;
    return rc == 0 ? 0 : srq_fail_field(err, rc, name, "no memory for the feedback of %s", name);
}

/* ---- a layer ----------------------------------------------------------------------------------------------------- */

/* How many columns are updated at once: no group begins inside such a run and ends behind it. */
static int64_t block_of(const struct work *k)
{
    int64_t len = k->layer->groups->len, asked = k->o->block;

    if (k->fixed || k->layer->groups->per_row == 1)
        return asked;
    if (len <= asked)
        return asked / len * len;
    while (len % asked != 0)
        asked--;
    return asked;
}

static void take_weights(const struct srq_host *h, const struct work *k, float *w, float *line)
{
    const struct srq_tensor *t = k->layer->weight;
    int64_t n = k->layer->groups->in;
    size_t row = (size_t)n * (t->dtype == SRQ_F32 ? sizeof(float) : sizeof(uint16_t));

    for (int64_t r = 0; r < k->layer->groups->out; r++) {
        h->widen((const uint8_t *)t->data + (size_t)r * row, t->dtype, line, n);
        for (int64_t i = 0; i < n; i++)
            w[r * n + i] = line[k->order != NULL ? k->order[i] : i];
    }
}

/* With all of its memory at hand: m, u [in, in], w [out, in], line [in]. */
static int quantize(const struct srq_host *h, struct work *k, float *m, float *u, float *w, float *line,
                    struct srq_error *err)
{
    bool usable = false;
    int rc = 0;

    if (k->o->static_groups || k->layer->scheme->group == 0) {
        int64_t *order = k->order;

        k->order = NULL; /* groups are those of the layer as stored */
        take_weights(h, k, w, line);
        rc = fit_all(h, k, w, err);
        k->order = order;
    }
    take_weights(h, k, w, line);
    if (rc == 0)
        rc = factor(h, k, m, take_hessian(k, m), u, &usable, err);
    if (rc == 0 && !usable)
        return k->fixed ? 0 : fit_all(h, k, w, err); /* order is NULL where scales are not fixed */
    if (rc == 0 &&
        h->column_feedback(w, k->layer->groups->out, k->layer->groups->in, u, block_of(k), round_one, k) != 0)
        rc = srq_fail_field(err, -SRQ_ENOMEM, k->layer->name, "no memory for the feedback of %s", k->layer->name);
    return rc;
}

static int gptq_quantize(const struct srq_host *h, void *self, struct srq_layer *layer, struct srq_result *out,
                         struct srq_error *err)
{
    struct work k = { .o = self,
                      .layer = layer,
                      .out = out,
                      .grid = h->grid(layer->scheme->grid),
                      .most = (float)((1 << layer->scheme->bits) - 1) };
    size_t n = (size_t)layer->groups->in;
    float *memory;
    int rc;

    if (k.grid == NULL || layer->hessian == NULL)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, layer->name, "gptq cannot round %s: there is no %s", layer->name,
                              k.grid == NULL ? "such grid in this build" : "second moment of its inputs");
    memory = h->alloc((2 * n * n + (size_t)layer->groups->out * n + n) * sizeof(*memory));
    if (k.o->act_order)
        k.order = order_of(h, layer);
    if (memory == NULL || (k.o->act_order && k.order == NULL))
        rc = srq_fail_field(err, -SRQ_ENOMEM, layer->name, "no memory for the feedback of %s", layer->name);
    else
        rc = quantize(h, &k, memory, memory + n * n, memory + 2 * n * n + n, memory + 2 * n * n, err);
    h->free(memory);
    h->free(k.order);
    return rc;
}

static const struct srq_option options[] = {
    SRQ_OPTION(.name = "act_order", .type = SRQ_OPT_BOOL, .value = "false",
               .help =
                   "Round columns with large inputs first; takes scales from the original weights (static_groups)."),
    SRQ_OPTION(.name = "static_groups", .type = SRQ_OPT_BOOL, .value = "false",
               .help = "Take the scales of all groups from the original weights, not from those with feedback."),
    SRQ_OPTION(.name = "true_sequential", .type = SRQ_OPT_BOOL, .value = "true",
               .help = "Inputs of a layer come through the layers before it in its own block as they were rounded."),
    SRQ_OPTION(.name = "range_search", .type = SRQ_OPT_BOOL, .value = "false",
               .help = "Shrink the range of a group to the share of it, in steps of 1 %, that leaves the least error "
                       "(power 2.4)."),
    SRQ_OPTION(.name = "damp", .type = SRQ_OPT_FLOAT, .min = 1e-6, .max = 1, .value = "0.01",
               .help = "Share of the mean diagonal that is added to the second moment; ten times more where it is not "
                       "positive definite, up to three times."),
    SRQ_OPTION(.name = "block", .type = SRQ_OPT_INT, .unit = "columns", .min = 1, .max = 4096, .value = "128",
               .help = "Columns that are updated at once; a matter of speed."),
};

static const struct srq_oneshot gptq_oneshot = {
    .size = sizeof(gptq_oneshot),
    .quantize = gptq_quantize,
    .needs = needs_of,
};

const struct srq_plugin srq_plugin = {
    SRQ_PLUGIN_HEAD,
    .name = "gptq",
    .version = "1",
    .summary = "Rounding column by column with feedback of the error, by second moments of the inputs (GPTQ).",
    SRQ_OPTIONS(options),
    .create = gptq_create,
    .destroy = gptq_destroy,
    .accepts = gptq_accepts,
    .oneshot = &gptq_oneshot,
};
