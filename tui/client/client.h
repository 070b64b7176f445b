/* A client of srqd: say hello, request, subscribe. What srqctl and srqtop share.
 *
 * Requests are answered in order of their ids; events that arrive while an answer is awaited are kept and handed out
 * by srq_client_event. One thread. Every answer and event is checked against the table of core/proto. */
#ifndef SRQ_CLIENT_CLIENT_H
#define SRQ_CLIENT_CLIENT_H

#include "core/proto/proto.h"
#include "tui/client/locate.h"

#include <signal.h>

struct srq_client; /* one connection */

struct srq_client_options {
    const char *socket;                 /* NULL: found as locate.h says */
    bool user_only;                     /* not the system service */
    bool start;                         /* start a daemon when none answers */
    const char *name;                   /* who we are, for the daemon's log: "srqctl" */
    volatile sig_atomic_t *interrupted; /* set by a signal handler: waits return -SRQ_ECANCELED; may be NULL */
};

/* Connects and says hello. Errors as srq_connect_daemon, and -SRQ_EPROTO when the daemon's protocol differs. */
int srq_client_open(const struct srq_client_options *options, struct srq_client **out, struct srq_error *err);
void srq_client_close(struct srq_client *c); /* NULL is fine */

/* Calls `method` and waits at most `timeout_s` (0: for ever). `params` is consumed, NULL means none. `*result` (may be
 * NULL when not wanted) is the caller's. The daemon's refusal comes back as its own code and sentence;
 * srq_client_lost() tells a dead connection from a refusal. */
int srq_client_call(struct srq_client *c, const char *method, cJSON *params, double timeout_s, cJSON **result,
                    struct srq_error *err);

/* The same for a method whose reply is paged: asks for page after page and joins them; the joined reply has the whole
 * array and no "next_offset". */
int srq_client_call_paged(struct srq_client *c, const char *method, cJSON *params, double timeout_s, cJSON **result,
                          struct srq_error *err);

/* The next event into *out (srq_message_fini): 1; 0 when `timeout_s` passed without one (0: do not wait, negative: for
 * ever); negative when the connection is lost or we were interrupted. */
int srq_client_event(struct srq_client *c, double timeout_s, struct srq_message *out, struct srq_error *err);

bool srq_client_lost(const struct srq_client *c);
bool srq_client_started(const struct srq_client *c); /* this connection brought the daemon up */
const struct srq_place *srq_client_place(const struct srq_client *c);
const cJSON *srq_client_hello(const struct srq_client *c); /* the daemon's reply to hello */
int srq_client_fd(const struct srq_client *c);             /* for an event loop; -1 when lost */

#endif
