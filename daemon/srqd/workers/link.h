/* The connection to a worker's control socket. What comes over it is hostile input where the worker runs as another
 * user: its uid and pid are checked, every event is held to the table. */
#ifndef SRQD_LINK_H
#define SRQD_LINK_H

#include "daemon/srqd/jobs/job.h"

#include <cjson/cJSON.h>

/* Who hears what the worker says. */
struct worker_hearer {
    void (*attached)(struct job *j, const char *stage);             /* NULL: it said none */
    void (*heard)(struct job *j, const char *event, cJSON *params); /* in the table; `params` stays the caller's */
};

/* Connects as soon as the worker has made its socket, and again whenever the connection breaks, while the worker
 * lives. `hearer` stays the caller's. */
void worker_link_open(struct job *j, const struct worker_hearer *hearer);
void worker_link_close(struct job *j);
bool worker_link_attached(const struct job *j);
/* Sends "worker.pause" or the like, now or once attached. */
void worker_link_command(struct job *j, const char *method);

/* The answer to a call, once: rc 0 and `result`, held to the table, which the callee frees; or a negative rc and why.
 * `sent`: whether the worker may have got the request. The job may have gone meanwhile. */
typedef void (*worker_call_done)(int rc, cJSON *result, bool sent, const struct srq_error *err, void *ctx);
/* Asks the worker, now or once attached, and waits at most `timeout_s` for its answer. `params` stays the caller's.
 * An error: nothing was asked and `done` is not called; -SRQ_EBUSY when too many calls wait already. */
int worker_link_call(struct job *j, const char *method, const cJSON *params, double timeout_s, worker_call_done done,
                     void *ctx, struct srq_error *err);

#endif
