/* Sums of squares of columns. Each thread has columns of its own; their sums are kept in double and added to by short
 * stretches of rows, so that a quarter of a million tokens lose nothing and the order of additions is fixed. */
#include "core/tune/importance.h"

#include "core/base/alloc.h"
#include "core/base/simd.h"
#include "core/math/team.h"

#include <inttypes.h>

#define STRETCH 128 /* rows summed in F32 at a time */
#define STRIP 64    /* columns at a time: a cache line or more of every row */

struct layer_sums {
    double *sum;  /* [in] */
    float *given; /* [in]: as F32, for whoever asks */
    int64_t in;
};

struct srq_importance {
    struct layer_sums *layers; /* [cap] */
    const float **given;       /* [cap] */
    double *memory;            /* [columns] doubles, then as many floats */
    int64_t columns;           /* of all inputs of the largest block */
    int cap, count;
    struct srq_block *block; /* listened to */
};

/* ---- memory ---- */

/* The most columns that the inputs of a unit have together. */
static int64_t measure(const struct srq_model *m)
{
    int64_t most = 0;

    for (int n = 0; n < srq_model_unit_count(m); n++) {
        const struct srq_unit_info *u = srq_model_unit(m, n);
        int64_t columns = 0;

        for (int i = u->first; i < u->first + u->count; i++)
            columns += srq_model_layer(m, i)->in;
        most = columns > most ? columns : most;
    }
    return most;
}

uint64_t srq_importance_bytes(const struct srq_model *m)
{
    return (uint64_t)measure(m) * (sizeof(double) + sizeof(float));
}

int srq_importance_create(const struct srq_model *m, struct srq_importance **out, struct srq_error *err)
{
    struct srq_importance *im = srq_calloc(1, sizeof(*im));

    *out = NULL;
    if (im == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for importance");
    im->memory = srq_malloc(srq_importance_bytes(m));
    im->columns = measure(m);
    im->cap = srq_model_unit_layers(m);
    im->layers = srq_calloc((size_t)im->cap, sizeof(*im->layers));
    im->given = srq_calloc((size_t)im->cap, sizeof(*im->given));
    if (im->memory == NULL || im->layers == NULL || im->given == NULL) {
        srq_importance_free(im);
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for the importance of %" PRIu64 " bytes",
                        srq_importance_bytes(m));
    }
    *out = im;
    return 0;
}

void srq_importance_free(struct srq_importance *im)
{
    if (im == NULL)
        return;
    srq_free(im->memory);
    srq_free(im->layers);
    srq_free(im->given);
    srq_free(im);
}

/* ---- sums ---- */

struct adding {
    const struct srq_tensor *x;
    double *sum;
};

SRQ_SIMD static void add_f32(const float *x, int64_t stride, int64_t rows, int64_t cols, float *part)
{
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t i = 0; i < cols; i++)
            part[i] += x[r * stride + i] * x[r * stride + i];
    }
}

SRQ_SIMD static void add_bf16(const uint16_t *x, int64_t stride, int64_t rows, int64_t cols, float *part)
{
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t i = 0; i < cols; i++) {
            float v = srq_bf16_to_f32(x[r * stride + i]);

            part[i] += v * v;
        }
    }
}

static void add_columns(void *ctx, int64_t begin, int64_t end)
{
    const struct adding *a = ctx;
    int64_t rows = a->x->shape[0], in = a->x->shape[1];

    for (int64_t col = begin; col < end; col += STRIP) {
        int64_t cols = end - col < STRIP ? end - col : STRIP;

        for (int64_t row = 0; row < rows; row += STRETCH) {
            int64_t n = rows - row < STRETCH ? rows - row : STRETCH, at = row * in + col;
            float part[STRIP] = { 0 };

            if (a->x->dtype == SRQ_F32)
                add_f32((const float *)a->x->data + at, in, n, cols, part);
            else
                add_bf16((const uint16_t *)a->x->data + at, in, n, cols, part);
            for (int64_t i = 0; i < cols; i++)
                a->sum[col + i] += (double)part[i];
        }
    }
}

static void add(struct layer_sums *l, const struct srq_tensor *x)
{
    struct adding a = { x, l->sum };

    srq_parallel(l->in, STRIP, add_columns, &a);
}

static void on_input(void *ctx, const struct srq_linear *linear, const struct srq_tensor *x)
{
    (void)linear;
    add(ctx, x);
}

/* Gives layer i its arrays, behind those of the layers before it: first the doubles of all layers, then the floats. */
static void place(struct srq_importance *im, int i, int64_t in)
{
    int64_t at = 0;

    for (int k = 0; k < i; k++)
        at += im->layers[k].in;
    im->layers[i] = (struct layer_sums){ im->memory + at, (float *)(im->memory + im->columns) + at, in };
    memset(im->layers[i].sum, 0, (size_t)in * sizeof(double));
}

void srq_importance_begin(struct srq_importance *im, struct srq_block *b)
{
    im->block = b;
    im->count = srq_block_linear_count(b);
    for (int i = 0; i < im->count; i++) {
        struct srq_linear *linear = srq_block_linear(b, i);

        place(im, i, linear->in);
        linear->tap = on_input;
        linear->tap_ctx = &im->layers[i];
    }
}

void srq_importance_end(struct srq_importance *im)
{
    for (int i = 0; im->block != NULL && i < im->count; i++)
        srq_block_linear(im->block, i)->tap = NULL;
    im->block = NULL;
}

void srq_importance_of_input(struct srq_importance *im, const struct srq_tensor *x)
{
    im->count = 1;
    place(im, 0, x->shape[1]);
    add(&im->layers[0], x);
}

const float *const *srq_importance_sums(struct srq_importance *im)
{
    for (int i = 0; i < im->count; i++) {
        const struct layer_sums *l = &im->layers[i];
        bool reached = false;

        for (int64_t k = 0; k < l->in; k++)
            reached = reached || l->sum[k] > 0;
        for (int64_t k = 0; k < l->in; k++)
            l->given[k] = reached ? (float)l->sum[k] : 1.0f;
        im->given[i] = l->given;
    }
    return im->given;
}
