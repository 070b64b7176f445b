/* The worker's control socket: a thread that answers requests and sends the journal to attached clients.
 *
 * Requests only raise flags, at which the computing thread looks at iteration boundaries; but for changes of the plan,
 * which are made in the control thread itself. */
#ifndef SRQ_JOB_CONTROL_H
#define SRQ_JOB_CONTROL_H

#include "core/job/journal.h"

#include <stdatomic.h>

/* What was asked from outside. Set by the control thread and by signal handlers, read by the computing thread. */
struct srq_job_flags {
    atomic_bool pause;      /* checkpoint, end */
    atomic_bool cancel;     /* end for good */
    atomic_bool finish;     /* round what is left plainly, export */
    atomic_bool checkpoint; /* checkpoint now, go on */
    atomic_uint stage;      /* where the job is: position in srq_stage_name */
};

enum srq_stage {
    SRQ_STAGE_LOAD,
    SRQ_STAGE_CALIBRATE,
    SRQ_STAGE_SCORE,
    SRQ_STAGE_ALLOCATE,
    SRQ_STAGE_TRANSFORM,
    SRQ_STAGE_QUANTIZE,
    SRQ_STAGE_REFINE,
    SRQ_STAGE_EVALUATE,
    SRQ_STAGE_EXPORT,
};
const char *srq_stage_name(unsigned stage);

struct srq_control;
/* Listens on a socket of its own in the runtime folder. journal and flags must outlive it. */
int srq_control_start(const char *job, struct srq_journal *j, struct srq_job_flags *flags, struct srq_control **out,
                      struct srq_error *err);
/* Tells where it listens, now and whenever that changes: a runtime folder may be taken away (at logout, by a cleaner of
 * temporary files) and the socket with it. It is looked after every second, and then made again. Later calls come from the
 * control thread; a failure of theirs is logged. */
int srq_control_announce(struct srq_control *c, int (*tell)(void *ctx, const char *path, struct srq_error *err), void *ctx,
                         struct srq_error *err);
/* From here on worker.change is answered by `change`, in the control thread; requests that came before have waited. */
void srq_control_changes(struct srq_control *c,
                         int (*change)(void *ctx, const cJSON *params, cJSON **reply, struct srq_error *err), void *ctx);
/* Tells the thread that the journal grew. From any thread, also under the journal's lock. */
void srq_control_wake(struct srq_control *c);
/* Sends what is left to clients that keep up (at most `linger_s`), then ends and removes the socket. */
void srq_control_stop(struct srq_control *c, double linger_s);

#endif
