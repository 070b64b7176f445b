/* Reading weights out of the mapped folder: conversion over the team, a linear's weight from wherever it is stored. */
#include "core/model/internal.h"

#include "core/math/team.h"

#define CONVERT_GRAIN 65536

struct convert_job {
    const uint8_t *src;
    uint8_t *dst;
    enum srq_dtype from, to;
};

static void convert_share(void *ctx, int64_t begin, int64_t end)
{
    const struct convert_job *j = ctx;
    size_t from = srq_dtype_size(j->from), to = srq_dtype_size(j->to);

    (void)srq_convert(j->src + (size_t)begin * from, j->from, j->dst + (size_t)begin * to, j->to, end - begin);
}

void srq_convert_parallel(const void *src, enum srq_dtype from, void *dst, enum srq_dtype to, int64_t n)
{
    struct convert_job job = { .src = src, .dst = dst, .from = from, .to = to };

    srq_parallel(n, CONVERT_GRAIN, convert_share, &job);
}

int srq_model_read_rows(const struct srq_model *m, int layer, int64_t row, int64_t rows, void *dst,
                        enum srq_dtype dtype, struct srq_error *err)
{
    const struct srq_layer_entry *e = &m->layers[layer];
    const struct srq_tensor *w = &e->weight;
    const uint8_t *src = w->data;

    (void)err;
    src += (size_t)row * (size_t)e->info.in * srq_dtype_size(w->dtype);
    srq_convert_parallel(src, w->dtype, dst, dtype, rows * e->info.in);
    return 0;
}

int srq_model_read_linear(const struct srq_model *m, int layer, void *dst, enum srq_dtype dtype, struct srq_error *err)
{
    const struct srq_layer_entry *e = &m->layers[layer];
    int rc = srq_model_read_rows(m, layer, 0, e->info.out, dst, dtype, err);

    srq_tensors_release(m->tensors, &e->weight);
    return rc;
}
