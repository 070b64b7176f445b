/* Methods that change jobs. */
#include "daemon/srqd/clients/handlers.h"

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "daemon/srqd/clients/change.h"
#include "daemon/srqd/clients/summary.h"
#include "daemon/srqd/clients/sweep.h"
#include "daemon/srqd/jobs/lifecycle.h"
#include "daemon/srqd/jobs/queue.h"
#include "daemon/srqd/workers/supervise.h"

#include <string.h>

static int answer_state(const struct request *r, cJSON **result, struct srq_error *err)
{
    *result = cJSON_CreateObject();
    return srq_put_text(*result, "job", r->job->id) &&
                   srq_put_text(*result, "state", srq_job_state_words[r->job->state]) &&
                   summary_put_wish(*result, r->job)
               ? 0
               : rpc_no_memory(err);
}

static int wrong_state(const struct request *r, const char *doing, struct srq_error *err)
{
    return srq_fail_field(err, -SRQ_ESTATE, "job", "job %s is %s and cannot be %s", r->job->id,
                          srq_job_state_words[r->job->state], doing);
}

static int cancel(const struct request *r, cJSON **result, struct srq_error *err)
{
    struct job *j = r->job;

    if (job_ended(j))
        return wrong_state(r, "canceled", err);
    if (job_active(j)) {
        supervise_wish(j, WISH_CANCEL);
    } else {
        job_clear_reason(j);
        job_move(j, SRQ_JOB_CANCELED, r->c->peer.uid);
    }
    return answer_state(r, result, err);
}

static int pause_job(const struct request *r, cJSON **result, struct srq_error *err)
{
    struct job *j = r->job;

    if (j->state == SRQ_JOB_QUEUED) {
        job_set_reason(j, "paused on request");
        job_move(j, SRQ_JOB_PAUSED, r->c->peer.uid);
    } else if (job_active(j) && j->wish != WISH_CANCEL && j->wish != WISH_LIMIT) {
        supervise_wish(j, WISH_PAUSE);
    } else {
        return wrong_state(r, "paused", err);
    }
    return answer_state(r, result, err);
}

static int resume(const struct request *r, cJSON **result, struct srq_error *err)
{
    struct job *j = r->job;
    int rc;

    if (j->state != SRQ_JOB_PAUSED && j->state != SRQ_JOB_FAILED)
        return wrong_state(r, "resumed", err);
    rc = queue_could_start(j, err);
    if (rc != 0)
        return rc;
    j->deaths = 0;
    job_clear_reason(j);
    job_move(j, SRQ_JOB_QUEUED, r->c->peer.uid);
    *result = cJSON_CreateObject(); /* it was told nothing else */
    return srq_put_text(*result, "job", j->id) && srq_put_text(*result, "state", srq_job_state_words[j->state])
               ? 0
               : rpc_no_memory(err);
}

static int finish(const struct request *r, cJSON **result, struct srq_error *err)
{
    struct job *j = r->job;

    if (job_active(j) && j->wish != WISH_CANCEL && j->wish != WISH_LIMIT) {
        supervise_wish(j, WISH_FINISH);
    } else if (j->state == SRQ_JOB_PAUSED || j->state == SRQ_JOB_QUEUED) {
        /* It needs a worker once more to round the rest and export. */
        j->wish = WISH_FINISH;
        job_clear_reason(j);
        job_move(j, SRQ_JOB_QUEUED, r->c->peer.uid);
    } else {
        return wrong_state(r, "finished", err);
    }
    return answer_state(r, result, err);
}

static int priority(const struct request *r, cJSON **result, struct srq_error *err)
{
    int wanted = (int)rpc_number(r, "priority", 0);
    struct job *j = r->job;

    if (!may_change(&r->c->peer, j) && !r->c->peer.admin)
        return srq_fail_field(err, -SRQ_EPERM, "job", "job %s belongs to %s", j->id, j->owner);
    if (job_ended(j))
        return wrong_state(r, "moved in the queue", err);
    if (wanted > 0 && wanted > j->priority && !r->c->peer.admin)
        return srq_fail_field(err, -SRQ_EPERM, "priority", "a priority above 0 needs root or group %s",
                              r->d->config.admin_group);
    j->priority = wanted;
    job_save(j);
    srq_log(SRQ_LOG_INFO, "job %s: priority %d, by uid %lu", j->id, wanted, (unsigned long)r->c->peer.uid);
    queue_kick(r->d);
    *result = cJSON_CreateObject();
    return srq_put_text(*result, "job", j->id) && srq_put_number(*result, "priority", wanted) ? 0 : rpc_no_memory(err);
}

static int delete_job(const struct request *r, cJSON **result, struct srq_error *err)
{
    int rc;

    if (!job_ended(r->job))
        return srq_fail_field(err, -SRQ_ESTATE, "job", "job %s is %s; cancel it first", r->job->id,
                              srq_job_state_words[r->job->state]);
    *result = cJSON_CreateObject();
    if (!srq_put_text(*result, "job", r->job->id))
        return rpc_no_memory(err);
    rc = job_delete(r->job, err);
    return rc;
}

static int change(const struct request *r, cJSON **result, struct srq_error *err)
{
    (void)result;
    return change_begin(r, err);
}

const struct rpc_row rpc_job_rows[] = {
    { "job.cancel", cancel },     { "job.pause", pause_job },
    { "job.resume", resume },     { "job.finish", finish },
    { "job.priority", priority }, { "job.delete", delete_job },
    { "job.gc", sweep_begin },    { "job.pin", change },
    { "job.unpin", change },      { "job.budget", change },
    { "job.retune", change },     { "job.set", change },
    { "job.revert", change },     { NULL, NULL },
};
