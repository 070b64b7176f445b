/* Reading weights out of the mapped folder: conversion over the team, a vector as its unit uses it, a linear's weight
 * from wherever it is stored. */
#include "core/model/internal.h"

#include "core/math/team.h"

#include <pthread.h>

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

int srq_convert_parallel(const void *src, enum srq_dtype from, void *dst, enum srq_dtype to, int64_t n,
                         struct srq_error *err)
{
    struct convert_job job = { .src = src, .dst = dst, .from = from, .to = to };
    int rc = srq_convert(src, from, dst, to, 0); /* what it can do depends on the dtypes alone */

    if (rc != 0)
        return srq_fail(err, rc, "%s is not read as %s", srq_dtype_name(from), srq_dtype_name(to));
    srq_parallel(n, CONVERT_GRAIN, convert_share, &job);
    return 0;
}

float srq_model_vector_offset(const struct srq_model *m, int unit, int vector)
{
    const struct srq_block_kind *k = m->units[unit].kind;

    return k != NULL ? k->vectors[vector].offset : m->family->norm_offset;
}

void srq_model_vector_use(const struct srq_model *m, int unit, int vector, float *value, int64_t n)
{
    float offset = srq_model_vector_offset(m, unit, vector);

    srq_fold_vector(m, unit, vector, value);
    for (int64_t i = 0; offset != 0 && i < n; i++)
        value[i] += offset;
}

struct decode_job {
    const struct srq_model *model;
    const struct srq_layer_info *info;
    int64_t row;
    uint8_t *dst;
    enum srq_dtype dtype;
    pthread_mutex_t lock;
    struct srq_error err; /* the first failure */
};

static void decode_share(void *ctx, int64_t begin, int64_t end)
{
    struct decode_job *j = ctx;
    uint8_t *dst = j->dst + (size_t)begin * (size_t)j->info->in * srq_dtype_size(j->dtype);
    struct srq_error err = { 0 };

    if (srq_quantized_decode(j->model->quantized, j->info->name, j->row + begin, end - begin, dst, j->dtype, &err) == 0)
        return;
    pthread_mutex_lock(&j->lock);
    if (j->err.code == 0)
        j->err = err;
    pthread_mutex_unlock(&j->lock);
}

static int decode_rows(const struct srq_model *m, const struct srq_layer_info *l, int64_t row, int64_t rows, void *dst,
                       enum srq_dtype dtype, struct srq_error *err)
{
    struct decode_job job = { .model = m, .info = l, .row = row, .dst = dst, .dtype = dtype };
    int rc;

    pthread_mutex_init(&job.lock, NULL);
    srq_parallel(rows, 1 + CONVERT_GRAIN / l->in, decode_share, &job);
    pthread_mutex_destroy(&job.lock);
    rc = -job.err.code;
    if (rc != 0 && err != NULL)
        *err = job.err;
    return rc;
}

/* The plain weight of a layer, which opening found. */
static int plain_weight(const struct srq_model *m, const char *layer, struct srq_tensor *out, struct srq_error *err)
{
    if (srq_model_module_tensor(m, layer, out))
        return 0;
    return srq_fail_field(err, -SRQ_ENOENT, layer, "tensor %s.weight is missing from %s", layer, m->info.path);
}

int srq_model_read_rows(const struct srq_model *m, int layer, int64_t row, int64_t rows, void *dst,
                        enum srq_dtype dtype, struct srq_error *err)
{
    const struct srq_layer_entry *e = &m->layers[layer];
    struct srq_tensor w;
    const uint8_t *src;
    int rc;

    if (e->packed)
        return decode_rows(m, &e->info, row, rows, dst, dtype, err);
    rc = plain_weight(m, e->info.name, &w, err);
    if (rc != 0)
        return rc;
    src = w.data;
    src += (size_t)row * (size_t)e->info.in * srq_dtype_size(w.dtype);
    if (srq_fold_changes(m, layer)) {
        const int64_t shape[2] = { rows, e->info.in };
        const struct srq_tensor part = srq_tensor_make((void *)(uintptr_t)src, w.dtype, 2, shape);

        srq_fold_rows(m, layer, row, rows, &part, dst, dtype);
        return 0;
    }
    return srq_convert_parallel(src, w.dtype, dst, dtype, rows * e->info.in, err);
}

bool srq_model_int8(const struct srq_model *m, int layer, struct srq_int8_codes *out)
{
    const struct srq_layer_info *l = &m->layers[layer].info;

    *out = (struct srq_int8_codes){ .n = l->out, .k = l->in, .kernel = l->kernel };
    return m->layers[layer].packed && srq_quantized_int8(m->quantized, l->name, &out->codes, &out->scales);
}

int srq_model_read_linear(const struct srq_model *m, int layer, void *dst, enum srq_dtype dtype, struct srq_error *err)
{
    const struct srq_layer_entry *e = &m->layers[layer];
    int rc = srq_model_read_rows(m, layer, 0, e->info.out, dst, dtype, err);
    struct srq_tensor w;

    if (e->packed)
        srq_quantized_release(m->quantized, e->info.name);
    else if (rc == 0 && srq_model_module_tensor(m, e->info.name, &w))
        srq_tensors_release(m->tensors, &w);
    return rc;
}
