/* Jobs in memory. */
#include "daemon/srqd/jobs/job.h"

#include "core/base/alloc.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

bool job_ended(const struct job *j)
{
    return j->state >= SRQ_JOB_DONE;
}

int64_t job_memory(const struct job *j)
{
    return j->told_memory > j->memory_bytes ? j->told_memory : j->memory_bytes;
}

bool job_active(const struct job *j)
{
    return j->state == SRQ_JOB_STARTING || j->state == SRQ_JOB_RUNNING;
}

int64_t job_disk(const struct job *j)
{
    int64_t used = j->used_disk > 0 ? j->used_disk : 0;

    return job_active(j) && j->disk_bytes > used ? j->disk_bytes : used;
}

struct job *job_create(struct srqd *d)
{
    struct job *j = srq_calloc(1, sizeof(*j));

    if (j == NULL)
        return NULL;
    j->d = d;
    j->before_bytes = j->after_bytes = j->average_bits = -1;
    j->exit_code = j->exit_signal = -1;
    j->used_disk = -1;
    j->disk_wished = true;
    job_forget_progress(j);
    return j;
}

void job_free(struct job *j)
{
    if (j == NULL)
        return;
    srq_free(j->owner);
    srq_free(j->name);
    srq_free(j->model);
    srq_free(j->method);
    srq_free(j->scheme);
    srq_free(j->output);
    srq_free(j->archive);
    srq_free(j->on_end);
    srq_free(j->on_end_failure);
    srq_free(j->reason);
    srq_free(j);
}

void job_set_reason(struct job *j, const char *fmt, ...)
{
    char text[1024];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    srq_free(j->reason);
    j->reason = srq_strdup(text);
}

void job_clear_reason(struct job *j)
{
    srq_free(j->reason);
    j->reason = NULL;
}

void job_forget_progress(struct job *j)
{
    j->stage[0] = '\0';
    j->unit[0] = '\0';
    j->done = j->total = j->rate = j->eta_s = -1;
}

struct job *job_find(const struct job_list *jobs, const char *id)
{
    struct job *j;

    TAILQ_FOREACH(j, jobs, entry)
    {
        if (strcmp(j->id, id) == 0)
            break;
    }
    return j;
}

int job_new_id(const struct job_list *taken, char out[JOB_ID_MAX], struct srq_error *err)
{
    static const char letters[] = "abcdefghjkmnpqrstuvwxyz23456789"; /* 31: without i, l, o, 0, 1 */
    unsigned char raw[6];

    do {
        if (getrandom(raw, sizeof(raw), 0) != (ssize_t)sizeof(raw))
            return srq_fail(err, -SRQ_EIO, "no random numbers: %s", strerror(errno));
        for (size_t i = 0; i < sizeof(raw); i++)
            out[i] = letters[raw[i] % (sizeof(letters) - 1)];
        out[sizeof(raw)] = '\0';
    } while (job_find(taken, out) != NULL);
    return 0;
}
