/* A job from its specification to its output, in a job directory (design 3). What srq-worker runs, which has the
 * directory to itself meanwhile. */
#ifndef SRQ_JOB_JOB_H
#define SRQ_JOB_JOB_H

#include "core/job/flags.h"
#include "core/job/journal.h"
#include "core/proto/words.h"

/* Changes the plan of a running job (srq-protocol(7), worker.change), from any one thread. `reply` is the caller's. */
typedef int (*srq_job_change_fn)(void *run, const cJSON *params, cJSON **reply, struct srq_error *err);

/* How those outside reach a running job: what the process around it offers. */
struct srq_job_control {
    void *ctx;
    int (*start)(void *ctx, struct srq_journal *j, struct srq_error *err); /* before the first event */
    void (*changes)(void *ctx, srq_job_change_fn change, void *run);       /* the plan is there: it can be changed */
    void (*stop)(void *ctx); /* also where start was not called; from then on journal and run are left alone */
};

struct srq_job_request {
    const char *dir;  /* job directory, absolute, without a slash at its end; ckpt/ is there */
    const char *spec; /* text of a new job's specification; NULL: spec.json is in the directory */
    size_t spec_len;
    unsigned spec_flags; /* SRQ_SPEC_RELATIVE for a job given in a shell */
    struct srq_job_flags *flags;
    const struct srq_job_control *control; /* or NULL */
    srq_journal_watch watch;               /* sees every event; or NULL */
    void *watch_ctx;
};

/* Runs a job, or goes on with one, to its end. Returns 0 with *end (done, paused or canceled), or an error, which is
 * also in the journal as far as that could be opened: -SRQ_ENOMEM and -SRQ_EIO (worth another try), anything else is
 * for good. A new specification in a directory that has another one: -SRQ_EEXIST. */
int srq_job_run(const struct srq_job_request *req, enum srq_job_state *end, struct srq_error *err);

/* Changes the plan of a job that does not run. -SRQ_ESTATE: it has ended. `reply` is the caller's. */
int srq_job_change(const char *dir, const cJSON *params, cJSON **reply, struct srq_error *err);

#endif
