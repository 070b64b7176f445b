/* Workers: started, watched, restarted after a crash, found again after srqd was away. Never two for one job: the
 * worker itself holds a lock on the job directory, and one that finds it taken ends with code 12. */
#ifndef SRQD_SUPERVISE_H
#define SRQD_SUPERVISE_H

#include "daemon/srqd/jobs/job.h"

/* Starts a worker for a job that was admitted. */
void supervise_start(struct job *j);
/* At srqd's own start: re-attaches to the job's worker, or starts one from the checkpoint. */
void supervise_recover(struct job *j);
/* Asks the worker; remembered until it has answered by ending. Only for active jobs. */
void supervise_wish(struct job *j, enum job_wish wish);
/* Ends the workers that have run for longer than a job may at a stretch: each has time for a checkpoint, and its job
 * fails with that reason. */
void supervise_limit(struct srqd *d);
/* Whether its journal is being read, after which it is known what becomes of it. */
bool supervise_reading(const struct job *j);
/* Takes what the journal of a job without a worker has got since, tells subscribers, then calls `done`, once; also
 * where the job goes meanwhile. One at a time for a job. */
void supervise_catch_up(struct job *j, void (*done)(void *ctx), void *ctx);
/* Frees what is kept of the job's worker. The process, if there is one, lives on. */
void supervise_let_go(struct job *j);

#endif
