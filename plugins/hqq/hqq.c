/* HQQ: ranges by half-quadratic splitting, without data (spec seed-methods 4).
 *
 * With W_q the codes and D = W - s (W_q - z) the error, the outliers of D are set apart by the shrinkage of an Lp norm,
 * p < 1, W_e = sign(D) max(|D| - |D|^(p-1) / beta, 0), and the range is the one that explains the rest, W - W_e, best.
 * The method as published keeps the scale of plain rounding and moves a real zero-point; files that runtimes load have
 * whole ones, which leaves nothing to find at a given scale, so both are fitted here: s by least squares over W_q - z,
 * then z = mean(W_q - (W - W_e) / s), rounded. Iterations go on as long as the sum of |D|^p falls. Of the ranges that
 * they come to, that of the least squared error is taken, where it is clearly less than plain rounding's and no |D| is
 * above half a step of that: outliers that |D|^p gives up are what a model misses most, and a range that gains little
 * is another draw of the same lot. */
#include "plugins/one_group.h"

#include <math.h>
#include <stdatomic.h>

#define PAYS 0.75 /* of the squared error of plain rounding: what a range may leave of it */

struct hqq {
    int64_t iters;
    float p, beta, growth;
};

struct work {
    const struct hqq *o;
    const struct srq_host *h;
    const struct srq_layer *layer;
    const struct srq_grid_ops *grid;
    struct srq_grid_args args;
    struct srq_result *out;
    float most;            /* largest code */
    atomic_bool no_memory; /* of any thread */
};

static int hqq_create(const struct srq_host *h, const struct srq_options *o, void **self, struct srq_error *err)
{
    struct hqq *s = h->alloc(sizeof(*s));

    if (s == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "no memory for hqq");
    s->iters = h->opt_int(o, "iters");
    s->p = (float)h->opt_float(o, "lp_norm");
    s->beta = (float)h->opt_float(o, "beta");
    s->growth = (float)h->opt_float(o, "growth");
    *self = s;
    return 0;
}

static void hqq_destroy(const struct srq_host *h, void *self)
{
    h->free(self);
}

static int hqq_accepts(const struct srq_host *h, void *self, const struct srq_layer *layer, struct srq_error *err)
{
    (void)h;
    (void)self;
    if (layer->scheme->grid == SRQ_GRID_INT_ASYM && layer->scheme->group != 0)
        return 0;
    return srq_fail_field(
        err, -SRQ_EUNSUPPORTED, layer->name,
        "hqq fits ranges with zero-points, which only asymmetric schemes of groups or rows have (w4g64z, w3z, …)");
}

static float code_of(const struct work *k, float w, float s, float z)
{
    float q = rintf(w / s + z);

    return !(q > 0) ? 0 : q > k->most ? k->most : q;
}

/* One group as it stands. */
struct unit {
    float s, z;
    double misfit, square; /* sum of |D|^p, of D^2 */
    float worst;           /* largest |D| */
};

static void judge(const struct work *k, const float *w, int64_t n, struct unit *u)
{
    u->misfit = u->square = u->worst = 0;
    for (int64_t i = 0; i < n; i++) {
        float d = fabsf(w[i] - u->s * (code_of(k, w[i], u->s, u->z) - u->z));

        u->misfit += (double)(d > 0 ? powf(d, k->o->p) : 0);
        u->square += (double)d * (double)d;
        u->worst = fmaxf(u->worst, d);
    }
}

/* What is left of an error that is an outlier. */
static float outlier(const struct work *k, float d, float beta)
{
    float size = fabsf(d), left = size > 0 ? size - powf(size, k->o->p - 1) / beta : 0;

    return left > 0 ? copysignf(left, d) : 0;
}

/* The range [-z s, (most - z) s] as it can be stored: the scale in half precision, a whole zero-point. codes: [n]
 * scratch. */
static void store(const struct work *k, const float *w, int64_t n, uint8_t *codes, struct unit *u)
{
    uint8_t zero = 0;
    struct srq_result r = { .size = sizeof(r), .codes = codes, .scale = &u->s, .zero = &zero };
    float lo = -u->z * u->s, hi = (k->most - u->z) * u->s;
    struct one_group g;

    one_group_make(&g, k->layer, w, n, &lo, &hi);
    k->grid->encode(&g.args, 0, 1, &r);
    u->z = (float)zero;
}

/* The range that explains the group without its outliers; false where there is none. */
static bool next_range(const struct work *k, const float *w, int64_t n, float beta, uint8_t *codes, struct unit *u)
{
    double up = 0, down = 0, shift = 0;
    float s = u->s, z = u->z;

    for (int64_t i = 0; i < n; i++) {
        float e = code_of(k, w[i], s, z) - z, rest = w[i] - outlier(k, w[i] - s * e, beta);

        up += (double)rest * (double)e;
        down += (double)e * (double)e;
    }
    if (!(down > 0) || !(up > 0))
        return false;
    u->s = (float)(up / down);
    for (int64_t i = 0; i < n; i++) {
        float q = code_of(k, w[i], s, z), rest = w[i] - outlier(k, w[i] - s * (q - z), beta);

        shift += (double)(q - rest / u->s);
    }
    u->z = rintf((float)(shift / (double)n));
    u->z = !(u->z > 0) ? 0 : u->z > k->most ? k->most : u->z;
    store(k, w, n, codes, u);
    judge(k, w, n, u);
    return true;
}

/* The best of the ranges that the iterations come to, or the one that was there. */
static void solve(const struct work *k, const float *w, int64_t n, uint8_t *codes, struct unit *u)
{
    float beta = k->o->beta, most;
    struct unit last;
    double least;

    judge(k, w, n, u);
    most = fmaxf(u->worst, 0.5f * fabsf(u->s));
    least = PAYS * u->square;
    last = *u;
    for (int64_t i = 0; i < k->o->iters; i++, beta *= k->o->growth) {
        struct unit next = last;

        if (!next_range(k, w, n, beta, codes, &next) || !(next.misfit < last.misfit))
            break;
        if (next.worst <= most && next.square <= least) {
            least = next.square;
            *u = next;
        }
        last = next;
    }
}

static void do_rows(void *ctx, int64_t begin, int64_t end)
{
    struct work *k = ctx;
    const struct srq_groups *g = k->layer->groups;
    const struct srq_tensor *t = k->layer->weight;
    size_t bytes = (size_t)g->in * (t->dtype == SRQ_F32 ? sizeof(float) : sizeof(uint16_t));
    float *line = k->h->alloc((size_t)g->in * sizeof(*line));

    if (line == NULL) {
        k->no_memory = true;
        return;
    }
    k->grid->encode(&k->args, begin, end - begin, k->out);
    for (int64_t row = begin; row < end; row++) {
        k->h->widen((const uint8_t *)t->data + (size_t)row * bytes, t->dtype, line, g->in);
        for (int64_t i = 0; i < g->per_row; i++) {
            int64_t first = i * g->len, n = g->in - first < g->len ? g->in - first : g->len,
                    group = row * g->per_row + i;
            struct unit u = { .s = k->out->scale[group], .z = (float)k->out->zero[group] };
            uint8_t *codes = k->out->codes + row * g->in + first;

            solve(k, line + first, n, codes, &u);
            k->out->scale[group] = u.s;
            k->out->zero[group] = (uint8_t)u.z;
            for (int64_t c = 0; c < n; c++)
                codes[c] = (uint8_t)code_of(k, line[first + c], u.s, u.z);
        }
    }
    k->h->free(line);
}

static int hqq_quantize(const struct srq_host *h, void *self, struct srq_layer *layer, struct srq_result *out,
                        struct srq_error *err)
{
    struct work k = { .o = self,
                      .h = h,
                      .layer = layer,
                      .grid = h->grid(layer->scheme->grid),
                      .out = out,
                      .most = (float)((1 << layer->scheme->bits) - 1) };
    int64_t n = layer->groups->count;
    float *range;
    int rc;

    if (k.grid == NULL)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, layer->name, "the grid of %s is not in this build", layer->name);
    range = h->alloc(2 * (size_t)n * sizeof(*range));
    if (range == NULL)
        return srq_fail_field(err, -SRQ_ENOMEM, layer->name, "no memory for the ranges of %s", layer->name);
    k.args = (struct srq_grid_args){ .size = sizeof(k.args),
                                     .weight = layer->weight,
                                     .scheme = layer->scheme,
                                     .groups = layer->groups,
                                     .lo = range,
                                     .hi = range + n,
                                     .tensor_scale = layer->tensor_scale };
    rc = k.grid->extrema(&k.args, range, range + n);
    if (rc != 0)
        srq_fail_field(err, rc, layer->name, "the ranges of %s could not be found", layer->name);
    else
        h->parallel(layer->groups->out, 4, do_rows, &k);
    if (rc == 0 && k.no_memory)
        rc = srq_fail_field(err, -SRQ_ENOMEM, layer->name, "no memory for the rows of %s", layer->name);
    h->free(range);
    return rc;
}

static const struct srq_option options[] = {
    SRQ_OPTION(.name = "iters", .type = SRQ_OPT_INT, .unit = "iterations", .max = 1000, .value = "20",
               .help = "Most iterations for a group; fewer where its error stops falling."),
    SRQ_OPTION(.name = "lp_norm", .type = SRQ_OPT_FLOAT, .min = 0.05, .max = 1, .value = "0.7",
               .help = "Power p of the error, below 1 so that outliers count less."),
    SRQ_OPTION(.name = "beta", .type = SRQ_OPT_FLOAT, .min = 1e-3, .max = 1e6, .value = "10",
               .help = "How little of an error is set apart as an outlier."),
    SRQ_OPTION(.name = "growth", .type = SRQ_OPT_FLOAT, .min = 1, .max = 10, .value = "1.01",
               .help = "Factor on beta after each iteration."),
};

static const struct srq_oneshot hqq_oneshot = { .size = sizeof(hqq_oneshot), .quantize = hqq_quantize };

const struct srq_plugin srq_plugin = {
    SRQ_PLUGIN_HEAD,
    .name = "hqq",
    .version = "1",
    .summary = "Ranges by half-quadratic splitting with an Lp norm, without data (HQQ); asymmetric schemes.",
    SRQ_OPTIONS(options),
    .create = hqq_create,
    .destroy = hqq_destroy,
    .accepts = hqq_accepts,
    .oneshot = &hqq_oneshot,
};
