/* Requests, answers and events over one connection. */
#include "tui/client/client.h"

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "tui/client/connect.h"
#include "tui/client/talk.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HELLO_WAIT_S 30.0
/* A daemon that ends just now hangs up without a word; the next may be asked, or started, as soon as it is gone. */
#define ENDING_WAIT_S 3.0
#define ENDING_PAUSE_MS 50
/* Kept while an answer is awaited; a daemon that sends more between two answers is broken. */
#define EVENTS_KEPT 65536

struct srq_client {
    int fd;
    bool started;
    bool lenient; /* the daemon speaks a newer minor: members that we do not know are no error */
    struct srq_place place;
    struct srq_frames frames;
    volatile sig_atomic_t *interrupted;
    unsigned long long last_id;
    cJSON *hello;
    /* Events that came before somebody asked for them: a ring would be smaller, a list is plainer. */
    struct kept {
        struct kept *next;
        struct srq_message message;
    } * head, **tail;
    size_t kept;
};

static int lose(struct srq_client *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    return -SRQ_EIO;
}

static bool interrupted(const struct srq_client *c)
{
    return c->interrupted != NULL && *c->interrupted != 0;
}

static int lost(struct srq_client *c, struct srq_error *err, const char *why)
{
    lose(c);
    return srq_fail(err, -SRQ_EIO, "lost the daemon at %s: %s", c->place.path, why);
}

static int send_line(struct srq_client *c, const char *line, struct srq_error *err)
{
    size_t len = strlen(line);

    while (len > 0) {
        ssize_t n = send(c->fd, line, len, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR) {
            if (interrupted(c))
                return srq_fail(err, -SRQ_ECANCELED, "interrupted");
            continue;
        }
        if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
            return 0; /* it has hung up; its last words, which say why, may wait to be read */
        if (n < 0)
            return lost(c, err, strerror(errno));
        line += n;
        len -= (size_t)n;
    }
    return 0;
}

/* Reads what there is; 0 when something came, -SRQ_ETIMEOUT when nothing did until `until` (INFINITY: for ever). */
static int receive(struct srq_client *c, double until, struct srq_error *err)
{
    struct pollfd p = { .fd = c->fd, .events = POLLIN };
    char data[65536];
    ssize_t n;
    int rc;

    for (;;) {
        double left = until - srq_clock_s();
        /* Never longer than a moment: a signal between this check and poll() must not be slept through. */
        int ms = left > 0.25 ? 250 : left > 0 ? (int)ceil(left * 1000) : 0;

        if (interrupted(c))
            return srq_fail(err, -SRQ_ECANCELED, "interrupted");
        rc = poll(&p, 1, ms);
        if (rc > 0)
            break;
        if (rc < 0 && errno != EINTR)
            return lost(c, err, strerror(errno));
        if (left <= 0)
            return srq_fail(err, -SRQ_ETIMEOUT, "the daemon at %s did not answer in time", c->place.path);
    }
    n = recv(c->fd, data, sizeof(data), 0);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return 0;
    if (n <= 0)
        return lost(c, err, n == 0 ? "it closed the connection" : strerror(errno));
    rc = srq_frames_feed(&c->frames, data, (size_t)n, err);
    if (rc != 0)
        lose(c);
    return rc;
}

/* The next whole message: 1, or 0 when none is complete. */
static int next_message(struct srq_client *c, struct srq_message *out, struct srq_error *err)
{
    size_t len;
    const char *line = srq_frames_next(&c->frames, &len);
    int rc;

    if (line == NULL)
        return 0;
    rc = srq_proto_read(line, len, out, err);
    if (rc != 0) {
        lose(c);
        return rc;
    }
    return 1;
}

/* A newer daemon may send events that we do not know: they are dropped, as the protocol's minor number promises. */
static int keep_event(struct srq_client *c, struct srq_message *m, struct srq_error *err)
{
    const struct srq_event *e = srq_proto_event(m->method);
    struct kept *k;
    int rc;

    if (e == NULL) {
        srq_message_fini(m);
        return 0;
    }
    rc = c->lenient ? 0 : srq_proto_check_event(e, m->params, err);
    if (rc == 0 && c->kept >= EVENTS_KEPT)
        rc = srq_fail(err, -SRQ_ELIMIT, "the daemon sent more than %d events at once", EVENTS_KEPT);
    k = rc == 0 ? srq_malloc(sizeof(*k)) : NULL;
    if (k == NULL) {
        srq_message_fini(m);
        if (rc == 0)
            rc = srq_fail(err, -SRQ_ENOMEM, "out of memory keeping an event");
        lose(c);
        return rc;
    }
    k->next = NULL;
    k->message = *m;
    *c->tail = k;
    c->tail = &k->next;
    c->kept++;
    return 0;
}

static bool take_event(struct srq_client *c, struct srq_message *out)
{
    struct kept *k = c->head;

    if (k == NULL)
        return false;
    c->head = k->next;
    if (c->head == NULL)
        c->tail = &c->head;
    *out = k->message;
    c->kept--;
    srq_free(k);
    return true;
}

/* Waits for the answer to `id`, keeping events that come first. */
static int await_answer(struct srq_client *c, const char *id, double until, struct srq_message *out,
                        struct srq_error *err)
{
    for (;;) {
        int rc = next_message(c, out, err);

        if (rc < 0)
            return rc;
        if (rc == 0) {
            rc = receive(c, until, err);
            if (rc != 0)
                return rc;
            continue;
        }
        if (out->kind == SRQ_MSG_EVENT) {
            rc = keep_event(c, out, err);
            if (rc != 0)
                return rc;
            continue;
        }
        /* A failure without id is about a frame that the daemon could not read: ours. An old id is the answer to a
         * call whose time had run out. */
        if ((out->kind == SRQ_MSG_FAILURE && out->id == NULL) ||
            (out->kind != SRQ_MSG_REQUEST && out->id != NULL && strcmp(out->id, id) == 0))
            return 0;
        srq_message_fini(out);
    }
}

/* Sends a request and waits for what answers it: srq_message_fini when 0. */
static int ask(struct srq_client *c, const struct srq_method *m, const cJSON *params, double timeout_s,
               struct srq_message *answer, struct srq_error *err)
{
    double until = timeout_s > 0 ? srq_clock_s() + timeout_s : INFINITY;
    char id[32], *line;
    int rc;

    if (c->fd < 0)
        return srq_fail(err, -SRQ_EIO, "the connection to %s is gone", c->place.path);
    rc = srq_talk_request(m, ++c->last_id, params, &line, err);
    snprintf(id, sizeof(id), "%llu", c->last_id);
    if (rc == 0)
        rc = send_line(c, line, err);
    srq_free(line);
    if (rc == 0)
        rc = await_answer(c, id, until, answer, err);
    if (rc != 0)
        return rc;
    rc = srq_talk_answer(m, answer, c->lenient, err);
    if (rc != 0)
        srq_message_fini(answer);
    return rc;
}

int srq_client_call(struct srq_client *c, const char *method, cJSON *params, double timeout_s, cJSON **result,
                    struct srq_error *err)
{
    const struct srq_method *m = srq_proto_method(method);
    struct srq_message answer;
    int rc;

    if (result != NULL)
        *result = NULL;
    if (params == NULL)
        params = cJSON_CreateObject();
    rc = m != NULL ? ask(c, m, params, timeout_s, &answer, err)
                   : srq_fail(err, -SRQ_EUNSUPPORTED, "this client knows no method %s", method);
    cJSON_Delete(params);
    if (rc != 0)
        return rc;
    if (result != NULL)
        *result = cJSON_DetachItemViaPointer(answer.json, answer.result);
    srq_message_fini(&answer);
    return 0;
}

int srq_client_call_paged(struct srq_client *c, const char *method, cJSON *params, double timeout_s, cJSON **result,
                          struct srq_error *err)
{
    struct srq_pages pages = { .m = srq_proto_method(method),
                               .params = params != NULL ? params : cJSON_CreateObject() };
    struct srq_message answer;
    int rc;

    *result = NULL;
    srq_talk_first_page(&pages);
    if (pages.m == NULL || pages.m->paged == NULL)
        rc = srq_fail(err, -SRQ_EUNSUPPORTED, "method %s is not paged", method);
    else
        do {
            rc = ask(c, pages.m, pages.params, timeout_s, &answer, err);
            if (rc != 0)
                break;
            rc = srq_talk_page(&pages, &answer, err);
            srq_message_fini(&answer);
        } while (rc > 0);
    cJSON_Delete(pages.params);
    if (rc == 0)
        *result = pages.all;
    else
        cJSON_Delete(pages.all);
    return rc;
}

int srq_client_event(struct srq_client *c, double timeout_s, struct srq_message *out, struct srq_error *err)
{
    double until = timeout_s < 0 ? INFINITY : srq_clock_s() + timeout_s;
    int rc;

    for (;;) {
        if (take_event(c, out))
            return 1;
        if (c->fd < 0)
            return srq_fail(err, -SRQ_EIO, "the connection to %s is gone", c->place.path);
        while ((rc = next_message(c, out, err)) > 0) {
            if (out->kind == SRQ_MSG_EVENT) {
                rc = keep_event(c, out, err);
                if (rc != 0)
                    return rc;
            } else {
                srq_message_fini(out); /* the answer to a call whose time had run out */
            }
        }
        if (rc < 0)
            return rc;
        if (c->head != NULL)
            continue;
        rc = receive(c, until, err);
        if (rc == -SRQ_ETIMEOUT)
            return 0;
        if (rc != 0)
            return rc;
    }
}

static int say_hello(struct srq_client *c, const char *name, struct srq_error *err)
{
    int rc;

    c->lenient = true; /* the reply to hello says how much of it we may know */
    rc = srq_client_call(c, "hello", srq_talk_hello(name), HELLO_WAIT_S, &c->hello, err);
    return rc == 0 ? srq_talk_welcome(c->hello, c->place.path, &c->lenient, err) : rc;
}

int srq_client_open(const struct srq_client_options *options, struct srq_client **out, struct srq_error *err)
{
    struct srq_client *c = srq_calloc(1, sizeof(*c));
    double until = srq_clock_s() + ENDING_WAIT_S;
    int rc;

    *out = NULL;
    if (c == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory");
    c->fd = -1;
    c->tail = &c->head;
    c->interrupted = options->interrupted;
    srq_frames_init(&c->frames);
    rc = srq_locate_socket(options->socket, options->user_only, &c->place, err);
    while (rc == 0) {
        rc = srq_connect_daemon(&c->place, options->start, &c->fd, &c->started, err);
        if (rc != 0)
            break;
        rc = say_hello(c, options->name != NULL ? options->name : "client", err);
        if (rc != -SRQ_EIO || c->fd >= 0 || interrupted(c) || srq_clock_s() > until)
            break;
        srq_frames_fini(&c->frames);
        srq_frames_init(&c->frames);
        poll(NULL, 0, ENDING_PAUSE_MS);
        rc = 0;
    }
    if (rc != 0) {
        srq_client_close(c);
        return rc;
    }
    *out = c;
    return 0;
}

void srq_client_close(struct srq_client *c)
{
    struct srq_message m;

    if (c == NULL)
        return;
    lose(c);
    while (take_event(c, &m))
        srq_message_fini(&m);
    srq_frames_fini(&c->frames);
    cJSON_Delete(c->hello);
    srq_free(c);
}

bool srq_client_lost(const struct srq_client *c)
{
    return c->fd < 0;
}

bool srq_client_started(const struct srq_client *c)
{
    return c->started;
}

const struct srq_place *srq_client_place(const struct srq_client *c)
{
    return &c->place;
}

const cJSON *srq_client_hello(const struct srq_client *c)
{
    return c->hello;
}

int srq_client_fd(const struct srq_client *c)
{
    return c->fd;
}
