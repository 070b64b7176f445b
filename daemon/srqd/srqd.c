/* The daemon's loop: start, signals, the tick, the end. */
#include "daemon/srqd/srqd.h"

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/base/fs.h"
#include "core/base/log.h"
#include "daemon/srqd/base/notify.h"
#include "daemon/srqd/clients/change.h"
#include "daemon/srqd/clients/listener.h"
#include "daemon/srqd/clients/service.h"
#include "daemon/srqd/clients/submission.h"
#include "daemon/srqd/clients/sweep.h"
#include "daemon/srqd/jobs/disk.h"
#include "daemon/srqd/jobs/jobdir.h"
#include "daemon/srqd/jobs/lifecycle.h"
#include "daemon/srqd/jobs/queue.h"
#include "daemon/srqd/jobs/record.h"
#include "daemon/srqd/workers/supervise.h"

#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int reload(void *ctx, struct srq_error *err)
{
    struct srqd *d = &((struct daemon *)ctx)->d;
    const char *file = places_config(&d->places);
    struct srqd_config fresh;
    int rc;

    config_defaults(&fresh);
    rc = file != NULL ? config_read(&fresh, file, err) : 0;
    if (rc != 0)
        return rc;
    d->config = fresh;
    srq_log(SRQ_LOG_INFO, "configuration %s", file != NULL ? file : "is the default");
    if (d->queue_event != NULL)
        queue_kick(d);
    return 0;
}

int srqd_reload(struct daemon *s, struct srq_error *err)
{
    return reload(s, err);
}

/* Answers under way get a moment to be written. */
static void quit(void *ctx)
{
    const struct timeval moment = { .tv_usec = 50000 };
    struct daemon *s = ctx;

    notify_manager("STOPPING=1");
    event_base_loopexit(s->d.base, &moment);
}

static bool workers_left(const struct srqd *d)
{
    const struct job *j;

    TAILQ_FOREACH(j, &d->jobs, entry)
    {
        if (job_active(j))
            return true;
    }
    return false;
}

static void stop_with_jobs(void *ctx)
{
    struct daemon *s = ctx;

    s->d.stopping = true;
    s->stop_until = srq_clock_s() + (double)s->d.config.stop_grace_s;
    notify_manager("STOPPING=1\nSTATUS=waiting for workers to checkpoint");
    queue_kick(&s->d);
}

static void on_queue(evutil_socket_t fd, short what, void *ctx)
{
    struct daemon *s = ctx;

    (void)fd;
    (void)what;
    changes_run(&s->clients);
    queue_run(&s->d);
    if (s->d.stopping && !workers_left(&s->d))
        quit(s);
}

static bool unfinished_jobs(const struct srqd *d)
{
    const struct job *j;

    TAILQ_FOREACH(j, &d->jobs, entry)
    {
        if (!job_ended(j) && j->state != SRQ_JOB_PAUSED)
            return true;
    }
    return false;
}

static void check_idle(struct daemon *s)
{
    int64_t limit = s->idle_exit_s >= 0 ? s->idle_exit_s : s->d.config.idle_exit_s;

    if (limit == 0 || s->d.places.system || !service_idle(&s->clients) || unfinished_jobs(&s->d)) {
        s->idle_since = srq_clock_s();
        return;
    }
    if (srq_clock_s() - s->idle_since < (double)limit)
        return;
    srq_log(SRQ_LOG_INFO, "idle for %lld s", (long long)limit);
    quit(s);
}

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
    struct daemon *s = ctx;

    (void)fd;
    (void)what;
    lifecycle_retry(&s->d);
    supervise_limit(&s->d);
    (void)submission_allowed(&s->clients, NULL);
    listener_look_after(&s->clients);
    clients_look_after(&s->clients);
    sweep_look_after(&s->clients);
    disk_look_after(&s->d);
    check_idle(s);
    if (s->d.stopping && srq_clock_s() > s->stop_until) {
        srq_log(SRQ_LOG_WARN, "workers did not checkpoint in %lld s; they go on by themselves",
                (long long)s->d.config.stop_grace_s);
        quit(s);
    }
}

static void on_terminate(evutil_socket_t signo, short what, void *ctx)
{
    (void)what;
    srq_log(SRQ_LOG_INFO, "signal %d: ends; workers go on", (int)signo);
    quit(ctx);
}

static void on_hangup(evutil_socket_t signo, short what, void *ctx)
{
    struct srq_error err;
    struct timespec now;

    (void)signo;
    (void)what;
    clock_gettime(CLOCK_MONOTONIC, &now);
    notify_manager("RELOADING=1\nMONOTONIC_USEC=%lld", (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    if (reload(ctx, &err) != 0)
        srq_log(SRQ_LOG_ERROR, "the old configuration stays: %s", err.text);
    notify_manager("READY=1");
}

static int add_event(struct event *e, const struct timeval *tv, struct srq_error *err)
{
    return e != NULL && event_add(e, tv) == 0 ? 0 : srq_fail(err, -SRQ_ENOMEM, "out of memory");
}

static int start_loop(struct daemon *s, struct event *signals[3], struct srq_error *err)
{
    struct srqd *d = &s->d;
    const struct timeval second = { .tv_sec = 1 };
    int rc;

    d->base = event_base_new();
    if (d->base == NULL || (d->children = children_create(d->base)) == NULL ||
        (d->turns = turns_create(d->base)) == NULL || (d->removals = removals_create(d->base, d->children)) == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory");
    signals[0] = evsignal_new(d->base, SIGTERM, on_terminate, s);
    signals[1] = evsignal_new(d->base, SIGINT, on_terminate, s);
    signals[2] = evsignal_new(d->base, SIGHUP, on_hangup, s);
    rc = add_event(signals[0], NULL, err);
    if (rc == 0)
        rc = add_event(signals[1], NULL, err);
    if (rc == 0)
        rc = add_event(signals[2], NULL, err);
    d->queue_event = event_new(d->base, -1, 0, on_queue, s);
    s->tick = event_new(d->base, -1, EV_PERSIST, on_tick, s);
    if (rc == 0 && d->queue_event == NULL)
        rc = srq_fail(err, -SRQ_ENOMEM, "out of memory");
    return rc == 0 ? add_event(s->tick, &second, err) : rc;
}

static int open_store(struct srqd *d, struct srq_error *err)
{
    /* A link on the way there is the administrator's; the file itself is none (SQLITE_OPEN_NOFOLLOW is of both). */
    char *folder = srq_path_canonical(d->places.state);
    char *path = folder != NULL ? srq_path_join(folder, "srqd.db") : NULL;
    int rc = path != NULL ? store_open(path, &d->store, err) : srq_fail(err, -SRQ_ENOMEM, "out of memory");

    srq_free(path);
    srq_free(folder);
    return rc == 0 ? store_load(d->store, d, &d->jobs, err) : rc;
}

static void recover_jobs(struct srqd *d)
{
    struct job *j;

    jobdir_tidy(d);
    TAILQ_FOREACH(j, &d->jobs, entry)
    {
        if (job_active(j))
            supervise_recover(j);
    }
    queue_kick(d);
}

static void take_down(struct daemon *s, struct event *signals[3])
{
    struct srqd *d = &s->d;
    struct job *j;

    service_close(&s->clients);
    while ((j = TAILQ_FIRST(&d->jobs)) != NULL) {
        /* The place in the journal spares the next daemon the replay of what subscribers have seen. */
        if (job_active(j))
            job_save(j);
        job_forget(j);
    }
    changes_drop(&s->clients);
    store_close(d->store);
    for (int i = 0; i < 3; i++) {
        if (signals[i] != NULL)
            event_free(signals[i]);
    }
    if (d->queue_event != NULL)
        event_free(d->queue_event);
    if (s->tick != NULL)
        event_free(s->tick);
    removals_free(d->removals);
    turns_free(d->turns);
    children_free(d->children);
    if (d->base != NULL)
        event_base_free(d->base);
    places_free(&d->places);
}

void srqd_init(struct daemon *s)
{
    const struct process_orders orders = { s, reload, quit, stop_with_jobs };

    *s = (struct daemon){ .d = { .runner = { supervise_start, supervise_let_go } } };
    TAILQ_INIT(&s->d.jobs);
    service_init(&s->clients, &s->d, &orders);
}

int srqd_run(struct daemon *s, struct background *bg)
{
    struct srqd *d = &s->d;
    struct event *signals[3] = { NULL };
    struct srq_error err = { 0 };
    int rc = start_loop(s, signals, &err);

    if (rc == 0)
        rc = listener_open(&s->clients, &err);
    if (rc == 0)
        rc = open_store(d, &err);
    if (rc == 0) {
        srq_log(SRQ_LOG_INFO, "srqd %s listens on %s; state in %s", PACKAGE_VERSION, d->places.socket, d->places.state);
        s->idle_since = srq_clock_s();
        recover_jobs(d);
        sweep_look_after(&s->clients);
        background_ready(bg);
        notify_manager("READY=1\nSTATUS=%s\nMAINPID=%ld", d->places.socket, (long)getpid());
        event_base_dispatch(d->base);
        srq_log(SRQ_LOG_INFO, "srqd ends");
    } else {
        srq_log(SRQ_LOG_ERROR, "%s", err.text);
    }
    take_down(s, signals);
    return rc;
}
