/* Running a job: in its directory for srqd, or alone in a shell. */
#include "daemon/srq-worker/commands.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "core/job/job.h"
#include "core/job/spec.h"
#include "core/proto/proto.h"

#include <stdio.h>
#include <sys/stat.h>

#define SPEC_MAX ((size_t)16 << 20)

static int run(const struct srq_job_request *req)
{
    struct srq_error err = { 0 };
    enum srq_job_end end = SRQ_JOB_DONE;
    int rc = srq_job_run(req, &end, &err);

    if (rc == 0)
        return end == SRQ_JOB_DONE ? WORKER_DONE : end == SRQ_JOB_PAUSED ? WORKER_PAUSED : WORKER_CANCELED;
    fprintf(stderr, "srq-worker: %s\n", err.text);
    if (rc == -SRQ_EBUSY)
        return WORKER_LOCKED;
    return rc == -SRQ_ENOMEM || rc == -SRQ_EIO ? WORKER_TRY_AGAIN : WORKER_FAILED;
}

int worker_job(const char *dir)
{
    struct srq_job_request req = { .dir = dir, .flags = &worker_flags };

    return run(&req);
}

/* "OUT.srq-job" of the specification's output. */
static char *directory_beside(const char *text, size_t len, struct srq_error *err)
{
    cJSON *json = NULL;
    const char *output;
    char *dir = NULL;

    if (srq_json_parse(text, len, SRQ_DEPTH_MAX, &json, err) != 0)
        return NULL;
    output = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "output"));
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
    struct srq_job_request req = { .flags = &worker_flags, .watch = worker_show_event,
                                   .spec_flags = SRQ_SPEC_RELATIVE };
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
    req.dir = dir != NULL ? dir : beside;
    code = run(&req);
    if (code == WORKER_PAUSED)
        fprintf(stderr, "paused; the same command goes on from %s\n", req.dir);
    srq_free(text);
    srq_free(beside);
    return code;
}

int worker_change(const char *dir)
{
    struct srq_error err = { 0 };
    cJSON *params = NULL, *reply = NULL;
    char *text = NULL;
    size_t len;
    int rc = worker_read_input(&text, &len, &err);

    if (rc == 0)
        rc = srq_json_parse(text, len, SRQ_DEPTH_MAX, &params, &err);
    if (rc == 0)
        rc = srq_proto_check_params(srq_proto_method("worker.change"), params, &err);
    if (rc == 0)
        rc = srq_job_change(dir, params, &reply, &err);
    srq_free(text);
    cJSON_Delete(params);
    if (rc == 0)
        return worker_answer(reply);
    worker_refuse(&err);
    return rc == -SRQ_EBUSY ? WORKER_LOCKED : WORKER_FAILED;
}
