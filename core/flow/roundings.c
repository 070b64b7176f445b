/* The file of activation grids. */
#include "core/flow/roundings.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "core/format/tensors.h"

#include <math.h>

#define BASE "srq_activations"
#define VALUES 4 /* of a side at most */
enum { INPUT, OUTPUT, REST, SIDES };
static const struct {
    const char *name;
    int values;
} sides[SIDES] = { { "input", 3 }, { "output", 3 }, { "input_rest", 4 } };

static void name_of(const struct srq_model *m, int layer, int side, char name[SRQ_NAME_CAP])
{
    snprintf(name, SRQ_NAME_CAP, "%s.%s", srq_model_layer(m, layer)->name, sides[side].name);
}

/* What the file says of one side; false: nothing. */
static bool side_of(const struct srq_layer_roundings *all, int side, float out[VALUES])
{
    const struct srq_rounding *r = side == OUTPUT ? &all->output : &all->input;

    if (srq_rounding_off(r) || (side == REST && r->split == 0))
        return false;
    out[0] = side == REST ? r->rest.scale : r->scale;
    out[1] = side == REST ? r->rest.zero : r->zero;
    out[2] = side == REST ? r->rest.high : r->high;
    out[3] = (float)r->split;
    return true;
}

/* Declares (or, with `put`, fills) every tensor; returns how many there are, or an error. */
static int each(const struct srq_model *m, const struct srq_layer_roundings *all, struct srq_tensor_writer *w, bool put,
                struct srq_error *err)
{
    char name[SRQ_NAME_CAP];
    int count = 0, rc = 0;

    for (int i = 0; rc == 0 && i < SIDES * srq_model_layer_count(m); i++) {
        const int64_t n = sides[i % SIDES].values;
        float values[VALUES];

        if (!side_of(&all[i / SIDES], i % SIDES, values))
            continue;
        count++;
        name_of(m, i / SIDES, i % SIDES, name);
        if (w != NULL)
            rc = put ? srq_writer_put(w, name, 0, values, (size_t)n * sizeof(*values), err)
                     : srq_writer_declare(w, name, SRQ_F32, 1, &n, err);
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

static bool is_grid(const struct srq_tensor *t, int values)
{
    const float *v = t->data;

    return t->dtype == SRQ_F32 && srq_tensor_count(t) == values && isfinite(v[0]) && v[0] > 0 && v[2] >= 1 &&
           v[2] <= 65535 && v[2] == rintf(v[2]) && v[1] >= 0 && v[1] <= v[2] && v[1] == rintf(v[1]);
}

/* The second part of an input, whose first is taken. */
static bool take_rest(const float *v, const struct srq_layer_info *l, struct srq_rounding *r)
{
    if (srq_rounding_off(r) || l->split == 0 || v[3] != (float)l->split)
        return false;
    r->rest.scale = v[0];
    r->rest.zero = v[1];
    r->rest.high = v[2];
    r->split = l->split;
    return true;
}

static int take(const struct srq_model *m, const struct srq_tensors *ts, const char *path,
                struct srq_layer_roundings *all, struct srq_error *err)
{
    char name[SRQ_NAME_CAP];
    int64_t taken = 0;

    for (int i = 0; i < SIDES * srq_model_layer_count(m); i++) {
        int side = i % SIDES, layer = i / SIDES;
        struct srq_rounding *to = side == OUTPUT ? &all[layer].output : &all[layer].input;
        struct srq_tensor t;
        const float *v;

        name_of(m, layer, side, name);
        if (!srq_tensors_get(ts, name, &t))
            continue;
        if (!is_grid(&t, sides[side].values))
            return srq_fail_field(err, -SRQ_EFORMAT, name, "%s: tensor %s is no grid of codes", path, name);
        v = t.data;
        if (side != REST)
            *to = (struct srq_rounding){ .scale = v[0], .zero = v[1], .high = v[2] };
        else if (!take_rest(v, srq_model_layer(m, layer), to))
            return srq_fail_field(err, -SRQ_EFORMAT, name,
                                  "%s: tensor %s is of columns from %g on, where no second part of the layer's input "
                                  "begins",
                                  path, name, (double)v[3]);
        taken++;
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
