/* Memory that the process really has: anonymous and shared pages over a baseline (design 6). */
#ifndef SRQ_JOB_USAGE_H
#define SRQ_JOB_USAGE_H

#include <srq/error.h>

#include <stdbool.h>
#include <stdint.h>

/* Anonymous plus shared-memory pages of this process now, bytes; mapped files do not count. 0: unknown. */
uint64_t srq_usage_now(void);

struct srq_usage; /* a thread that looks every few milliseconds and keeps the most */
int srq_usage_start(uint64_t baseline, struct srq_usage **out, struct srq_error *err); /* bytes of srq_usage_now() */
uint64_t srq_usage_peak(struct srq_usage *u); /* over the baseline; looks once more */
uint64_t srq_usage_most(struct srq_usage *u); /* the same, as last looked at: costs nothing */
void srq_usage_stop(struct srq_usage *u);

/* What this process may use: the smaller of the machine's memory and the limits of its control groups. */
uint64_t srq_usage_limit(void);

#endif
