/* How sure a mean is: bootstrap intervals. */
#ifndef SRQ_EVAL_BOOTSTRAP_H
#define SRQ_EVAL_BOOTSTRAP_H

#include <srq/error.h>

#include <stdint.h>

struct srq_interval {
    double mean;
    double low, high; /* the middle 95 % of the means of resampled values */
};

/* The mean of values [n] (one a picture), and its interval by the percentile bootstrap (Efron 1979) with `draws`
 * resamplings (1000 is usual). The same seed gives the same interval. -SRQ_EINVAL: no values or no draws;
 * -SRQ_ENUMERIC: a value that is not finite, naming it; -SRQ_ENOMEM. */
int srq_bootstrap_mean(const double *values, int64_t n, int draws, uint64_t seed, struct srq_interval *out,
                       struct srq_error *err);

#endif
