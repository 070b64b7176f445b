/* The Unix socket: one daemon per socket, stale ones cleared away under a lock. */
#ifndef SRQD_LISTENER_H
#define SRQD_LISTENER_H

#include "daemon/srqd/srqd.h"

/* -SRQ_EBUSY when another daemon has the socket or the state folder. */
int listener_open(struct srqd *d, struct srq_error *err);
/* Removes the socket. */
void listener_close(struct srqd *d);

#endif
