/* Percentile bootstrap of a mean. */
#include "core/eval/bootstrap.h"

#include "core/base/alloc.h"
#include "core/base/rng.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#define STREAM ((uint64_t)0x6273 << 48) /* apart from other users of the job's seed */
#define TAIL 0.025

static int by_value(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;

    return (a > b) - (a < b);
}

/* Of sorted values, linear between neighbours. */
static double quantile(const double *sorted, int n, double share)
{
    double at = share * (n - 1);
    int i = (int)at;

    return i + 1 < n ? sorted[i] + (at - i) * (sorted[i + 1] - sorted[i]) : sorted[n - 1];
}

int srq_bootstrap_mean(const double *values, int64_t n, int draws, uint64_t seed, struct srq_interval *out,
                       struct srq_error *err)
{
    double *means, sum = 0;

    if (n < 1 || draws < 1)
        return srq_fail(err, -SRQ_EINVAL, "no interval of %" PRId64 " values by %d draws", n, draws);
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(values[i]))
            return srq_fail(err, -SRQ_ENUMERIC, "value %" PRId64 " of %" PRId64 " is not finite: it has no interval", i,
                            n);
        sum += values[i];
    }
    means = srq_calloc((size_t)draws, sizeof(*means));
    if (means == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for %d draws", draws);
    for (int d = 0; d < draws; d++) {
        for (int64_t i = 0; i < n; i++)
            means[d] += values[srq_rng_below(seed, STREAM + (uint64_t)d, (uint64_t)i, (uint64_t)n)];
        means[d] /= (double)n;
    }
    qsort(means, (size_t)draws, sizeof(*means), by_value);
    *out = (struct srq_interval){ sum / (double)n, quantile(means, draws, TAIL), quantile(means, draws, 1 - TAIL) };
    srq_free(means);
    return 0;
}
