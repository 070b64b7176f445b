/* A client of srqd inside an event loop: requests with callbacks, subscriptions, reconnection. What srqtop uses.
 *
 * Never blocks and never starts a daemon. When the connection is lost it is tried again after growing pauses, for ever;
 * then hello is said and every subscription made again, from the last journal line that was seen, so that nothing is
 * doubled and nothing lost but samples that the daemon left out for a slow reader. One thread, that of the loop. */
#ifndef SRQ_CLIENT_ASYNC_H
#define SRQ_CLIENT_ASYNC_H

#include "core/proto/proto.h"
#include "tui/client/locate.h"

struct event_base;
struct srq_async;

enum srq_async_state {
    SRQ_ASYNC_TRYING, /* connected to nothing; `why` says what went wrong, `retry_s` when it is tried again */
    SRQ_ASYNC_UP      /* hello was answered */
};

struct srq_async_options {
    const char *socket;                 /* NULL: found as locate.h says, afresh at every attempt */
    bool user_only;                     /* not the system service */
    const char *name;                   /* who we are, for the daemon's log: "srqtop 0.1.0" */
    double pause_first_s, pause_most_s; /* before trying again; both 0: 0.25 and 5 */
    /* `why` is NULL when up. Called when the state changes and after every failed attempt. May call srq_async_call and
     * srq_async_subscribe, not srq_async_free. */
    void (*state)(void *ctx, enum srq_async_state state, const struct srq_error *why, double retry_s);
    /* Every event of the subscriptions whose name the table has. Unlike replies they are not checked further: what
     * `params` holds, but for a text "job", is for the receiver to doubt. */
    void (*event)(void *ctx, const char *event, const cJSON *params);
    void *ctx;
};

/* Begins connecting; the first attempt happens in the loop. Strings are copied. */
int srq_async_create(struct event_base *base, const struct srq_async_options *options, struct srq_async **out,
                     struct srq_error *err);
void srq_async_free(struct srq_async *a); /* calls nobody back; NULL is fine */

/* `result` is the callback's to read, NULL when refused, timed out or when the connection was lost: then `err` says it,
 * its code -SRQ_EIO for the last. */
typedef void (*srq_async_done)(void *ctx, const cJSON *result, const struct srq_error *err);

/* Sends a request. `params` is consumed, NULL means none. A paged method is asked page after page and `done` sees the
 * joined array. timeout_s 0: for ever. When it cannot be sent (not connected, wrong parameters) `done` is called before
 * this returns. */
void srq_async_call(struct srq_async *a, const char *method, cJSON *params, double timeout_s, srq_async_done done,
                    void *ctx);
/* `done` will not be called for requests with this ctx. */
void srq_async_forget(struct srq_async *a, const void *ctx);

/* Events of `job` after journal line `since` (0: from its beginning), with a replay; or, with job NULL, events of all
 * jobs from now on (`since` is ignored), only those in `names` (blank-separated; NULL: all). A job is subscribed once;
 * asking again does nothing. Events that a subscription without a job brings too are handed on whenever they come. */
int srq_async_subscribe(struct srq_async *a, const char *job, const char *names, int64_t since, struct srq_error *err);
void srq_async_unsubscribe(struct srq_async *a, const char *job);
/* Last journal line of `job` that was handed on; -1: not subscribed. */
int64_t srq_async_seen(const struct srq_async *a, const char *job);

bool srq_async_up(const struct srq_async *a);
const cJSON *srq_async_hello(const struct srq_async *a); /* reply to hello; NULL while not up */
const char *srq_async_path(const struct srq_async *a);   /* socket of the last attempt; "" before */
void srq_async_retry(struct srq_async *a);               /* tries now instead of after the pause */

#endif
