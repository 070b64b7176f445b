/* Rules that several plugins take scales from: see scale_rules.h. */
#include "plugins/scale_rules.h"

#include <math.h>
#include <string.h>

#define CHUNK_BYTES ((int64_t)2 << 20) /* of rows of a weight that are rounded and measured together */
#define CHUNK_LEAST 128                /* rows of them, however long */
#define CHUNK_MOST 512
#define GRID 20 /* exponents of the search: 0, 1/20 … 19/20 */

static int64_t channel_of(const struct srq_scale_group *g, int64_t c)
{
    return c / g->width / g->repeat * g->width + c % g->width;
}

/* Row `row` of a weight; `out` [in]. */
static void read_row(const struct srq_host *h, const struct srq_tensor *w, int64_t row, float *out)
{
    int64_t in = w->shape[1];
    size_t bytes = (size_t)in * (w->dtype == SRQ_F32 ? sizeof(float) : sizeof(uint16_t));

    h->widen((const uint8_t *)w->data + (size_t)row * bytes, w->dtype, out, in);
}

/* ---- what the rules are made of ---------------------------------------------------------------------------------- */

/* most[channel] = largest |W| of all consumers' columns that use it. */
static void largest_weights(const struct srq_host *h, const struct srq_scale_group *g, float *row, float *most)
{
    memset(most, 0, (size_t)g->channels * sizeof(float));
    for (int i = 0; i < g->count; i++) {
        const struct srq_tensor *w = g->consumers[i]->weight;

        for (int64_t r = 0; r < w->shape[0]; r++) {
            read_row(h, w, r, row);
            for (int64_t c = 0; c < g->in; c++)
                most[channel_of(g, c)] = fmaxf(most[channel_of(g, c)], fabsf(row[c]));
        }
    }
}

/* mean[channel] = mean over the consumers' rows of |W| over the largest |W| of its group: how much of its group's range
 * a column fills. */
static void filled_ranges(const struct srq_host *h, const struct srq_scale_group *g, float *row, float *mean)
{
    int64_t rows = 0;

    memset(mean, 0, (size_t)g->channels * sizeof(float));
    for (int i = 0; i < g->count; i++) {
        const struct srq_layer *l = g->consumers[i];
        int64_t len = l->groups->len > 0 && l->groups->len < g->in ? l->groups->len : g->in;

        rows += l->weight->shape[0];
        for (int64_t r = 0; r < l->weight->shape[0]; r++) {
            read_row(h, l->weight, r, row);
            for (int64_t at = 0; at < g->in; at += len) {
                int64_t end = at + len < g->in ? at + len : g->in;
                float top = 0;

                for (int64_t c = at; c < end; c++)
                    top = fmaxf(top, fabsf(row[c]));
                for (int64_t c = at; top > 0 && c < end; c++)
                    mean[channel_of(g, c)] += fabsf(row[c]) / top;
            }
        }
    }
    for (int64_t j = 0; j < g->channels; j++)
        mean[j] /= (float)(rows * g->repeat);
}

/* Of the inputs, which all consumers share: largest over a channel's copies, or their mean. */
static void of_inputs(const struct srq_scale_group *g, const float *x, bool largest, float *out)
{
    memset(out, 0, (size_t)g->channels * sizeof(float));
    for (int64_t c = 0; c < g->in; c++) {
        float *o = &out[channel_of(g, c)];

        *o = largest ? fmaxf(*o, x[c]) : *o + x[c] / (float)g->repeat;
    }
}

/* ---- the search -------------------------------------------------------------------------------------------------- */

struct measuring {
    const struct srq_host *h;
    const struct srq_scale_group *g;
    const struct srq_layer *l;
    float *scale;         /* [in], of every input */
    int64_t chunk;        /* rows at a time */
    float *scaled, *diff; /* [chunk, in] */
    float *range;         /* lo and hi of their groups */
    int64_t row;          /* first of the chunk */
};

static void scale_share(void *ctx, int64_t begin, int64_t end)
{
    const struct measuring *m = ctx;

    for (int64_t r = begin; r < end; r++) {
        float *to = m->scaled + r * m->g->in;

        read_row(m->h, m->l->weight, m->row + r, to);
        for (int64_t c = 0; c < m->g->in; c++)
            to[c] *= m->scale[c];
    }
}

/* Rows of W diag(scale). */
static void scale_rows(struct measuring *m, int64_t row, int64_t rows)
{
    m->row = row;
    m->h->parallel(rows, 1, scale_share, m);
}

/* Of rounded rows: what rounding did, through diag(1/scale). */
static void diff_share(void *ctx, int64_t begin, int64_t end)
{
    const struct measuring *m = ctx;

    for (int64_t r = begin; r < end; r++) {
        float *d = m->diff + r * m->g->in;
        const float *w = m->scaled + r * m->g->in;

        for (int64_t c = 0; c < m->g->in; c++)
            d[c] = (d[c] - w[c]) / m->scale[c];
    }
}

/* What all rows share: the range of a scheme with one group a tensor, the scale of nvfp4. */
static void whole_range(struct measuring *m, float *lo, float *hi)
{
    *lo = *hi = 0;
    for (int64_t row = 0; row < m->l->groups->out; row += m->chunk) {
        int64_t rows = m->l->groups->out - row < m->chunk ? m->l->groups->out - row : m->chunk;

        scale_rows(m, row, rows);
        for (int64_t i = 0; i < rows * m->g->in; i++) {
            *lo = fminf(*lo, m->scaled[i]);
            *hi = fmaxf(*hi, m->scaled[i]);
        }
    }
}

/* Squared error of the layer's output: what rounding W diag(scale) does to it, seen through diag(1/scale). Once it is
 * clear that the error is more than `most`, it is no further summed up. */
static double output_error(struct measuring *m, double most)
{
    const struct srq_layer *l = m->l;
    const struct srq_grid_ops *grid = m->h->grid(l->scheme->grid);
    int64_t in = m->g->in;
    bool whole = l->scheme->group == 0;
    float lo = 0, hi = 0, top;
    double sum = 0;

    if (whole || l->scheme->grid == SRQ_GRID_NVFP4)
        whole_range(m, &lo, &hi);
    top = fmaxf(-lo, hi);
    for (int64_t row = 0; row < l->groups->out && !(sum > most); row += m->chunk) {
        int64_t rows = l->groups->out - row < m->chunk ? l->groups->out - row : m->chunk;
        struct srq_tensor w = {
            .size = sizeof(w), .dtype = SRQ_F32, .rank = 2, .data = m->scaled, .shape = { rows, in }
        };
        struct srq_groups groups = { .size = sizeof(groups) };
        struct srq_grid_args a = { .size = sizeof(a),
                                   .weight = &w,
                                   .scheme = l->scheme,
                                   .groups = &groups,
                                   .lo = m->range,
                                   .hi = m->range + m->chunk * (whole ? 1 : l->groups->per_row),
                                   .tensor_scale = l->scheme->grid == SRQ_GRID_NVFP4 && top > 0 ? 448 * 6 / top : 1 };

        srq_copy_known(&groups, l->groups);
        groups.out = rows;
        groups.count = whole ? 1 : rows * l->groups->per_row;
        scale_rows(m, row, rows);
        if (grid->extrema(&a, m->range, (float *)(uintptr_t)a.hi) != 0)
            return (double)NAN;
        if (whole) {
            m->range[0] = lo;
            ((float *)(uintptr_t)a.hi)[0] = hi;
        }
        grid->fake(&a, 0, rows, m->diff, SRQ_F32, in);
        m->h->parallel(rows, 1, diff_share, m);
        sum += m->h->quadratic(m->diff, rows, l->hessian, in);
    }
    return sum;
}

/* Of the scales of channels [channels]; any value above `most` if it is more. */
static double group_error(struct measuring *m, const float *scale, double most)
{
    double sum = 0;

    for (int64_t c = 0; c < m->g->in; c++)
        m->scale[c] = scale[channel_of(m->g, c)];
    for (int i = 0; i < m->g->count && !(sum > most); i++) {
        m->l = m->g->consumers[i];
        if (m->l->scheme->grid != SRQ_GRID_NONE && m->l->hessian != NULL)
            sum += output_error(m, most - sum);
    }
    return sum;
}

/* s = x^r, or x^r / w^(1-r), at least 1e-4, over sqrt(max min) of the channels that have both inputs and weights. One
 * without weights has the scale 1: it changes nothing. One without inputs takes what the rule gives, which leaves its
 * weights small among those of its group. */
static void candidate(const float *x, const float *w, float r, bool weights, float *s, int64_t n)
{
    float most = 0, least = INFINITY, middle;

    for (int64_t j = 0; j < n; j++) {
        s[j] = powf(fmaxf(x[j], 1e-8f), r);
        if (weights)
            s[j] /= powf(fmaxf(w[j], 1e-8f), 1 - r);
        s[j] = fmaxf(s[j], 1e-4f);
        if (x[j] > 0 && w[j] > 0) {
            most = fmaxf(most, s[j]);
            least = fminf(least, s[j]);
        }
    }
    middle = most > 0 ? sqrtf(most * least) : 1;
    for (int64_t j = 0; j < n; j++)
        s[j] = !(w[j] > 0) ? 1 : x[j] > 0 ? s[j] / middle : fminf(s[j] / middle, 1);
}

static int search(const struct srq_host *h, float least, struct srq_scale_group *g, const float *x, const float *w,
                  float *trial, struct srq_error *err)
{
    int64_t per_row = 1;
    struct measuring m = { .h = h, .g = g };
    double best;

    for (int i = 0; i < g->count; i++)
        per_row = g->consumers[i]->groups->per_row > per_row ? g->consumers[i]->groups->per_row : per_row;
    m.chunk = CHUNK_BYTES / (g->in * (int64_t)sizeof(float));
    m.chunk = m.chunk < CHUNK_LEAST ? CHUNK_LEAST : m.chunk < CHUNK_MOST ? m.chunk : CHUNK_MOST;
    m.scaled = h->alloc(((size_t)(2 * m.chunk) * (size_t)(g->in + per_row) + (size_t)g->in) * sizeof(float));
    if (m.scaled == NULL)
        return srq_fail_field(err, -SRQ_ENOMEM, g->name, "no memory for the search of %s", g->name);
    m.diff = m.scaled + m.chunk * g->in;
    m.range = m.diff + m.chunk * g->in;
    m.scale = m.range + 2 * m.chunk * per_row;
    best = group_error(&m, g->scale, INFINITY); /* of all ones */
    for (int k = 0; k < 2 * GRID && best > 0; k++) {
        double error;

        candidate(x, w, (float)(k % GRID) / GRID, k >= GRID, trial, g->channels);
        for (int64_t j = 0; j < g->channels; j++)
            trial[j] = fmaxf(trial[j], least);
        error = group_error(&m, trial, best);
        if (error < best) {
            best = error;
            memcpy(g->scale, trial, (size_t)g->channels * sizeof(float));
        }
    }
    h->free(m.scaled);
    return isnan(best) ? srq_fail_field(err, -SRQ_ENUMERIC, g->name, "the error of %s is not a number", g->name) : 0;
}

/* ---- the rules --------------------------------------------------------------------------------------------------- */

/* Room for a row and three arrays of channels. */
static float *take(const struct srq_host *h, const struct srq_scale_group *g, struct srq_error *err)
{
    float *row = h->alloc((size_t)(g->in + 3 * g->channels) * sizeof(float));

    if (row == NULL)
        srq_fail_field(err, -SRQ_ENOMEM, g->name, "no memory for the scales of %s", g->name);
    return row;
}

static int no_statistics(const struct srq_scale_group *g, struct srq_error *err)
{
    return srq_fail_field(err, -SRQ_ESTATE, g->name, "there are no statistics of the inputs that %s gives", g->name);
}

int scale_rules_weights(const struct srq_host *h, float least, struct srq_scale_group *g, struct srq_error *err)
{
    float *row = take(h, g, err), *w = row != NULL ? row + g->in : NULL;

    if (row == NULL)
        return -SRQ_ENOMEM;
    largest_weights(h, g, row, w);
    for (int64_t j = 0; j < g->channels; j++)
        g->scale[j] = fmaxf(w[j] > 0 ? 1 / sqrtf(w[j]) : 1, least);
    h->free(row);
    return 0;
}

int scale_rules_smooth(const struct srq_host *h, float share, float least, struct srq_scale_group *g,
                       struct srq_error *err)
{
    const float *most = g->consumers[0]->in_max;
    float *row = most != NULL ? take(h, g, err) : NULL, *w, *x, smallest = INFINITY;

    if (most == NULL)
        return no_statistics(g, err);
    if (row == NULL)
        return -SRQ_ENOMEM;
    w = row + g->in;
    x = w + g->channels;
    largest_weights(h, g, row, w);
    of_inputs(g, most, true, x);
    for (int64_t j = 0; j < g->channels; j++) {
        float s = powf(x[j], share) / powf(fmaxf(w[j], 1e-5f), 1 - share);

        g->scale[j] = fmaxf(s, least);
        smallest = x[j] > 0 ? fminf(smallest, g->scale[j]) : smallest;
    }
    for (int64_t j = 0; j < g->channels; j++)
        if (!(x[j] > 0)) /* its weights have no part in the output, nor shall they have in the range of their group */
            g->scale[j] = smallest < INFINITY ? smallest : 1;
    h->free(row);
    return 0;
}

int scale_rules_search(const struct srq_host *h, float least, struct srq_scale_group *g, struct srq_error *err)
{
    const struct srq_layer *first = g->consumers[0];
    float *row, *w, *x;
    int rc;

    if (first->in_mean == NULL || first->hessian == NULL)
        return no_statistics(g, err);
    row = take(h, g, err);
    if (row == NULL)
        return -SRQ_ENOMEM;
    w = row + g->in;
    x = w + g->channels;
    filled_ranges(h, g, row, w);
    of_inputs(g, first->in_mean, false, x);
    rc = search(h, least, g, x, w, x + g->channels, err);
    h->free(row);
    return rc;
}
