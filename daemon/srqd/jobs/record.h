/* Jobs in the store. Only state transitions are committed. */
#ifndef SRQD_RECORD_H
#define SRQD_RECORD_H

#include "daemon/srqd/jobs/job.h"
#include "daemon/srqd/store/store.h"

/* Adds an accepted job with its normalised spec and what the planner said (JSON texts). Durable when it returns 0.
 * -SRQ_ENOSPC when the disk is full. j->number is set. */
int store_add(struct srq_store *s, struct job *j, const char *spec, const char *planned, struct srq_error *err);
/* Records the job's present state, and the transition with who asked (-1: srqd itself) when `transition`. */
int store_update(struct srq_store *s, const struct job *j, bool transition, int64_t by_uid, struct srq_error *err);
/* Every job in the order of submission, appended to `list`. */
int store_load(struct srq_store *s, struct srqd *d, struct job_list *list, struct srq_error *err);

#endif
