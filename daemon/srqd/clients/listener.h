/* The Unix socket: one daemon per socket, stale ones cleared away under a lock. */
#ifndef SRQD_LISTENER_H
#define SRQD_LISTENER_H

#include "daemon/srqd/clients/client.h"

/* -SRQ_EBUSY when another daemon has the socket or the state folder. */
int listener_open(struct clients *all, struct srq_error *err);
/* Every second: where the socket's name is gone or another file's (a runtime folder is taken away at logout and made
 * anew at the next login, temporary folders are cleaned), it is made again; where its folder cannot be made, in
 * /tmp/srq-UID until it can. The lock in the state folder says where that is, for clients that find nobody. */
void listener_look_after(struct clients *all);
/* Removes the socket. */
void listener_close(struct clients *all);

#endif
