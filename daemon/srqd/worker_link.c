/* Talking to a worker. */
#include "daemon/srqd/worker_link.h"

#include "core/base/alloc.h"
#include "core/base/log.h"
#include "core/proto/proto.h"
#include "daemon/srqd/jobdir.h"
#include "daemon/srqd/srqd.h"
#include "daemon/srqd/supervise.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define RETRY_FIRST_S 0.02
#define RETRY_MOST_S 1.0

struct worker_link {
    struct job *job;
    struct bufferevent *bev;
    struct event *retry;
    struct srq_frames frames;
    double pause_s;
    bool attached;
    const char *command; /* to be sent once attached */
};

static void retry_later(struct worker_link *l)
{
    struct timeval tv = { .tv_sec = (time_t)l->pause_s,
                          .tv_usec = (suseconds_t)((l->pause_s - (double)(time_t)l->pause_s) * 1e6) };

    evtimer_add(l->retry, &tv);
    l->pause_s = l->pause_s * 1.5 < RETRY_MOST_S ? l->pause_s * 1.5 : RETRY_MOST_S;
}

static void hang_up(struct worker_link *l)
{
    if (l->bev != NULL)
        bufferevent_free(l->bev);
    l->bev = NULL;
    l->attached = false;
    srq_frames_fini(&l->frames);
    srq_frames_init(&l->frames);
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

static int on_result(struct worker_link *l, const struct srq_message *m, struct srq_error *err)
{
    const struct srq_method *method = srq_proto_method(m->id);
    const cJSON *stage;
    int rc;

    if (method == NULL || method->server != SRQ_SERVER_WORKER)
        return srq_fail(err, -SRQ_EPROTO, "an answer to what nobody asked");
    rc = srq_proto_check_reply(method, m->result, err);
    if (rc != 0 || strcmp(m->id, "worker.attach") != 0)
        return rc;
    stage = cJSON_GetObjectItemCaseSensitive(m->result, "stage");
    l->attached = true;
    l->pause_s = RETRY_FIRST_S;
    supervise_attached(l->job, cJSON_IsString(stage) ? stage->valuestring : NULL);
    send_command(l);
    return 0;
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
    supervise_heard(l->job, event->name, m->params);
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
            srq_log(SRQ_LOG_WARN, "job %s: worker refuses %s: %s", l->job->id, m.id != NULL ? m.id : "a message",
                    m.error.text);
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
    if (l->bev == NULL || params == NULL ||
        cJSON_AddNumberToObject(params, "since_seq", (double)l->job->last_seq) == NULL) {
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

void worker_link_open(struct job *j)
{
    struct worker_link *l;

    if (j->link != NULL)
        return;
    l = srq_calloc(1, sizeof(*l));
    if (l == NULL || (l->retry = evtimer_new(j->d->base, on_retry, l)) == NULL) {
        srq_free(l);
        srq_log(SRQ_LOG_ERROR, "job %s: out of memory for its control connection", j->id);
        return;
    }
    l->job = j;
    l->pause_s = RETRY_FIRST_S;
    srq_frames_init(&l->frames);
    j->link = l;
    retry_later(l);
}

void worker_link_close(struct job *j)
{
    struct worker_link *l = j->link;

    if (l == NULL)
        return;
    j->link = NULL;
    if (l->bev != NULL)
        bufferevent_free(l->bev);
    event_free(l->retry);
    srq_frames_fini(&l->frames);
    srq_free(l);
}

bool worker_link_attached(const struct job *j)
{
    return j->link != NULL && j->link->attached;
}

void worker_link_command(struct job *j, const char *method)
{
    if (j->link == NULL)
        return;
    j->link->command = method;
    send_command(j->link);
}
