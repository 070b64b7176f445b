/* The daemon's loop: start, signals, the tick, the end. */
#include "daemon/srqd/srqd.h"

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/base/fs.h"
#include "core/base/log.h"
#include "daemon/srqd/base/background.h"
#include "daemon/srqd/base/notify.h"
#include "daemon/srqd/clients/change.h"
#include "daemon/srqd/clients/client.h"
#include "daemon/srqd/clients/listener.h"
#include "daemon/srqd/clients/submission.h"
#include "daemon/srqd/jobs/jobdir.h"
#include "daemon/srqd/jobs/lifecycle.h"
#include "daemon/srqd/jobs/queue.h"
#include "daemon/srqd/workers/supervise.h"

#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int srqd_reload(struct srqd *d, struct srq_error *err)
{
    struct srqd_config fresh;
    int rc;

    config_defaults(&fresh);
    rc = d->places.config != NULL ? config_read(&fresh, d->places.config, err) : 0;
    if (rc != 0)
        return rc;
    d->config = fresh;
    srq_log(SRQ_LOG_INFO, "configuration %s", d->places.config != NULL ? d->places.config : "is the default");
    if (d->queue_event != NULL)
        queue_kick(d);
    return 0;
}

/* Answers under way get a moment to be written. */
void srqd_quit(struct srqd *d)
{
    const struct timeval moment = { .tv_usec = 50000 };

    notify_manager("STOPPING=1");
    event_base_loopexit(d->base, &moment);
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

void srqd_stop_with_jobs(struct srqd *d)
{
    d->stopping = true;
    d->stop_until = srq_clock_s() + (double)d->config.stop_grace_s;
    notify_manager("STOPPING=1\nSTATUS=waiting for workers to checkpoint");
    queue_kick(d);
}

static void on_queue(evutil_socket_t fd, short what, void *ctx)
{
    struct srqd *d = ctx;

    (void)fd;
    (void)what;
    changes_run(d);
    queue_run(d);
    if (d->stopping && !workers_left(d))
        srqd_quit(d);
}

static bool unfinished_jobs(const struct srqd *d)
{
    const struct job *j;

    TAILQ_FOREACH(j, &d->jobs, entry)
    {
        if (!job_ended(j) && j->state != JOB_PAUSED)
            return true;
    }
    return false;
}

static void check_idle(struct srqd *d)
{
    int64_t limit = d->idle_exit_s >= 0 ? d->idle_exit_s : d->config.idle_exit_s;

    if (limit == 0 || d->places.system || d->client_count > 0 || d->planning > 0 || d->changing > 0 || unfinished_jobs(d)) {
        d->idle_since = srq_clock_s();
        return;
    }
    if (srq_clock_s() - d->idle_since < (double)limit)
        return;
    srq_log(SRQ_LOG_INFO, "idle for %lld s", (long long)limit);
    srqd_quit(d);
}

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
    struct srqd *d = ctx;

    (void)fd;
    (void)what;
    lifecycle_retry(d);
    (void)submission_allowed(d, NULL);
    listener_look_after(d);
    check_idle(d);
    if (d->stopping && srq_clock_s() > d->stop_until) {
        srq_log(SRQ_LOG_WARN, "workers did not checkpoint in %lld s; they go on by themselves",
                (long long)d->config.stop_grace_s);
        srqd_quit(d);
    }
}

static void on_terminate(evutil_socket_t signo, short what, void *ctx)
{
    (void)what;
    srq_log(SRQ_LOG_INFO, "signal %d: ends; workers go on", (int)signo);
    srqd_quit(ctx);
}

static void on_hangup(evutil_socket_t signo, short what, void *ctx)
{
    struct srq_error err;
    struct timespec now;

    (void)signo;
    (void)what;
    clock_gettime(CLOCK_MONOTONIC, &now);
    notify_manager("RELOADING=1\nMONOTONIC_USEC=%lld", (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    if (srqd_reload(ctx, &err) != 0)
        srq_log(SRQ_LOG_ERROR, "the old configuration stays: %s", err.text);
    notify_manager("READY=1");
}

static int add_event(struct event *e, const struct timeval *tv, struct srq_error *err)
{
    return e != NULL && event_add(e, tv) == 0 ? 0 : srq_fail(err, -SRQ_ENOMEM, "out of memory");
}

static int start_loop(struct srqd *d, struct event *signals[3], struct srq_error *err)
{
    const struct timeval second = { .tv_sec = 1 };
    int rc;

    d->base = event_base_new();
    if (d->base == NULL || (d->children = children_create(d->base)) == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory");
    signals[0] = evsignal_new(d->base, SIGTERM, on_terminate, d);
    signals[1] = evsignal_new(d->base, SIGINT, on_terminate, d);
    signals[2] = evsignal_new(d->base, SIGHUP, on_hangup, d);
    rc = add_event(signals[0], NULL, err);
    if (rc == 0)
        rc = add_event(signals[1], NULL, err);
    if (rc == 0)
        rc = add_event(signals[2], NULL, err);
    d->queue_event = event_new(d->base, -1, 0, on_queue, d);
    d->tick = event_new(d->base, -1, EV_PERSIST, on_tick, d);
    if (rc == 0 && d->queue_event == NULL)
        rc = srq_fail(err, -SRQ_ENOMEM, "out of memory");
    return rc == 0 ? add_event(d->tick, &second, err) : rc;
}

static int open_store(struct srqd *d, struct srq_error *err)
{
    char *path = srq_path_join(d->places.state, "srqd.db");
    int rc = path != NULL ? store_open(path, &d->store, err) : srq_fail(err, -SRQ_ENOMEM, "out of memory");

    srq_free(path);
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

static void take_down(struct srqd *d, struct event *signals[3])
{
    struct job *j;

    listener_close(d);
    while (!TAILQ_EMPTY(&d->clients))
        client_free(TAILQ_FIRST(&d->clients));
    submissions_drop(d);
    while ((j = TAILQ_FIRST(&d->jobs)) != NULL) {
        TAILQ_REMOVE(&d->jobs, j, entry);
        /* The place in the journal spares the next daemon the replay of what subscribers have seen. */
        if (job_active(j))
            job_save(j);
        job_free(j);
    }
    changes_drop(d);
    store_close(d->store);
    for (int i = 0; i < 3; i++) {
        if (signals[i] != NULL)
            event_free(signals[i]);
    }
    if (d->queue_event != NULL)
        event_free(d->queue_event);
    if (d->tick != NULL)
        event_free(d->tick);
    children_free(d->children);
    if (d->base != NULL)
        event_base_free(d->base);
    places_free(&d->places);
}

int srqd_run(struct srqd *d, struct background *bg)
{
    struct event *signals[3] = { NULL };
    struct srq_error err = { 0 };
    int rc = start_loop(d, signals, &err);

    if (rc == 0)
        rc = listener_open(d, &err);
    if (rc == 0)
        rc = open_store(d, &err);
    if (rc == 0) {
        srq_log(SRQ_LOG_INFO, "srqd %s listens on %s; state in %s", PACKAGE_VERSION, d->places.socket,
                d->places.state);
        d->idle_since = srq_clock_s();
        recover_jobs(d);
        background_ready(bg);
        notify_manager("READY=1\nSTATUS=%s\nMAINPID=%ld", d->places.socket, (long)getpid());
        event_base_dispatch(d->base);
        srq_log(SRQ_LOG_INFO, "srqd ends");
    } else {
        srq_log(SRQ_LOG_ERROR, "%s", err.text);
    }
    take_down(d, signals);
    return rc;
}
