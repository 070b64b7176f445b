/* Checking a finished export: opened again with the readers that srq uses for strangers' files, decoded the other way
 * round, and compared with what it was made from. */
#include "core/model/export_parts.h"

#include "core/base/alloc.h"
#include "core/format/json.h"
#include "core/math/team.h"
#include "core/model/internal.h"
#include "core/model/quantized.h"

#include <inttypes.h>
#include <string.h>

#define ROWS 64 /* compared at a time */

struct check {
    const struct srq_export_plan *plan;
    const struct srq_tensors *ts;
    const struct srq_quantized *quantized; /* NULL: plain weights */
};

/* One layer while its rows are compared by the team. */
struct layer_check {
    const struct check *check;
    const struct srq_layer_info *layer;
    const struct srq_codes *codes;
    struct srq_tensor plain; /* the stored weight where the format is not packed */
    int *result;             /* per run of ROWS rows */
};

static int compare_rows(const struct layer_check *k, int64_t row, int64_t rows, struct srq_error *err)
{
    const struct srq_layer_info *l = k->layer;
    enum srq_dtype dtype = k->check->quantized != NULL ? SRQ_F32 : l->dtype;
    size_t bytes = (size_t)(rows * l->in) * srq_dtype_size(dtype);
    void *a = srq_malloc(bytes), *b = srq_malloc(bytes);
    int rc = 0;

    if (a == NULL || b == NULL)
        rc = srq_fail(err, -SRQ_ENOMEM, "out of memory checking %s", l->name);
    if (rc == 0)
        srq_codes_decode_rows(k->codes, row, rows, a, dtype);
    if (rc == 0 && k->check->quantized != NULL)
        rc = srq_quantized_decode(k->check->quantized, l->name, row, rows, b, dtype, err);
    else if (rc == 0)
        memcpy(b, (const char *)k->plain.data + (size_t)(row * l->in) * srq_dtype_size(dtype), bytes);
    if (rc == 0 && memcmp(a, b, bytes) != 0)
        rc = srq_fail_field(err, -SRQ_EFORMAT, l->name,
                            "%s as written differs from its codes in rows %" PRId64 " to %" PRId64, l->name, row,
                            row + rows - 1);
    srq_free(a);
    srq_free(b);
    return rc;
}

static int64_t rows_of_run(const struct layer_check *k, int64_t run)
{
    int64_t left = k->layer->out - run * ROWS;

    return left < ROWS ? left : ROWS;
}

static void compare_runs(void *ctx, int64_t begin, int64_t end)
{
    struct layer_check *k = ctx;

    for (int64_t i = begin; i < end; i++)
        k->result[i] = compare_rows(k, i * ROWS, rows_of_run(k, i), NULL);
}

static int check_stored(const struct check *c, struct layer_check *k, struct srq_error *err)
{
    const struct srq_layer_info *l = k->layer;
    char name[1200];
    int rc;

    if (c->quantized != NULL) {
        rc = srq_quantized_has(c->quantized, l->name, l->out, l->in, err);
        if (rc < 0)
            return rc;
        return rc == 1 ? 0 : srq_fail_field(err, -SRQ_EFORMAT, l->name, "%s was not written packed", l->name);
    }
    snprintf(name, sizeof(name), "%s.weight", l->name);
    if (!srq_tensors_get(c->ts, name, &k->plain) || k->plain.dtype != l->dtype ||
        k->plain.rank != (l->kernel > 0 ? 4 : 2) || k->plain.shape[0] != l->out ||
        srq_tensor_count(&k->plain) != l->out * l->in)
        return srq_fail_field(err, -SRQ_EFORMAT, name, "%s was not written as it should be", name);
    return 0;
}

static int check_layer(const struct check *c, const struct srq_export_request *r, int layer, struct srq_error *err)
{
    struct layer_check k = { .check = c, .layer = srq_model_layer(c->plan->model, layer) };
    int64_t runs = (k.layer->out + ROWS - 1) / ROWS;
    int rc = check_stored(c, &k, err);

    if (rc == 0)
        rc = r->codes(r->codes_ctx, layer, &k.codes, err);
    if (rc != 0)
        return rc;
    k.result = srq_calloc((size_t)runs, sizeof(*k.result));
    if (k.result == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory checking %s", k.layer->name);
    srq_parallel(runs, 1, compare_runs, &k);
    for (int64_t i = 0; i < runs && rc == 0; i++)
        if (k.result[i] != 0) /* again, for its sentence */
            rc = compare_rows(&k, i * ROWS, rows_of_run(&k, i), err);
    srq_free(k.result);
    if (c->quantized != NULL)
        srq_quantized_release(c->quantized, k.layer->name);
    else
        srq_tensors_release(c->ts, &k.plain);
    return rc;
}

static bool equal_converted(const struct srq_tensor *source, const struct srq_tensor *stored)
{
    uint16_t half[1024];
    float wide[1024];
    int64_t count = srq_tensor_count(source);

    for (int64_t at = 0; at < count; at += 1024) {
        int64_t n = count - at < 1024 ? count - at : 1024;

        if (srq_convert((const char *)source->data + (size_t)at * srq_dtype_size(source->dtype), source->dtype, wide,
                        SRQ_F32, n) != 0)
            return false;
        for (int64_t i = 0; i < n; i++)
            half[i] = stored->dtype == SRQ_F16 ? srq_f32_to_f16(wide[i]) : srq_f32_to_bf16(wide[i]);
        if (memcmp(half, (const uint16_t *)stored->data + at, (size_t)n * 2) != 0)
            return false;
    }
    return true;
}

static int check_copy(const struct check *c, const char *name, struct srq_error *err)
{
    const struct srq_tensors *from = srq_model_tensors(c->plan->model);
    struct srq_tensor a, b;
    void *owned;
    size_t bytes;
    int rc;

    if (!srq_tensors_get(c->ts, name, &b))
        return srq_fail_field(err, -SRQ_EFORMAT, name, "tensor %s is missing from the export", name);
    rc = srq_model_tensor(c->plan->model, name, &a, &owned, err);
    if (rc != 0)
        return rc;
    if (b.dtype != srq_export_dtype(c->plan, name, a.dtype) || a.rank != b.rank ||
        memcmp(a.shape, b.shape, (size_t)a.rank * sizeof(a.shape[0])) != 0 || !srq_tensor_bytes(&b, &bytes))
        rc = srq_fail_field(err, -SRQ_EFORMAT, name, "tensor %s has another shape in the export", name);
    else if (a.dtype == b.dtype ? bytes > 0 && memcmp(a.data, b.data, bytes) != 0 : !equal_converted(&a, &b))
        rc = srq_fail_field(err, -SRQ_EFORMAT, name, "tensor %s differs from its source", name);
    srq_tensors_release(from, &a);
    srq_tensors_release(c->ts, &b);
    srq_free(owned);
    return rc;
}

static int check_tensors(const struct check *c, const struct srq_export_request *r, struct srq_error *err)
{
    const struct srq_tensors *from = srq_model_tensors(c->plan->model);
    int64_t want = 0;
    int rc = 0;

    for (int64_t i = 0; i < srq_tensors_count(from) && rc == 0; i++) {
        const char *name = srq_tensors_name(from, i);

        int layer = srq_export_layer_of(c->plan, name, false);

        if (layer >= 0) {
            want += srq_export_plane_count(c->plan, layer);
            continue;
        }
        if (srq_export_left_out(c->plan, name))
            continue;
        want++;
        rc = check_copy(c, name, err);
    }
    if (rc == 0 && srq_tensors_count(c->ts) != want)
        rc = srq_fail(err, -SRQ_EFORMAT, "the export has %" PRId64 " tensors where %" PRId64 " were meant",
                      srq_tensors_count(c->ts), want);
    for (int i = 0; i < c->plan->layers && rc == 0; i++) {
        if (r->tick != NULL &&
            (rc = r->tick(r->tick_ctx, (int64_t)c->plan->layers + i, 2 * (int64_t)c->plan->layers)) != 0)
            return srq_fail(err, rc, "export stopped on request");
        if (srq_export_quantized(c->plan, i))
            rc = check_layer(c, r, i, err);
    }
    return rc;
}

/* The written configuration, read back, equals the one that was meant. */
static int read_config(const struct srq_export_plan *p, const char *dir, json_t **out, struct srq_error *err)
{
    json_t *quantization = NULL, *want = NULL;
    char *path = srq_path_join(dir, "config.json");
    int rc;

    *out = NULL;
    if (path == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory checking an export");
    rc = srq_export_quantization_config(p, &quantization, err);
    if (rc == 0)
        rc = srq_export_config(p, quantization, &want, err);
    if (rc == 0)
        rc = srq_json_read(path, SRQ_JSON_CONFIG_MAX, out, err);
    if (rc == 0 && !json_equal(*out, want))
        rc = srq_fail_field(err, -SRQ_EFORMAT, path, "%s is not what was written", path);
    json_decref(quantization);
    json_decref(want);
    srq_free(path);
    return rc;
}

int srq_export_verify(const struct srq_export_plan *p, const struct srq_export_request *r, const char *dir,
                      struct srq_error *err)
{
    struct check c = { .plan = p };
    struct srq_tensors *ts = NULL;
    struct srq_quantized *q = NULL;
    struct srq_model *m = NULL;
    json_t *config = NULL;
    int rc = read_config(p, dir, &config, err);

    if (rc == 0)
        rc = srq_tensors_open(dir, &ts, err);
    if (rc == 0 && p->format->config != NULL)
        rc = srq_quantized_open(json_object_get(config, "quantization_config"), ts, &q, err);
    c.ts = ts;
    c.quantized = q;
    if (rc == 0)
        rc = check_tensors(&c, r, err);
    if (rc == 0)
        rc = srq_model_open(dir, false, &m, err);
    if (m != NULL)
        srq_model_close(m);
    srq_quantized_close(q);
    if (ts != NULL)
        srq_tensors_close(ts);
    json_decref(config);
    return rc;
}
