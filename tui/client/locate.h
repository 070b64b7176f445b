/* Where the daemon's socket is, and where a per-user daemon keeps its log (design 10, "Locations"). */
#ifndef SRQ_CLIENT_LOCATE_H
#define SRQ_CLIENT_LOCATE_H

#include <srq/error.h>

#include <stdbool.h>

#define SRQ_SYSTEM_SOCKET "/run/srq/srqd.sock"

enum srq_socket_kind {
    SRQ_SOCKET_GIVEN,   /* --socket or $SRQ_SOCKET: somebody chose it, so nobody's ownership is questioned */
    SRQ_SOCKET_SYSTEM,  /* the system service; never started from here */
    SRQ_SOCKET_RUNTIME, /* $XDG_RUNTIME_DIR/srq/srqd.sock */
    SRQ_SOCKET_TMP,     /* /tmp/srq-UID/srqd.sock: the folder must be ours and closed to others */
};

struct srq_place {
    enum srq_socket_kind kind;
    char path[108]; /* as sockaddr_un holds it */
};

/* Finds the socket: `given` (may be NULL), $SRQ_SOCKET, the system service's where one listens (unless `user_only`),
 * then the user's own. -SRQ_ELIMIT with the path when it is too long for a socket address. */
int srq_locate_socket(const char *given, bool user_only, struct srq_place *out, struct srq_error *err);

/* Makes the folder of a per-user socket (0700) and refuses one in /tmp that belongs to someone else or is open to
 * others: -SRQ_EPERM naming it. Does nothing for a given or system socket. */
int srq_place_prepare(const struct srq_place *place, struct srq_error *err);

/* The state folder of a per-user daemon: $SRQ_STATE_DIR, $XDG_STATE_HOME/srq, ~/.local/state/srq. NULL when there is
 * no home; srq_free. */
char *srq_locate_state(void);

/* Where the user's own daemon says that it listens, by the lock that it holds in its state folder: it may have been
 * started where $XDG_RUNTIME_DIR was another, or had its socket's folder taken away. True: one is alive, and out->path
 * is its socket. */
bool srq_locate_by_lock(struct srq_place *out);

/* A short name for people: "given", "system service", "per user". */
const char *srq_socket_kind_name(enum srq_socket_kind kind);

#endif
