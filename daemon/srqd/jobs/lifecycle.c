/* State transitions. */
#include "daemon/srqd/jobs/lifecycle.h"

#include "core/base/clock.h"
#include "core/base/log.h"
#include "daemon/srqd/jobs/disk.h"
#include "daemon/srqd/jobs/jobdir.h"
#include "daemon/srqd/jobs/jobs.h"
#include "daemon/srqd/jobs/on_end.h"
#include "daemon/srqd/jobs/queue.h"
#include "daemon/srqd/jobs/record.h"

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
    disk_wish(j);
    store(j, true, by);
    srq_log(SRQ_LOG_INFO, "job %s of %s: %s%s%s", j->id, j->owner, srq_job_state_words[state],
            j->reason != NULL ? ": " : "", j->reason != NULL ? j->reason : "");
    j->d->watcher.state(j->d->watcher.ctx, j);
    if (job_ended(j) && !was_ended && j->on_end != NULL)
        on_end_run(j, job_save);
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
    /* The row is gone: a directory that could not be renamed is told of, now and by the next start. */
    jobdir_remove(j);
    w->deleted(w->ctx, j);
    queue_kick(j->d); /* its disk is its user's again */
    job_forget(j);
    return 0;
}
