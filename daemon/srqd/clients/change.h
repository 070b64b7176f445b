/* A change of a job's plan on its way: to the job's worker, or, where it has none, to a short run of the worker program
 * as the job's owner. Asynchronous; one job's changes without a worker go one after the other. */
#ifndef SRQD_CHANGE_H
#define SRQD_CHANGE_H

#include "daemon/srqd/clients/rpc.h"

/* Starts the change that a request of job.pin, job.unpin, job.budget or job.retune asks for. RPC_LATER or an error. */
int change_begin(const struct request *r, struct srq_error *err);
/* Goes on with changes that wait. Called from the loop, after queue_kick. */
void changes_run(struct clients *all);
/* Drops what waits, at the daemon's end. */
void changes_drop(struct clients *all);

#endif
