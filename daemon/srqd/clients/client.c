/* Connections over libevent's buffers. */
#include "daemon/srqd/clients/client.h"

#include "core/base/alloc.h"
#include "core/base/log.h"

#include <event2/buffer.h>
#include <string.h>
#include <unistd.h>

#define CHUNK 16384
#define FAULTS_MAX 16

/* Clients go only here, from the loop, so that nobody up the stack holds a dead one. */
static void reap(evutil_socket_t fd, short what, void *ctx)
{
    struct client *c = ctx;

    (void)fd;
    (void)what;
    client_free(c);
}

static void close_soon(struct client *c)
{
    const struct timeval now = { 0 };

    if (c->closing)
        return;
    c->closing = true;
    bufferevent_disable(c->bev, EV_READ);
    event_base_once(c->all->d->base, -1, EV_TIMEOUT, reap, c, &now);
}

/* Writes what is queued first, but does not wait for a peer that does not read. */
static void close_after_output(struct client *c)
{
    const struct timeval grace = { .tv_sec = 2 };

    if (c->closing)
        return;
    c->closing = true;
    bufferevent_disable(c->bev, EV_READ);
    event_base_once(c->all->d->base, -1, EV_TIMEOUT, reap, c, &grace);
}

size_t client_waiting(const struct client *c)
{
    return evbuffer_get_length(bufferevent_get_output(c->bev));
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
    if (bufferevent_write(c->bev, line, len) != 0) {
        close_soon(c);
    } else if (client_waiting(c) > (size_t)c->all->d->config.client_output_max) {
        srq_log(SRQ_LOG_WARN, "client %llu (uid %lu, pid %ld) does not read: %zu bytes wait; dropped",
                (unsigned long long)c->number, (unsigned long)c->peer.uid, (long)c->peer.pid, client_waiting(c));
        close_soon(c);
    }
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

static void on_read(struct bufferevent *bev, void *ctx)
{
    struct evbuffer *in = bufferevent_get_input(bev);
    struct client *c = ctx;
    struct srq_error err;
    char chunk[CHUNK];
    const char *line;
    size_t len;
    int n;

    while (!c->closing && (n = evbuffer_remove(in, chunk, sizeof(chunk))) > 0) {
        if (srq_frames_feed(&c->frames, chunk, (size_t)n, &err) != 0) {
            fault(c, NULL, &err, true);
            return;
        }
        while (!c->closing && (line = srq_frames_next(&c->frames, &len)) != NULL)
            on_frame(c, line, len);
    }
    if (!c->closing && client_waiting(c) > CLIENT_SOFT_OUTPUT)
        bufferevent_disable(bev, EV_READ);
}

static void on_write(struct bufferevent *bev, void *ctx)
{
    struct client *c = ctx;

    if (c->closing)
        return;
    bufferevent_enable(bev, EV_READ);
    c->all->user->drained(c);
}

static void on_event(struct bufferevent *bev, short what, void *ctx)
{
    struct client *c = ctx;

    (void)bev;
    if ((what & BEV_EVENT_ERROR) != 0 || ((what & BEV_EVENT_EOF) != 0 && client_waiting(c) == 0))
        close_soon(c);
    else if ((what & BEV_EVENT_EOF) != 0)
        close_after_output(c); /* a peer may shut down its side and still read */
}

int client_accept(struct clients *all, int fd, struct srq_error *err)
{
    const struct srqd *d = all->d;
    struct client *c = srq_calloc(1, sizeof(*c));
    int rc;

    if (c == NULL) {
        close(fd);
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for a client");
    }
    c->all = all;
    c->number = ++all->last_number;
    TAILQ_INIT(&c->subscriptions);
    TAILQ_INIT(&c->held);
    TAILQ_INIT(&c->gathers);
    srq_frames_init(&c->frames);
    rc = authority_identify(d, fd, &c->peer, err);
    if (rc == 0 && all->count >= d->config.max_clients)
        rc = srq_fail(err, -SRQ_ELIMIT, "%lld clients are connected already (max_clients)",
                      (long long)d->config.max_clients);
    if (rc != 0) {
        char *line = srq_proto_failure(NULL, err);

        /* It learns why, when one write is enough for that. */
        if (line != NULL && write(fd, line, strlen(line)) < 0)
            srq_log(SRQ_LOG_DEBUG, "refused client has gone");
        srq_free(line);
        srq_free(c);
        close(fd);
        return rc;
    }
    c->bev = bufferevent_socket_new(d->base, fd, BEV_OPT_CLOSE_ON_FREE);
    if (c->bev == NULL) {
        srq_free(c);
        close(fd);
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for a client");
    }
    bufferevent_setcb(c->bev, on_read, on_write, on_event, c);
    bufferevent_setwatermark(c->bev, EV_WRITE, CLIENT_SOFT_OUTPUT / 2, 0);
    bufferevent_setwatermark(c->bev, EV_READ, 0, (size_t)64 << 10);
    bufferevent_enable(c->bev, EV_READ | EV_WRITE);
    TAILQ_INSERT_TAIL(&all->list, c, entry);
    all->count++;
    return 0;
}

void client_free(struct client *c)
{
    TAILQ_REMOVE(&c->all->list, c, entry);
    c->all->count--;
    c->all->user->gone(c);
    srq_frames_fini(&c->frames);
    bufferevent_free(c->bev);
    cJSON_Delete(c->plan);
    srq_free(c->plan_key);
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
