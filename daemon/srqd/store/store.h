/* The durable record of jobs: one SQLite file (WAL, synchronous FULL). Only state transitions are committed. */
#ifndef SRQD_STORE_H
#define SRQD_STORE_H

#include "daemon/srqd/jobs/job.h"

struct srq_store;

/* Opens or creates `path`, bringing an older schema up to date; one of a newer version is refused. */
int store_open(const char *path, struct srq_store **out, struct srq_error *err);
void store_close(struct srq_store *s);

/* Adds an accepted job with its normalised spec and what the planner said (JSON texts). Durable when it returns 0.
 * -SRQ_ENOSPC when the disk is full. j->number is set. */
int store_add(struct srq_store *s, struct job *j, const char *spec, const char *planned, struct srq_error *err);
/* Records the job's present state, and the transition with who asked (-1: srqd itself) when `transition`. */
int store_update(struct srq_store *s, const struct job *j, bool transition, int64_t by_uid, struct srq_error *err);
int store_delete(struct srq_store *s, const char *id, struct srq_error *err);
/* Every job in the order of submission, appended to `list`. */
int store_load(struct srq_store *s, struct srqd *d, struct job_list *list, struct srq_error *err);
/* The texts given to store_add; srq_free both. */
int store_texts(struct srq_store *s, const char *id, char **spec, char **planned, struct srq_error *err);

#endif
