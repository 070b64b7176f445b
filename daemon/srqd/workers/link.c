/* Talking to a worker. */
#include "daemon/srqd/workers/link.h"

#include "core/base/alloc.h"
#include "core/base/log.h"
#include "core/proto/members.h"
#include "core/proto/proto.h"
#include "daemon/srqd/jobs/jobdir.h"
#include "daemon/srqd/jobs/jobs.h"
#include "daemon/srqd/workers/worker.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define RETRY_FIRST_S 0.02
#define RETRY_MOST_S 1.0
#define CALLS_MAX 64

/* A call whose answer is awaited. Its id on the wire is "METHOD#number". */
struct worker_call {
    TAILQ_ENTRY(worker_call) entry;
    struct worker_link *link;
    const struct srq_method *method;
    char id[64];
    char *line; /* the request; NULL once it was sent */
    double timeout_s;
    struct event *timer;
    worker_call_done done;
    void *ctx;
};
TAILQ_HEAD(worker_call_list, worker_call);

struct worker_link {
    struct job *job;
    const struct worker_hearer *hearer;
    struct bufferevent *bev;
    struct event *retry;
    struct srq_frames frames;
    double pause_s;
    bool attached;
    const char *command; /* to be sent once attached */
    struct worker_call_list calls;
    int call_count;
    unsigned long long last_call;
};

static struct worker_link *link_of(const struct job *j)
{
    return j->worker != NULL ? j->worker->link : NULL;
}

static void retry_later(struct worker_link *l)
{
    struct timeval tv = { .tv_sec = (time_t)l->pause_s,
                          .tv_usec = (suseconds_t)((l->pause_s - (double)(time_t)l->pause_s) * 1e6) };

    evtimer_add(l->retry, &tv);
    l->pause_s = l->pause_s * 1.5 < RETRY_MOST_S ? l->pause_s * 1.5 : RETRY_MOST_S;
}

/* ---- calls ------------------------------------------------------------------------------------------------------- */

/* Takes the call out of the list, then tells: what is told may call again. */
static void end_call(struct worker_call *call, int rc, cJSON *result, const struct srq_error *err)
{
    bool sent = call->line == NULL;

    TAILQ_REMOVE(&call->link->calls, call, entry);
    call->link->call_count--;
    call->done(rc, result, sent, err, call->ctx);
    event_free(call->timer);
    srq_free(call->line);
    srq_free(call);
}

/* The connection is gone: calls that were sent will not be answered over another one. */
static void end_sent_calls(struct worker_link *l)
{
    struct worker_call *call, *next;
    struct srq_error err;

    for (call = TAILQ_FIRST(&l->calls); call != NULL; call = next) {
        next = TAILQ_NEXT(call, entry);
        if (call->line == NULL) {
            srq_fail_field(
                &err, -SRQ_EIO, "job",
                "the worker of job %s went away before it answered; whether the plan changed, its revision tells",
                l->job->id);
            end_call(call, -SRQ_EIO, NULL, &err);
        }
    }
}

static void send_line(struct worker_link *l, char *line);

static void send_calls(struct worker_link *l)
{
    struct worker_call *call;

    TAILQ_FOREACH(call, &l->calls, entry)
    {
        if (call->line != NULL && l->attached)
            send_line(l, call->line);
        call->line = l->attached ? NULL : call->line;
    }
}

static void on_call_timeout(evutil_socket_t fd, short what, void *ctx)
{
    struct worker_call *call = ctx;
    struct srq_error err;

    (void)fd;
    (void)what;
    srq_fail_field(&err, -SRQ_ETIMEOUT, "job",
                   "the worker of job %s %s %g s; whether the plan changed, its revision tells", call->link->job->id,
                   call->line != NULL ? "did not come up within" : "did not answer within", call->timeout_s);
    end_call(call, -SRQ_ETIMEOUT, NULL, &err);
}

static struct worker_call *find_call(struct worker_link *l, const char *id)
{
    struct worker_call *call;

    TAILQ_FOREACH(call, &l->calls, entry)
    {
        if (id != NULL && strcmp(call->id, id) == 0)
            return call;
    }
    return NULL;
}

/* ---- the connection ---------------------------------------------------------------------------------------------- */

static void hang_up(struct worker_link *l)
{
    if (l->bev != NULL)
        bufferevent_free(l->bev);
    l->bev = NULL;
    l->attached = false;
    srq_frames_fini(&l->frames);
    srq_frames_init(&l->frames);
    end_sent_calls(l);
    retry_later(l);
}

static void send_line(struct worker_link *l, char *line)
{
    if (line != NULL)
        bufferevent_write(l->bev, line, strlen(line));
    srq_free(line);
}

static void send_command(struct worker_link *l)
{
    if (l->command == NULL || !l->attached)
        return;
    send_line(l, srq_proto_request(l->command, l->command, NULL));
    l->command = NULL;
}

/* An answer that came after its time is nobody's any more. */
static bool is_call(const char *id)
{
    return id != NULL && strchr(id, '#') != NULL;
}

static int on_call_result(struct worker_link *l, const struct srq_message *m, struct srq_error *err)
{
    struct worker_call *call = find_call(l, m->id);
    int rc = call != NULL ? srq_proto_check_reply(call->method, m->result, err) : 0;

    if (call != NULL)
        end_call(call, rc, rc == 0 ? cJSON_DetachItemViaPointer(m->json, m->result) : NULL, err);
    return rc;
}

static int on_result(struct worker_link *l, const struct srq_message *m, struct srq_error *err)
{
    const struct srq_method *method = srq_proto_method(m->id);
    const cJSON *stage;
    int rc;

    if (is_call(m->id))
        return on_call_result(l, m, err);
    if (method == NULL || method->server != SRQ_SERVER_WORKER)
        return srq_fail(err, -SRQ_EPROTO, "an answer to what nobody asked");
    rc = srq_proto_check_reply(method, m->result, err);
    if (rc != 0 || strcmp(m->id, "worker.attach") != 0)
        return rc;
    stage = cJSON_GetObjectItemCaseSensitive(m->result, "stage");
    l->attached = true;
    l->pause_s = RETRY_FIRST_S;
    l->hearer->attached(l->job, cJSON_IsString(stage) ? stage->valuestring : NULL);
    send_command(l);
    send_calls(l);
    return 0;
}

static void on_failure(struct worker_link *l, const struct srq_message *m)
{
    struct worker_call *call = find_call(l, m->id);
    int code = m->error.code > 0 && m->error.code < SRQ_CODE_COUNT ? m->error.code : SRQ_EPROTO;

    if (call != NULL)
        end_call(call, -code, NULL, &m->error);
    else if (!is_call(m->id))
        srq_log(SRQ_LOG_WARN, "job %s: worker refuses %s: %s", l->job->id, m->id != NULL ? m->id : "a message",
                m->error.text);
}

static int on_event_message(struct worker_link *l, const struct srq_message *m, struct srq_error *err)
{
    const struct srq_event *event = srq_proto_event(m->method);
    const cJSON *job = cJSON_GetObjectItemCaseSensitive(m->params, "job");
    int rc;

    if (event == NULL)
        return srq_fail(err, -SRQ_EPROTO, "unknown event \"%.60s\"", m->method);
    rc = srq_proto_check_event(event, m->params, err);
    if (rc != 0)
        return rc;
    if (strcmp(job->valuestring, l->job->id) != 0)
        return srq_fail(err, -SRQ_EPROTO, "event of job \"%.60s\"", job->valuestring);
    l->hearer->heard(l->job, event->name, m->params);
    return 0;
}

static int on_frame(struct worker_link *l, const char *line, size_t len, struct srq_error *err)
{
    struct srq_message m;
    int rc = srq_proto_read(line, len, &m, err);

    if (rc == 0) {
        switch (m.kind) {
        case SRQ_MSG_RESULT:
            rc = on_result(l, &m, err);
            break;
        case SRQ_MSG_EVENT:
            rc = on_event_message(l, &m, err);
            break;
        case SRQ_MSG_FAILURE:
            on_failure(l, &m);
            break;
        default:
            rc = srq_fail(err, -SRQ_EPROTO, "a worker has nothing to ask");
        }
    }
    srq_message_fini(&m);
    return rc;
}

static void on_read(struct bufferevent *bev, void *ctx)
{
    struct worker_link *l = ctx;
    struct srq_error err = { 0 };
    char chunk[16384];
    const char *line;
    size_t len, got;
    int rc = 0;

    while (rc == 0 && (got = bufferevent_read(bev, chunk, sizeof(chunk))) > 0) {
        rc = srq_frames_feed(&l->frames, chunk, got, &err);
        while (rc == 0 && (line = srq_frames_next(&l->frames, &len)) != NULL)
            rc = on_frame(l, line, len, &err);
    }
    if (rc == 0)
        return;
    srq_log(SRQ_LOG_WARN, "job %s: its worker broke the protocol: %s", l->job->id, err.text);
    l->pause_s = RETRY_MOST_S;
    hang_up(l);
}

static void on_close(struct bufferevent *bev, short what, void *ctx)
{
    (void)bev;
    if ((what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) != 0)
        hang_up(ctx);
}

/* Path of the control socket as the worker wrote it. */
static bool read_control(const struct job *j, struct sockaddr_un *sa)
{
    char *text;
    size_t len;

    if (jobdir_read(j, "control", sizeof(sa->sun_path), &text, &len, NULL) != 0)
        return false;
    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\0'))
        len--;
    memset(sa, 0, sizeof(*sa));
    sa->sun_family = AF_UNIX;
    if (len > 0 && len < sizeof(sa->sun_path) && text[0] == '/')
        memcpy(sa->sun_path, text, len);
    srq_free(text);
    return sa->sun_path[0] != '\0';
}

/* A connected descriptor to exactly our worker; -1 when it is not there (yet). */
static int connect_worker(const struct job *j)
{
    struct sockaddr_un sa;
    struct ucred peer;
    socklen_t len = sizeof(peer);
    int fd;

    if (!read_control(j, &sa))
        return -1;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0 &&
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && peer.uid == j->uid && peer.pid == j->pid)
        return fd;
    close(fd);
    return -1;
}

static void on_retry(evutil_socket_t nothing, short what, void *ctx)
{
    struct worker_link *l = ctx;
    cJSON *params;
    int fd = connect_worker(l->job);

    (void)nothing;
    (void)what;
    if (fd < 0) {
        retry_later(l);
        return;
    }
    l->bev = bufferevent_socket_new(l->job->d->base, fd, BEV_OPT_CLOSE_ON_FREE);
    params = cJSON_CreateObject();
    if (l->bev == NULL || params == NULL || !srq_put_number(params, "since_seq", (double)l->job->last_seq)) {
        cJSON_Delete(params);
        if (l->bev == NULL)
            close(fd);
        hang_up(l);
        return;
    }
    bufferevent_setcb(l->bev, on_read, NULL, on_close, l);
    bufferevent_enable(l->bev, EV_READ | EV_WRITE);
    send_line(l, srq_proto_request("worker.attach", "worker.attach", params));
    cJSON_Delete(params);
}

void worker_link_open(struct job *j, const struct worker_hearer *hearer)
{
    struct worker *w = worker_of(j);
    struct worker_link *l;

    if (w == NULL || w->link != NULL)
        return;
    l = srq_calloc(1, sizeof(*l));
    if (l == NULL || (l->retry = evtimer_new(j->d->base, on_retry, l)) == NULL) {
        srq_free(l);
        srq_log(SRQ_LOG_ERROR, "job %s: out of memory for its control connection", j->id);
        return;
    }
    l->job = j;
    l->hearer = hearer;
    l->pause_s = RETRY_FIRST_S;
    TAILQ_INIT(&l->calls);
    srq_frames_init(&l->frames);
    w->link = l;
    retry_later(l);
}

void worker_link_close(struct job *j)
{
    struct worker_link *l = link_of(j);

    if (l == NULL)
        return;
    j->worker->link = NULL;
    end_sent_calls(l);
    while (!TAILQ_EMPTY(&l->calls)) {
        struct srq_error err;

        srq_fail_field(&err, -SRQ_EBUSY, "job", "the worker of job %s ended before it could be asked", j->id);
        end_call(TAILQ_FIRST(&l->calls), -SRQ_EBUSY, NULL, &err);
    }
    if (l->bev != NULL)
        bufferevent_free(l->bev);
    event_free(l->retry);
    srq_frames_fini(&l->frames);
    srq_free(l);
}

bool worker_link_attached(const struct job *j)
{
    return link_of(j) != NULL && link_of(j)->attached;
}

void worker_link_command(struct job *j, const char *method)
{
    if (link_of(j) == NULL)
        return;
    link_of(j)->command = method;
    send_command(link_of(j));
}

int worker_link_call(struct job *j, const char *method, const cJSON *params, double timeout_s, worker_call_done done,
                     void *ctx, struct srq_error *err)
{
    struct timeval tv = { .tv_sec = (time_t)timeout_s,
                          .tv_usec = (suseconds_t)((timeout_s - (double)(time_t)timeout_s) * 1e6) };
    struct worker_link *l = link_of(j);
    struct worker_call *call;

    if (l == NULL)
        return srq_fail_field(err, -SRQ_ESTATE, "job", "job %s has no worker to ask", j->id);
    if (l->call_count >= CALLS_MAX)
        return srq_fail_field(err, -SRQ_EBUSY, "job", "%d requests wait for the worker of job %s already; try again",
                              CALLS_MAX, j->id);
    call = srq_calloc(1, sizeof(*call));
    if (call == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "the daemon is out of memory");
    call->link = l;
    call->method = srq_proto_method(method);
    call->timeout_s = timeout_s;
    call->done = done;
    call->ctx = ctx;
    snprintf(call->id, sizeof(call->id), "%s#%llu", method, ++l->last_call);
    call->line = srq_proto_request(call->id, method, params);
    call->timer = evtimer_new(j->d->base, on_call_timeout, call);
    if (call->line == NULL || call->timer == NULL || evtimer_add(call->timer, &tv) != 0) {
        if (call->timer != NULL)
            event_free(call->timer);
        srq_free(call->line);
        srq_free(call);
        return srq_fail(err, -SRQ_ENOMEM, "the daemon is out of memory");
    }
    TAILQ_INSERT_TAIL(&l->calls, call, entry);
    l->call_count++;
    send_calls(l);
    return 0;
}
