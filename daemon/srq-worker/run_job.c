/* Running a job: in its directory for srqd, or alone in a shell. */
#include "daemon/srq-worker/commands.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "core/job/job.h"
#include "core/job/spec.h"
#include "core/proto/members.h"
#include "core/proto/proto.h"
#include "daemon/srq-worker/control.h"
#include "daemon/srq-worker/jobdir.h"

#include <stdio.h>
#include <sys/stat.h>

#define SPEC_MAX ((size_t)16 << 20)
#define LINGER_S 2.0 /* attached clients get the last events */

/* A job that this process has, and who can reach it. */
struct held {
    struct worker_jobdir dir;
    struct worker_control *control;
    srq_journal_watch watch; /* or NULL */
};

static int tell_socket(void *ctx, const char *path, struct srq_error *err)
{
    struct held *h = ctx;

    return worker_jobdir_announce(&h->dir, path, err);
}

static int start_control(void *ctx, struct srq_journal *j, struct srq_error *err)
{
    struct held *h = ctx;
    int rc = worker_control_start(h->dir.id, j, &worker_flags, &h->control, err);

    return rc == 0 ? worker_control_announce(h->control, tell_socket, h, err) : rc;
}

static void take_changes(void *ctx, srq_job_change_fn change, void *job)
{
    struct held *h = ctx;

    worker_control_changes(h->control, change, job);
}

static void stop_control(void *ctx)
{
    struct held *h = ctx;

    worker_control_stop(h->control, LINGER_S);
}

static void on_event(void *ctx, int64_t seq, double time, const char *event, const cJSON *data)
{
    struct held *h = ctx;

    if (h->control != NULL)
        worker_control_wake(h->control);
    if (h->watch != NULL)
        h->watch(NULL, seq, time, event, data);
}

/* With the directory `dir` locked. */
static int run_locked(struct held *h, struct srq_job_request *req, enum srq_job_state *end, struct srq_error *err)
{
    const struct srq_job_control control = { h, start_control, take_changes, stop_control };

    req->dir = h->dir.path;
    req->flags = &worker_flags;
    req->control = &control;
    req->watch = on_event;
    req->watch_ctx = h;
    return srq_job_run(req, end, err);
}

/* Events go to `watch` too, where it is not NULL. */
static int run(struct srq_job_request *req, const char *dir, srq_journal_watch watch)
{
    struct held h = { .watch = watch };
    struct srq_error err = { 0 };
    enum srq_job_state end = SRQ_JOB_DONE;
    int rc = worker_jobdir_open(dir, req->spec != NULL, &h.dir, &err);

    if (rc == 0) {
        rc = run_locked(&h, req, &end, &err);
        worker_jobdir_close(&h.dir);
    }
    if (rc == 0)
        return end == SRQ_JOB_DONE ? WORKER_DONE : end == SRQ_JOB_PAUSED ? WORKER_PAUSED : WORKER_CANCELED;
    fprintf(stderr, "srq-worker: %s\n", err.text);
    if (rc == -SRQ_EBUSY)
        return WORKER_LOCKED;
    return rc == -SRQ_ENOMEM || rc == -SRQ_EIO ? WORKER_TRY_AGAIN : WORKER_FAILED;
}

int worker_job(const char *dir)
{
    struct srq_job_request req = { 0 };

    return run(&req, dir, NULL);
}

/* "OUT.srq-job" of the specification's output. */
static char *directory_beside(const char *text, size_t len, struct srq_error *err)
{
    cJSON *json = NULL;
    const char *output;
    char *dir = NULL;

    if (srq_json_parse(text, len, SRQ_DEPTH_MAX, &json, err) != 0)
        return NULL;
    output = srq_member_text(json, "output");
    if (output == NULL || output[0] == '\0') {
        srq_fail_field(err, -SRQ_EINVAL, "output", "the job lacks \"output\"");
    } else {
        size_t n = strlen(output);

        while (n > 1 && output[n - 1] == '/')
            n--;
        dir = srq_asprintf("%.*s.srq-job", (int)n, output);
        if (dir == NULL)
            srq_fail(err, -SRQ_ENOMEM, "out of memory");
    }
    cJSON_Delete(json);
    return dir;
}

int worker_standalone(const char *spec, const char *dir)
{
    struct srq_job_request req = { .spec_flags = SRQ_SPEC_RELATIVE };
    struct srq_error err = { 0 };
    char *text = NULL, *beside = NULL;
    int rc = srq_read_file(spec, SPEC_MAX, &text, &req.spec_len, &err), code;

    if (rc == 0 && dir == NULL) {
        beside = directory_beside(text, req.spec_len, &err);
        rc = beside != NULL ? 0 : -err.code;
    }
    if (rc != 0) {
        fprintf(stderr, "srq-worker: %s\n", err.text);
        srq_free(text);
        return WORKER_FAILED;
    }
    req.spec = text;
    dir = dir != NULL ? dir : beside;
    code = run(&req, dir, worker_show_event);
    if (code == WORKER_PAUSED)
        fprintf(stderr, "paused; the same command goes on from %s\n", dir);
    srq_free(text);
    srq_free(beside);
    return code;
}

int worker_change(const char *dir)
{
    struct srq_error err = { 0 };
    struct worker_jobdir held;
    cJSON *params = NULL, *reply = NULL;
    char *text = NULL;
    size_t len;
    int rc = worker_read_input(&text, &len, &err);

    if (rc == 0)
        rc = srq_json_parse(text, len, SRQ_DEPTH_MAX, &params, &err);
    if (rc == 0)
        rc = srq_proto_check_params(srq_proto_method("worker.change"), params, &err);
    if (rc == 0)
        rc = worker_jobdir_open(dir, false, &held, &err);
    if (rc == 0) {
        rc = srq_job_change(held.path, params, &reply, &err);
        worker_jobdir_close(&held);
    }
    srq_free(text);
    cJSON_Delete(params);
    if (rc == 0)
        return worker_answer(reply);
    worker_refuse(&err);
    return rc == -SRQ_EBUSY ? WORKER_LOCKED : WORKER_FAILED;
}
