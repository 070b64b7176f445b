/* A stream to the daemon's socket, starting a daemon when none answers: connect, lock, connect again, start. */
#ifndef SRQ_CLIENT_CONNECT_H
#define SRQ_CLIENT_CONNECT_H

#include "tui/client/locate.h"

/* For an event loop: never waits, starts nothing; *fd is non-blocking. Errors as srq_connect_daemon. */
int srq_connect_place(const struct srq_place *place, int *fd, struct srq_error *err);

const char *srq_daemon_program(void); /* $SRQ_SRQD, else the installed one */

/* Connects to `place` into *fd. With `start`, a per-user or given socket where nobody listens gets a daemon
 * ($SRQ_SRQD, else the installed one) in a session of its own, without our descriptors and with a short list of our
 * environment; its messages go to srqd.log in the state folder. `*started` says whether that happened.
 * -SRQ_ENOENT: nobody listens; -SRQ_EPERM: not allowed, or the socket's folder is not ours;
 * -SRQ_ETIMEOUT, -SRQ_EIO: the daemon did not come up, with its last words. */
int srq_connect_daemon(const struct srq_place *place, bool start, int *fd, bool *started, struct srq_error *err);

#endif
