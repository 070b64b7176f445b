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

static int code_of(enum srq_job_state end)
{
    if (end == SRQ_JOB_PAUSED)
        return atomic_load(&worker_requeue) ? WORKER_REQUEUE : WORKER_PAUSED;
    return end == SRQ_JOB_DONE ? WORKER_DONE : WORKER_CANCELED;
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
        return code_of(end);
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
static char *directory_beside(const cJSON *spec, struct srq_error *err)
{
    const char *output = srq_member_text(spec, "output");
    size_t n = output != NULL ? strlen(output) : 0;
    char *dir;

    if (n == 0) {
        srq_fail_field(err, -SRQ_EINVAL, "output", "the job lacks \"output\"");
        return NULL;
    }
    while (n > 1 && output[n - 1] == '/')
        n--;
    dir = srq_asprintf("%.*s.srq-job", (int)n, output);
    if (dir == NULL)
        srq_fail(err, -SRQ_ENOMEM, "out of memory");
    return dir;
}

/* Into the specification's options. */
static int put_option(cJSON *spec, const char *text, struct srq_error *err)
{
    cJSON *options = cJSON_GetObjectItemCaseSensitive(spec, "options");
    size_t n = strcspn(text, "=");
    char key[128];

    if (text[n] == '\0' || n == 0 || n >= sizeof(key))
        return srq_fail_field(err, -SRQ_EINVAL, "set", "--set %s is not KEY=VALUE, e.g. threads=8", text);
    snprintf(key, sizeof(key), "%.*s", (int)n, text);
    if (!cJSON_IsObject(options)) {
        cJSON_DeleteItemFromObjectCaseSensitive(spec, "options");
        options = cJSON_AddObjectToObject(spec, "options");
    }
    cJSON_DeleteItemFromObjectCaseSensitive(options, key);
    return srq_put_text(options, key, text + n + 1) ? 0 : srq_fail(err, -SRQ_ENOMEM, "out of memory");
}

/* `*text` with the options that were set beside it. */
static int put_options(const struct worker_alone *a, cJSON *spec, char **text, size_t *len, struct srq_error *err)
{
    int rc = 0;

    for (int i = 0; rc == 0 && i < a->set_count; i++)
        rc = put_option(spec, a->set[i], err);
    if (rc == 0 && a->set_count > 0) {
        char *all = cJSON_PrintUnformatted(spec), *copy = all != NULL ? srq_strdup(all) : NULL;

        cJSON_free(all);
        if (copy == NULL)
            return srq_fail(err, -SRQ_ENOMEM, "out of memory");
        srq_free(*text);
        *text = copy;
        *len = strlen(copy);
    }
    return rc;
}

int worker_standalone(const struct worker_alone *a)
{
    struct srq_job_request req = { .spec_flags = SRQ_SPEC_RELATIVE };
    struct srq_error err = { 0 };
    char *text = NULL, *beside = NULL;
    cJSON *spec = NULL;
    int rc = srq_read_file(a->spec, SPEC_MAX, &text, &req.spec_len, &err), code = WORKER_FAILED;

    if (rc == 0)
        rc = srq_json_parse(text, req.spec_len, SRQ_DEPTH_MAX, &spec, &err);
    if (rc == 0 && a->dir == NULL) {
        beside = directory_beside(spec, &err);
        rc = beside != NULL ? 0 : -err.code;
    }
    if (rc == 0)
        rc = put_options(a, spec, &text, &req.spec_len, &err);
    cJSON_Delete(spec);
    if (rc == 0) {
        const char *dir = a->dir != NULL ? a->dir : beside;

        req.spec = text;
        code = run(&req, dir, worker_show_event);
        if (code == WORKER_PAUSED || code == WORKER_REQUEUE)
            fprintf(stderr, "paused; the same command goes on from %s\n", dir);
    } else {
        fprintf(stderr, "srq-worker: %s\n", err.text);
    }
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
