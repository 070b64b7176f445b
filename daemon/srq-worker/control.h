/* The worker's control socket: a thread that answers requests and sends the journal to attached clients.
 *
 * Requests only raise flags, at which the computing thread looks at iteration boundaries; but for changes of the plan,
 * which are made in the control thread itself. */
#ifndef SRQ_WORKER_CONTROL_H
#define SRQ_WORKER_CONTROL_H

#include "core/job/flags.h"
#include "core/job/journal.h"

struct worker_control;
/* Listens on a socket of its own in the runtime folder. journal and flags must outlive it. */
int worker_control_start(const char *job, struct srq_journal *j, struct srq_job_flags *flags,
                         struct worker_control **out, struct srq_error *err);
/* Tells where it listens, now and whenever that changes: a runtime folder may be taken away (at logout, by a cleaner of
 * temporary files) and the socket with it. It is looked after every second, and then made again. Later calls come from
 * the control thread; a failure of theirs is logged. */
int worker_control_announce(struct worker_control *c, int (*tell)(void *ctx, const char *path, struct srq_error *err),
                            void *ctx, struct srq_error *err);
/* From here on worker.change is answered by `change`, in the control thread; requests that came before have waited. */
void worker_control_changes(struct worker_control *c,
                            int (*change)(void *ctx, const cJSON *params, cJSON **reply, struct srq_error *err),
                            void *ctx);
/* Tells the thread that the journal grew. From any thread, also under the journal's lock. */
void worker_control_wake(struct worker_control *c);
/* Sends what is left to clients that keep up (at most `linger_s`), then ends and removes the socket. */
void worker_control_stop(struct worker_control *c, double linger_s);

#endif
