/* State transitions. */
#include "daemon/srqd/jobs/lifecycle.h"

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "daemon/srqd/base/launch.h"
#include "daemon/srqd/jobs/jobdir.h"
#include "daemon/srqd/jobs/jobs.h"
#include "daemon/srqd/jobs/queue.h"
#include "daemon/srqd/jobs/record.h"

#include <unistd.h>

static void store(struct job *j, bool transition, int64_t by)
{
    struct srq_error err;

    if (store_update(j->d->store, j, transition, by, &err) == 0) {
        j->dirty = false;
        return;
    }
    if (!j->dirty)
        srq_log(SRQ_LOG_ERROR, "job %s: %s; tried again later", j->id, err.text);
    j->dirty = true;
}

void job_save(struct job *j)
{
    store(j, false, BY_SRQD);
}

void lifecycle_retry(struct srqd *d)
{
    struct job *j;

    TAILQ_FOREACH(j, &d->jobs, entry)
    {
        if (j->dirty)
            store(j, true, BY_SRQD);
    }
}

/* The user's own command, as the user, after the end is on record. */
static void run_on_end(const struct job *j)
{
    char *vars[4] = { srq_asprintf("SRQ_JOB=%s", j->id), srq_asprintf("SRQ_STATE=%s", srq_job_state_words[j->state]),
                      srq_asprintf("SRQ_OUTPUT=%s", j->output), NULL };
    const char *const argv[] = { "/bin/sh", "-c", j->on_end, NULL };
    struct launch l = { .argv = argv,
                        .uid = j->uid,
                        .gid = j->gid,
                        .extra = (const char *const *)vars,
                        .in = -1,
                        .out = -1,
                        .err = -1,
                        .log_name = "worker.log",
                        .mask = j->d->mask };
    struct srq_error err;
    pid_t pid;

    l.log_dir = jobdir_open(j, NULL);
    if (l.log_dir < 0)
        l.log_name = NULL;
    if (vars[0] == NULL || vars[1] == NULL || vars[2] == NULL)
        srq_log(SRQ_LOG_ERROR, "job %s: out of memory for its on_end command", j->id);
    else if (launch_process(&l, &pid, &err) != 0)
        srq_log(SRQ_LOG_WARN, "job %s: on_end: %s", j->id, err.text);
    else
        (void)children_watch(j->d->children, pid, NULL, NULL, NULL);
    if (l.log_dir >= 0)
        close(l.log_dir);
    for (int i = 0; i < 3; i++)
        srq_free(vars[i]);
}

void job_move(struct job *j, enum srq_job_state state, int64_t by)
{
    bool was_ended = job_ended(j);

    j->state = state;
    if (job_ended(j) && !was_ended)
        j->ended = srq_wall_s();
    if (!job_ended(j))
        j->ended = 0;
    if (job_ended(j))
        job_forget_progress(j); /* one that is paused goes on from there */
    if (job_ended(j) || state == SRQ_JOB_PAUSED)
        j->wish = WISH_NONE;
    store(j, true, by);
    srq_log(SRQ_LOG_INFO, "job %s of %s: %s%s%s", j->id, j->owner, srq_job_state_words[state],
            j->reason != NULL ? ": " : "", j->reason != NULL ? j->reason : "");
    j->d->watcher.state(j->d->watcher.ctx, j);
    if (job_ended(j) && !was_ended && j->on_end != NULL)
        run_on_end(j);
    queue_kick(j->d);
}

void job_forget(struct job *j)
{
    struct srqd *d = j->d;

    TAILQ_REMOVE(&d->jobs, j, entry);
    d->runner.let_go(j);
    job_free(j);
}

int job_delete(struct job *j, struct srq_error *err)
{
    const struct job_watcher *w = &j->d->watcher;
    int rc = store_delete(j->d->store, j->id, err);

    if (rc != 0)
        return rc;
    /* The row is gone: a directory that could not be renamed is reported by the next start. */
    rc = jobdir_remove(j, err);
    if (rc != 0)
        srq_log(SRQ_LOG_WARN, "job %s: %s", j->id, err->text);
    w->deleted(w->ctx, j);
    job_forget(j);
    return 0;
}
