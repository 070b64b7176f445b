/* The queue: which job runs next, and why the others wait. */
#ifndef SRQD_QUEUE_H
#define SRQD_QUEUE_H

#include "daemon/srqd/jobs/job.h"

struct usage {
    int64_t running, threads, memory;
    int64_t disk;       /* also of jobs that wait or have ended */
    int64_t unmeasured; /* of whom it is not known yet, after a start */
};

/* Looks at the queue soon, once, however often it is called. */
void queue_kick(struct srqd *d);
/* Starts what may start and notes why the rest waits. */
void queue_run(struct srqd *d);
/* What jobs use: of one user, or of all with uid (uid_t)-1. */
struct usage queue_usage(const struct srqd *d, uid_t uid);
/* Place among the waiting jobs, from 1; 0 when it does not wait. */
int queue_position(const struct job *j);
/* -SRQ_ELIMIT when no amount of waiting would ever let it start. */
int queue_could_start(const struct job *j, struct srq_error *err);

#endif
