/* Files of the trainer. A run that was cut short: "NAME", "NAME@0" … of every tensor (value and states), the ranges of
 * activations and "srq.training" F64 [1], the steps done. What came out: the tensors in the shapes of the model, and
 * "srq.activations" F32 [layers, 3, 3]: of input, output and second part of the input, low, high and whether they were
 * seen. */
#include "core/tune/trainer_parts.h"

#include "core/base/alloc.h"
#include "core/format/tensors.h"

#include <inttypes.h>
#include <math.h>

#define HEAD "srq.training"
#define RANGES "srq.activations"
#define NAME_CAP (SRQ_NAME_CAP + 16)
#define RANGE (3 * SRQ_TRAIN_SIDES) /* numbers of a layer */

/* The k-th array of a tensor, NULL behind the last; its name. */
static float *array_of(const struct srq_train_tensor *e, int k, int states, char name[NAME_CAP])
{
    if (k > states)
        return NULL;
    snprintf(name, NAME_CAP, k == 0 ? "%s" : "%s@%d", e->name, k - 1);
    return k == 0 ? e->info.value : e->state[k - 1];
}

static float *ranges_of(const struct srq_train *t)
{
    float *r = srq_calloc(RANGE * (size_t)t->layers + 1, sizeof(*r));

    for (int i = 0; r != NULL && i < SRQ_TRAIN_SIDES * t->layers; i++) {
        const struct srq_activation *a = &t->activation[i].info;

        r[3 * i] = a->low;
        r[3 * i + 1] = a->high;
        r[3 * i + 2] = a->seen ? 1 : 0;
    }
    return r;
}

/* Of a tensor as the model stores it. */
static int declare_tensor(const struct srq_train *t, struct srq_tensor_writer *w, const struct srq_train_tensor *e,
                          const char *name, struct srq_error *err)
{
    struct srq_tensor stored;

    if (!srq_tensors_describe(srq_model_tensors(t->cfg.model), e->name, &stored))
        return srq_fail_field(err, -SRQ_ESTATE, e->name, "tensor %s is gone", e->name);
    return srq_writer_declare(w, name, SRQ_F32, stored.rank, stored.shape, err);
}

static int write_file(const struct srq_train *t, const char *dir, const char *base, int states, bool running,
                      struct srq_error *err)
{
    const int64_t ranges[3] = { t->layers, SRQ_TRAIN_SIDES, 3 }, one = 1;
    const double done = (double)t->done;
    struct srq_tensor_writer *w = NULL;
    float *range = ranges_of(t);
    char name[NAME_CAP];
    int rc = range != NULL ? srq_writer_create(dir, base, 0, &w, err)
                           : srq_fail(err, -SRQ_ENOMEM, "out of memory writing what was trained");

    if (rc == 0)
        rc = srq_writer_declare(w, RANGES, SRQ_F32, 3, ranges, err);
    if (rc == 0 && running)
        rc = srq_writer_declare(w, HEAD, SRQ_F64, 1, &one, err);
    for (int i = 0; rc == 0 && i < t->count; i++)
        for (int k = 0; rc == 0 && array_of(&t->tensors[i], k, states, name) != NULL; k++)
            rc = declare_tensor(t, w, &t->tensors[i], name, err);
    if (rc == 0)
        rc = srq_writer_begin(w, err);
    if (rc == 0)
        rc = srq_writer_put(w, RANGES, 0, range, RANGE * (size_t)t->layers * sizeof(float), err);
    if (rc == 0 && running)
        rc = srq_writer_put(w, HEAD, 0, &done, sizeof(done), err);
    for (int i = 0; rc == 0 && i < t->count; i++) {
        const float *a;

        for (int k = 0; rc == 0 && (a = array_of(&t->tensors[i], k, states, name)) != NULL; k++)
            rc = srq_writer_put(w, name, 0, a, (size_t)t->tensors[i].n * sizeof(float), err);
    }
    if (rc == 0)
        rc = srq_writer_finish(w, err);
    srq_writer_free(w);
    srq_free(range);
    return rc;
}

int srq_train_save(const struct srq_train *t, const char *dir, const char *name, struct srq_error *err)
{
    return write_file(t, dir, name, t->cfg.schedule.states, true, err);
}

int srq_train_write(const struct srq_train *t, const char *dir, const char *name, struct srq_error *err)
{
    return write_file(t, dir, name, 0, false, err);
}

static int bad_file(const char *path, const char *name, struct srq_error *err)
{
    return srq_fail_field(err, -SRQ_EFORMAT, name, "%s: %s is missing or not of the model's shape", path, name);
}

/* F32 of that many elements. */
static const float *find(const struct srq_tensors *ts, const char *name, int64_t n)
{
    struct srq_tensor t;

    return srq_tensors_get(ts, name, &t) && t.dtype == SRQ_F32 && srq_tensor_count(&t) == n ? t.data : NULL;
}

static int load_arrays(struct srq_train *t, const struct srq_tensors *ts, const char *path, struct srq_error *err)
{
    char name[NAME_CAP];

    for (int i = 0; i < t->count; i++) {
        float *to;

        for (int k = 0; (to = array_of(&t->tensors[i], k, t->cfg.schedule.states, name)) != NULL; k++) {
            const float *from = find(ts, name, t->tensors[i].n);

            if (from == NULL)
                return bad_file(path, name, err);
            memcpy(to, from, (size_t)t->tensors[i].n * sizeof(float));
        }
    }
    return 0;
}

int srq_train_load(struct srq_train *t, const char *path, struct srq_error *err)
{
    struct srq_tensors *ts = NULL;
    struct srq_tensor head;
    const float *range;
    int rc = srq_tensors_open(path, &ts, err);

    if (rc != 0)
        return rc;
    range = find(ts, RANGES, RANGE * (int64_t)t->layers);
    if (range == NULL || !srq_tensors_get(ts, HEAD, &head) || head.dtype != SRQ_F64 || srq_tensor_count(&head) != 1)
        rc = bad_file(path, range == NULL ? RANGES : HEAD, err);
    if (rc == 0)
        rc = load_arrays(t, ts, path, err);
    if (rc == 0) {
        for (int i = 0; i < SRQ_TRAIN_SIDES * t->layers; i++) {
            struct srq_activation *a = &t->activation[i].info;

            a->low = range[3 * i];
            a->high = range[3 * i + 1];
            a->seen = range[3 * i + 2] != 0;
        }
        t->done = (int64_t) * (const double *)head.data;
    }
    srq_tensors_close(ts);
    return rc;
}

/* One side of a layer, of which low, high and whether they were seen are known: its grid; false: it has none. */
static bool take_rounding(const struct srq_train_config *c, int layer, int side, const float *ranges,
                          struct srq_activation *out)
{
    const float *range = ranges + RANGE * (int64_t)layer + 3 * (int64_t)side;
    int bits = c->schemes[layer].act_bits;

    *out = (struct srq_activation){ .size = sizeof(*out),
                                    .bits = bits,
                                    .layer = srq_model_layer(c->model, layer)->name,
                                    .output = side == SRQ_TRAIN_OUTPUT,
                                    .seen = 1,
                                    .low = range[0],
                                    .high = range[1] };
    if (bits == 0 || range[2] == 0 || (out->output && !c->schedule.outputs))
        return false;
    c->plugin->trainer->observe(srq_host_services(), c->self, out, out->low, out->high);
    return true;
}

static void take_layer(const struct srq_train_config *c, int layer, const float *ranges,
                       struct srq_layer_roundings *out)
{
    float high = (float)((1 << c->schemes[layer].act_bits) - 1);
    int64_t split = srq_train_split(c, layer);
    struct srq_activation a, rest;

    *out = (struct srq_layer_roundings){ .input = { .scale = 0 } };
    if (take_rounding(c, layer, SRQ_TRAIN_OUTPUT, ranges, &a))
        out->output = (struct srq_rounding){ .scale = a.scale, .zero = a.zero, .high = high };
    if (!take_rounding(c, layer, SRQ_TRAIN_INPUT, ranges, &a))
        return;
    if (split > 0 && !take_rounding(c, layer, SRQ_TRAIN_REST, ranges, &rest))
        return;
    out->input = (struct srq_rounding){ .scale = a.scale, .zero = a.zero, .high = high, .split = split };
    if (split > 0) {
        out->input.rest.scale = rest.scale;
        out->input.rest.zero = rest.zero;
        out->input.rest.high = high;
    }
}

int srq_train_read_roundings(const char *path, const struct srq_train_config *c, struct srq_layer_roundings *out,
                             struct srq_error *err)
{
    int layers = srq_model_layer_count(c->model), rc;
    struct srq_tensors *ts = NULL;
    const float *range;

    rc = srq_tensors_open(path, &ts, err);
    if (rc != 0)
        return rc;
    range = find(ts, RANGES, RANGE * (int64_t)layers);
    for (int i = 0; range != NULL && i < layers; i++)
        take_layer(c, i, range, &out[i]);
    rc = range != NULL ? 0 : bad_file(path, RANGES, err);
    srq_tensors_close(ts);
    return rc;
}
