/* The weights of an export: packed layers, dequantized ones, and everything else as it was. */
#include "core/model/export_parts.h"

#include "core/base/alloc.h"
#include "core/model/internal.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define SHARD_BYTES ((uint64_t)5000000000)
#define CHUNK 262144 /* elements converted at a time */

int srq_export_layer_of(const struct srq_export_plan *p, const char *tensor, bool bias)
{
    const char *suffix = bias ? ".bias" : ".weight";
    size_t len = strlen(tensor), tail = strlen(suffix);

    if (len <= tail || strcmp(tensor + len - tail, suffix) != 0)
        return -1;
    for (int i = 0; i < p->layers; i++) {
        const char *name = srq_model_layer(p->model, i)->name;

        if (srq_export_quantized(p, i) && strlen(name) == len - tail && memcmp(name, tensor, len - tail) == 0)
            return i;
    }
    return -1;
}

bool srq_export_left_out(const struct srq_export_plan *p, const char *tensor)
{
    const char *head = p->model->family->head;
    size_t len = head != NULL ? strlen(head) : 0;

    return p->model->info.tied_head && len > 0 && strncmp(tensor, head, len) == 0 &&
           strcmp(tensor + len, ".weight") == 0;
}

static bool is_weight(const struct srq_export_plan *p, const char *tensor)
{
    size_t len = strlen(tensor), tail = strlen(".weight");

    for (int i = 0; len > tail && i < p->layers; i++) {
        const char *name = srq_model_layer(p->model, i)->name;

        if (strlen(name) == len - tail && memcmp(name, tensor, len - tail) == 0)
            return strcmp(tensor + len - tail, ".weight") == 0;
    }
    return false;
}

enum srq_dtype srq_export_dtype(const struct srq_export_plan *p, const char *tensor, enum srq_dtype source)
{
    bool f16 = p->format->f16 || (p->format->f16_bias && srq_export_layer_of(p, tensor, true) >= 0);

    if (p->narrow && source == SRQ_F32 && is_weight(p, tensor))
        return SRQ_BF16;
    return f16 && (source == SRQ_F32 || source == SRQ_BF16) ? SRQ_F16 : source;
}

/* Calls fn for each tensor of a quantized layer, LAYER.SUFFIX. */
static int each_plane(const struct srq_export_layer *l,
                      int (*fn)(void *ctx, const char *name, const struct srq_tensor *t, struct srq_error *err),
                      void *ctx, struct srq_error *err)
{
    const char *layer = srq_model_layer(l->plan->model, l->layer)->name;
    int rc = 0;

    for (int i = 0; i < l->count && rc == 0; i++) {
        char name[1200];

        if ((size_t)snprintf(name, sizeof(name), "%s.%s", layer, l->plane[i].suffix) >= sizeof(name))
            return srq_fail_field(err, -SRQ_ELIMIT, layer, "layer name %.100s… is too long", layer);
        rc = fn(ctx, name, &l->plane[i].t, err);
    }
    return rc;
}

int srq_export_plane_count(const struct srq_export_plan *p, int layer)
{
    struct srq_export_layer l = { .plan = p, .layer = layer };

    return p->format->describe(&l, NULL) == 0 ? l.count : 0;
}

/* Calls fn for every tensor that the export has, without data. */
static int each_tensor(const struct srq_export_plan *p,
                       int (*fn)(void *ctx, const char *name, const struct srq_tensor *t, struct srq_error *err),
                       void *ctx, struct srq_error *err)
{
    const struct srq_tensors *ts = srq_model_tensors(p->model);
    int rc = 0;

    for (int64_t i = 0; i < srq_tensors_count(ts) && rc == 0; i++) {
        const char *name = srq_tensors_name(ts, i);
        int layer = srq_export_layer_of(p, name, false);
        struct srq_tensor t;

        if (layer >= 0) {
            struct srq_export_layer l = { .plan = p, .layer = layer };

            rc = p->format->describe(&l, err);
            if (rc == 0)
                rc = each_plane(&l, fn, ctx, err);
            continue;
        }
        if (srq_export_left_out(p, name))
            continue;
        if (!srq_tensors_describe(ts, name, &t))
            return srq_fail_field(err, -SRQ_EFORMAT, name, "tensor %s disappeared", name);
        t.dtype = srq_export_dtype(p, name, t.dtype);
        rc = fn(ctx, name, &t, err);
    }
    return rc;
}

static int add_bytes(void *ctx, const char *name, const struct srq_tensor *t, struct srq_error *err)
{
    uint64_t *sum = ctx;
    size_t bytes;

    if (!srq_tensor_bytes(t, &bytes) || __builtin_add_overflow(*sum, (uint64_t)bytes, sum))
        return srq_fail_field(err, -SRQ_ELIMIT, name, "tensor %s is too large", name);
    return 0;
}

int srq_export_bytes(const struct srq_format *f, const struct srq_model *m, const struct srq_scheme *schemes,
                     uint64_t *bytes, struct srq_error *err)
{
    struct srq_export_plan p;
    int rc = srq_export_plan_make(&p, m, f, schemes, err);

    *bytes = 0;
    if (rc == 0 && f->bytes != NULL)
        return f->bytes(&p, bytes, err);
    return rc != 0 ? rc : each_tensor(&p, add_bytes, bytes, err);
}

static int declare(void *ctx, const char *name, const struct srq_tensor *t, struct srq_error *err)
{
    return srq_writer_declare(ctx, name, t->dtype, t->rank, t->shape, err);
}

static int put(void *ctx, const char *name, const struct srq_tensor *t, struct srq_error *err)
{
    size_t bytes;

    if (!srq_tensor_bytes(t, &bytes))
        return srq_fail_field(err, -SRQ_ELIMIT, name, "tensor %s is too large", name);
    return srq_writer_put(ctx, name, 0, t->data, bytes, err);
}

static int put_layer(const struct srq_export_plan *p, int layer, const struct srq_codes *c, struct srq_tensor_writer *w,
                     struct srq_error *err)
{
    struct srq_export_layer l = { .plan = p, .layer = layer };
    int rc = p->format->describe(&l, err);

    if (rc == 0)
        rc = p->format->fill(&l, c, err);
    if (rc == 0)
        rc = each_plane(&l, put, w, err);
    p->format->drop(&l);
    return rc;
}

/* Converts [first, first+n) of a tensor to F16; a finite value that becomes infinite is named. */
static int to_f16(const char *name, const struct srq_tensor *t, int64_t first, int64_t n, uint16_t *half, float *wide,
                  struct srq_error *err)
{
    const char *src = (const char *)t->data + (size_t)first * srq_dtype_size(t->dtype);
    int rc = srq_convert(src, t->dtype, wide, SRQ_F32, n);

    for (int64_t i = 0; i < n && rc == 0; i++) {
        half[i] = srq_f32_to_f16(wide[i]);
        if ((half[i] & 0x7fff) == 0x7c00 && isfinite(wide[i]))
            return srq_fail_field(err, -SRQ_ENUMERIC, name,
                                  "tensor %s holds %g at %" PRId64
                                  ", beyond the 65504 of the F16 that this format uses",
                                  name, (double)wide[i], first + i);
    }
    return rc;
}

/* All of a tensor that becomes F16 or BF16, written to `w`, or only looked at where that is NULL. */
static int convert_all(const char *name, const struct srq_tensor *t, enum srq_dtype to, struct srq_tensor_writer *w,
                       struct srq_error *err)
{
    uint16_t *half = srq_malloc(CHUNK * sizeof(*half));
    float *wide = srq_malloc(CHUNK * sizeof(*wide));
    int64_t count = srq_tensor_count(t);
    int rc = half != NULL && wide != NULL ? 0 : srq_fail(err, -SRQ_ENOMEM, "out of memory converting %s", name);

    for (int64_t at = 0; at < count && rc == 0; at += CHUNK) {
        int64_t n = count - at < CHUNK ? count - at : CHUNK;

        if (to == SRQ_F16)
            rc = to_f16(name, t, at, n, half, wide, err);
        else
            rc = srq_convert((const char *)t->data + (size_t)at * srq_dtype_size(t->dtype), t->dtype, half, to, n);
        if (rc == 0 && w != NULL)
            rc = srq_writer_put(w, name, (uint64_t)at * 2, half, (size_t)n * 2, err);
    }
    srq_free(half);
    srq_free(wide);
    return rc;
}

static int check_values(void *ctx, const char *name, const struct srq_tensor *stored, struct srq_error *err)
{
    const struct srq_export_plan *p = ctx;
    struct srq_tensor t;
    void *owned;
    int rc;

    if (stored->dtype != SRQ_F16 || !srq_tensors_describe(srq_model_tensors(p->model), name, &t) || t.dtype == SRQ_F16)
        return 0; /* made by us, or as it was */
    rc = srq_model_tensor(p->model, name, &t, &owned, err);
    if (rc != 0)
        return rc;
    rc = convert_all(name, &t, SRQ_F16, NULL, err);
    srq_tensors_release(srq_model_tensors(p->model), &t);
    srq_free(owned);
    return rc;
}

int srq_export_check_values(const struct srq_format *f, const struct srq_model *m, const struct srq_scheme *schemes,
                            struct srq_error *err)
{
    struct srq_export_plan p;
    int rc = srq_export_plan_make(&p, m, f, schemes, err);

    return rc != 0 || f->build != NULL ? rc : each_tensor(&p, check_values, &p, err);
}

static int put_copy(const struct srq_export_plan *p, const char *name, struct srq_tensor_writer *w,
                    struct srq_error *err)
{
    const struct srq_tensors *ts = srq_model_tensors(p->model);
    void *owned;
    struct srq_tensor t;
    int rc = srq_model_tensor(p->model, name, &t, &owned, err);

    if (rc != 0)
        return rc;
    if (srq_export_dtype(p, name, t.dtype) == t.dtype) {
        rc = put(w, name, &t, err);
        srq_tensors_release(ts, &t);
        srq_free(owned);
        return rc;
    }
    rc = convert_all(name, &t, srq_export_dtype(p, name, t.dtype), w, err);
    srq_tensors_release(ts, &t);
    srq_free(owned);
    return rc;
}

static int put_all(const struct srq_export_plan *p, const struct srq_export_request *r, struct srq_tensor_writer *w,
                   struct srq_error *err)
{
    const struct srq_tensors *ts = srq_model_tensors(p->model);
    int rc = 0;

    for (int64_t i = 0; i < srq_tensors_count(ts) && rc == 0; i++)
        if (srq_export_layer_of(p, srq_tensors_name(ts, i), false) < 0 &&
            !srq_export_left_out(p, srq_tensors_name(ts, i)))
            rc = put_copy(p, srq_tensors_name(ts, i), w, err);
    for (int i = 0; i < p->layers && rc == 0; i++) {
        const struct srq_codes *c;

        if (r->tick != NULL && (rc = r->tick(r->tick_ctx, i, 2 * (int64_t)p->layers)) != 0)
            return srq_fail(err, rc, "export stopped on request");
        if (!srq_export_quantized(p, i))
            continue;
        rc = r->codes(r->codes_ctx, i, &c, err);
        if (rc == 0)
            rc = put_layer(p, i, c, w, err);
    }
    return rc;
}

int srq_export_tensors(const struct srq_export_plan *p, const struct srq_export_request *r, const char *dir,
                       struct srq_error *err)
{
    struct srq_tensor_writer *w;
    const char *base = srq_model_info(p->model)->pictures ? "diffusion_pytorch_model" : "model";
    int rc = srq_writer_create(dir, base, r->shard_bytes != 0 ? r->shard_bytes : SHARD_BYTES, &w, err);

    if (rc != 0)
        return rc;
    rc = each_tensor(p, declare, w, err);
    if (rc == 0)
        rc = srq_writer_begin(w, err);
    if (rc == 0)
        rc = put_all(p, r, w, err);
    if (rc == 0)
        rc = srq_writer_finish(w, err);
    srq_writer_free(w);
    return rc;
}
