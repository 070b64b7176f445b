/* The features network, a picture at a time: sums in double and in a fixed order, so that a picture's features are the
 * same in any batch. At some 10^5 products a picture, speed is no concern. */
#include "core/eval/features.h"

#include "core/base/alloc.h"
#include "core/format/tensors.h"
#include "core/math/team.h"

#include <inttypes.h>
#include <string.h>

#define CONVS_MAX 16
#define KERNEL_MAX 15

/* Weights are stored with the outputs innermost, which are what the loops run over: of a convolution
 * [k, k, in, out], of the linear layer [in, out]. */
struct layer {
    int64_t out, in, kernel; /* kernel 0: linear */
    float *weight, *bias;
};

struct srq_features {
    char *path;
    struct layer convs[CONVS_MAX], fc;
    int conv_count;
};

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static int fail(const struct srq_features *f, const char *tensor, struct srq_error *err, const char *what)
{
    return srq_fail_field(err, -SRQ_EFORMAT, tensor, "%s: %s %s", f->path, tensor, what);
}

/* F32 values of a tensor; `*out` srq_free. */
static int take(const struct srq_features *f, const struct srq_tensor *t, const char *name, float **out,
                struct srq_error *err)
{
    int64_t count = srq_tensor_count(t);
    struct srq_tensor flat;

    *out = srq_calloc((size_t)count, sizeof(**out));
    if (*out == NULL)
        return srq_fail_field(err, -SRQ_ENOMEM, f->path, "out of memory reading %s", f->path);
    if (srq_convert(t->data, t->dtype, *out, SRQ_F32, count) != 0)
        return fail(f, name, err, "is not of F32, F16 or BF16");
    flat = srq_tensor_make(*out, SRQ_F32, 1, &count);
    return srq_tensor_first_nonfinite(&flat) < 0 ? 0 : fail(f, name, err, "has values that are not finite");
}

/* [out, in, taps] to [taps, in, out]; false when out of memory. */
static bool turn(struct layer *l)
{
    int64_t taps = l->kernel == 0 ? 1 : l->kernel * l->kernel;
    float *turned = srq_calloc((size_t)(taps * l->in * l->out), sizeof(*turned));

    if (turned == NULL)
        return false;
    for (int64_t o = 0; o < l->out; o++)
        for (int64_t i = 0; i < l->in; i++)
            for (int64_t k = 0; k < taps; k++)
                turned[(k * l->in + i) * l->out + o] = l->weight[(o * l->in + i) * taps + k];
    srq_free(l->weight);
    l->weight = turned;
    return true;
}

/* Whether shapes are those of a layer of `rank` dimensions; `in` 0: any. */
static const char *wrong_shape(const struct srq_tensor *w, const struct srq_tensor *b, int rank, int64_t in)
{
    if (w->rank != rank || srq_tensor_count(w) < 1)
        return rank == 4 ? "is not of 4 dimensions" : "is not of 2 dimensions";
    if (rank == 4 && (w->shape[2] != w->shape[3] || w->shape[2] % 2 == 0 || w->shape[2] > KERNEL_MAX))
        return "has a kernel that is not square, odd and at most 15 wide";
    if (in != 0 && w->shape[1] != in)
        return "does not take what the layer before it gives";
    if (b->rank != 1 || b->shape[0] != w->shape[0])
        return "has another number of outputs than its bias";
    return NULL;
}

static int read_layer(const struct srq_features *f, const struct srq_tensors *ts, const char *name, int64_t in,
                      struct layer *l, struct srq_error *err)
{
    int rank = name[0] == 'c' ? 4 : 2, rc;
    struct srq_tensor w, b;
    char weight[32], bias[32];
    const char *wrong;

    snprintf(weight, sizeof(weight), "%s.weight", name);
    snprintf(bias, sizeof(bias), "%s.bias", name);
    if (!srq_tensors_get(ts, weight, &w))
        return fail(f, weight, err, "is missing");
    if (!srq_tensors_get(ts, bias, &b))
        return fail(f, bias, err, "is missing");
    wrong = wrong_shape(&w, &b, rank, in);
    if (wrong != NULL)
        return fail(f, weight, err, wrong);
    *l = (struct layer){ .out = w.shape[0], .in = w.shape[1], .kernel = rank == 4 ? w.shape[2] : 0 };
    rc = take(f, &w, weight, &l->weight, err);
    if (rc == 0)
        rc = take(f, &b, bias, &l->bias, err);
    if (rc == 0 && !turn(l))
        rc = srq_fail_field(err, -SRQ_ENOMEM, f->path, "out of memory reading %s", f->path);
    return rc;
}

static int read_layers(struct srq_features *f, const struct srq_tensors *ts, struct srq_error *err)
{
    struct srq_tensor t;
    char name[32];
    int rc = 0;

    for (int i = 0; rc == 0; i++) {
        snprintf(name, sizeof(name), "conv%d.weight", i + 1);
        if (i > 0 && !srq_tensors_describe(ts, name, &t))
            break;
        if (i == CONVS_MAX)
            return fail(f, name, err, "is one convolution too many");
        snprintf(name, sizeof(name), "conv%d", i + 1);
        rc = read_layer(f, ts, name, i > 0 ? f->convs[i - 1].out : 0, &f->convs[i], err);
        f->conv_count = i + 1;
    }
    if (rc == 0)
        rc = read_layer(f, ts, "fc1", 0, &f->fc, err);
    if (rc == 0 && f->fc.in % f->convs[f->conv_count - 1].out != 0)
        rc = fail(f, "fc1.weight", err, "does not take what the layer before it gives");
    return rc == 0 ? srq_tensors_check(ts, err) : rc;
}

int srq_features_open(const char *path, struct srq_features **out, struct srq_error *err)
{
    struct srq_features *f = srq_calloc(1, sizeof(*f));
    struct srq_tensors *ts = NULL;
    int rc;

    *out = NULL;
    if (f != NULL)
        f->path = srq_strdup(path);
    if (f == NULL || f->path == NULL) {
        srq_features_close(f);
        return srq_fail_field(err, -SRQ_ENOMEM, path, "out of memory reading %s", path);
    }
    rc = srq_tensors_open(path, &ts, err);
    if (rc == 0) {
        rc = read_layers(f, ts, err);
        srq_tensors_close(ts);
    }
    if (rc != 0)
        srq_features_close(f);
    else
        *out = f;
    return rc;
}

void srq_features_close(struct srq_features *f)
{
    if (f == NULL)
        return;
    for (int i = 0; i < f->conv_count; i++) {
        srq_free(f->convs[i].weight);
        srq_free(f->convs[i].bias);
    }
    srq_free(f->fc.weight);
    srq_free(f->fc.bias);
    srq_free(f->path);
    srq_free(f);
}

int64_t srq_features_count(const struct srq_features *f)
{
    return f->fc.out;
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

/* A picture between two layers, channels-last. */
struct plane {
    float *data;
    int64_t height, width, channels;
};

struct run {
    const struct srq_features *f;
    const struct srq_picture_batch *batch;
    float *out;
    int64_t most;  /* values of the largest plane */
    float *planes; /* [threads, 2, most] */
    double *sums;  /* [threads, widest layer] */
    int64_t widest;
};

static void add_scaled(double *sums, const float *w, double x, int64_t n)
{
    for (int64_t o = 0; o < n; o++)
        sums[o] += x * (double)w[o];
}

static void begin(const struct layer *l, double *sums)
{
    for (int64_t o = 0; o < l->out; o++)
        sums[o] = (double)l->bias[o];
}

static void finish(const struct layer *l, const double *sums, float *out)
{
    for (int64_t o = 0; o < l->out; o++)
        out[o] = sums[o] > 0 ? (float)sums[o] : 0;
}

static int64_t halved(int64_t side)
{
    return (side + 1) / 2; /* stride 2 with an odd kernel and half of it as padding */
}

static struct plane convolve(const struct layer *l, const struct plane *x, double *sums, float *out)
{
    struct plane y = { out, halved(x->height), halved(x->width), l->out };
    int64_t pad = (l->kernel - 1) / 2;

    for (int64_t p = 0; p < y.height * y.width; p++) {
        int64_t top = p / y.width * 2 - pad, left = p % y.width * 2 - pad;

        begin(l, sums);
        for (int64_t k = 0; k < l->kernel * l->kernel; k++) {
            int64_t row = top + k / l->kernel, column = left + k % l->kernel;

            if (row < 0 || row >= x->height || column < 0 || column >= x->width)
                continue;
            for (int64_t i = 0; i < l->in; i++)
                add_scaled(sums, l->weight + (k * l->in + i) * l->out,
                           (double)x->data[(row * x->width + column) * l->in + i], l->out);
        }
        finish(l, sums, out + p * l->out);
    }
    return y;
}

static void connect(const struct layer *l, const struct plane *x, double *sums, float *out)
{
    int64_t pixels = x->height * x->width;

    begin(l, sums);
    for (int64_t c = 0; c < x->channels; c++)
        for (int64_t p = 0; p < pixels; p++)
            add_scaled(sums, l->weight + (c * pixels + p) * l->out, (double)x->data[p * x->channels + c], l->out);
    finish(l, sums, out);
}

static void run_picture(void *ctx, int64_t item, int thread)
{
    const struct run *r = ctx;
    const struct srq_picture_batch *b = r->batch;
    float *planes = r->planes + 2 * r->most * thread;
    double *sums = r->sums + r->widest * thread;
    struct plane x = { planes, b->height, b->width, b->channels };

    memcpy(planes, b->pictures + item * b->height * b->width * b->channels,
           (size_t)(b->height * b->width * b->channels) * sizeof(*planes));
    for (int i = 0; i < r->f->conv_count; i++)
        x = convolve(&r->f->convs[i], &x, sums, planes + (i % 2 == 0 ? r->most : 0));
    connect(&r->f->fc, &x, sums, r->out + item * r->f->fc.out);
}

/* Sizes of planes and sums; false where the network is not for such pictures. */
static bool measure(struct run *r)
{
    int64_t height = r->batch->height, width = r->batch->width, channels = r->batch->channels;

    if (height < 1 || width < 1 || height > INT32_MAX || width > INT32_MAX || channels != r->f->convs[0].in)
        return false;
    r->widest = r->f->fc.out;
    for (int i = 0;; i++) {
        int64_t values;

        if (__builtin_mul_overflow(height * width, channels, &values) || values > INT32_MAX)
            return false;
        r->most = values > r->most ? values : r->most;
        r->widest = channels > r->widest ? channels : r->widest;
        if (i == r->f->conv_count)
            return values == r->f->fc.in;
        height = halved(height);
        width = halved(width);
        channels = r->f->convs[i].out;
    }
}

int srq_features_run(const struct srq_features *f, const struct srq_picture_batch *batch, float *out,
                     struct srq_error *err)
{
    struct run r = { .f = f, .batch = batch, .out = out };
    size_t threads = (size_t)srq_team_size();
    int rc = 0;

    if (!measure(&r))
        return srq_fail_field(err, -SRQ_EFORMAT, f->path,
                              "%s is not for pictures of %" PRId64 " x %" PRId64 " pixels and %" PRId64 " channels",
                              f->path, batch->width, batch->height, batch->channels);
    r.planes = srq_calloc(threads * 2 * (size_t)r.most, sizeof(*r.planes));
    r.sums = srq_calloc(threads * (size_t)r.widest, sizeof(*r.sums));
    if (r.planes == NULL || r.sums == NULL)
        rc = srq_fail(err, -SRQ_ENOMEM, "out of memory for features of pictures");
    else
        srq_parallel_items(batch->n, run_picture, &r);
    srq_free(r.planes);
    srq_free(r.sums);
    return rc;
}
