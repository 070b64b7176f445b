/* Fréchet distance. The eigenvalues of S1 S2 are those of the symmetric R = S1^1/2 S2 S1^1/2, so the trace of its root
 * is the sum of their roots: two symmetric decompositions, in which what rounding leaves below zero can be told and
 * counts as zero. */
#include "core/eval/frechet.h"

#include "core/base/alloc.h"
#include "core/math/symmetric.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

struct moments {
    double *mean;       /* [d] */
    double *covariance; /* [d, d] */
};

static void moments_of(const float *x, int64_t n, int64_t d, const struct moments *m)
{
    memset(m->mean, 0, (size_t)d * sizeof(*m->mean));
    memset(m->covariance, 0, (size_t)(d * d) * sizeof(*m->covariance));
    for (int64_t k = 0; k < n; k++)
        for (int64_t i = 0; i < d; i++)
            m->mean[i] += (double)x[k * d + i];
    for (int64_t i = 0; i < d; i++)
        m->mean[i] /= (double)n;
    for (int64_t k = 0; k < n; k++) {
        for (int64_t i = 0; i < d; i++) {
            double from_mean = ((double)x[k * d + i] - m->mean[i]) / (double)(n - 1);
            double *row = m->covariance + i * d;

            for (int64_t j = 0; j < d; j++)
                row[j] += from_mean * ((double)x[k * d + j] - m->mean[j]);
        }
    }
}

/* c = a b, all [d, d]. */
static void multiply(const double *a, const double *b, int64_t d, double *c)
{
    memset(c, 0, (size_t)(d * d) * sizeof(*c));
    for (int64_t i = 0; i < d; i++)
        for (int64_t k = 0; k < d; k++)
            for (int64_t j = 0; j < d; j++)
                c[i * d + j] += a[i * d + k] * b[k * d + j];
}

static double root(double v)
{
    return v > 0 ? sqrt(v) : 0;
}

/* The symmetric root of s into `out`; s is overwritten by its eigenvectors, values [d] by the eigenvalues. */
static int symmetric_root(double *s, int64_t d, double *values, double *out, struct srq_error *err)
{
    int rc = srq_symmetric_eigen(s, d, values, err);

    if (rc != 0)
        return rc;
    memset(out, 0, (size_t)(d * d) * sizeof(*out));
    for (int64_t k = 0; k < d; k++) {
        const double *v = s + k * d;
        double r = root(values[k]);

        for (int64_t i = 0; i < d; i++)
            for (int64_t j = 0; j < d; j++)
                out[i * d + j] += r * v[i] * v[j];
    }
    return 0;
}

static double trace(const double *s, int64_t d)
{
    double sum = 0;

    for (int64_t i = 0; i < d; i++)
        sum += s[i * d + i];
    return sum;
}

/* Of both moments, which are overwritten; `room` [3, d, d]. */
static int distance(const struct moments *a, const struct moments *b, int64_t d, double *room, double *out,
                    struct srq_error *err)
{
    double *half = room, *product = room + d * d, *whole = room + 2 * d * d, *values = b->mean, sum = 0;
    int rc;

    for (int64_t i = 0; i < d; i++)
        sum += (a->mean[i] - b->mean[i]) * (a->mean[i] - b->mean[i]);
    sum += trace(a->covariance, d) + trace(b->covariance, d);
    rc = symmetric_root(a->covariance, d, values, half, err);
    if (rc != 0)
        return rc;
    multiply(half, b->covariance, d, product);
    multiply(product, half, d, whole);
    rc = srq_symmetric_eigen(whole, d, values, err);
    for (int64_t i = 0; rc == 0 && i < d; i++)
        sum -= 2 * root(values[i]);
    *out = sum > 0 ? sum : 0;
    return rc;
}

static int check(const char *which, const float *x, int64_t n, int64_t d, struct srq_error *err)
{
    if (n < 2)
        return srq_fail(err, -SRQ_EINVAL, "a Fréchet distance of %" PRId64 " pictures in the %s set: at least 2", n,
                        which);
    for (int64_t i = 0; i < n * d; i++)
        if (!isfinite(x[i]))
            return srq_fail(err, -SRQ_ENUMERIC,
                            "feature %" PRId64 " of picture %" PRId64 " in the %s set is not finite", i % d, i / d,
                            which);
    return 0;
}

int srq_frechet(const float *a, int64_t na, const float *b, int64_t nb, int64_t d, double *out, struct srq_error *err)
{
    size_t square = (size_t)d * (size_t)d;
    struct moments ma, mb;
    double *room;
    int rc;

    if (d < 1 || d > 1 << 20)
        return srq_fail(err, -SRQ_EINVAL, "a Fréchet distance of %" PRId64 " features", d);
    rc = check("first", a, na, d, err);
    if (rc == 0)
        rc = check("second", b, nb, d, err);
    if (rc != 0)
        return rc;
    room = srq_calloc(5 * square + 2 * (size_t)d, sizeof(*room));
    if (room == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for covariances of %" PRId64 " features", d);
    ma = (struct moments){ room + 3 * square, room + 3 * square + d };
    mb = (struct moments){ ma.covariance + square, ma.covariance + square + d };
    moments_of(a, na, d, &ma);
    moments_of(b, nb, d, &mb);
    rc = distance(&ma, &mb, d, room, out, err);
    srq_free(room);
    return rc;
}
