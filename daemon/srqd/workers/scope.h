/* A systemd scope for each worker, where systemd runs: its own control group below a slice, so that its memory and its
 * processor time are counted as the job's and can be limited, not as the daemon's. systemd is asked over its bus, by
 * busctl(1), once the worker runs; where it refuses, the worker stays in the daemon's group, and the log says so. */
#ifndef SRQD_SCOPE_H
#define SRQD_SCOPE_H

#include "daemon/srqd/jobs/jobs.h"

/* Of a worker that has just been started. */
void scope_open(const struct job *j);

#endif
