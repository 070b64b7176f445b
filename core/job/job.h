/* A job from its specification to its output, in a job directory (design 3). What srq-worker runs. */
#ifndef SRQ_JOB_JOB_H
#define SRQ_JOB_JOB_H

#include "core/job/control.h"

enum srq_job_end { SRQ_JOB_DONE, SRQ_JOB_PAUSED, SRQ_JOB_CANCELED };

struct srq_job_request {
    const char *dir;          /* job directory */
    const char *spec;         /* text of a new job's specification; NULL: spec.json is in the directory */
    size_t spec_len;
    unsigned spec_flags;      /* SRQ_SPEC_RELATIVE for a job given in a shell */
    struct srq_job_flags *flags;
    srq_journal_watch watch;  /* sees every event; or NULL */
    void *watch_ctx;
};

/* Runs a job, or goes on with one, to its end. Returns 0 with *end, or an error, which is also in the journal as far as
 * that could be opened: -SRQ_EBUSY (another worker has the directory), -SRQ_ENOMEM and -SRQ_EIO (worth another try),
 * anything else is for good. A new specification in a directory that has another one: -SRQ_EEXIST. */
int srq_job_run(const struct srq_job_request *req, enum srq_job_end *end, struct srq_error *err);

/* Changes the plan of a job that no worker has (srq-protocol(7), worker.change), under its directory's lock. -SRQ_EBUSY:
 * a worker has it after all; -SRQ_ESTATE: it has ended. `reply` is the caller's. */
int srq_job_change(const char *dir, const cJSON *params, cJSON **reply, struct srq_error *err);

#endif
