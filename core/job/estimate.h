/* How long a job will take, guessed before any work: what it computes, counted from shapes, over what this machine was
 * just seen to compute in a second. */
#ifndef SRQ_JOB_ESTIMATE_H
#define SRQ_JOB_ESTIMATE_H

#include "core/job/events.h"
#include "core/job/resolved.h"

/* Seconds from start to end; NaN where it cannot be known. Takes some tens of milliseconds, to measure products and
 * element passes. Early stopping and sharing the machine with others are not foreseen. */
double srq_estimate_s(const struct srq_resolved *r);
/* The same by parts of the way; NaN where one cannot be known. */
void srq_estimate_way(const struct srq_resolved *r, double out[SRQ_WAY_LENGTH]);

#endif
