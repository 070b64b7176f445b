/* A stream to a Unix socket, nothing more. */
#ifndef SRQ_CLIENT_DIAL_H
#define SRQ_CLIENT_DIAL_H

/* A connected, close-on-exec descriptor, or -errno. flags: 0 or SOCK_NONBLOCK. */
int srq_dial_unix(const char *path, int flags);

#endif
