/* job.gc: ended jobs that the configuration does not keep are deleted, one a step (base/turns.h): each is a durable
 * write, and there may be thousands. */
#ifndef SRQD_SWEEP_H
#define SRQD_SWEEP_H

#include "daemon/srqd/clients/rpc.h"

/* The handler. It goes on when its client has gone. */
int sweep_begin(const struct request *r, cJSON **result, struct srq_error *err);
/* The same of its own accord for all users: at start, when a job has ended (all->sweep_at is 0 then), every hour. */
void sweep_look_after(struct clients *all);
/* Ends those under way, at the daemon's end. */
void sweeps_drop(struct clients *all);

#endif
