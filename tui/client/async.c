/* Requests with callbacks over one connection that comes back.
 *
 * The daemon sends an event once however many subscriptions of a connection want it. While the journal of a job is
 * being replayed, a subscription to all jobs still brings the job's new events, ahead of their turn: such events say
 * nothing about how far the replay is. */
#include "tui/client/async.h"

#include "core/base/alloc.h"
#include "core/proto/members.h"
#include "tui/client/connect.h"
#include "tui/client/talk.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#define HELLO_WAIT_S 30.0
#define CHUNK 65536
#define PAUSE_FIRST_S 0.25
#define PAUSE_MOST_S 5.0

struct call {
    TAILQ_ENTRY(call) entry;
    struct srq_async *a;
    unsigned long long id;
    const struct srq_method *method;
    struct srq_pages pages; /* of a paged call */
    double timeout_s;
    struct event *timer;
    srq_async_done done;
    void *ctx;
};

struct subscription {
    TAILQ_ENTRY(subscription) entry;
    char *job;   /* NULL: all */
    char *names; /* NULL: all */
    char id[64]; /* of the daemon; empty: not known yet */
    int64_t seen;
};

struct srq_async {
    struct event_base *base;
    struct srq_async_options o;
    struct srq_place place;
    struct bufferevent *bev;
    struct event *retry;
    struct srq_frames frames;
    TAILQ_HEAD(, call) calls;
    TAILQ_HEAD(, subscription) subscriptions;
    unsigned long long last_id;
    cJSON *hello;
    bool up, lenient;
    bool busy; /* inside a read: the connection may be lost, but not taken apart */
    bool broken;
    struct srq_error why; /* of broken */
    double pause_s;
};

static struct timeval in_seconds(double s)
{
    struct timeval t = { .tv_sec = (time_t)s };

    t.tv_usec = (suseconds_t)((s - (double)t.tv_sec) * 1e6);
    return t;
}

/* ---- calls ------------------------------------------------------------------------------------------------------- */

static void call_free(struct call *c)
{
    if (c->timer != NULL)
        event_free(c->timer);
    cJSON_Delete(c->pages.params);
    cJSON_Delete(c->pages.all);
    srq_free(c);
}

/* Ends a call that is in no list any more. */
static void finish(struct call *c, const cJSON *result, const struct srq_error *err)
{
    if (c->done != NULL)
        c->done(c->ctx, result, err);
    call_free(c);
}

static void end_call(struct call *c, const cJSON *result, const struct srq_error *err)
{
    TAILQ_REMOVE(&c->a->calls, c, entry);
    finish(c, result, err);
}

static void on_late(evutil_socket_t fd, short what, void *ctx)
{
    struct call *c = ctx;
    struct srq_error err = { 0 };

    (void)fd;
    (void)what;
    srq_fail(&err, -SRQ_ETIMEOUT, "the daemon did not answer %s within %.3g s", c->method->name, c->timeout_s);
    end_call(c, NULL, &err);
}

/* Sends call `c` with `params` (kept by the caller). */
static int send_call(struct srq_async *a, struct call *c, const cJSON *params, struct srq_error *err)
{
    char *line;
    int rc = srq_talk_request(c->method, ++a->last_id, params, &line, err);

    c->id = a->last_id;
    if (rc == 0 && bufferevent_write(a->bev, line, strlen(line)) != 0)
        rc = srq_fail(err, -SRQ_EIO, "cannot send to %s", a->place.path);
    srq_free(line);
    if (rc == 0 && c->timeout_s > 0) {
        struct timeval t = in_seconds(c->timeout_s);

        if (c->timer == NULL)
            c->timer = evtimer_new(a->base, on_late, c);
        if (c->timer != NULL)
            evtimer_add(c->timer, &t);
    }
    return rc;
}

static void start_call(struct srq_async *a, const char *method, cJSON *params, double timeout_s, srq_async_done done,
                       void *ctx)
{
    const struct srq_method *m = srq_proto_method(method);
    struct call *c = m != NULL ? srq_calloc(1, sizeof(*c)) : NULL;
    struct srq_error err = { 0 };
    int rc = 0;

    if (params == NULL)
        params = cJSON_CreateObject();
    if (c == NULL) {
        srq_fail(&err, m == NULL ? -SRQ_EUNSUPPORTED : -SRQ_ENOMEM,
                 m == NULL ? "this client knows no method %s" : "out of memory for %s", method);
        cJSON_Delete(params);
        if (done != NULL)
            done(ctx, NULL, &err);
        return;
    }
    *c = (struct call){ .a = a, .method = m, .timeout_s = timeout_s, .done = done, .ctx = ctx };
    if (m->paged != NULL) {
        c->pages = (struct srq_pages){ .m = m, .params = params };
        srq_talk_first_page(&c->pages);
    }
    if (a->bev == NULL)
        rc = srq_fail(&err, -SRQ_EIO, "not connected to a daemon");
    if (rc == 0)
        rc = send_call(a, c, params, &err);
    if (m->paged == NULL)
        cJSON_Delete(params);
    if (rc != 0)
        finish(c, NULL, &err);
    else
        TAILQ_INSERT_TAIL(&a->calls, c, entry);
}

void srq_async_call(struct srq_async *a, const char *method, cJSON *params, double timeout_s, srq_async_done done,
                    void *ctx)
{
    struct srq_error err = { 0 };

    if (a->up) {
        start_call(a, method, params, timeout_s, done, ctx);
        return;
    }
    cJSON_Delete(params);
    srq_fail(&err, -SRQ_EIO, "not connected to a daemon");
    if (done != NULL)
        done(ctx, NULL, &err);
}

void srq_async_forget(struct srq_async *a, const void *ctx)
{
    struct call *c;

    TAILQ_FOREACH(c, &a->calls, entry)
    {
        if (c->ctx == ctx)
            c->done = NULL;
    }
}

/* The answer to a call. */
static void answered(struct srq_async *a, struct call *c, struct srq_message *m)
{
    struct srq_error err = { 0 };
    int rc = srq_talk_answer(c->method, m, a->lenient, &err);
    const cJSON *result = m->result;

    if (rc == 0 && c->method->paged != NULL) {
        rc = srq_talk_page(&c->pages, m, &err);
        if (rc > 0 && (rc = send_call(a, c, c->pages.params, &err)) == 0)
            return;
        result = c->pages.all;
    }
    end_call(c, rc == 0 ? result : NULL, rc == 0 ? NULL : &err);
}

/* ---- subscriptions ----------------------------------------------------------------------------------------------- */

static struct subscription *find_subscription(const struct srq_async *a, const char *job)
{
    struct subscription *s;

    TAILQ_FOREACH(s, &a->subscriptions, entry)
    {
        if (job == NULL ? s->job == NULL : s->job != NULL && strcmp(s->job, job) == 0)
            return s;
    }
    return NULL;
}

static void subscription_free(struct srq_async *a, struct subscription *s)
{
    TAILQ_REMOVE(&a->subscriptions, s, entry);
    srq_free(s->job);
    srq_free(s->names);
    srq_free(s);
}

static bool has_word(const char *words, const char *word)
{
    size_t len = strlen(word);

    for (const char *p = words; (p = strstr(p, word)) != NULL; p += len)
        if ((p == words || p[-1] == ' ') && (p[len] == ' ' || p[len] == '\0'))
            return true;
    return false;
}

static void on_subscribed(void *ctx, const cJSON *result, const struct srq_error *err)
{
    struct subscription *s = ctx;
    const cJSON *id = cJSON_GetObjectItemCaseSensitive(result, "subscription");

    (void)err; /* a job that is gone has no events; its owner learns that from a request of his own */
    if (cJSON_IsString(id))
        snprintf(s->id, sizeof(s->id), "%s", id->valuestring);
}

static void send_subscription(struct srq_async *a, struct subscription *s)
{
    cJSON *p = cJSON_CreateObject(), *names;
    char name[64];

    if (s->job != NULL) {
        cJSON_AddStringToObject(p, "job", s->job);
        cJSON_AddNumberToObject(p, "since_seq", (double)s->seen);
    }
    if (s->names != NULL) {
        names = cJSON_AddArrayToObject(p, "events");
        for (const char *at = s->names; *at != '\0'; at += strspn(at, " ")) {
            size_t len = strcspn(at, " ");

            snprintf(name, sizeof(name), "%.*s", (int)len, at);
            /* An older daemon refuses names that it does not know, not we. */
            if (srq_proto_event(name) != NULL)
                cJSON_AddItemToArray(names, cJSON_CreateString(name));
            at += len;
        }
    }
    start_call(a, "events.subscribe", p, 0, on_subscribed, s);
}

int srq_async_subscribe(struct srq_async *a, const char *job, const char *names, int64_t since, struct srq_error *err)
{
    struct subscription *s = find_subscription(a, job);

    if (s != NULL)
        return 0;
    s = srq_calloc(1, sizeof(*s));
    if (s != NULL) {
        s->job = job != NULL ? srq_strdup(job) : NULL;
        s->names = names != NULL ? srq_strdup(names) : NULL;
        s->seen = job != NULL ? since : 0;
        TAILQ_INSERT_TAIL(&a->subscriptions, s, entry);
    }
    if (s == NULL || (job != NULL && s->job == NULL) || (names != NULL && s->names == NULL)) {
        if (s != NULL)
            subscription_free(a, s);
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for a subscription");
    }
    if (a->up)
        send_subscription(a, s);
    return 0;
}

void srq_async_unsubscribe(struct srq_async *a, const char *job)
{
    struct subscription *s = find_subscription(a, job);
    cJSON *p;

    if (s == NULL)
        return;
    srq_async_forget(a, s);
    if (a->up && s->id[0] != '\0') {
        p = cJSON_CreateObject();
        cJSON_AddStringToObject(p, "subscription", s->id);
        start_call(a, "events.unsubscribe", p, 0, NULL, NULL);
    }
    subscription_free(a, s);
}

int64_t srq_async_seen(const struct srq_async *a, const char *job)
{
    const struct subscription *s = find_subscription(a, job);

    return s != NULL ? s->seen : -1;
}

/* Samples are held back for a slow reader, so one may come behind events with higher numbers. */
static void on_event(struct srq_async *a, const struct srq_message *m)
{
    const struct srq_event *row = srq_proto_event(m->method);
    const cJSON *job = cJSON_GetObjectItemCaseSensitive(m->params, "job");
    const cJSON *seq = cJSON_GetObjectItemCaseSensitive(m->params, "seq");
    const struct subscription *all = find_subscription(a, NULL);
    struct subscription *s;

    /* A viewer of half of what a daemon of another build tells is better than none, so that members are not checked. */
    if (row == NULL || !cJSON_IsString(job))
        return;
    s = find_subscription(a, job->valuestring);
    if (s == NULL && (all == NULL || (all->names != NULL && !has_word(all->names, row->name))))
        return; /* on its way when we unsubscribed */
    if (s != NULL && cJSON_IsNumber(seq) && (all == NULL || (all->names != NULL && !has_word(all->names, row->name)))) {
        if (seq->valuedouble <= (double)s->seen && !srq_proto_is_sample(row->name))
            return;
        if (seq->valuedouble > (double)s->seen && seq->valuedouble < 9e15)
            s->seen = (int64_t)seq->valuedouble;
    }
    if (a->o.event != NULL)
        a->o.event(a->o.ctx, row->name, m->params);
}

/* ---- the connection ---------------------------------------------------------------------------------------------- */

/* Takes the connection apart, tells everybody who waits, and tries again later. */
static void lose(struct srq_async *a, const struct srq_error *why)
{
    struct timeval t = in_seconds(a->pause_s);
    double retry_s = a->pause_s;
    TAILQ_HEAD(, call) gone = TAILQ_HEAD_INITIALIZER(gone);
    struct subscription *s;
    struct call *c;

    if (a->bev != NULL)
        bufferevent_free(a->bev);
    a->bev = NULL;
    a->up = a->broken = false;
    srq_frames_fini(&a->frames);
    srq_frames_init(&a->frames);
    cJSON_Delete(a->hello);
    a->hello = NULL;
    TAILQ_FOREACH(s, &a->subscriptions, entry) s->id[0] = '\0';
    evtimer_add(a->retry, &t);
    a->pause_s = a->pause_s * 2 < a->o.pause_most_s ? a->pause_s * 2 : a->o.pause_most_s;
    TAILQ_CONCAT(&gone, &a->calls, entry);
    while ((c = TAILQ_FIRST(&gone)) != NULL) {
        TAILQ_REMOVE(&gone, c, entry);
        finish(c, NULL, why);
    }
    if (a->o.state != NULL)
        a->o.state(a->o.ctx, SRQ_ASYNC_TRYING, why, retry_s);
}

static struct call *find_call(struct srq_async *a, const char *id)
{
    struct call *c;
    char text[32];

    TAILQ_FOREACH(c, &a->calls, entry)
    {
        snprintf(text, sizeof(text), "%llu", c->id);
        if (strcmp(text, id) == 0)
            return c;
    }
    return NULL;
}

static int take_line(struct srq_async *a, const char *line, size_t len, struct srq_error *err)
{
    struct srq_message m;
    struct call *c;
    int rc = srq_proto_read(line, len, &m, err);

    if (rc == 0 && m.kind == SRQ_MSG_EVENT) {
        on_event(a, &m);
    } else if (rc == 0 && m.id != NULL) {
        c = find_call(a, m.id); /* none: its time had run out */
        if (c != NULL)
            answered(a, c, &m);
    } else if (rc == 0 && m.kind == SRQ_MSG_FAILURE) {
        *err = m.error;
        rc = -SRQ_EPROTO; /* about something that we sent and the daemon could not read */
    }
    srq_message_fini(&m);
    return rc;
}

static void on_read(struct bufferevent *bev, void *ctx)
{
    struct srq_async *a = ctx;
    struct evbuffer *in = bufferevent_get_input(bev);
    struct srq_error err = { 0 };
    static char data[CHUNK];
    const char *line;
    size_t len;
    int n, rc = 0;

    a->busy = true;
    while (rc == 0 && !a->broken && (n = evbuffer_remove(in, data, sizeof(data))) > 0) {
        rc = srq_frames_feed(&a->frames, data, (size_t)n, &err);
        while (rc == 0 && !a->broken && (line = srq_frames_next(&a->frames, &len)) != NULL)
            rc = take_line(a, line, len, &err);
    }
    a->busy = false;
    if (rc == 0 && a->broken)
        err = a->why;
    if (rc != 0 || a->broken)
        lose(a, &err);
}

static void on_change(struct bufferevent *bev, short what, void *ctx)
{
    struct srq_async *a = ctx;
    struct srq_error err = { 0 };

    (void)bev;
    if ((what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) == 0)
        return;
    srq_fail_field(&err, -SRQ_EIO, "socket", "lost the daemon at %s%s", a->place.path,
                   (what & BEV_EVENT_EOF) != 0 ? ": it closed the connection" : "");
    lose(a, &err);
}

static void on_hello(void *ctx, const cJSON *result, const struct srq_error *err)
{
    struct srq_async *a = ctx;
    struct subscription *s;

    if (a->bev == NULL)
        return; /* lost while it waited, which is being told already */
    if (result == NULL)
        a->why = *err;
    a->broken = result == NULL || srq_talk_welcome(result, a->place.path, &a->lenient, &a->why) != 0;
    if (a->broken) {
        if (!a->busy)
            lose(a, &a->why); /* its time ran out */
        return;
    }
    a->hello = cJSON_Duplicate(result, true);
    a->up = true;
    a->pause_s = a->o.pause_first_s;
    TAILQ_FOREACH(s, &a->subscriptions, entry) send_subscription(a, s);
    if (a->o.state != NULL)
        a->o.state(a->o.ctx, SRQ_ASYNC_UP, NULL, 0);
}

static void say_hello(struct srq_async *a)
{
    a->lenient = true; /* the reply says how much of it we may know */
    start_call(a, "hello", srq_talk_hello(a->o.name), HELLO_WAIT_S, on_hello, a);
}

static void try_now(evutil_socket_t unused, short what, void *ctx)
{
    struct srq_async *a = ctx;
    struct srq_error err = { 0 };
    int fd = -1, rc;

    (void)unused;
    (void)what;
    if (a->bev != NULL)
        return;
    rc = srq_locate_socket(a->o.socket, a->o.user_only, &a->place, &err);
    if (rc == 0)
        rc = srq_connect_place(&a->place, &fd, &err);
    if (rc == 0) {
        a->bev = bufferevent_socket_new(a->base, fd, BEV_OPT_CLOSE_ON_FREE);
        if (a->bev == NULL) {
            close(fd);
            rc = srq_fail(&err, -SRQ_ENOMEM, "out of memory for a connection");
        }
    }
    if (rc != 0) {
        lose(a, &err);
        return;
    }
    bufferevent_setcb(a->bev, on_read, NULL, on_change, a);
    bufferevent_enable(a->bev, EV_READ | EV_WRITE);
    say_hello(a);
}

/* ---- open and close ---------------------------------------------------------------------------------------------- */

int srq_async_create(struct event_base *base, const struct srq_async_options *options, struct srq_async **out,
                     struct srq_error *err)
{
    const struct timeval now = { 0 };
    struct srq_async *a = srq_calloc(1, sizeof(*a));

    *out = NULL;
    if (a == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory");
    a->base = base;
    a->o = *options;
    TAILQ_INIT(&a->calls);
    TAILQ_INIT(&a->subscriptions);
    srq_frames_init(&a->frames);
    if (a->o.pause_first_s <= 0)
        a->o.pause_first_s = PAUSE_FIRST_S;
    if (a->o.pause_most_s <= 0)
        a->o.pause_most_s = PAUSE_MOST_S;
    a->pause_s = a->o.pause_first_s;
    a->o.socket = options->socket != NULL ? srq_strdup(options->socket) : NULL;
    a->o.name = srq_strdup(options->name != NULL ? options->name : "client");
    a->retry = evtimer_new(base, try_now, a);
    if ((options->socket != NULL && a->o.socket == NULL) || a->o.name == NULL || a->retry == NULL ||
        evtimer_add(a->retry, &now) != 0) {
        srq_async_free(a);
        return srq_fail(err, -SRQ_ENOMEM, "out of memory");
    }
    *out = a;
    return 0;
}

void srq_async_free(struct srq_async *a)
{
    struct call *c;

    if (a == NULL)
        return;
    while ((c = TAILQ_FIRST(&a->calls)) != NULL) {
        TAILQ_REMOVE(&a->calls, c, entry);
        call_free(c);
    }
    while (!TAILQ_EMPTY(&a->subscriptions))
        subscription_free(a, TAILQ_FIRST(&a->subscriptions));
    if (a->bev != NULL)
        bufferevent_free(a->bev);
    if (a->retry != NULL)
        event_free(a->retry);
    srq_frames_fini(&a->frames);
    cJSON_Delete(a->hello);
    srq_free((char *)(uintptr_t)a->o.socket);
    srq_free((char *)(uintptr_t)a->o.name);
    srq_free(a);
}

bool srq_async_up(const struct srq_async *a)
{
    return a->up;
}

const cJSON *srq_async_hello(const struct srq_async *a)
{
    return a->hello;
}

const char *srq_async_path(const struct srq_async *a)
{
    return a->place.path;
}

void srq_async_retry(struct srq_async *a)
{
    const struct timeval now = { 0 };

    if (a->bev == NULL)
        evtimer_add(a->retry, &now);
}
