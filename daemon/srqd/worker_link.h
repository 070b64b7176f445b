/* The connection to a worker's control socket. What comes over it is hostile input where the worker runs as another
 * user: its uid and pid are checked, every event is held to the table. */
#ifndef SRQD_WORKER_LINK_H
#define SRQD_WORKER_LINK_H

#include "daemon/srqd/job.h"

/* Connects as soon as the worker has made its socket, and again whenever the connection breaks, while the worker
 * lives. */
void worker_link_open(struct job *j);
void worker_link_close(struct job *j);
bool worker_link_attached(const struct job *j);
/* Sends "worker.pause" or the like, now or once attached. */
void worker_link_command(struct job *j, const char *method);

#endif
