/* Answers of the worker program. */
#include "daemon/srqd/workers/answer.h"

#include "core/proto/proto.h"

#include <sys/wait.h>

#define EXIT_LOCKED 12 /* another process has the job directory */

/* It ended without an answer. */
static int no_answer(const struct srqd *d, const struct captured *c, const char *doing, struct srq_error *err)
{
    const char *gap = c->err[0] != '\0' ? ": " : "";

    if (WIFEXITED(c->status) && WEXITSTATUS(c->status) == EXIT_LOCKED)
        return srq_fail(err, -SRQ_EBUSY, "another process has the job's directory; try again");
    if (WIFEXITED(c->status))
        return srq_fail(err, -SRQ_EIO, "%s %s ended with code %d%s%.600s", d->places.worker, doing,
                        WEXITSTATUS(c->status), gap, c->err);
    return srq_fail(err, -SRQ_EIO, "%s %s was killed by signal %d%s%.600s", d->places.worker, doing,
                    WTERMSIG(c->status), gap, c->err);
}

int worker_answer_read(const struct srqd *d, const struct captured *c, const char *doing, size_t max, cJSON **out,
                       struct srq_error *err)
{
    struct srq_error why = { 0 };
    int rc;

    *out = NULL;
    if (c->failed != 0)
        return srq_fail_field(err, c->failed, c->why.field, "%s", c->why.text);
    if (c->timed_out)
        return srq_fail(err, -SRQ_ETIMEOUT, "%s %s took longer than %lld s (plan_timeout_s)", d->places.worker, doing,
                        (long long)d->config.plan_timeout_s);
    if (c->too_long)
        return srq_fail(err, -SRQ_ELIMIT, "%s %s printed more than %zu bytes", d->places.worker, doing, max);
    rc = srq_json_parse(c->out, c->out_len, SRQ_DEPTH_MAX, out, &why);
    if (rc == 0 && WIFEXITED(c->status) && WEXITSTATUS(c->status) == 0 && cJSON_IsObject(*out))
        return 0;
    rc = *out != NULL ? srq_proto_refusal(*out, err) : 0;
    if (rc == 0)
        rc = no_answer(d, c, doing, err);
    cJSON_Delete(*out);
    *out = NULL;
    return rc;
}
