/* State transitions: committed to the store, told to subscribers, followed by what depends on them. */
#ifndef SRQD_LIFECYCLE_H
#define SRQD_LIFECYCLE_H

#include "daemon/srqd/jobs/job.h"

#define BY_SRQD (-1)

/* Moves the job to `state` with the reason that is set in it; `by` is the uid that asked, or BY_SRQD. A store that
 * cannot take it (full disk) is tried again later: the job goes on meanwhile. */
void job_move(struct job *j, enum srq_job_state state, int64_t by);
/* Stores what changed beside the state. */
void job_save(struct job *j);
/* Tries again what the store could not take. */
void lifecycle_retry(struct srqd *d);

/* Takes a job out of memory. */
void job_forget(struct job *j);
/* Takes an accepted job out of memory, the store and the disk. */
int job_delete(struct job *j, struct srq_error *err);

#endif
