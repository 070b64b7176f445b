/* The user's own command at a job's end (on_end of srq-job(5)). */
#ifndef SRQD_ON_END_H
#define SRQD_ON_END_H

#include "daemon/srqd/jobs/job.h"

/* Starts the command of a job that has ended, as its user, with SRQ_JOB, SRQ_NAME, SRQ_STATE, SRQ_REASON and SRQ_OUTPUT
 * in its environment; what it prints is appended to worker.log. Where it cannot be started, or ends otherwise than with
 * 0, job.on_end_failure says so, and `save` is called, perhaps later. */
void on_end_run(struct job *j, void (*save)(struct job *j));

#endif
