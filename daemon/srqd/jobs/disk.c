/* du(1) over job folders, some at a time. */
#include "daemon/srqd/jobs/disk.h"

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "daemon/srqd/base/capture.h"
#include "daemon/srqd/jobs/jobdir.h"
#include "daemon/srqd/jobs/queue.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRAM "/usr/bin/du"
#define FIXED 3 /* words before the paths */
#define BATCH 64
#define ANSWER_MAX ((size_t)1 << 20)
#define TIMEOUT_S 600.0
#define EVERY_S 30.0 /* of those that run */

void disk_wish(struct job *j)
{
    j->disk_wished = true;
}

/* "KIBIBYTES\tPATH": the path ends with the id. */
static void take_line(struct srqd *d, char *line)
{
    char *tab = strchr(line, '\t'), *name = tab != NULL ? strrchr(tab, '/') : NULL;
    struct job *j = name != NULL ? job_find(&d->jobs, name + 1) : NULL;
    int64_t kib = strtoll(line, NULL, 10);

    if (j != NULL && kib >= 0 && kib < INT64_MAX / 1024)
        j->used_disk = kib * 1024;
}

/* Those that were asked for and are still unknown: nothing waits for them any longer. */
static void settle(struct srqd *d)
{
    struct job *j;

    TAILQ_FOREACH(j, &d->jobs, entry)
    {
        if (!j->disk_wished)
            j->disk_unknown = false;
    }
}

/* What it said is of use even where it could not look at everything. */
static void measured(const struct captured *c, void *ctx)
{
    struct srqd *d = ctx;
    char *text = srq_strdup(c->out), *next;

    d->measuring = false;
    if (c->failed != 0 || c->timed_out)
        srq_log(SRQ_LOG_WARN, "what jobs take on disk is not known: %s",
                c->failed != 0 ? c->why.text : PROGRAM " took too long");
    for (char *line = text; line != NULL && *line != '\0'; line = next) {
        next = strchr(line, '\n');
        if (next != NULL)
            *next++ = '\0';
        take_line(d, line);
    }
    srq_free(text);
    settle(d);
    if (d->config.user_max_disk > 0)
        queue_kick(d);
    disk_look_after(d);
}

static void measure(struct srqd *d)
{
    const char *argv[FIXED + BATCH + 1] = { PROGRAM, "-skx", "--" };
    const struct capture_wish wish = {
        .argv = argv, .uid = geteuid(), .gid = getegid(), .out_max = ANSWER_MAX, .timeout_s = TIMEOUT_S, .nice = 10
    };
    char *paths[BATCH];
    struct srq_error err = { 0 };
    struct job *j;
    int n = 0;

    TAILQ_FOREACH(j, &d->jobs, entry)
    {
        if (n == BATCH)
            break;
        if (!j->disk_wished || (paths[n] = jobdir_path(j)) == NULL)
            continue;
        j->disk_wished = false;
        argv[FIXED + n] = paths[n];
        n++;
    }
    if (n > 0 && capture_start(d->base, d->children, &wish, measured, d, &err) == 0) {
        d->measuring = true;
    } else if (n > 0) {
        srq_log(SRQ_LOG_WARN, "what jobs take on disk is not known: %s", err.text);
        settle(d);
    }
    while (n > 0)
        srq_free(paths[--n]);
}

void disk_look_after(struct srqd *d)
{
    double now = srq_clock_s();
    struct job *j;

    if (now >= d->measure_at) {
        d->measure_at = now + EVERY_S;
        TAILQ_FOREACH(j, &d->jobs, entry)
        {
            if (job_active(j))
                disk_wish(j);
        }
    }
    if (!d->measuring)
        measure(d);
}
