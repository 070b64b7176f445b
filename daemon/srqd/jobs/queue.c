/* Admission. Higher priority first, then users with fewer jobs that run, then order of submission: users whose jobs
 * wait get their turns one after the other, however many jobs each has. A job that the limits in sum hold back also
 * holds back those behind it, so that a large job is not overtaken for ever; a job held back by its user's own limits
 * is passed. */
#include "daemon/srqd/jobs/queue.h"

#include "core/base/alloc.h"
#include "core/base/digits.h"
#include "daemon/srqd/jobs/jobs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int compare(const struct job *a, const struct job *b, bool by_share)
{
    if (a->priority != b->priority)
        return a->priority > b->priority ? -1 : 1;
    if (by_share && a->share != b->share)
        return a->share < b->share ? -1 : 1;
    return a->number < b->number ? -1 : a->number > b->number;
}

static void add(struct usage *u, const struct job *j)
{
    u->disk += job_disk(j);
    u->unmeasured += j->disk_unknown;
    if (!job_active(j))
        return;
    u->running++;
    u->threads += j->threads;
    u->memory += job_memory(j);
}

struct usage queue_usage(const struct srqd *d, uid_t uid)
{
    struct usage u = { 0 };
    const struct job *j;

    TAILQ_FOREACH(j, &d->jobs, entry)
    {
        if (uid == (uid_t)-1 || j->uid == uid)
            add(&u, j);
    }
    return u;
}

/* What is in use, of all and by user, so that many who wait are not each counted against all who run. */
struct in_use {
    struct usage sum;
    struct {
        uid_t uid;
        struct usage usage;
    } * users;
    size_t count, room;
};

static struct usage *of_user(struct in_use *u, uid_t uid)
{
    for (size_t i = 0; i < u->count; i++) {
        if (u->users[i].uid == uid)
            return &u->users[i].usage;
    }
    if (u->count == u->room) {
        size_t room = u->room > 0 ? 2 * u->room : 8;
        void *more = srq_realloc(u->users, room * sizeof(*u->users));

        if (more == NULL)
            return NULL;
        u->users = more;
        u->room = room;
    }
    u->users[u->count].uid = uid;
    u->users[u->count].usage = (struct usage){ 0 };
    return &u->users[u->count++].usage;
}

static bool count_use(const struct srqd *d, struct in_use *u)
{
    const struct job *j;
    struct usage *user;

    u->sum = (struct usage){ 0 };
    u->count = 0;
    TAILQ_FOREACH(j, &d->jobs, entry)
    {
        user = of_user(u, j->uid);
        if (user == NULL)
            return false;
        add(user, j);
        add(&u->sum, j);
    }
    return true;
}

static int by_order(const void *a, const void *b)
{
    return compare(*(struct job *const *)a, *(struct job *const *)b, false);
}

static int by_share(const void *a, const void *b)
{
    return compare(*(struct job *const *)a, *(struct job *const *)b, true);
}

/* Those that wait, in order, with their positions; srq_free. NULL: there are none, or no memory. A job's share is how
 * many of its user's run or stand before it. */
static struct job **line_up(struct srqd *d, size_t *count)
{
    struct in_use use = { 0 };
    struct job *j, **line = NULL;
    size_t n = 0;
    bool counted = count_use(d, &use);

    TAILQ_FOREACH(j, &d->jobs, entry)
    {
        j->position = 0;
        n += j->state == SRQ_JOB_QUEUED;
    }
    *count = 0;
    if (counted && n > 0 && (line = srq_calloc(n, sizeof(*line))) != NULL) {
        TAILQ_FOREACH(j, &d->jobs, entry)
        {
            if (j->state == SRQ_JOB_QUEUED)
                line[(*count)++] = j;
        }
        qsort(line, n, sizeof(*line), by_order);
        for (size_t i = 0; i < n; i++) {
            struct usage *user = of_user(&use, line[i]->uid);

            line[i]->share = user != NULL ? user->running++ : 0;
        }
        qsort(line, n, sizeof(*line), by_share);
        for (size_t i = 0; i < n; i++)
            line[i]->position = (int)i + 1;
        d->lined_up = true;
    }
    srq_free(use.users);
    return line;
}

int queue_position(const struct job *j)
{
    size_t n;

    if (j->state != SRQ_JOB_QUEUED)
        return 0;
    if (!j->d->lined_up || j->position == 0)
        srq_free(line_up(j->d, &n));
    return j->position;
}

/* ---- limits ------------------------------------------------------------------------------------------------------ */

struct bound {
    const char *what, *key;
    int64_t limit, used, wanted;
    bool bytes;
};

static void amount(char *out, size_t cap, int64_t v, bool bytes)
{
    if (bytes)
        srq_bytes_text((double)v, out, cap);
    else
        snprintf(out, cap, "%lld", (long long)v);
}

/* The first bound that the job does not fit, or NULL. */
static const struct bound *first_over(const struct bound *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (b[i].limit > 0 && b[i].used + b[i].wanted > b[i].limit)
            return &b[i];
    }
    return NULL;
}

static bool hold(struct job *j, const struct bound *b, const char *whose)
{
    char used[32], limit[32], wanted[32];

    if (b == NULL)
        return false;
    amount(used, sizeof(used), b->used, b->bytes);
    amount(limit, sizeof(limit), b->limit, b->bytes);
    amount(wanted, sizeof(wanted), b->wanted, b->bytes);
    if (strcmp(b->what, "jobs") == 0)
        job_set_reason(j, "waits: %s of %s jobs%s run", used, limit, whose);
    else
        job_set_reason(j, "waits for %s %s: %s of %s%s are in use%s", wanted, b->what, used, limit, whose,
                       strcmp(b->key, "user_max_disk") == 0 ? ", also by ended jobs (srqctl delete, srqctl gc)" : "");
    return true;
}

#define BOUNDS 3 /* of all jobs in sum; a user's are one more */

static void sum_bounds(const struct srqd *d, const struct job *j, struct usage u, struct bound b[BOUNDS])
{
    b[0] = (struct bound){ "jobs", "max_running", d->config.max_running, u.running, 1, false };
    b[1] = (struct bound){ "threads", "max_threads", d->config.max_threads, u.threads, j->threads, false };
    b[2] = (struct bound){ "of memory", "max_memory", d->config.max_memory, u.memory, j->memory_bytes, true };
}

static int64_t still_to_write(const struct job *j)
{
    int64_t there = job_disk(j);

    return j->disk_bytes > there ? j->disk_bytes - there : 0;
}

static void user_bounds(const struct srqd *d, const struct job *j, struct usage u, struct bound b[BOUNDS + 1])
{
    b[0] = (struct bound){ "jobs", "user_max_running", d->config.user_max_running, u.running, 1, false };
    b[1] = (struct bound){ "threads", "user_max_threads", d->config.user_max_threads, u.threads, j->threads, false };
    b[2] = (struct bound){ "of memory", "user_max_memory", d->config.user_max_memory, u.memory, j->memory_bytes, true };
    /* What its folder has already is in use. */
    b[3] = (struct bound){ "of disk", "user_max_disk", d->config.user_max_disk, u.disk, still_to_write(j), true };
}

int queue_could_start(const struct job *j, struct srq_error *err)
{
    struct bound b[2 * BOUNDS + 1];
    const struct bound *over;
    char limit[32], wanted[32];

    sum_bounds(j->d, j, (struct usage){ 0 }, b);
    user_bounds(j->d, j, (struct usage){ 0 }, b + BOUNDS);
    over = first_over(b, 2 * BOUNDS + 1);
    if (over == NULL)
        return 0;
    amount(limit, sizeof(limit), over->limit, over->bytes);
    amount(wanted, sizeof(wanted), over->wanted, over->bytes);
    return srq_fail_field(err, -SRQ_ELIMIT, over->key, "the job needs %s %s, more than this daemon's limit %s = %s",
                          wanted, over->what, over->key, limit);
}

/* Whether `j` may start now; its reason says why not. *blocks: nobody behind it may start either. */
static bool admit(struct job *j, struct in_use *use, bool *blocks)
{
    struct srqd *d = j->d;
    struct bound b[BOUNDS + 1];
    const struct usage *user;

    if (d->stopping || d->draining) {
        job_set_reason(j, d->stopping ? "waits: the daemon is stopping" : "waits: the daemon is drained");
        *blocks = true;
        return false;
    }
    if (j->changing) {
        job_set_reason(j, "waits: its plan is being changed");
        return false;
    }
    user = of_user(use, j->uid);
    if (user == NULL)
        return false; /* no memory: until the next time */
    if (d->config.user_max_disk > 0 && user->unmeasured > 0) {
        job_set_reason(j, "waits: what this user's jobs take on disk is being measured");
        return false;
    }
    user_bounds(d, j, *user, b);
    if (hold(j, first_over(b, BOUNDS + 1), " of this user"))
        return false;
    sum_bounds(d, j, use->sum, b);
    if (hold(j, first_over(b, BOUNDS), "")) {
        *blocks = true;
        return false;
    }
    return true;
}

void queue_run(struct srqd *d)
{
    const struct job *blocker = NULL;
    struct in_use use = { 0 };
    size_t n = 0;
    struct job **line = d->recovering == 0 ? line_up(d, &n) : NULL;
    bool counted = line != NULL && count_use(d, &use);

    for (size_t i = 0; counted && i < n; i++) {
        struct job *j = line[i];
        bool blocks = false;

        if (blocker != NULL) {
            if (d->draining || d->stopping)
                (void)admit(j, &use, &blocks);
            else
                job_set_reason(j, "waits behind job %s", blocker->id);
        } else if (admit(j, &use, &blocks)) {
            d->runner.start(j);
            counted = count_use(d, &use);
        } else if (blocks) {
            blocker = j;
        }
    }
    srq_free(use.users);
    srq_free(line);
}

void queue_kick(struct srqd *d)
{
    d->lined_up = false;
    if (d->queue_event != NULL)
        event_active(d->queue_event, EV_TIMEOUT, 1);
}
