/* Statistics of inputs. One set of arrays for every distinct input of a block: layers of one tie read the same, so only
 * the first of them listens. Second moments are products of panels of tokens, summed in F32; magnitudes are a column's
 * own. */
#include "core/tune/statistics.h"

#include "core/base/alloc.h"
#include "core/base/simd.h"
#include "core/math/gemm.h"
#include "core/math/team.h"

#include <srq/plugin.h>

#include <inttypes.h>
#include <math.h>

#define PANEL 256 /* tokens of one product */
#define STRIP 64  /* columns at a time: a cache line or more of every row */

/* Of one distinct input. */
struct input {
    struct srq_statistics *owner;
    int64_t in, tokens;
    float *max;    /* [in] */
    double *sum;   /* [in] of |x| */
    float *mean;   /* [in], as given */
    float *moment; /* [in, in] sum of x xᵀ, then their mean */
    bool given;    /* the mean was taken */
};

struct srq_statistics {
    const struct srq_model *model;
    bool ranges, moments;
    float *panel; /* [PANEL, widest] */
    uint8_t *memory;
    size_t bytes;
    struct input *inputs; /* [most layers of a unit] */
    int *input_of;        /* [most layers of a unit]; -1: nobody listens */
    int cap, count, first, layers;
    size_t at; /* in memory */
    struct srq_block *block;
};

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static size_t input_bytes(int64_t in, bool ranges, bool moments)
{
    size_t n = (size_t)in;

    return (ranges ? n * (sizeof(double) + 2 * sizeof(float)) : 0) + (moments ? n * n * sizeof(float) : 0);
}

/* Room for the distinct inputs of any unit; the head (`outside`) has one. */
static size_t measure(const struct srq_model *m, bool ranges, bool moments, bool outside, int64_t *widest)
{
    size_t most = 0;

    *widest = 1;
    for (int n = 0; n < srq_model_unit_count(m); n++) {
        const struct srq_unit_info *u = srq_model_unit(m, n);
        size_t bytes = 0;

        if (u->kind == SRQ_UNIT_HEAD && !outside)
            continue;
        for (int i = u->first; i < u->first + u->count; i++) {
            const struct srq_layer_info *l = srq_model_layer(m, i);

            *widest = l->in > *widest ? l->in : *widest;
            bytes += l->tie < 0 || l->tie == i ? input_bytes(l->in, ranges, moments) : 0; /* the first of its tie */
        }
        most = bytes > most ? bytes : most;
    }
    return most;
}

uint64_t srq_statistics_bytes(const struct srq_model *m, uint32_t needs, bool outside)
{
    bool ranges = (needs & SRQ_NEED_RANGES) != 0, moments = (needs & SRQ_NEED_HESSIAN) != 0;
    int64_t widest;
    size_t bytes = measure(m, ranges, moments, outside, &widest);

    return bytes == 0 ? 0 : bytes + (uint64_t)(PANEL * widest) * sizeof(float);
}

int srq_statistics_create(const struct srq_model *m, uint32_t needs, bool outside, struct srq_statistics **out,
                          struct srq_error *err)
{
    struct srq_statistics *s = srq_calloc(1, sizeof(*s));
    int64_t widest;

    *out = NULL;
    if (s == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for the statistics of inputs");
    s->model = m;
    s->ranges = (needs & SRQ_NEED_RANGES) != 0;
    s->moments = (needs & SRQ_NEED_HESSIAN) != 0;
    s->bytes = measure(m, s->ranges, s->moments, outside, &widest);
    s->cap = srq_model_unit_layers(m);
    s->memory = srq_pages_alloc(s->bytes);
    s->panel = srq_malloc((size_t)(PANEL * widest) * sizeof(float));
    s->inputs = srq_calloc((size_t)s->cap, sizeof(*s->inputs));
    s->input_of = srq_calloc((size_t)s->cap, sizeof(*s->input_of));
    if (s->memory == NULL || s->panel == NULL || s->inputs == NULL || s->input_of == NULL) {
        size_t bytes = s->bytes;

        srq_statistics_free(s);
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for the statistics of inputs (%zu bytes)", bytes);
    }
    *out = s;
    return 0;
}

void srq_statistics_free(struct srq_statistics *s)
{
    if (s == NULL)
        return;
    srq_statistics_end(s);
    srq_pages_free(s->memory, s->bytes);
    srq_free(s->panel);
    srq_free(s->inputs);
    srq_free(s->input_of);
    srq_free(s);
}

static void *place(struct srq_statistics *s, size_t bytes)
{
    void *p = s->memory + s->at;

    s->at += bytes;
    memset(p, 0, bytes);
    return p;
}

/* A fresh set of arrays; its number. */
static int add_input(struct srq_statistics *s, int64_t in)
{
    struct input *k = &s->inputs[s->count];
    size_t n = (size_t)in;

    *k = (struct input){ .owner = s, .in = in };
    if (s->ranges) { /* doubles first: `at` stays a multiple of their size as every input's ranges are 16 bytes a column
                      */
        k->sum = place(s, n * sizeof(double));
        k->max = place(s, n * sizeof(float));
        k->mean = place(s, n * sizeof(float));
    }
    return s->count++;
}

/* Second moments go behind all ranges, so that nothing is misaligned. */
static void add_moments(struct srq_statistics *s)
{
    for (int i = 0; s->moments && i < s->count; i++)
        s->inputs[i].moment = place(s, (size_t)(s->inputs[i].in * s->inputs[i].in) * sizeof(float));
}

/* ---- sums -------------------------------------------------------------------------------------------------------- */

struct columns {
    const float *x; /* [rows, in] */
    struct input *to;
    int64_t rows;
};

SRQ_SIMD static void add_strip(const float *x, int64_t stride, int64_t rows, int64_t n, float *most, float *part)
{
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t i = 0; i < n; i++) {
            float v = fabsf(x[r * stride + i]);

            most[i] = v > most[i] ? v : most[i];
            part[i] += v;
        }
    }
}

static void add_columns(void *ctx, int64_t begin, int64_t end)
{
    const struct columns *c = ctx;

    for (int64_t col = begin; col < end; col += STRIP) {
        int64_t n = end - col < STRIP ? end - col : STRIP;
        float part[STRIP] = { 0 };

        add_strip(c->x + col, c->to->in, c->rows, n, c->to->max + col, part);
        for (int64_t i = 0; i < n; i++)
            c->to->sum[col + i] += (double)part[i];
    }
}

static void add(struct input *k, const struct srq_tensor *x)
{
    struct srq_statistics *s = k->owner;
    int64_t in = k->in;

    for (int64_t row = 0; row < x->shape[0]; row += PANEL) {
        int64_t rows = x->shape[0] - row < PANEL ? x->shape[0] - row : PANEL;
        const uint8_t *src = (const uint8_t *)x->data + (size_t)(row * in) * srq_dtype_size(x->dtype);
        struct columns c = { s->panel, k, rows };

        (void)srq_convert(src, x->dtype, s->panel, SRQ_F32, rows * in);
        if (s->ranges)
            srq_parallel(in, STRIP, add_columns, &c);
        if (s->moments) {
            const struct srq_mat a = { s->panel, SRQ_F32, in, true }, b = { s->panel, SRQ_F32, in, false };

            srq_gemm(
                &(struct srq_product){ in, in, rows, a, b, .c = { k->moment, SRQ_F32, in }, .add = k->tokens > 0 });
        }
        k->tokens += rows;
    }
}

static void on_input(void *ctx, const struct srq_linear *linear, const struct srq_tensor *x)
{
    (void)linear;
    add(ctx, x);
}

static void forget(struct srq_statistics *s)
{
    srq_statistics_end(s);
    s->count = s->layers = 0;
    s->at = 0;
}

/* The input of layer i of the unit: that of a layer before it with the same tie, or -1. */
static int shared_input(const struct srq_statistics *s, int i)
{
    const struct srq_layer_info *l = srq_model_layer(s->model, s->first + i);

    for (int k = 0; k < i; k++)
        if (s->input_of[k] >= 0 && srq_layers_tied(srq_model_layer(s->model, s->first + k), l))
            return s->input_of[k];
    return -1;
}

void srq_statistics_begin(struct srq_statistics *s, struct srq_block *b, const bool *wanted)
{
    forget(s);
    s->block = b;
    s->layers = srq_block_linear_count(b);
    s->first = srq_model_unit(s->model, srq_block_unit(b))->first;
    for (int i = 0; i < s->layers; i++) {
        struct srq_linear *linear = srq_block_linear(b, i);

        s->input_of[i] = -1;
        if (wanted != NULL && !wanted[i])
            continue;
        s->input_of[i] = shared_input(s, i);
        if (s->input_of[i] >= 0)
            continue;
        s->input_of[i] = add_input(s, linear->in);
        linear->tap = on_input;
        linear->tap_ctx = &s->inputs[s->input_of[i]];
    }
    add_moments(s);
}

void srq_statistics_end(struct srq_statistics *s)
{
    for (int i = 0; s->block != NULL && i < s->layers; i++) {
        struct srq_linear *linear = srq_block_linear(s->block, i);

        if (linear->tap == on_input)
            linear->tap = NULL;
    }
    s->block = NULL;
}

void srq_statistics_of_input(struct srq_statistics *s, const struct srq_tensor *x)
{
    forget(s);
    s->layers = 1;
    s->input_of[0] = add_input(s, x->shape[1]);
    add_moments(s);
    add(&s->inputs[0], x);
}

/* ---- what they come to ------------------------------------------------------------------------------------------- */

/* The sum becomes the mean, and the lower half is made the upper's mirror: products in panels differ in their last
 * bits. */
static void take_mean(struct input *k)
{
    float share = 1.0f / (float)k->tokens;

    if (k->given)
        return;
    k->given = true;
    for (int64_t i = 0; k->mean != NULL && i < k->in; i++)
        k->mean[i] = (float)(k->sum[i] / (double)k->tokens);
    for (int64_t i = 0; k->moment != NULL && i < k->in; i++) {
        for (int64_t j = i; j < k->in; j++) {
            float v = k->moment[i * k->in + j] * share;

            k->moment[i * k->in + j] = k->moment[j * k->in + i] = v;
        }
    }
}

bool srq_statistics_get(struct srq_statistics *s, int i, struct srq_input_statistics *out)
{
    struct input *k;

    *out = (struct srq_input_statistics){ 0 };
    if (i < 0 || i >= s->layers || s->input_of[i] < 0)
        return false;
    k = &s->inputs[s->input_of[i]];
    if (k->tokens == 0)
        return false;
    take_mean(k);
    *out = (struct srq_input_statistics){ k->max, k->mean, k->moment, k->tokens };
    return true;
}
