/* Scales of pairs: memory, file, statistics. */
#include "core/tune/scales.h"

#include "core/base/alloc.h"

#include <math.h>

#define OUTCOME "srq.outcome"
#define NAME_CAP 300

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static size_t all_channels(const struct srq_model *m, const bool *wanted)
{
    size_t n = 0;

    for (int i = 0; i < srq_model_pair_count(m); i++)
        n += wanted[i] ? (size_t)srq_model_pair(m, i)->channels : 0;
    return n;
}

uint64_t srq_scales_bytes(const struct srq_model *m, const bool *wanted)
{
    return all_channels(m, wanted) * sizeof(float) + (size_t)srq_model_pair_count(m) * sizeof(float *);
}

int srq_scales_alloc(const struct srq_model *m, const bool *wanted, struct srq_scales *out, struct srq_error *err)
{
    size_t channels = all_channels(m, wanted);
    float *at;

    memset(out, 0, sizeof(*out));
    out->pairs = srq_model_pair_count(m);
    out->outcome = (struct srq_scales_outcome){ NAN, NAN, 0, -1 };
    out->alpha = srq_calloc((size_t)out->pairs + 1, sizeof(out->alpha[0]));
    out->memory = srq_malloc((channels + 1) * sizeof(float));
    if (out->alpha == NULL || out->memory == NULL) {
        srq_scales_fini(out);
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for %zu scales", channels);
    }
    for (size_t i = 0; i < channels; i++)
        out->memory[i] = 1.0f;
    at = out->memory;
    for (int i = 0; i < out->pairs; i++) {
        if (!wanted[i])
            continue;
        out->alpha[i] = at;
        at += srq_model_pair(m, i)->channels;
    }
    return 0;
}

void srq_scales_fini(struct srq_scales *s)
{
    srq_free(s->alpha);
    srq_free(s->memory);
    memset(s, 0, sizeof(*s));
}

int srq_scales_check(const char *name, const float *alpha, int64_t channels, struct srq_error *err)
{
    for (int64_t i = 0; i < channels; i++) {
        if (!isfinite(alpha[i]) || alpha[i] < SRQ_SCALE_LEAST)
            return srq_fail_field(err, -SRQ_ENUMERIC, name,
                                  "the scale of channel %lld of %s is %g; it has to be "
                                  "finite and at least "
                                  "%g",
                                  (long long)i, name, (double)alpha[i], (double)SRQ_SCALE_LEAST);
    }
    return 0;
}

/* ---- statistics -------------------------------------------------------------------------------------------------- */

struct srq_scales_spread srq_scales_spread(const struct srq_scales *s, const struct srq_model *m)
{
    struct srq_scales_spread out = { INFINITY, 0, 0, { { 0, 0 } } };
    double sum[SRQ_SCALES_KINDS] = { 0 }, count[SRQ_SCALES_KINDS] = { 0 }, all = 0, channels = 0;

    for (int i = 0; i < s->pairs; i++) {
        int k = srq_model_pair(m, i)->kind - 'A';

        for (int64_t c = 0; s->alpha[i] != NULL && c < srq_model_pair(m, i)->channels; c++) {
            double v = fabs(log((double)s->alpha[i][c]));

            out.min = fmin(out.min, v);
            out.kind[k].max = fmax(out.kind[k].max, v);
            all += v;
            sum[k] += v;
            count[k]++;
        }
        channels += s->alpha[i] != NULL ? (double)srq_model_pair(m, i)->channels : 0;
    }
    for (int k = 0; k < SRQ_SCALES_KINDS; k++) {
        out.max = fmax(out.max, out.kind[k].max);
        out.kind[k].mean = count[k] > 0 ? sum[k] / count[k] : (double)NAN;
        out.kind[k].max = count[k] > 0 ? out.kind[k].max : (double)NAN;
    }
    if (channels == 0)
        out.min = 0;
    else
        out.mean = all / channels;
    return out;
}

void srq_scales_range(const struct srq_scales *s, const struct srq_model *m, double *least, double *most)
{
    *least = INFINITY;
    *most = 0;
    for (int i = 0; i < s->pairs; i++) {
        for (int64_t c = 0; s->alpha[i] != NULL && c < srq_model_pair(m, i)->channels; c++) {
            *least = fmin(*least, (double)s->alpha[i][c]);
            *most = fmax(*most, (double)s->alpha[i][c]);
        }
    }
    if (*most == 0)
        *least = *most = 1;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static const char *tensor_name(const struct srq_model *m, int pair, char out[NAME_CAP])
{
    snprintf(out, NAME_CAP, "%s.scale", srq_model_pair(m, pair)->name);
    return out;
}

static int declare(const struct srq_scales *s, const struct srq_model *m, struct srq_tensor_writer *w,
                   struct srq_error *err)
{
    const int64_t four = 4;
    char name[NAME_CAP];
    int rc = srq_writer_declare(w, OUTCOME, SRQ_F64, 1, &four, err);

    for (int i = 0; rc == 0 && i < s->pairs; i++) {
        if (s->alpha[i] != NULL)
            rc = srq_writer_declare(w, tensor_name(m, i, name), SRQ_F32, 1, &srq_model_pair(m, i)->channels, err);
    }
    return rc == 0 ? srq_writer_begin(w, err) : rc;
}

static int put(const struct srq_scales *s, const struct srq_model *m, struct srq_tensor_writer *w,
               struct srq_error *err)
{
    const struct srq_scales_outcome *o = &s->outcome;
    const double outcome[4] = { o->loss_first, o->loss_best, (double)o->steps, (double)o->best_step };
    char name[NAME_CAP];
    int rc = srq_writer_put(w, OUTCOME, 0, outcome, sizeof(outcome), err);

    for (int i = 0; rc == 0 && i < s->pairs; i++) {
        if (s->alpha[i] != NULL)
            rc = srq_writer_put(w, tensor_name(m, i, name), 0, s->alpha[i],
                                (size_t)srq_model_pair(m, i)->channels * sizeof(float), err);
    }
    return rc == 0 ? srq_writer_finish(w, err) : rc;
}

int srq_scales_write(const struct srq_scales *s, const struct srq_model *m, const char *dir, const char *base,
                     struct srq_error *err)
{
    struct srq_tensor_writer *w = NULL;
    int rc = srq_writer_create(dir, base, 0, &w, err);

    if (rc == 0)
        rc = declare(s, m, w, err);
    if (rc == 0)
        rc = put(s, m, w, err);
    srq_writer_free(w);
    return rc;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static int read_pair(struct srq_scales *s, const struct srq_model *m, int i, const struct srq_tensors *file,
                     const char *path, struct srq_error *err)
{
    const struct srq_pair_info *p = srq_model_pair(m, i);
    struct srq_tensor t;
    char name[NAME_CAP], shape[96];

    if (!srq_tensors_get(file, tensor_name(m, i, name), &t))
        return srq_fail_field(err, -SRQ_EINVAL, name, "%s has no tensor %s [%lld], whose layers are to be scaled", path,
                              name, (long long)p->channels);
    if (t.dtype != SRQ_F32 || t.rank != 1 || t.shape[0] != p->channels)
        return srq_fail_field(err, -SRQ_EINVAL, name, "tensor %s of %s is %s %s; the model takes F32 [%lld]", name,
                              path, srq_dtype_name(t.dtype), srq_tensor_shape_text(&t, shape, sizeof(shape)),
                              (long long)p->channels);
    memcpy(s->alpha[i], t.data, (size_t)p->channels * sizeof(float));
    return srq_scales_check(p->name, s->alpha[i], p->channels, err);
}

/* Whether everything in the file has a place in the model. */
static int check_names(const struct srq_scales *s, const struct srq_model *m, const struct srq_tensors *file,
                       const char *path, struct srq_error *err)
{
    char name[NAME_CAP], shape[96];

    for (int64_t k = 0; k < srq_tensors_count(file); k++) {
        const char *have = srq_tensors_name(file, k);
        struct srq_tensor t;
        int i = 0;

        while (i < s->pairs && (s->alpha[i] == NULL || strcmp(tensor_name(m, i, name), have) != 0))
            i++;
        if (i < s->pairs || strcmp(have, OUTCOME) == 0 || !srq_tensors_describe(file, have, &t))
            continue;
        return srq_fail_field(err, -SRQ_EINVAL, have,
                              "%s has a tensor %.200s %s, which is none of the scales of this "
                              "job's model",
                              path, have, srq_tensor_shape_text(&t, shape, sizeof(shape)));
    }
    return 0;
}

int srq_scales_read(struct srq_scales *s, const struct srq_model *m, const char *path, struct srq_error *err)
{
    struct srq_tensors *file = NULL;
    struct srq_tensor t;
    int rc = srq_tensors_open(path, &file, err);

    for (int i = 0; rc == 0 && i < s->pairs; i++) {
        if (s->alpha[i] != NULL)
            rc = read_pair(s, m, i, file, path, err);
    }
    if (rc == 0)
        rc = check_names(s, m, file, path, err);
    if (rc == 0 && srq_tensors_get(file, OUTCOME, &t) && t.dtype == SRQ_F64 && t.rank == 1 && t.shape[0] == 4) {
        double v[4];

        memcpy(v, t.data, sizeof(v));
        if (v[2] >= 0 && v[2] < 1e15 && v[3] >= -1 && v[3] <= v[2])
            s->outcome = (struct srq_scales_outcome){ v[0], v[1], (int64_t)v[2], (int64_t)v[3] };
    }
    srq_tensors_close(file);
    return rc;
}
