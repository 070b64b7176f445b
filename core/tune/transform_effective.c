/* Effective weights of a block, W_eff = Q(W diag(a)) diag(1/a), and what a gradient with respect to them says of a. */
#include "core/tune/transform_parts.h"

#include "core/base/alloc.h"
#include "core/base/simd.h"
#include "core/math/team.h"

#include <math.h>

#define ROWS SRQ_TRANSFORM_ROWS

/* ---- memory ------------------------------------------------------------------------------------------------------ */

/* Inputs of all linears of a block, the most that one has; the widest of them; and the most groups that some rows of a
 * layer have. */
static void widths(const struct srq_transformer *t, int64_t *all, int64_t *widest, int64_t *groups)
{
    *all = *widest = 0;
    *groups = 1;
    for (int b = 0; b < t->blocks; b++) {
        const struct srq_unit_info *u = srq_model_unit(t->model, b);
        int64_t inputs = 0;

        for (int i = u->first; i < u->first + u->count; i++) {
            int64_t in = srq_model_layer(t->model, i)->in;
            int64_t n = t->schemes[i].grid != SRQ_GRID_NONE ? srq_groups_of(ROWS, in, t->schemes[i].group).count : 1;

            inputs += in;
            *widest = in > *widest ? in : *widest;
            *groups = n > *groups ? n : *groups;
        }
        *all = inputs > *all ? inputs : *all;
    }
}

size_t srq_effective_bytes(const struct srq_transformer *t)
{
    int64_t all, widest, groups;
    size_t threads = (size_t)srq_team_size();

    widths(t, &all, &widest, &groups);
    return (size_t)t->linears * sizeof(struct srq_effective_layer) +
           (size_t)all * (threads * sizeof(double) + sizeof(float)) +
           threads * 2 * (size_t)(ROWS * widest + groups) * sizeof(float);
}

int srq_effective_create(struct srq_transformer *t, struct srq_error *err)
{
    size_t threads = (size_t)srq_team_size();
    int64_t all, widest, groups;

    widths(t, &all, &widest, &groups);
    t->row_floats = (size_t)(ROWS * widest);
    t->group_floats = (size_t)groups;
    t->layer = srq_calloc((size_t)t->linears + 1, sizeof(t->layer[0]));
    t->sums = srq_calloc((size_t)all * threads + 1, sizeof(t->sums[0]));
    t->column = srq_calloc((size_t)all + 1, sizeof(t->column[0]));
    t->rows = srq_calloc(threads * 2 * (t->row_floats + t->group_floats) + 1, sizeof(t->rows[0]));
    if (t->layer == NULL || t->sums == NULL || t->column == NULL || t->rows == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for the effective weights of a block");
    t->loaded = -1;
    return 0;
}

void srq_effective_free(struct srq_transformer *t)
{
    srq_free(t->layer);
    srq_free(t->sums);
    srq_free(t->column);
    srq_free(t->rows);
}

/* ---- rounding ---------------------------------------------------------------------------------------------------- */

struct scratch {
    float *wide, *fake; /* [ROWS, in]: W diag(a), and its rounding */
    float *lo, *hi;     /* of its groups */
};

static struct scratch scratch_of(const struct srq_transformer *t)
{
    float *at = t->rows + (size_t)srq_team_thread() * 2 * (t->row_floats + t->group_floats);

    return (struct scratch){ at, at + t->row_floats, at + 2 * t->row_floats, at + 2 * t->row_floats + t->group_floats };
}

SRQ_SIMD static void multiply(float *x, const float *by, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        x[i] *= by[i];
}

SRQ_SIMD static void divide(float *x, const float *by, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        x[i] /= by[i];
}

/* Rows of the stored weight in F32, scaled. */
static void widen(const struct srq_effective_layer *l, int64_t row, int64_t rows, float *wide)
{
    int64_t in = l->info->in;
    const uint8_t *src = (const uint8_t *)l->weight.data + (size_t)(row * in) * srq_dtype_size(l->weight.dtype);

    (void)srq_convert(src, l->weight.dtype, wide, SRQ_F32, rows * in);
    for (int64_t r = 0; l->group != NULL && r < rows; r++)
        multiply(wide + r * in, l->column, in);
}

static void round_rows(const struct srq_effective_layer *l, int64_t row, int64_t rows, const struct scratch *s)
{
    int64_t in = l->info->in;
    struct srq_tensor w = srq_tensor_2d(s->wide, SRQ_F32, rows, in);
    struct srq_groups groups = srq_groups_of(rows, in, l->scheme.group);
    struct srq_grid_args a = { .size = sizeof(a),
                               .weight = &w,
                               .scheme = &l->scheme,
                               .lo = s->lo,
                               .hi = s->hi,
                               .groups = &groups,
                               .tensor_scale = l->tensor_scale };

    widen(l, row, rows, s->wide);
    (void)l->grid->extrema(&a, s->lo, s->hi);
    if (l->scheme.group == 0) {
        s->lo[0] = l->lo;
        s->hi[0] = l->hi;
    }
    l->grid->fake(&a, 0, rows, s->fake, SRQ_F32, in);
}

struct share {
    struct srq_effective_layer *l;
    float lo[SRQ_TEAM_MAX], hi[SRQ_TEAM_MAX];
};

static void range_share(void *ctx, int64_t begin, int64_t end)
{
    struct share *s = ctx;
    struct scratch tmp = scratch_of(s->l->t);
    int64_t in = s->l->info->in;
    float lo = 0, hi = 0;

    for (int64_t row = begin; row < end; row += ROWS) {
        int64_t rows = end - row < ROWS ? end - row : ROWS;

        widen(s->l, row, rows, tmp.wide);
        for (int64_t i = 0; i < rows * in; i++) {
            lo = tmp.wide[i] < lo ? tmp.wide[i] : lo;
            hi = tmp.wide[i] > hi ? tmp.wide[i] : hi;
        }
    }
    s->lo[srq_team_thread()] = fminf(s->lo[srq_team_thread()], lo);
    s->hi[srq_team_thread()] = fmaxf(s->hi[srq_team_thread()], hi);
}

static void find_range(struct srq_effective_layer *l, struct share *s)
{
    s->l = l;
    memset(s->lo, 0, sizeof(s->lo));
    memset(s->hi, 0, sizeof(s->hi));
    srq_parallel(l->info->out, ROWS, range_share, s);
    l->lo = l->hi = 0;
    for (int k = 0; k < SRQ_TEAM_MAX; k++) {
        l->lo = fminf(l->lo, s->lo[k]);
        l->hi = fmaxf(l->hi, s->hi[k]);
    }
}

static bool needs_range(const struct srq_effective_layer *l)
{
    return l->grid != NULL && (l->scheme.group == 0 || l->scheme.grid == SRQ_GRID_NVFP4);
}

/* nvfp4 has one scale for the tensors that runtimes fuse: of the largest magnitude among them (spec signround 9.2). */
static void set_tensor_scales(struct srq_transformer *t)
{
    for (int i = 0; i < t->unit->count; i++) {
        struct srq_effective_layer *l = &t->layer[i];
        float top = 0;

        l->tensor_scale = 1;
        if (l->grid == NULL || l->scheme.grid != SRQ_GRID_NVFP4)
            continue;
        for (int k = 0; k < t->unit->count; k++) {
            const struct srq_effective_layer *o = &t->layer[k];

            if (o->grid != NULL && o->scheme.grid == SRQ_GRID_NVFP4 && (k == i || srq_layers_tied(l->info, o->info)))
                top = fmaxf(top, fmaxf(-o->lo, o->hi));
        }
        l->tensor_scale = srq_nvfp4_tensor_scale(top);
    }
}

/* Rows of W_eff. */
static void effective_rows(void *ctx, int layer, int64_t row, int64_t rows, void *dst, enum srq_dtype dtype)
{
    const struct srq_transformer *t = ctx;
    const struct srq_effective_layer *l = &t->layer[layer - t->unit->first];
    struct scratch tmp = scratch_of(t);
    int64_t in = l->info->in;
    size_t size = srq_dtype_size(dtype);

    for (int64_t at = 0; at < rows; at += ROWS) {
        int64_t n = rows - at < ROWS ? rows - at : ROWS;

        round_rows(l, row + at, n, &tmp);
        for (int64_t r = 0; l->group != NULL && r < n; r++)
            divide(tmp.fake + r * in, l->column, in);
        (void)srq_convert(tmp.fake, SRQ_F32, (uint8_t *)dst + (size_t)(at * in) * size, dtype, n * in);
    }
}

/* ---- a block ----------------------------------------------------------------------------------------------------- */

static struct srq_transform_group *group_of(struct srq_transformer *t, int layer)
{
    for (int g = 0; g < t->group_count; g++)
        for (int k = 0; k < t->groups[g].pair->consumer_count; k++)
            if (t->groups[g].pair->consumers[k] == layer)
                return &t->groups[g];
    return NULL;
}

static int prepare(struct srq_transformer *t, int i, int layer, struct srq_error *err)
{
    struct srq_effective_layer *l = &t->layer[i];

    l->info = srq_model_layer(t->model, layer);
    l->scheme = t->schemes[layer];
    l->grid = NULL;
    l->group = group_of(t, layer);
    if (l->scheme.grid == SRQ_GRID_NONE)
        return 0;
    l->grid = srq_grid(l->scheme.grid);
    if (l->grid == NULL)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, l->info->name, "%s: no such grid in this build", l->info->name);
    for (int64_t c = 0; l->group != NULL && c < l->info->in; c++)
        l->column[c] = l->group->info.scale[srq_pair_channel(l->group->pair, c)];
    return srq_model_weight(t->model, layer, &l->weight, err);
}

static int begin_unit(void *ctx, int unit, struct srq_error *err)
{
    struct srq_transformer *t = ctx;
    size_t threads = (size_t)srq_team_size(), at = 0;
    struct share s;
    int rc = 0;

    t->unit = srq_model_unit(t->model, unit);
    for (int i = 0; rc == 0 && i < t->unit->count; i++) {
        t->layer[i].t = t;
        t->layer[i].sum = t->sums + at * threads;
        t->layer[i].column = t->column + at;
        at += (size_t)srq_model_layer(t->model, t->unit->first + i)->in;
        rc = prepare(t, i, t->unit->first + i, err);
    }
    for (int i = 0; rc == 0 && i < t->unit->count; i++)
        if (needs_range(&t->layer[i]))
            find_range(&t->layer[i], &s);
    if (rc == 0)
        set_tensor_scales(t);
    return rc;
}

static int is_effective(void *ctx, int layer, struct srq_error *err)
{
    const struct srq_transformer *t = ctx;

    (void)err;
    return t->layer[layer - t->unit->first].grid != NULL;
}

int srq_effective_load(struct srq_transformer *t, int block, struct srq_error *err)
{
    const struct srq_weights weights = { t, begin_unit, is_effective, effective_rows, NULL, NULL };
    int rc;

    if (t->loaded == block)
        return 0;
    rc = srq_walk_load(t->walk, block, &weights, err);
    t->loaded = rc == 0 ? block : -1;
    return rc;
}

/* ---- gradients --------------------------------------------------------------------------------------------------- */

/* Where a group of a row has the end of its range: the first of its elements that is `end`. */
static int64_t place_of(const float *w, int64_t len, float end)
{
    int64_t i = 0;

    while (i < len - 1 && w[i] != end)
        i++;
    return i;
}

/* sum += E G of one row, E = (W diag(a) - Q) diag(1/a). */
SRQ_SIMD static void add_row(double *restrict sum, const float *w, const float *q, const float *column, const float *g,
                             int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        sum[i] += (double)((w[i] - q[i]) / column[i] * g[i]);
}

/* What scales do to the range of their group, by the channels that its ends lie in: with dL/dQ = G/a in `grad`, the
 * grid says how the loss changes with the logarithm of either end, which moves as that channel's scale does. Without it
 * all scales of a group would drift together, which changes nothing but is most of what the gradient says. */
static void add_ranges(const struct srq_effective_layer *l, int64_t rows, const struct scratch *s, float *grad,
                       double *sum)
{
    int64_t in = l->info->in;
    struct srq_groups groups = srq_groups_of(rows, in, l->scheme.group);
    struct srq_tensor w = srq_tensor_2d(s->wide, SRQ_F32, rows, in);
    struct srq_grid_args a = { .size = sizeof(a),
                               .weight = &w,
                               .scheme = &l->scheme,
                               .lo = s->lo,
                               .hi = s->hi,
                               .groups = &groups,
                               .tensor_scale = l->tensor_scale };
    float *low = s->fake, *high = s->fake + groups.count; /* what was rounded is not needed any more */

    for (int64_t r = 0; r < rows; r++)
        divide(grad + r * in, l->column, in);
    memset(low, 0, (size_t)groups.count * 2 * sizeof(*low));
    l->grid->grad(&a, 0, rows, grad, low, high);
    for (int64_t g = 0; g < groups.count; g++) {
        int64_t row = g / groups.per_row, from = g % groups.per_row * groups.len;
        int64_t len = in - from < groups.len ? in - from : groups.len;
        const float *at = s->wide + row * in + from;

        if (s->lo[g] < 0)
            sum[from + place_of(at, len, s->lo[g])] += (double)low[g];
        if (s->hi[g] > 0)
            sum[from + place_of(at, len, s->hi[g])] += (double)high[g];
    }
}

/* Groups of one element have no ends that could move apart. */
static bool follows_ranges(const struct srq_effective_layer *l)
{
    return l->t->schedule.ranges && l->scheme.group != 0 &&
           2 * srq_groups_of(1, l->info->in, l->scheme.group).per_row <= l->info->in && srq_scheme_is_even(&l->scheme);
}

/* Rows of G = dL/dW_eff of one layer, on one thread of several: with E = W - W_eff formed in F32 from what was
 * rounded. */
static void take_gradient(void *ctx, int64_t row, int64_t rows, float *grad)
{
    struct srq_effective_layer *l = ctx;
    struct scratch tmp = scratch_of(l->t);
    int64_t in = l->info->in;
    double *sum = l->sum + (size_t)srq_team_thread() * (size_t)in;

    for (int64_t at = 0; at < rows; at += ROWS) {
        int64_t n = rows - at < ROWS ? rows - at : ROWS;

        round_rows(l, row + at, n, &tmp);
        for (int64_t r = 0; r < n; r++)
            add_row(sum, tmp.wide + r * in, tmp.fake + r * in, l->column, grad + (at + r) * in, in);
        if (follows_ranges(l))
            add_ranges(l, n, &tmp, grad + at * in, sum);
    }
}

void srq_effective_listen(struct srq_transformer *t, bool on)
{
    for (int i = 0; i < t->unit->count; i++) {
        struct srq_linear *linear = srq_block_linear(srq_walk_block(t->walk), i);

        linear->sink = on && t->layer[i].grid != NULL && t->layer[i].group != NULL ? take_gradient : NULL;
        linear->sink_ctx = &t->layer[i];
    }
}

void srq_effective_collect(struct srq_transformer *t)
{
    int threads = srq_team_size();

    for (int i = 0; i < t->unit->count; i++) {
        struct srq_effective_layer *l = &t->layer[i];
        int64_t in = l->info->in;

        if (l->grid == NULL || l->group == NULL)
            continue;
        for (int64_t c = 0; c < in; c++) {
            int64_t j = srq_pair_channel(l->group->pair, c);
            double sum = 0;

            for (int k = 0; k < threads; k++)
                sum += l->sum[k * in + c];
            l->group->grad[j] += (float)(sum / (double)l->column[c]);
        }
        memset(l->sum, 0, (size_t)(threads * in) * sizeof(*l->sum));
    }
}
