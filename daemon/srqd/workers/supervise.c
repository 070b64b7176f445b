/* Supervision of workers. */
#include "daemon/srqd/workers/supervise.h"

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/base/fs.h"
#include "core/base/log.h"
#include "core/proto/members.h"
#include "daemon/srqd/base/launch.h"
#include "daemon/srqd/base/process.h"
#include "daemon/srqd/jobs/jobdir.h"
#include "daemon/srqd/jobs/jobs.h"
#include "daemon/srqd/jobs/lifecycle.h"
#include "daemon/srqd/jobs/queue.h"
#include "daemon/srqd/workers/layer_view.h"
#include "daemon/srqd/workers/link.h"
#include "daemon/srqd/workers/outcome.h"
#include "daemon/srqd/workers/reading.h"
#include "daemon/srqd/workers/scope.h"
#include "daemon/srqd/workers/worker.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHANGING_S 0.1      /* how often a start that a change of the plan holds up is tried */
#define LIMIT_GRACE_S 300.0 /* for a last checkpoint of a worker whose time is over */
#define POLL_S 1.0          /* adopted workers where the kernel has no pidfd */

static void start_worker(struct job *j);
static void worker_gone(struct job *j, bool known, int status);

static void set_timer(struct job *j, double seconds, event_callback_fn fn)
{
    struct timeval tv = { .tv_sec = (time_t)seconds,
                          .tv_usec = (suseconds_t)((seconds - (double)(time_t)seconds) * 1e6) };

    if (j->worker->timer != NULL)
        event_free(j->worker->timer);
    j->worker->timer = evtimer_new(j->d->base, fn, j);
    if (j->worker->timer != NULL)
        evtimer_add(j->worker->timer, &tv);
}

static void clear_timer(struct job *j)
{
    if (j->worker != NULL && j->worker->timer != NULL) {
        event_free(j->worker->timer);
        j->worker->timer = NULL;
    }
}

/* ---- what the worker says ---------------------------------------------------------------------------------------- */

static double number_of(const cJSON *params, const char *name)
{
    double v = srq_member_number(params, name);

    return isnan(v) ? -1 : v;
}

static void note_progress(struct job *j, const cJSON *params)
{
    const cJSON *unit = cJSON_GetObjectItemCaseSensitive(params, "unit");

    snprintf(j->stage, sizeof(j->stage), "%s", cJSON_GetObjectItemCaseSensitive(params, "stage")->valuestring);
    snprintf(j->unit, sizeof(j->unit), "%s", unit->valuestring);
    j->done = number_of(params, "done");
    j->total = number_of(params, "total");
    j->rate = number_of(params, "rate");
    j->eta_s = number_of(params, "left_s");
    if (j->eta_s < 0)
        j->eta_s = number_of(params, "eta_s");
}

/* The plan's size after a change. Kept with the job, since lists show it. */
static void note_size(struct job *j, const cJSON *size)
{
    if (!cJSON_IsObject(size))
        return;
    j->after_bytes = number_of(size, "after_bytes");
    j->average_bits = number_of(size, "average_bits");
    job_save(j);
}

/* No worker uses more than the machine has, whatever it says. */
static void note_memory(struct job *j, const cJSON *params)
{
    double planned = number_of(params, "planned_bytes"), used = number_of(params, "used_bytes");
    double machine = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE),
           most = used > planned ? used : planned;

    j->told_memory = (int64_t)(most < machine ? most : machine);
}

static void note(struct job *j, const struct journal_entry *e)
{
    const char *event = e->event;
    const cJSON *params = e->params;
    int64_t seq = e->seq;

    if (seq > j->last_seq)
        j->last_seq = seq;
    if (seq > j->told_seq && strcmp(event, "job.state") != 0)
        j->told_seq = seq;
    if (strcmp(event, "stage.progress") == 0)
        note_progress(j, params);
    else if (strcmp(event, "job.memory") == 0)
        note_memory(j, params);
    else if (strcmp(event, "plan.changed") == 0)
        note_size(j, cJSON_GetObjectItemCaseSensitive(params, "size"));
    else if (strcmp(event, "checkpoint") == 0 || strcmp(event, "block.end") == 0)
        j->heard_progress_seq = seq;
}

static void publish(struct job *j, const char *event, const cJSON *params)
{
    /* srqd tells the states itself, after they are committed. */
    if (strcmp(event, "job.state") != 0)
        j->d->watcher.event(j->d->watcher.ctx, j, event, params);
}

static void on_heard(struct job *j, const char *event, cJSON *params)
{
    const cJSON *n = cJSON_GetObjectItemCaseSensitive(params, "seq");
    const struct journal_entry e = { .seq = cJSON_IsNumber(n) ? (int64_t)n->valuedouble : 0,
                                     .event = event,
                                     .params = params };

    if (e.seq > 0 && e.seq <= j->last_seq)
        return;
    /* A gap is filled from the journal when the worker has ended. */
    if (e.seq == j->worker->testament.seq + 1)
        testament_take(&j->worker->testament, &e);
    note(j, &e);
    publish(j, event, params);
}

static void on_attached(struct job *j, const char *stage)
{
    if (stage != NULL && j->stage[0] == '\0')
        snprintf(j->stage, sizeof(j->stage), "%s", stage);
    if (j->state == SRQ_JOB_STARTING) {
        job_clear_reason(j);
        job_move(j, SRQ_JOB_RUNNING, BY_SRQD);
    }
}

static const struct worker_hearer hearer = { on_attached, on_heard };

/* ---- what the journal says --------------------------------------------------------------------------------------- */

/* Lines that were heard before count for the testament, and for the memory, which an earlier srqd did not store. */
static bool read_entry(const struct journal_entry *e, void *ctx)
{
    struct job *j = ctx;

    if (e->seq > j->worker->testament.seq)
        testament_take(&j->worker->testament, e);
    if (e->seq > j->last_seq) {
        note(j, e);
        publish(j, e->event, e->params);
    } else if (strcmp(e->event, "job.memory") == 0) {
        note_memory(j, e->params);
    }
    return true;
}

/* Reads what the journal has got that was not heard. `done` begins with settle_testament. */
static void read_on(struct job *j, struct reading **holder, void (*done)(void *ctx))
{
    struct reading_wish wish = { .turns = j->d->turns,
                                 .uid = j->uid,
                                 .close = true,
                                 .visit = read_entry,
                                 .done = done,
                                 .ctx = j,
                                 .filter = { .since = j->last_seq, .older = TESTAMENT_EVENTS "|job.memory" } };
    int64_t from = j->worker->testament.seq;

    if (journal_open(j, &wish.journal, NULL) == 0)
        journal_seek(wish.journal, from < j->last_seq ? from : j->last_seq);
    reading_start(&wish, holder);
}

/* After a reading: all lines up to the last one are in the testament. */
static void settle_testament(struct job *j)
{
    if (j->worker->testament.seq < j->last_seq)
        j->worker->testament.seq = j->last_seq;
}

bool supervise_reading(const struct job *j)
{
    return j->worker != NULL && j->worker->reading != NULL;
}

/* ---- wishes ------------------------------------------------------------------------------------------------------ */

static void on_grace_over(evutil_socket_t fd, short what, void *ctx)
{
    struct job *j = ctx;

    (void)fd;
    (void)what;
    if (j->pid <= 0)
        return;
    srq_log(SRQ_LOG_WARN, "job %s: its worker did not end %lld s after it was %s; killed", j->id,
            j->wish == WISH_LIMIT ? (long long)LIMIT_GRACE_S : (long long)j->d->config.cancel_grace_s,
            j->wish == WISH_LIMIT ? "to pause, its time over" : "canceled");
    j->worker->killed = true;
    /* Its own session: the group is the worker and what it started. */
    if (process_start_time(j->pid) == j->pid_start)
        kill(-j->pid, SIGKILL);
}

static void pass_wish_on(struct job *j)
{
    switch (j->wish) {
    case WISH_PAUSE:
    case WISH_STOP:
        worker_link_command(j, "worker.pause");
        break;
    case WISH_LIMIT:
        worker_link_command(j, "worker.pause");
        set_timer(j, LIMIT_GRACE_S, on_grace_over);
        break;
    case WISH_CANCEL:
        worker_link_command(j, "worker.cancel");
        set_timer(j, (double)j->d->config.cancel_grace_s, on_grace_over);
        break;
    case WISH_FINISH:
        worker_link_command(j, "worker.finish");
        break;
    case WISH_NONE:
        break;
    }
}

void supervise_wish(struct job *j, enum job_wish wish)
{
    j->wish = wish;
    job_save(j);
    if (j->pid > 0 || supervise_reading(j)) {
        pass_wish_on(j);
        return;
    }
    /* Between two lives: there is nobody to ask. */
    if (wish == WISH_FINISH)
        return;
    clear_timer(j);
    job_clear_reason(j);
    j->wish = WISH_NONE;
    job_move(j, wish == WISH_CANCEL ? SRQ_JOB_CANCELED : wish == WISH_STOP ? SRQ_JOB_QUEUED : SRQ_JOB_PAUSED, BY_SRQD);
}

/* ---- watching ---------------------------------------------------------------------------------------------------- */

static void on_child_end(pid_t pid, int status, void *ctx)
{
    struct job *j = ctx;

    if (j->pid == pid)
        worker_gone(j, true, status);
}

static void poll_adopted(evutil_socket_t fd, short what, void *ctx)
{
    const struct timeval again = { .tv_sec = (time_t)POLL_S };
    struct job *j = ctx;

    (void)fd;
    (void)what;
    if (process_start_time(j->pid) == j->pid_start)
        evtimer_add(j->worker->exit_watch, &again);
    else
        worker_gone(j, false, 0);
}

static void on_adopted_end(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    worker_gone(ctx, false, 0);
}

/* Another process's child: only its end can be seen, not how it ended. */
static void watch_adopted(struct job *j)
{
    const struct timeval soon = { 0 };

    j->worker->exit_fd = process_watch_fd(j->pid);
    if (j->worker->exit_fd >= 0)
        j->worker->exit_watch = event_new(j->d->base, j->worker->exit_fd, EV_READ, on_adopted_end, j);
    else
        j->worker->exit_watch = evtimer_new(j->d->base, poll_adopted, j);
    if (j->worker->exit_watch != NULL)
        event_add(j->worker->exit_watch, j->worker->exit_fd >= 0 ? NULL : &soon);
}

static void unwatch(struct job *j)
{
    if (j->worker->exit_watch != NULL)
        event_free(j->worker->exit_watch);
    j->worker->exit_watch = NULL;
    if (j->worker->exit_fd >= 0)
        close(j->worker->exit_fd);
    j->worker->exit_fd = -1;
}

/* ---- starting ---------------------------------------------------------------------------------------------------- */

/* The folder for control sockets: in the machine's service one a user, since each worker makes its own. */
static char *runtime_dir(const struct job *j, struct srq_error *err)
{
    char *dir;

    if (!j->d->places.system)
        return srq_strdup(j->d->places.runtime);
    dir = srq_asprintf("%s/%lu", j->d->places.runtime, (unsigned long)j->uid);
    if (dir == NULL)
        return NULL;
    if ((mkdir(dir, 0700) != 0 && errno != EEXIST) || (geteuid() == 0 && lchown(dir, j->uid, j->gid) != 0)) {
        srq_fail_errno(err, "make", dir);
        srq_free(dir);
        return NULL;
    }
    return dir;
}

static int launch_worker(struct job *j, struct srq_error *err)
{
    char *dir = jobdir_path(j), *runtime = runtime_dir(j, err), *var = NULL;
    const char *argv[] = { j->d->places.worker, "--job", dir, NULL };
    const char *extra[] = { NULL, NULL };
    struct launch l = { .argv = argv,
                        .uid = j->uid,
                        .gid = j->gid,
                        .extra = extra,
                        .in = -1,
                        .out = -1,
                        .err = -1,
                        .log_name = "worker.log",
                        .nice = (int)j->d->config.nice,
                        .oom_score_adj = (int)j->d->config.oom_score_adj,
                        .mask = j->d->mask };
    int rc = 0;

    l.log_dir = jobdir_open(j, err);
    if (l.log_dir < 0)
        rc = l.log_dir;
    else if (runtime == NULL || dir == NULL || (var = srq_asprintf("SRQ_RUNTIME_DIR=%s", runtime)) == NULL)
        rc = runtime == NULL && err->code != 0 ? -err->code : srq_fail(err, -SRQ_ENOMEM, "out of memory");
    if (rc == 0) {
        extra[0] = var;
        j->worker->oom_kills = process_oom_kills();
        rc = launch_process(&l, &j->pid, err);
    }
    if (rc == 0) /* what earlier workers said of the job is none of this one's last words */
        j->worker->testament = (struct testament){ .seq = j->last_seq };
    if (l.log_dir >= 0)
        close(l.log_dir);
    srq_free(dir);
    srq_free(runtime);
    srq_free(var);
    return rc;
}

static void on_restart(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    start_worker(ctx);
}

/* A death that may not repeat: pause and start again, unless too many came without progress. */
static void after_death(struct job *j, const char *cause)
{
    const struct pauses *p = &j->d->config.pauses_s;
    double pause;

    j->deaths = j->heard_progress_seq > j->progress_seq ? 1 : j->deaths + 1;
    j->progress_seq = j->heard_progress_seq;
    if (j->deaths >= j->d->config.deaths_max) {
        job_set_reason(j, "its worker died %d times without progress; the last time: %s", j->deaths, cause);
        job_move(j, SRQ_JOB_FAILED, BY_SRQD);
        return;
    }
    pause = p->s[j->deaths - 1 < p->count ? j->deaths - 1 : p->count - 1];
    j->restarts++;
    job_set_reason(j, "its worker died (%s); it starts again in %g s", cause, pause);
    job_move(j, SRQ_JOB_STARTING, BY_SRQD);
    set_timer(j, pause, on_restart);
}

/* Why no worker could be started. What another attempt would not change fails the job at once; the worker program may
 * be missing for a moment only, while it is replaced by a newer one. */
static void not_started(struct job *j, int rc, const struct srq_error *err)
{
    bool missing_program = rc == -SRQ_ENOENT && strcmp(err->field, j->d->places.worker) == 0;

    j->pid = 0;
    if (!missing_program && (rc == -SRQ_EPERM || rc == -SRQ_ENOENT || rc == -SRQ_EINVAL || rc == -SRQ_EFORMAT)) {
        job_set_reason(j, "its worker cannot be started: %s", err->text);
        job_move(j, SRQ_JOB_FAILED, BY_SRQD);
    } else {
        after_death(j, err->text);
    }
}

static void start_worker(struct job *j)
{
    struct srq_error err = { 0 };
    int rc;

    if (worker_of(j) == NULL) {
        job_set_reason(j, "srqd was out of memory");
        job_move(j, SRQ_JOB_FAILED, BY_SRQD);
        return;
    }
    clear_timer(j);
    if (j->changing) { /* the directory is locked for an instant */
        set_timer(j, CHANGING_S, on_restart);
        return;
    }
    j->worker->killed = false;
    j->worker->child = true;
    j->told_memory = 0;
    if ((rc = launch_worker(j, &err)) != 0) {
        not_started(j, rc, &err);
        return;
    }
    j->pid_start = process_start_time(j->pid);
    if (j->started == 0)
        j->started = srq_wall_s();
    job_save(j);
    if (children_watch(j->d->children, j->pid, on_child_end, j, &err) != 0)
        srq_log(SRQ_LOG_ERROR, "job %s: %s", j->id, err.text);
    scope_open(j);
    worker_link_open(j, &hearer);
    pass_wish_on(j);
}

void supervise_start(struct job *j)
{
    job_clear_reason(j);
    job_move(j, SRQ_JOB_STARTING, BY_SRQD);
    start_worker(j);
}

/* The process that holds the job's lock, when it is what it says. */
static bool adopt(struct job *j)
{
    struct job_lock lock;
    int64_t start;

    if (jobdir_lock(j, &lock, NULL) != 0 || !lock.held || lock.pid <= 0)
        return false;
    start = process_start_time(lock.pid);
    if (start < 0 || process_uid(lock.pid) != j->uid || (lock.start_time >= 0 && lock.start_time != start))
        return false;
    j->pid = lock.pid;
    j->pid_start = start;
    j->worker->child = false;
    job_save(j);
    watch_adopted(j);
    worker_link_open(j, &hearer);
    pass_wish_on(j);
    srq_log(SRQ_LOG_INFO, "job %s: worker %ld found again", j->id, (long)j->pid);
    return true;
}

static void recovered(void *ctx)
{
    struct job *j = ctx;

    settle_testament(j);
    j->d->recovering--;
    queue_kick(j->d);
    if (adopt(j))
        return;
    /* It may live without having got to its lock yet. */
    if (j->pid > 0 && process_start_time(j->pid) == j->pid_start && process_uid(j->pid) == j->uid) {
        j->worker->child = false;
        watch_adopted(j);
        worker_link_open(j, &hearer);
        pass_wish_on(j);
        return;
    }
    if (j->pid > 0)
        worker_gone(j, false, 0);
    else
        start_worker(j);
}

void supervise_recover(struct job *j)
{
    if (worker_of(j) == NULL) {
        srq_log(SRQ_LOG_ERROR, "job %s: out of memory; looked after again when srqd starts anew", j->id);
        return;
    }
    j->d->recovering++;
    read_on(j, &j->worker->reading, recovered);
}

/* ---- the end of a worker ----------------------------------------------------------------------------------------- */

static void on_caught_up(void *ctx)
{
    struct job *j = ctx;

    settle_testament(j);
    job_save(j);
    j->worker->caught_up(j->worker->caught_ctx);
}

void supervise_catch_up(struct job *j, void (*done)(void *ctx), void *ctx)
{
    if (worker_of(j) == NULL) {
        done(ctx);
        return;
    }
    j->worker->caught_up = done;
    j->worker->caught_ctx = ctx;
    read_on(j, &j->worker->change, on_caught_up);
}

/* Its own, or everybody's where that is less; 0: none. */
static double limit_of(const struct job *j)
{
    double all = (double)j->d->config.time_limit_s;

    return j->time_limit_s > 0 && (all <= 0 || j->time_limit_s < all) ? j->time_limit_s : all;
}

static void out_of_time(struct job *j)
{
    bool own = j->time_limit_s > 0 && j->time_limit_s == limit_of(j);

    job_set_reason(j,
                   "it ran for the %.6g s that %s may run at a stretch (time_limit_s); resumed, it goes on from its "
                   "checkpoint",
                   limit_of(j), own ? "it" : "a job");
    job_move(j, SRQ_JOB_FAILED, BY_SRQD);
}

static void crashed(struct job *j, const char *cause)
{
    if (j->wish == WISH_LIMIT)
        out_of_time(j);
    else if (j->wish == WISH_CANCEL) {
        job_clear_reason(j);
        job_move(j, SRQ_JOB_CANCELED, BY_SRQD);
    } else if (j->wish == WISH_PAUSE || j->wish == WISH_STOP) {
        enum srq_job_state next = j->wish == WISH_PAUSE ? SRQ_JOB_PAUSED : SRQ_JOB_QUEUED;

        /* Its checkpoint is as good as that of any other crash. */
        job_set_reason(j, "its worker died while it was being paused (%s)", cause);
        j->wish = WISH_NONE;
        job_move(j, next, BY_SRQD);
    } else {
        after_death(j, cause);
    }
}

static void paused(struct job *j)
{
    if (j->wish == WISH_LIMIT) {
        out_of_time(j);
        return;
    }
    if (j->wish == WISH_STOP || j->wish == WISH_FINISH) {
        if (j->wish == WISH_STOP)
            j->wish = WISH_NONE;
        job_clear_reason(j);
        job_move(j, SRQ_JOB_QUEUED, BY_SRQD);
        return;
    }
    job_set_reason(j, "%s", j->wish == WISH_PAUSE ? "paused on request" : "its worker paused by itself");
    job_move(j, SRQ_JOB_PAUSED, BY_SRQD);
}

static void decide(void *ctx)
{
    struct job *j = ctx;
    bool known = j->worker->known;
    int status = j->worker->status;
    struct outcome o;

    settle_testament(j);
    clear_timer(j); /* of a wish that came meanwhile */
    outcome_decide(j, known, status, &o);
    j->pid = 0;
    j->pid_start = 0;
    j->exit_code = known && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    j->exit_signal = known && WIFSIGNALED(status) ? WTERMSIG(status) : -1;
    switch (o.kind) {
    case OUTCOME_DONE:
        job_clear_reason(j);
        job_move(j, SRQ_JOB_DONE, BY_SRQD);
        break;
    case OUTCOME_PAUSED:
        paused(j);
        break;
    case OUTCOME_CANCELED:
        job_clear_reason(j);
        job_move(j, SRQ_JOB_CANCELED, BY_SRQD);
        break;
    case OUTCOME_FAILED:
        job_set_reason(j, "%s", o.text);
        job_move(j, SRQ_JOB_FAILED, BY_SRQD);
        break;
    case OUTCOME_LOCKED:
        if (!adopt(j)) {
            job_set_reason(j, "%s", o.text);
            set_timer(j, 1.0, on_restart);
        }
        break;
    case OUTCOME_CRASHED:
        crashed(j, o.text);
        break;
    case OUTCOME_LOST:
        j->restarts++;
        start_worker(j);
        break;
    }
    queue_kick(j->d);
}

static void worker_gone(struct job *j, bool known, int status)
{
    worker_link_close(j);
    unwatch(j);
    clear_timer(j);
    j->worker->known = known;
    j->worker->status = status;
    read_on(j, &j->worker->reading, decide);
}

/* Since its process started, which may have been before ours. */
static double running_s(const struct job *j)
{
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9 - (double)j->pid_start / (double)sysconf(_SC_CLK_TCK);
}

void supervise_limit(struct srqd *d)
{
    struct job *j;

    TAILQ_FOREACH(j, &d->jobs, entry)
    {
        if (j->pid > 0 && j->pid_start > 0 && (j->wish == WISH_NONE || j->wish == WISH_FINISH) && limit_of(j) > 0 &&
            running_s(j) > limit_of(j))
            supervise_wish(j, WISH_LIMIT);
    }
}

void supervise_let_go(struct job *j)
{
    struct worker *w = j->worker;

    if (w == NULL)
        return;
    worker_link_close(j);
    unwatch(j);
    clear_timer(j);
    reading_stop(&w->reading);
    if (w->change != NULL) {
        reading_stop(&w->change);
        w->caught_up(w->caught_ctx);
    }
    layer_view_drop(j);
    j->worker = NULL;
    srq_free(w);
}
