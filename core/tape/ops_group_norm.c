/* Group normalization of pictures: over the pixels of a picture and the channels of a group.
 *
 * One item of work is a picture. Sums over its pixels are taken for each channel, then put together for each group;
 * what is left is a factor and a term for each channel. */
#include "core/tape/column_sums.h"
#include "core/tape/vector_grad.h"

#include "core/math/kernels.h"
#include "core/math/team.h"

#include <math.h>

struct job {
    struct srq_group_norm g;
    enum srq_dtype dtype;
    const char *x, *dy; /* [batch*pixels, channels] */
    char *y;            /* forward: y; backward: dx, or NULL */
    bool add;
    int64_t pixels, channels, group;          /* group: channels of one */
    float *mean, *r;                          /* [batch, groups], r = 1 / sqrt(var + eps) */
    struct srq_tensor gain_parts, bias_parts; /* [batch, channels] F32: what each picture adds to dgain and dbias */
    float *work;                              /* three vectors [channels] for each thread */
};

static const char *picture_at(const struct job *j, const char *base, int64_t picture)
{
    return base + (size_t)(picture * j->pixels * j->channels) * srq_dtype_size(j->dtype);
}

static void sum_channels(const struct srq_columns *c, float *out)
{
    double sum[SRQ_COLUMNS];

    for (int64_t col = 0; col < c->ld; col += SRQ_COLUMNS) {
        int64_t n = c->ld - col < SRQ_COLUMNS ? c->ld - col : SRQ_COLUMNS;

        srq_column_sums(c, col, n, sum);
        for (int64_t k = 0; k < n; k++)
            out[col + k] = (float)sum[k];
    }
}

/* The mean over a group's elements of what `sums` has summed over pixels, each channel weighted (NULL: by 1). */
static double group_mean(const struct job *j, const float *sums, const float *weight, int64_t group)
{
    double sum = 0;

    for (int64_t c = group * j->group; c < (group + 1) * j->group; c++)
        sum += (double)sums[c] * (weight != NULL ? (double)weight[c] : 1.0);
    return sum / (double)(j->group * j->pixels);
}

static void fill(float *at, int64_t n, float value)
{
    for (int64_t i = 0; i < n; i++)
        at[i] = value;
}

/* ---- y = gain (x - mean) r + bias ---- */

static void measure_groups(const struct job *j, struct srq_columns *x, float *mean, float *r, float *work)
{
    float *sums = work, *center = work + j->channels;

    sum_channels(x, sums);
    for (int64_t g = 0; g < j->g.groups; g++) {
        mean[g] = (float)group_mean(j, sums, NULL, g);
        fill(center + g * j->group, j->group, mean[g]);
    }
    x->center = center;
    sum_channels(x, sums);
    for (int64_t g = 0; g < j->g.groups; g++)
        r[g] = (float)(1 / sqrt(group_mean(j, sums, NULL, g) + (double)j->g.eps));
}

static void forward_picture(void *ctx, int64_t picture, int thread)
{
    const struct job *j = ctx;
    float *work = j->work + thread * 3 * j->channels, *a = work, *b = work + j->channels;
    float *mean = j->mean + picture * j->g.groups, *r = j->r + picture * j->g.groups;
    const char *x = picture_at(j, j->x, picture);
    const struct srq_affine by = { a, NULL, b };
    struct srq_columns columns = { .dtype = j->dtype, .x = x, .rows = j->pixels, .ld = j->channels };
    size_t row = (size_t)j->channels * srq_dtype_size(j->dtype);
    char *y = (char *)picture_at(j, j->y, picture);

    measure_groups(j, &columns, mean, r, work);
    for (int64_t c = 0; c < j->channels; c++) {
        int64_t g = c / j->group;

        a[c] = j->g.gain->value[c] * r[g];
        b[c] = j->g.bias->value[c] - mean[g] * a[c];
    }
    for (int64_t p = 0; p < j->pixels; p++)
        srq_kernels()->affine(j->dtype, x + (size_t)p * row, NULL, &by, y + (size_t)p * row, j->channels, false);
}

/* ---- with n = (x - mean) r:  dgain = sum dy n, dbias = sum dy,
 *      dx = r (gain dy - mean(gain dy) - n mean(gain dy n)), means over the group ---- */

static void backward_picture(void *ctx, int64_t picture, int thread)
{
    const struct job *j = ctx;
    float *a = j->work + thread * 3 * j->channels, *b = a + j->channels, *c = b + j->channels;
    const float *mean = j->mean + picture * j->g.groups, *r = j->r + picture * j->g.groups, *gain = j->g.gain->value;
    float *dots = srq_row(&j->gain_parts, picture, j->channels), *sums = srq_row(&j->bias_parts, picture, j->channels);
    const char *x = picture_at(j, j->x, picture), *dy = picture_at(j, j->dy, picture);
    struct srq_columns columns = { .dtype = j->dtype, .x = dy, .rows = j->pixels, .ld = j->channels };
    size_t row = (size_t)j->channels * srq_dtype_size(j->dtype);
    const struct srq_affine by = { a, b, c };

    sum_channels(&columns, sums);
    for (int64_t k = 0; k < j->channels; k++)
        a[k] = mean[k / j->group];
    columns.with = x;
    columns.center = a;
    sum_channels(&columns, dots);
    for (int64_t k = 0; k < j->channels; k++)
        dots[k] *= r[k / j->group];
    if (j->y == NULL)
        return;
    for (int64_t g = 0; g < j->g.groups; g++) {
        double along = group_mean(j, dots, gain, g), level = group_mean(j, sums, gain, g), rg = (double)r[g];

        for (int64_t k = g * j->group; k < (g + 1) * j->group; k++) {
            a[k] = gain[k] * r[g];
            b[k] = (float)(-rg * rg * along);
            c[k] = (float)(rg * rg * along * (double)mean[g] - rg * level);
        }
    }
    for (int64_t p = 0; p < j->pixels; p++)
        srq_kernels()->affine(j->dtype, dy + (size_t)p * row, x + (size_t)p * row, &by,
                              (char *)picture_at(j, j->y, picture) + (size_t)p * row, j->channels, j->add);
}

/* ---- on the tape ---- */

static struct job prepare(struct srq_tape *t, const struct srq_var *x, const struct srq_group_norm *g, void *saved)
{
    struct job j = { .g = *g, .dtype = srq_tape_dtype(t), .x = x->value.data, .channels = srq_var_cols(x) };

    j.pixels = srq_var_rows(x) / g->batch;
    j.group = j.channels / g->groups;
    j.mean = saved;
    j.r = saved != NULL ? j.mean + g->batch * g->groups : NULL;
    return j;
}

static int run(struct srq_tape *t, struct job *j, void (*picture)(void *ctx, int64_t item, int thread),
               struct srq_error *err)
{
    struct srq_block_mem work;
    int rc = srq_tape_take(t, (size_t)(3 * j->channels * srq_team_size()) * sizeof(float), &work, err);

    if (rc != 0)
        return rc;
    j->work = srq_tape_at(t, &work);
    if (!srq_tape_measuring(t))
        srq_parallel_items(j->g.batch, picture, j);
    srq_tape_give(t, &work);
    return 0;
}

/* Where dx goes: the place of dy when that is free, else a gradient of its own, which may be the place of x. */
static int input_gradient(struct srq_tape *t, struct srq_node *n, struct job *j, struct srq_error *err)
{
    struct srq_value *x = n->in[0];
    int rc = 0;

    if (!x->var.wants_grad)
        return 0;
    if (!srq_tape_move_grad(t, n->out, x))
        rc = srq_tape_grad(t, x, true, &j->add, err);
    j->y = x->var.grad.data;
    return rc;
}

static int vectors(struct srq_tape *t, const struct job *j, struct srq_error *err)
{
    int rc = 0;

    if (j->g.gain->sink != NULL)
        rc = srq_vector_gradient(t, j->g.gain, &j->gain_parts, NULL, NULL, j->g.batch, err);
    if (rc == 0 && j->g.bias->sink != NULL)
        rc = srq_vector_gradient(t, j->g.bias, &j->bias_parts, NULL, NULL, j->g.batch, err);
    return rc;
}

static int backward(struct srq_tape *t, struct srq_node *n, struct srq_error *err)
{
    double since = srq_tape_clock(t);
    struct srq_value *x = n->in[0];
    struct job j = prepare(t, &x->var, &n->as.group_norm, srq_tape_at(t, &n->saved));
    struct srq_block_mem parts;
    int64_t count = j.g.batch * j.channels;
    int rc = srq_tape_take(t, (size_t)(2 * count) * sizeof(float), &parts, err);
    float *sums = rc == 0 ? srq_tape_at(t, &parts) : NULL;

    if (rc != 0)
        return rc;
    j.dy = n->out->var.grad.data;
    j.gain_parts = srq_tensor_2d(sums, SRQ_F32, j.g.batch, j.channels);
    j.bias_parts = srq_tensor_2d(sums != NULL ? sums + count : NULL, SRQ_F32, j.g.batch, j.channels);
    rc = input_gradient(t, n, &j, err);
    if (rc == 0)
        rc = run(t, &j, backward_picture, err);
    if (rc == 0)
        rc = vectors(t, &j, err);
    srq_tape_give(t, &parts);
    srq_tape_account(t, SRQ_TAPE_GROUP_NORM, true, since,
                     srq_pass_work(&x->var.value, j.y != NULL ? 3 + j.add : 2, j.y != NULL ? 8 + j.add : 4));
    return rc;
}

static bool shapes_fit(const struct srq_group_norm *g, int64_t rows, int64_t channels)
{
    return g->batch > 0 && g->groups > 0 && rows > 0 && rows % g->batch == 0 && channels % g->groups == 0 &&
           g->gain->n == channels && g->bias->n == channels;
}

struct srq_var *srq_op_group_norm(struct srq_tape *t, struct srq_var *x, const struct srq_group_norm *g)
{
    double since = srq_tape_clock(t);
    struct srq_block_mem saved;
    struct srq_value *y;
    struct srq_node *n;
    struct job j;

    if (srq_tape_failed(t, x, x))
        return NULL;
    if (!shapes_fit(g, srq_var_rows(x), srq_var_cols(x)))
        return srq_tape_fail(t, -SRQ_EINVAL,
                             "group norm %s: %lld pictures, %lld groups and vectors of %lld and %lld do not fit "
                             "[%lld, %lld]",
                             g->gain->name, (long long)g->batch, (long long)g->groups, (long long)g->gain->n,
                             (long long)g->bias->n, (long long)srq_var_rows(x), (long long)srq_var_cols(x));
    y = srq_tape_value(t, srq_var_rows(x), srq_var_cols(x),
                       x->wants_grad || g->gain->sink != NULL || g->bias->sink != NULL);
    if (y == NULL || srq_tape_take(t, (size_t)(2 * g->batch * g->groups) * sizeof(float), &saved, NULL) != 0)
        return NULL;
    j = prepare(t, x, g, srq_tape_at(t, &saved));
    j.y = y->var.value.data;
    if (run(t, &j, forward_picture, NULL) != 0)
        return NULL;
    srq_tape_account(t, SRQ_TAPE_GROUP_NORM, false, since, srq_pass_work(&y->var.value, 2, 6));
    if (!y->var.wants_grad) {
        srq_tape_give(t, &saved);
        return &y->var;
    }
    n = srq_tape_node(t, SRQ_TAPE_GROUP_NORM, backward, y, x, NULL, NULL);
    if (n == NULL)
        return NULL;
    n->saved = saved;
    n->as.group_norm = *g;
    return &y->var;
}

/* Each row is a picture of one pixel, with one group. */
struct srq_var *srq_op_layer_norm(struct srq_tape *t, struct srq_var *x, const struct srq_vector *gain,
                                  const struct srq_vector *bias, float eps)
{
    const struct srq_group_norm g = { x != NULL ? srq_var_rows(x) : 0, 1, gain, bias, eps };

    return srq_op_group_norm(t, x, &g);
}
