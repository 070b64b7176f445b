/* The command at a job's end, and what became of it. */
#include "daemon/srqd/jobs/on_end.h"

#include "core/base/alloc.h"
#include "core/base/log.h"
#include "daemon/srqd/base/launch.h"
#include "daemon/srqd/jobs/jobdir.h"
#include "daemon/srqd/jobs/jobs.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define VARS 5

/* The job may be deleted before its command ends. */
struct running {
    struct srqd *d;
    char job[JOB_ID_MAX];
    void (*save)(struct job *j);
};

static void __attribute__((format(printf, 3, 4)))
failed(struct job *j, void (*save)(struct job *j), const char *fmt, ...)
{
    char text[400];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    srq_log(SRQ_LOG_WARN, "job %s: on_end %s", j->id, text);
    srq_free(j->on_end_failure);
    j->on_end_failure = srq_strdup(text);
    save(j);
}

static void on_exit_of(pid_t pid, int status, void *ctx)
{
    struct running *r = ctx;
    struct job *j = job_find(&r->d->jobs, r->job);

    (void)pid;
    if (j != NULL && WIFSIGNALED(status))
        failed(j, r->save, "was killed by signal %d; what it printed is in worker.log", WTERMSIG(status));
    else if (j != NULL && WEXITSTATUS(status) != 0)
        failed(j, r->save, "ended with exit code %d; what it printed is in worker.log", WEXITSTATUS(status));
    srq_free(r);
}

static void start(struct job *j, const char *const *vars, struct running *r)
{
    const char *const argv[] = { "/bin/sh", "-c", j->on_end, NULL };
    struct launch l = { .argv = argv,
                        .uid = j->uid,
                        .gid = j->gid,
                        .extra = vars,
                        .in = -1,
                        .out = -1,
                        .err = -1,
                        .log_name = "worker.log",
                        .mask = j->d->mask };
    struct srq_error err;
    pid_t pid;
    int rc;

    l.log_dir = jobdir_open(j, NULL);
    if (l.log_dir < 0)
        l.log_name = NULL;
    r->d = j->d;
    memcpy(r->job, j->id, sizeof(r->job));
    rc = launch_process(&l, &pid, &err);
    if (l.log_dir >= 0)
        close(l.log_dir);
    if (rc != 0)
        failed(j, r->save, "could not be started: %.300s", err.text);
    if (rc != 0 || children_watch(j->d->children, pid, on_exit_of, r, NULL) != 0)
        srq_free(r);
}

void on_end_run(struct job *j, void (*save)(struct job *j))
{
    char *vars[VARS + 1] = { srq_asprintf("SRQ_JOB=%s", j->id),
                             srq_asprintf("SRQ_NAME=%s", j->name != NULL ? j->name : ""),
                             srq_asprintf("SRQ_STATE=%s", srq_job_state_words[j->state]),
                             srq_asprintf("SRQ_REASON=%s", j->reason != NULL ? j->reason : ""),
                             srq_asprintf("SRQ_OUTPUT=%s", j->output),
                             NULL };
    struct running *r = srq_calloc(1, sizeof(*r));
    bool ok = r != NULL;

    for (int i = 0; i < VARS; i++)
        ok = ok && vars[i] != NULL;
    srq_free(j->on_end_failure);
    j->on_end_failure = NULL;
    if (ok) {
        r->save = save;
        start(j, (const char *const *)vars, r);
    } else {
        failed(j, save, "could not be started: out of memory");
        srq_free(r);
    }
    for (int i = 0; i < VARS; i++)
        srq_free(vars[i]);
}
