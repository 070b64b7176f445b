/* Connections over libevent's buffers. */
#include "daemon/srqd/clients/client.h"

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/base/log.h"

#include <event2/buffer.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define CHUNK 16384
#define FAULTS_MAX 16
#define GRACE_S 10
#define HELLO_MAX ((size_t)16 << 10) /* bytes that wait of one who has not said hello */

/* Clients go only here, from the loop, so that nobody up the stack holds a dead one. */
static void reap(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    client_free(ctx);
}

static void close_in(struct client *c, time_t seconds)
{
    const struct timeval tv = { .tv_sec = seconds };

    c->closing = true;
    turn_drop(&c->requests);
    bufferevent_disable(c->bev, EV_READ);
    evtimer_add(c->reaper, &tv);
}

static void count_output(struct evbuffer *out, const struct evbuffer_cb_info *info, void *ctx)
{
    struct client *c = ctx;

    (void)out;
    c->share->output += info->n_added;
    c->share->output -= info->n_deleted;
}

static size_t all_waiting(const struct client *c)
{
    return client_waiting(c) + c->held_bytes;
}

/* What waits for the client counts no more. */
static void forget_output(struct client *c)
{
    if (!c->counted)
        return;
    c->counted = false;
    evbuffer_remove_cb(bufferevent_get_output(c->bev), count_output, c);
    c->share->output -= all_waiting(c);
}

static void close_soon(struct client *c)
{
    forget_output(c);
    close_in(c, 0);
}

/* Writes what is queued first, but does not wait for ever for a peer that does not read. */
static void close_after_output(struct client *c)
{
    if (c->closing)
        return;
    bufferevent_setwatermark(c->bev, EV_WRITE, 0, 0);
    close_in(c, client_waiting(c) > 0 ? GRACE_S : 0);
}

size_t client_waiting(const struct client *c)
{
    return evbuffer_get_length(bufferevent_get_output(c->bev));
}

static void drop_for_output(struct client *c, const char *limit)
{
    srq_log(SRQ_LOG_WARN, "client %llu (uid %lu, pid %ld) does not read: %zu bytes wait (%s); dropped",
            (unsigned long long)c->number, (unsigned long)c->peer.uid, (long)c->peer.pid, all_waiting(c), limit);
    close_soon(c);
}

static struct client *most_waiting(const struct clients *all, const struct share *s)
{
    struct client *c, *most = NULL;

    TAILQ_FOREACH(c, &all->list, entry)
    {
        if (c->share == s && c->counted && (most == NULL || all_waiting(c) > all_waiting(most)))
            most = c;
    }
    return most;
}

void client_bound(struct client *c)
{
    const struct srqd_config *config = &c->all->d->config;
    struct client *most;

    if (!c->closing && all_waiting(c) > (size_t)config->client_output_max)
        drop_for_output(c, "client_output_max");
    else if (c->share->output > (size_t)config->user_output_max && (most = most_waiting(c->all, c->share)) != NULL)
        drop_for_output(most, "user_output_max");
}

void client_send_copy(struct client *c, const char *line, size_t len)
{
    if (line == NULL) {
        srq_log(SRQ_LOG_ERROR, "out of memory for a message to client %llu", (unsigned long long)c->number);
        close_soon(c);
        return;
    }
    if (c->closing)
        return;
    if (bufferevent_write(c->bev, line, len) != 0)
        close_soon(c);
    else
        client_bound(c);
}

void client_send(struct client *c, char *line)
{
    client_send_copy(c, line, line != NULL ? strlen(line) : 0);
    srq_free(line);
}

void client_answer(struct client *c, const char *id, const struct srq_method *m, int rc, cJSON *result,
                   const struct srq_error *err)
{
    struct srq_error why = { 0 }, damaged;
    char *line;

    if (rc == 0 && srq_proto_check_reply(m, result, &why) != 0) {
        srq_log(SRQ_LOG_ERROR, "reply withheld: %s", why.text);
        rc = srq_fail_field(&damaged, -SRQ_EFORMAT, why.field, "the data behind this answer is damaged: %.900s",
                            why.text);
        err = &damaged;
    }
    line = rc == 0 ? srq_proto_result(id, result) : srq_proto_failure(id, err);
    cJSON_Delete(result);
    if (line != NULL && strlen(line) > SRQ_FRAME_MAX + 1) {
        srq_free(line);
        srq_fail(&why, -SRQ_ELIMIT, "the answer of %s is longer than %zu bytes", m->name, SRQ_FRAME_MAX);
        line = srq_proto_failure(id, &why);
    }
    client_send(c, line);
}

static void fault(struct client *c, const char *id, const struct srq_error *err, bool fatal)
{
    client_send(c, srq_proto_failure(id, err));
    if (fatal || ++c->faults >= FAULTS_MAX)
        close_after_output(c);
}

static void on_frame(struct client *c, const char *line, size_t len)
{
    struct srq_error err = { 0 };
    struct srq_message m;
    bool fatal = false;

    if (srq_proto_read(line, len, &m, &err) != 0)
        fault(c, m.id, &err, false);
    else if (m.kind != SRQ_MSG_REQUEST && srq_fail(&err, -SRQ_EPROTO, "only requests with an id are taken") != 0)
        fault(c, m.id, &err, false);
    else if (c->all->user->request(c, &m, &fatal, &err) != 0)
        fault(c, m.id, &err, fatal);
    srq_message_fini(&m);
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

/* The next whole frame of what has come; NULL: there is none. */
static const char *next_frame(struct client *c, size_t *len)
{
    struct evbuffer *in = bufferevent_get_input(c->bev);
    struct srq_error err;
    char chunk[CHUNK];
    const char *line;
    int n;

    while ((line = srq_frames_next(&c->frames, len)) == NULL && (n = evbuffer_remove(in, chunk, sizeof(chunk))) > 0) {
        if (srq_frames_feed(&c->frames, chunk, (size_t)n, &err) != 0) {
            fault(c, NULL, &err, true);
            return NULL;
        }
    }
    if (line == NULL && !c->hello && c->frames.in.len > HELLO_MAX) {
        srq_fail(&err, -SRQ_ELIMIT, "more than %zu bytes came, and no hello", HELLO_MAX);
        fault(c, NULL, &err, true);
    }
    return line;
}

/* Nothing more will come, and nothing that came is unanswered. */
static void end_half_closed(struct client *c)
{
    if (c->gone)
        close_soon(c);
    else if (c->later == 0 && TAILQ_EMPTY(&c->subscriptions))
        close_after_output(c);
}

static bool take_request(void *ctx)
{
    struct client *c = ctx;
    const char *line = NULL;
    size_t len;

    if (c->closing)
        return false;
    /* What holds it up wishes for the next step when it is over. */
    if (!c->gone && (client_waiting(c) > CLIENT_SOFT_OUTPUT || c->later >= CLIENT_LATER_MAX))
        return false;
    line = next_frame(c, &len);
    if (line != NULL)
        on_frame(c, line, len);
    else if (c->half_closed && !c->closing)
        end_half_closed(c);
    return line != NULL && !c->closing;
}

void client_later_done(struct client *c)
{
    c->later--;
    turn_wish(&c->requests);
}

static void on_read(struct bufferevent *bev, void *ctx)
{
    struct client *c = ctx;

    (void)bev;
    if (!c->closing)
        turn_wish(&c->requests);
}

static void on_write(struct bufferevent *bev, void *ctx)
{
    struct client *c = ctx;

    (void)bev;
    if (c->closing) {
        if (client_waiting(c) == 0)
            close_in(c, 0);
        return;
    }
    turn_wish(&c->requests);
    c->all->user->drained(c);
}

static bool replay(void *ctx)
{
    struct client *c = ctx;

    return c->all->user->replay(c);
}

/* Whether the peer has closed the connection, not only its sending side. */
static bool peer_gone(const struct client *c)
{
    struct pollfd p = { .fd = bufferevent_getfd(c->bev) };

    return poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR)) != 0;
}

static void on_event(struct bufferevent *bev, short what, void *ctx)
{
    struct client *c = ctx;

    (void)bev;
    if ((what & BEV_EVENT_ERROR) != 0) {
        close_soon(c);
    } else if ((what & BEV_EVENT_EOF) != 0 && !c->closing) {
        c->half_closed = true;
        c->gone = peer_gone(c);
        turn_wish(&c->requests);
    }
}

/* ---- coming and going -------------------------------------------------------------------------------------------- */

static void look_after(struct client *c)
{
    int64_t limit = c->all->d->config.hello_timeout_s;
    struct srq_error err;

    if (c->closing)
        return;
    if (!c->hello && srq_clock_s() - c->since > (double)limit) {
        srq_fail(&err, -SRQ_ETIMEOUT, "no hello came within %lld s (hello_timeout_s)", (long long)limit);
        fault(c, NULL, &err, true);
    } else if (c->half_closed) {
        c->gone = c->gone || peer_gone(c);
        turn_wish(&c->requests);
    }
}

void clients_look_after(struct clients *all)
{
    struct client *c, *next;

    for (c = TAILQ_FIRST(&all->list); c != NULL; c = next) {
        next = TAILQ_NEXT(c, entry);
        look_after(c);
    }
}

/* It learns why, when one write is enough for that. */
static void refuse(int fd, const struct srq_error *err)
{
    char *line = srq_proto_failure(NULL, err);

    if (line != NULL && write(fd, line, strlen(line)) < 0)
        srq_log(SRQ_LOG_DEBUG, "refused client has gone");
    srq_free(line);
    close(fd);
}

static int open_buffers(struct client *c, int fd, struct srq_error *err)
{
    struct event_base *base = c->all->d->base;

    c->reaper = evtimer_new(base, reap, c);
    c->bev = c->reaper != NULL ? bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE) : NULL;
    if (c->bev == NULL || evbuffer_add_cb(bufferevent_get_output(c->bev), count_output, c) == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "the daemon is out of memory for a client");
    c->counted = true;
    bufferevent_setcb(c->bev, on_read, on_write, on_event, c);
    bufferevent_setwatermark(c->bev, EV_WRITE, CLIENT_SOFT_OUTPUT / 2, 0);
    bufferevent_setwatermark(c->bev, EV_READ, 0, (size_t)64 << 10);
    bufferevent_enable(c->bev, EV_READ | EV_WRITE);
    return 0;
}

int client_accept(struct clients *all, int fd, struct srq_error *err)
{
    struct client *c = srq_calloc(1, sizeof(*c));
    int rc = c != NULL ? 0 : srq_fail(err, -SRQ_ENOMEM, "the daemon is out of memory for a client");

    if (rc == 0)
        rc = authority_identify(all->d, fd, &c->peer, err);
    if (rc == 0 && (c->share = share_get(&all->shares, c->peer.uid)) == NULL)
        rc = srq_fail(err, -SRQ_ENOMEM, "the daemon is out of memory for a client");
    if (rc == 0)
        rc = share_admit(&all->shares, c->share, &c->peer, err);
    if (rc == 0) {
        c->all = all;
        rc = open_buffers(c, fd, err);
    }
    if (rc != 0) {
        refuse(c != NULL && c->bev != NULL ? dup(fd) : fd, err);
        if (c != NULL) {
            if (c->reaper != NULL)
                event_free(c->reaper);
            if (c->bev != NULL)
                bufferevent_free(c->bev);
            share_put(&all->shares, c->share);
        }
        srq_free(c);
        return rc;
    }
    c->number = ++all->last_number;
    c->since = srq_clock_s();
    turn_init(&c->requests, all->d->turns, c->peer.uid, take_request, c);
    turn_init(&c->replays, all->d->turns, c->peer.uid, replay, c);
    TAILQ_INIT(&c->subscriptions);
    TAILQ_INIT(&c->held);
    TAILQ_INIT(&c->gathers);
    TAILQ_INIT(&c->looks);
    srq_frames_init(&c->frames);
    TAILQ_INSERT_TAIL(&all->list, c, entry);
    share_connect(&all->shares, c->share, &c->peer, 1);
    return 0;
}

void client_free(struct client *c)
{
    TAILQ_REMOVE(&c->all->list, c, entry);
    share_connect(&c->all->shares, c->share, &c->peer, -1);
    c->all->user->gone(c);
    turn_drop(&c->requests);
    forget_output(c);
    srq_frames_fini(&c->frames);
    bufferevent_free(c->bev);
    event_free(c->reaper);
    share_put(&c->all->shares, c->share);
    srq_free(c);
}

struct client *client_find(struct clients *all, uint64_t number)
{
    struct client *c;

    TAILQ_FOREACH(c, &all->list, entry)
    {
        if (c->number == number && !c->closing)
            return c;
    }
    return NULL;
}
