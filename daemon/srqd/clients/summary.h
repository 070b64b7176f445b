/* Jobs as replies show them. */
#ifndef SRQD_SUMMARY_H
#define SRQD_SUMMARY_H

#include "core/proto/proto.h"
#include "daemon/srqd/jobs/jobs.h"

/* The members of a job's summary, added to `o`. False when out of memory. */
/* "wish": what the job was told and has not done yet, or null. */
bool summary_put_wish(cJSON *o, const struct job *j);
bool summary_put(cJSON *o, const struct job *j);
/* Jobs by state, as object `name`. */
bool summary_put_counts(cJSON *o, const char *name, const struct srqd *d);
/* size, memory, disk, estimate_s, threads, warnings out of the planner's answer; what is not there becomes null. */
bool summary_put_planned(cJSON *o, const cJSON *planned, bool with_size_and_threads);

#endif
