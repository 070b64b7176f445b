/* The file of activation grids. */
#include "core/flow/roundings.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "core/format/tensors.h"

#include <math.h>

#define BASE "srq_activations"
#define SIDES 2
static const char *const sides[SIDES] = { "input", "output" };

static const struct srq_rounding *side_of(const struct srq_layer_roundings *r, int side)
{
    return side == 0 ? &r->input : &r->output;
}

static void name_of(const struct srq_model *m, int layer, int side, char name[SRQ_NAME_CAP])
{
    snprintf(name, SRQ_NAME_CAP, "%s.%s", srq_model_layer(m, layer)->name, sides[side]);
}

/* Declares (or, with `put`, fills) every tensor; returns how many there are, or an error. */
static int each(const struct srq_model *m, const struct srq_layer_roundings *all, struct srq_tensor_writer *w, bool put,
                struct srq_error *err)
{
    const int64_t three = 3;
    char name[SRQ_NAME_CAP];
    int count = 0, rc = 0;

    for (int i = 0; rc == 0 && i < srq_model_layer_count(m); i++) {
        for (int side = 0; rc == 0 && side < SIDES; side++) {
            const struct srq_rounding *r = side_of(&all[i], side);
            const float values[3] = { r->scale, r->zero, r->high };

            if (srq_rounding_off(r))
                continue;
            count++;
            name_of(m, i, side, name);
            if (w != NULL)
                rc = put ? srq_writer_put(w, name, 0, values, sizeof(values), err)
                         : srq_writer_declare(w, name, SRQ_F32, 1, &three, err);
        }
    }
    return rc == 0 ? count : rc;
}

int srq_roundings_write(const struct srq_model *m, const struct srq_layer_roundings *all, const char *dir,
                        struct srq_error *err)
{
    struct srq_tensor_writer *w = NULL;
    int rc;

    if (each(m, all, NULL, false, err) == 0)
        return 0;
    rc = srq_writer_create(dir, BASE, 0, &w, err);
    if (rc == 0)
        rc = each(m, all, w, false, err);
    if (rc >= 0)
        rc = srq_writer_begin(w, err);
    if (rc >= 0)
        rc = each(m, all, w, true, err);
    if (rc >= 0)
        rc = srq_writer_finish(w, err);
    srq_writer_free(w);
    return rc < 0 ? rc : 0;
}

static bool is_grid(const struct srq_tensor *t)
{
    const float *v = t->data;

    return t->dtype == SRQ_F32 && srq_tensor_count(t) == 3 && isfinite(v[0]) && v[0] > 0 && v[2] >= 1 &&
           v[2] <= 65535 && v[2] == rintf(v[2]) && v[1] >= 0 && v[1] <= v[2] && v[1] == rintf(v[1]);
}

static int take(const struct srq_model *m, const struct srq_tensors *ts, const char *path,
                struct srq_layer_roundings *all, struct srq_error *err)
{
    char name[SRQ_NAME_CAP];
    int64_t taken = 0;

    for (int i = 0; i < srq_model_layer_count(m); i++) {
        for (int side = 0; side < SIDES; side++) {
            struct srq_rounding *to = side == 0 ? &all[i].input : &all[i].output;
            struct srq_tensor t;

            name_of(m, i, side, name);
            if (!srq_tensors_get(ts, name, &t))
                continue;
            if (!is_grid(&t))
                return srq_fail_field(err, -SRQ_EFORMAT, name, "%s: tensor %s is no grid of codes", path, name);
            *to = (struct srq_rounding){ .scale = ((const float *)t.data)[0],
                                         .zero = ((const float *)t.data)[1],
                                         .high = ((const float *)t.data)[2] };
            taken++;
        }
    }
    if (taken == srq_tensors_count(ts))
        return 0;
    return srq_fail_field(err, -SRQ_EFORMAT, path, "%s names layers that the model does not have", path);
}

int srq_roundings_read(const struct srq_model *m, struct srq_layer_roundings **all, struct srq_error *err)
{
    char *path = srq_asprintf("%s/" BASE ".safetensors", srq_model_info(m)->folder);
    struct srq_tensors *ts = NULL;
    int rc = 0;

    *all = NULL;
    if (path == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for grids of activations");
    if (srq_path_exists(path)) {
        rc = srq_tensors_open(path, &ts, err);
        if (rc == 0 && (*all = srq_calloc((size_t)srq_model_layer_count(m) + 1, sizeof(**all))) == NULL)
            rc = srq_fail(err, -SRQ_ENOMEM, "out of memory for grids of activations");
        if (rc == 0)
            rc = take(m, ts, path, *all, err);
        srq_tensors_close(ts);
    }
    if (rc != 0) {
        srq_free(*all);
        *all = NULL;
    }
    srq_free(path);
    return rc;
}
