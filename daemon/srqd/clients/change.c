/* Changes of plans. Nothing here knows what a change means: it is passed on with the name of who asked, and the answer
 * is held to the table. */
#include "daemon/srqd/clients/change.h"

#include "core/base/alloc.h"
#include "core/base/log.h"
#include "core/proto/members.h"
#include "daemon/srqd/base/capture.h"
#include "daemon/srqd/base/launch.h"
#include "daemon/srqd/clients/submission.h"
#include "daemon/srqd/jobs/jobdir.h"
#include "daemon/srqd/jobs/lifecycle.h"
#include "daemon/srqd/jobs/queue.h"
#include "daemon/srqd/workers/answer.h"
#include "daemon/srqd/workers/link.h"
#include "daemon/srqd/workers/supervise.h"

#include <string.h>

#define WAITING_MAX 256
#define ANSWER_MAX SRQ_FRAME_MAX

struct change {
    TAILQ_ENTRY(change) entry; /* while it waits */
    struct later later;
    struct share *share;  /* of who asked */
    char job[JOB_ID_MAX]; /* it may go meanwhile */
    cJSON *params;        /* of worker.change */
    int rc;               /* what the program said, until the journal is read */
    cJSON *result;
    struct srq_error err;
};

static void change_free(struct change *c)
{
    cJSON_Delete(c->params);
    share_put(&c->later.all->shares, c->share);
    srq_free(c);
}

/* The job is queued, counted and called by what its plan is and needs now. */
static void take_needs(struct change *c, const cJSON *result)
{
    static const char *const members[] = { "memory", "disk", "size" };
    struct job *j = job_find(&c->later.all->d->jobs, c->job);
    char *spec = NULL, *text = NULL, *scheme = NULL;
    struct srq_error err = { 0 };
    cJSON *planned = NULL, *asked = NULL;
    int rc;

    if (j == NULL || !cJSON_IsObject(cJSON_GetObjectItemCaseSensitive(result, "memory")))
        return; /* no layer moved */
    rc = store_texts(j->d->store, j->id, &spec, &text, &err);
    if (rc == 0)
        rc = srq_json_parse(spec, strlen(spec), SRQ_DEPTH_MAX, &asked, &err);
    if (rc == 0)
        rc = srq_json_parse(text, strlen(text), SRQ_DEPTH_MAX, &planned, &err);
    if (rc == 0)
        rc = submission_take_scheme(asked, srq_member_number(result, "budget_bits"), &scheme, &err);
    if (scheme != NULL) {
        srq_free(j->scheme);
        j->scheme = scheme;
    }
    submission_take_needs(j, result);
    job_save(j);
    for (size_t i = 0; rc == 0 && i < sizeof(members) / sizeof(members[0]); i++) {
        cJSON_DeleteItemFromObjectCaseSensitive(planned, members[i]);
        if (!srq_put_member(planned, members[i], result))
            rc = rpc_no_memory(&err);
    }
    srq_free(text);
    text = rc == 0 ? cJSON_PrintUnformatted(planned) : NULL;
    if (rc == 0)
        rc = text != NULL ? store_planned(j->d->store, j->id, text, &err) : rpc_no_memory(&err);
    if (rc != 0)
        srq_log(SRQ_LOG_WARN, "job %s: what its changed plan needs could not be kept: %s", j->id, err.text);
    cJSON_free(text);
    srq_free(spec);
    cJSON_Delete(planned);
    cJSON_Delete(asked);
}

/* Tells the client and forgets the change. `result` is consumed; the job's id in it is ours to say. */
static void answer(struct change *c, int rc, cJSON *result, const struct srq_error *err)
{
    const cJSON *applied = cJSON_GetObjectItemCaseSensitive(result, "applied");

    if (rc == 0) {
        cJSON_DeleteItemFromObjectCaseSensitive(result, "job");
        cJSON_AddStringToObject(result, "job", c->job);
    }
    if (rc == 0 && cJSON_IsTrue(applied))
        take_needs(c, result);
    if (rc == 0 && cJSON_IsTrue(applied))
        srq_log(SRQ_LOG_INFO, "job %s: plan changed (%s) by %s", c->job, c->later.method->name,
                cJSON_GetObjectItemCaseSensitive(c->params, "by")->valuestring);
    rpc_answer_later(&c->later, rc, result, err);
    change_free(c);
}

static void wait_again(struct change *c)
{
    TAILQ_INSERT_TAIL(&c->later.all->changes, c, entry);
    c->later.all->change_count++;
    queue_kick(c->later.all->d);
}

/* ---- by its worker ----------------------------------------------------------------------------------------------- */

static void on_worker_answer(int rc, cJSON *result, bool sent, const struct srq_error *err, void *ctx)
{
    struct change *c = ctx;

    /* The worker ended before it was asked: what the job is now decides where the change goes. */
    if (rc == -SRQ_EBUSY && !sent)
        wait_again(c);
    else
        answer(c, rc, result, err);
}

/* ---- without a worker -------------------------------------------------------------------------------------------- */

/* The events are told: now the answer. */
static void on_caught_up(void *ctx)
{
    struct change *c = ctx;
    struct clients *all = c->later.all;
    struct job *j = job_find(&all->d->jobs, c->job);

    share_ended(&all->shares, c->share, SHARE_CHANGE);
    if (j != NULL)
        j->changing = false;
    answer(c, c->rc, c->result, &c->err);
    queue_kick(all->d);
}

static void on_program_end(const struct captured *captured, void *ctx)
{
    struct change *c = ctx;
    struct srqd *d = c->later.all->d;
    struct job *j = job_find(&d->jobs, c->job);

    c->rc = worker_answer_read(d, captured, "--change", ANSWER_MAX, &c->result, &c->err);
    if (c->rc == 0 && (c->rc = srq_proto_check_reply(srq_proto_method("worker.change"), c->result, &c->err)) != 0) {
        cJSON_Delete(c->result);
        c->result = NULL;
    }
    /* What it did is in the journal, whatever became of its answer. */
    if (j != NULL)
        supervise_catch_up(j, on_caught_up, c);
    else
        on_caught_up(c);
}

static int start_program(struct change *c, struct job *j, struct srq_error *err)
{
    char *dir = jobdir_path(j), *text = cJSON_PrintUnformatted(c->params);
    const struct srqd *d = j->d;
    const char *const argv[] = { d->places.worker, "--change", dir, NULL };
    struct capture_wish w = { .argv = argv,
                              .uid = j->uid,
                              .gid = j->gid,
                              .input = text,
                              .out_max = ANSWER_MAX,
                              .timeout_s = (double)d->config.plan_timeout_s };
    int rc;

    if (dir == NULL || text == NULL) {
        rc = rpc_no_memory(err);
    } else {
        w.input_len = strlen(text);
        rc = capture_start(d->base, d->children, &w, on_program_end, c, err);
    }
    if (rc == 0) {
        j->changing = true;
        share_run(&c->later.all->shares, c->share, SHARE_CHANGE);
    }
    srq_free(dir);
    cJSON_free(text);
    return rc;
}

/* ---- which of the two -------------------------------------------------------------------------------------------- */

/* A failed job can be resumed, and often a change of its plan is what lets it come through. */
static bool settled(const struct job *j)
{
    return job_ended(j) && j->state != SRQ_JOB_FAILED;
}

static int refuse_ended(const struct job *j, struct srq_error *err)
{
    return srq_fail_field(err, -SRQ_ESTATE, "job", "job %s is %s; its plan cannot be changed any more", j->id,
                          srq_job_state_words[j->state]);
}

/* 1: under way; 0: it must wait; else an error. */
static int set_going(struct change *c, struct srq_error *err)
{
    const struct srqd *d = c->later.all->d;
    struct job *j = job_find(&d->jobs, c->job);
    int rc;

    if (j == NULL)
        return srq_fail_field(err, -SRQ_ENOENT, "job", "there is no job \"%s\" any more", c->job);
    if (settled(j))
        return refuse_ended(j, err);
    if (supervise_reading(j))
        return 0;
    if (j->pid > 0) {
        rc =
            worker_link_call(j, "worker.change", c->params, (double)d->config.plan_timeout_s, on_worker_answer, c, err);
        return rc == 0 ? 1 : rc;
    }
    if (j->changing || !share_may_run(&c->later.all->shares, c->share, SHARE_CHANGE))
        return 0;
    rc = start_program(c, j, err);
    return rc == 0 ? 1 : rc;
}

void changes_run(struct clients *all)
{
    struct change *c, *next;

    for (c = TAILQ_FIRST(&all->changes); c != NULL; c = next) {
        struct srq_error err = { 0 };
        int rc = set_going(c, &err);

        next = TAILQ_NEXT(c, entry);
        if (rc == 0)
            continue;
        TAILQ_REMOVE(&all->changes, c, entry);
        all->change_count--;
        if (rc < 0)
            answer(c, rc, NULL, &err);
    }
}

/* What the worker is asked: the request's own members, which operation, and who asks, as the kernel says. */
static cJSON *worker_params(const struct request *r)
{
    cJSON *p = cJSON_Duplicate(r->params, true);
    char name[256], by[120];

    user_name_of(r->c->peer.uid, name, sizeof(name));
    snprintf(by, sizeof(by), "%.80s (uid %lu)", name, (unsigned long)r->c->peer.uid);
    cJSON_DeleteItemFromObjectCaseSensitive(p, "job");
    if (srq_put_text(p, "op", r->method->name + strlen("job.")) && srq_put_text(p, "by", by))
        return p;
    cJSON_Delete(p);
    return NULL;
}

int change_begin(const struct request *r, struct srq_error *err)
{
    struct change *c;

    if (settled(r->job))
        return refuse_ended(r->job, err);
    if (r->c->all->change_count >= WAITING_MAX)
        return srq_fail(err, -SRQ_EBUSY, "%d changes of plans wait; try again", WAITING_MAX);
    c = srq_calloc(1, sizeof(*c));
    if (c == NULL)
        return rpc_no_memory(err);
    memcpy(c->job, r->job->id, sizeof(c->job));
    c->params = worker_params(r);
    if (c->params == NULL) {
        srq_free(c);
        return rpc_no_memory(err);
    }
    rpc_later(&c->later, r);
    c->share = share_get(&r->c->all->shares, r->c->peer.uid); /* there is one, its client's */
    wait_again(c);
    return RPC_LATER;
}

void changes_drop(struct clients *all)
{
    struct change *c;

    while ((c = TAILQ_FIRST(&all->changes)) != NULL) {
        TAILQ_REMOVE(&all->changes, c, entry);
        change_free(c);
    }
    all->change_count = 0;
}
