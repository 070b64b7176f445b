/* Control socket: one poll loop in a thread of its own. */
#include "daemon/srq-worker/control.h"

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/base/fs.h"
#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/proto/members.h"
#include "core/proto/proto.h"
#include "daemon/srq-worker/jobdir.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define CLIENT_MAX 16
#define OUT_MAX ((size_t)8 << 20)
#define CHANGE "worker.change"
#define LOOK_EVERY_S 1.0           /* whether the socket is still where it was made */
#define OUT_FULL ((size_t)1 << 18) /* stop reading the journal for a client that has so much unsent */

struct client {
    int fd;
    struct srq_frames in;
    struct srq_buf out;
    bool attached, close_when_sent;
    char *held; /* a request for a change that came before the plan was there */
    int64_t since;
    uint64_t offset; /* in the journal */
};

struct worker_control {
    char *job, *path;
    dev_t device; /* of the socket's file, by which another of its name is told from it */
    ino_t inode;
    int listener, wake;
    double looked;     /* when the path was looked at last */
    atomic_bool tells; /* the two below are set */
    int (*tell)(void *ctx, const char *path, struct srq_error *err);
    void *tell_ctx;
    pthread_t thread;
    bool running;
    atomic_bool stop;
    double stop_at; /* monotonic; written before `stop` is raised */
    struct srq_journal *journal;
    struct srq_job_flags *flags;
    atomic_bool changes; /* the two below are set */
    int (*change)(void *ctx, const cJSON *params, cJSON **reply, struct srq_error *err);
    void *change_ctx;
    struct client clients[CLIENT_MAX];
};

static void drop(struct client *c)
{
    close(c->fd);
    srq_free(c->held);
    srq_frames_fini(&c->in);
    srq_buf_fini(&c->out);
    memset(c, 0, sizeof(*c));
    c->fd = -1;
}

static void send_line(struct client *c, char *line)
{
    if (line == NULL || !srq_buf_puts(&c->out, line))
        c->close_when_sent = true;
    srq_free(line);
}

/* ---- the journal to clients -------------------------------------------------------------------------------------- */

struct replay {
    struct worker_control *control;
    struct client *client;
};

static int send_journal_line(void *ctx, const struct srq_journal_line *line)
{
    struct replay *r = ctx;
    cJSON *params;

    if (r->client->out.len > OUT_FULL)
        return -SRQ_EBUSY; /* goes on when the client has read */
    if (line->seq <= r->client->since)
        return 0;
    params = cJSON_Duplicate(line->data, true);
    if (params == NULL || !srq_put_text(params, "job", r->control->job) ||
        !srq_put_number(params, "seq", (double)line->seq) || !srq_put_number(params, "time", line->time)) {
        cJSON_Delete(params);
        return -SRQ_ENOMEM;
    }
    send_line(r->client, srq_proto_event_line(line->event, params));
    cJSON_Delete(params);
    return 0;
}

static bool behind(const struct worker_control *k, const struct client *c)
{
    return c->attached && !c->close_when_sent && c->offset < srq_journal_bytes(k->journal);
}

static void feed(struct worker_control *k, struct client *c)
{
    struct replay r = { k, c };
    int rc;

    if (!behind(k, c) || c->out.len > OUT_FULL)
        return;
    rc = srq_journal_read(k->journal, &c->offset, send_journal_line, &r, NULL);
    if (rc != 0 && rc != -SRQ_EBUSY)
        c->close_when_sent = true;
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

static int attach(struct worker_control *k, struct client *c, const cJSON *params, cJSON *result, struct srq_error *err)
{
    const cJSON *since = cJSON_GetObjectItemCaseSensitive(params, "since_seq");

    if (since != NULL && (!cJSON_IsNumber(since) || since->valuedouble < 0 || since->valuedouble > 9e15))
        return srq_fail_field(err, -SRQ_EINVAL, "since_seq", "\"since_seq\" is not a sequence number");
    c->attached = true;
    c->since = since != NULL ? (int64_t)since->valuedouble : 0;
    c->offset = 0;
    cJSON_AddNumberToObject(result, "pid", (double)getpid());
    cJSON_AddNumberToObject(result, "seq", (double)srq_journal_seq(k->journal));
    cJSON_AddStringToObject(result, "stage", srq_stage_words[atomic_load(&k->flags->stage)]);
    return 0;
}

static int change(struct worker_control *k, const cJSON *params, cJSON **result, struct srq_error *err)
{
    cJSON *reply = NULL;
    int rc = srq_proto_check_params(srq_proto_method(CHANGE), params, err);

    if (rc == 0)
        rc = k->change(k->change_ctx, params, &reply, err);
    if (rc == 0) {
        cJSON_Delete(*result);
        *result = reply;
    }
    return rc;
}

static int serve(struct worker_control *k, struct client *c, const char *method, const cJSON *params, cJSON **result,
                 struct srq_error *err)
{
    struct srq_job_flags *f = k->flags;

    if (strcmp(method, "worker.attach") == 0)
        return attach(k, c, params, *result, err);
    if (strcmp(method, CHANGE) == 0)
        return change(k, params, result, err);
    if (strcmp(method, "worker.pause") == 0)
        atomic_store(&f->pause, true);
    else if (strcmp(method, "worker.cancel") == 0)
        atomic_store(&f->cancel, true);
    else if (strcmp(method, "worker.finish") == 0)
        atomic_store(&f->finish, true);
    else if (strcmp(method, "worker.checkpoint") == 0)
        atomic_store(&f->checkpoint, true);
    else
        return srq_fail_field(err, -SRQ_ENOENT, "method", "there is no method \"%.100s\"", method);
    return 0;
}

static void handle_frame(struct worker_control *k, struct client *c, const char *line, size_t len)
{
    struct srq_message m = { 0 };
    struct srq_error err = { 0 };
    cJSON *result = NULL;
    int rc = srq_proto_read(line, len, &m, &err);

    if (rc == 0 && m.kind != SRQ_MSG_REQUEST)
        rc = srq_fail(&err, -SRQ_EPROTO, "only requests are taken here");
    if (rc == 0 && strcmp(m.method, CHANGE) == 0 && !atomic_load(&k->changes)) {
        c->held = srq_strndup(line, len);
        srq_message_fini(&m);
        c->close_when_sent = c->held == NULL;
        return;
    }
    if (rc == 0) {
        result = cJSON_CreateObject();
        rc = result != NULL ? serve(k, c, m.method, m.params, &result, &err)
                            : srq_fail(&err, -SRQ_ENOMEM, "out of memory");
    }
    send_line(c, rc == 0 ? srq_proto_result(m.id, result) : srq_proto_failure(m.id, &err));
    cJSON_Delete(result);
    srq_message_fini(&m);
}

/* Requests are answered in their order, so that one that has to wait holds up those behind it. */
static void handle_frames(struct worker_control *k, struct client *c)
{
    const char *line;
    size_t len;

    if (c->held != NULL && atomic_load(&k->changes)) {
        char *held = c->held;

        c->held = NULL;
        handle_frame(k, c, held, strlen(held));
        srq_free(held);
    }
    while (c->held == NULL && !c->close_when_sent && (line = srq_frames_next(&c->in, &len)) != NULL)
        handle_frame(k, c, line, len);
}

static void receive(struct worker_control *k, struct client *c)
{
    char data[4096];
    struct srq_error err = { 0 };
    ssize_t n = recv(c->fd, data, sizeof(data), MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        drop(c);
        return;
    }
    if (srq_frames_feed(&c->in, data, (size_t)n, &err) != 0) {
        send_line(c, srq_proto_failure(NULL, &err));
        c->close_when_sent = true;
        return;
    }
    handle_frames(k, c);
}

static void transmit(struct client *c)
{
    ssize_t n = send(c->fd, c->out.data, c->out.len, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0) {
        drop(c);
        return;
    }
    srq_buf_drop(&c->out, (size_t)n);
    if (c->out.len == 0 && c->close_when_sent)
        drop(c);
}

/* The worker's own user and root may give orders; nobody else. */
static bool peer_allowed(int fd)
{
    struct ucred who;
    socklen_t len = sizeof(who);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 && (who.uid == geteuid() || who.uid == 0);
}

static void welcome(struct worker_control *k)
{
    int fd = accept4(k->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0)
        return;
    for (int i = 0; i < CLIENT_MAX && peer_allowed(fd); i++) {
        struct client *c = &k->clients[i];

        if (c->fd >= 0)
            continue;
        memset(c, 0, sizeof(*c));
        c->fd = fd;
        srq_frames_init(&c->in);
        srq_buf_init(&c->out, OUT_MAX);
        return;
    }
    close(fd);
}

/* ---- the thread -------------------------------------------------------------------------------------------------- */

static bool all_sent(const struct worker_control *k)
{
    for (int i = 0; i < CLIENT_MAX; i++) {
        const struct client *c = &k->clients[i];

        if (c->fd >= 0 && (c->out.len > 0 || behind(k, c)))
            return false;
    }
    return true;
}

static int fill_poll(const struct worker_control *k, struct pollfd *p, int *who)
{
    int n = 2;

    p[0] = (struct pollfd){ .fd = k->listener, .events = POLLIN };
    p[1] = (struct pollfd){ .fd = k->wake, .events = POLLIN };
    for (int i = 0; i < CLIENT_MAX; i++) {
        if (k->clients[i].fd < 0)
            continue;
        who[n] = i;
        p[n++] = (struct pollfd){ .fd = k->clients[i].fd,
                                  .events = (short)((k->clients[i].held == NULL ? POLLIN : 0) |
                                                    (k->clients[i].out.len > 0 ? POLLOUT : 0)) };
    }
    return n;
}

/* Whether nobody listens at `path`, and the worker of that number is gone. */
static bool left_behind(const char *path, long pid)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool refused;

    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
    refused = fd >= 0 && strlen(path) < sizeof(addr.sun_path) &&
              connect(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0 && errno == ECONNREFUSED;
    if (fd >= 0)
        close(fd);
    return refused && kill((pid_t)pid, 0) != 0 && errno == ESRCH;
}

/* A worker that was killed leaves its socket in the folder; whoever comes next takes it away. */
static void sweep_sockets(const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *e;

    while (dir != NULL && (e = readdir(dir)) != NULL) {
        char *path;
        unsigned hash;
        long pid;
        int end = 0;

        if (sscanf(e->d_name, "w%9ld-%8x.sock%n", &pid, &hash, &end) != 2 || e->d_name[end] != '\0' || end == 0)
            continue;
        path = srq_path_join(folder, e->d_name);
        if (path != NULL && pid > 0 && left_behind(path, pid))
            unlink(path);
        srq_free(path);
    }
    if (dir != NULL)
        closedir(dir);
}

static int listen_on(struct worker_control *k, struct srq_error *err)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    struct stat st;
    char *dir;
    int rc = worker_runtime_dir(&dir, err);

    if (rc != 0)
        return rc;
    k->path =
        srq_asprintf("%s/w%ld-%08" PRIx32 ".sock", dir, (long)getpid(), (uint32_t)srq_hash64(k->job, strlen(k->job)));
    sweep_sockets(dir);
    srq_free(dir);
    if (k->path == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory opening the control socket");
    if (strlen(k->path) >= sizeof(addr.sun_path))
        return srq_fail_field(err, -SRQ_ELIMIT, k->path, "control socket path %s is longer than %zu bytes", k->path,
                              sizeof(addr.sun_path) - 1);
    memcpy(addr.sun_path, k->path, strlen(k->path) + 1);
    unlink(k->path);
    k->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (k->listener < 0 || bind(k->listener, (struct sockaddr *)&addr, sizeof(addr)) != 0 ||
        listen(k->listener, 8) != 0 || lstat(k->path, &st) != 0)
        return srq_fail_field(err, -SRQ_EIO, k->path, "cannot listen on %s: %s", k->path, strerror(errno));
    k->device = st.st_dev;
    k->inode = st.st_ino;
    return 0;
}

static bool in_place(const struct worker_control *k)
{
    struct stat st;

    return lstat(k->path, &st) == 0 && st.st_dev == k->device && st.st_ino == k->inode;
}

/* A socket whose name is gone can be reached by nobody new; those who are connected stay so. */
static void look_after(struct worker_control *k)
{
    struct srq_error err = { 0 };
    char *before = k->path;
    int listener = k->listener;

    k->looked = srq_clock_s();
    if (in_place(k))
        return;
    k->path = NULL;
    if (listen_on(k, &err) != 0) { /* not yet: tried again */
        if (k->listener >= 0 && k->listener != listener)
            close(k->listener);
        srq_free(k->path);
        k->path = before;
        k->listener = listener;
        return;
    }
    close(listener);
    srq_free(before);
    if (atomic_load(&k->tells) && k->tell(k->tell_ctx, k->path, &err) != 0)
        srq_log(SRQ_LOG_WARN, "%s", err.text);
}

static void *loop(void *arg)
{
    struct worker_control *k = arg;

    for (;;) {
        struct pollfd p[CLIENT_MAX + 2];
        int who[CLIENT_MAX + 2], n;
        bool stopping = atomic_load(&k->stop);
        uint64_t count;

        for (int i = 0; i < CLIENT_MAX; i++) {
            if (k->clients[i].fd >= 0 && k->clients[i].held != NULL)
                handle_frames(k, &k->clients[i]);
            if (k->clients[i].fd >= 0)
                feed(k, &k->clients[i]);
        }
        if (stopping && (all_sent(k) || srq_clock_s() > k->stop_at))
            break;
        if (!stopping && atomic_load(&k->tells) && srq_clock_s() - k->looked >= LOOK_EVERY_S)
            look_after(k);
        n = fill_poll(k, p, who);
        if (poll(p, (nfds_t)n, stopping ? 20 : (int)(LOOK_EVERY_S * 1000)) < 0 && errno != EINTR)
            break;
        if ((p[1].revents & POLLIN) != 0 && read(k->wake, &count, sizeof(count)) < 0 && errno != EAGAIN)
            break;
        for (int i = 2; i < n; i++) {
            struct client *c = &k->clients[who[i]];

            if ((p[i].revents & POLLOUT) != 0)
                transmit(c);
            if (c->fd >= 0 && (p[i].revents & (POLLIN | POLLHUP | POLLERR)) != 0)
                receive(k, c);
        }
        if ((p[0].revents & POLLIN) != 0)
            welcome(k);
    }
    return NULL;
}

/* Signals are for the main thread. */
static int start_thread(struct worker_control *k, struct srq_error *err)
{
    sigset_t all, old;
    int e;

    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    e = pthread_create(&k->thread, NULL, loop, k);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (e != 0)
        return srq_fail(err, -SRQ_EIO, "cannot start the control thread: %s", strerror(e));
    k->running = true;
    return 0;
}

int worker_control_start(const char *job, struct srq_journal *j, struct srq_job_flags *flags,
                         struct worker_control **out, struct srq_error *err)
{
    struct worker_control *k = srq_calloc(1, sizeof(*k));
    int rc = 0;

    if (k == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory opening the control socket");
    for (int i = 0; i < CLIENT_MAX; i++)
        k->clients[i].fd = -1;
    k->listener = -1;
    k->journal = j;
    k->flags = flags;
    k->job = srq_strdup(job);
    k->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (k->job == NULL || k->wake < 0)
        rc = srq_fail(err, -SRQ_ENOMEM, "out of memory opening the control socket");
    if (rc == 0)
        rc = listen_on(k, err);
    if (rc == 0)
        rc = start_thread(k, err);
    if (rc == 0)
        *out = k;
    else
        worker_control_stop(k, 0);
    return rc;
}

void worker_control_changes(struct worker_control *c,
                            int (*change_fn)(void *ctx, const cJSON *params, cJSON **reply, struct srq_error *err),
                            void *ctx)
{
    c->change = change_fn;
    c->change_ctx = ctx;
    atomic_store(&c->changes, true);
    worker_control_wake(c);
}

int worker_control_announce(struct worker_control *c, int (*tell)(void *ctx, const char *path, struct srq_error *err),
                            void *ctx, struct srq_error *err)
{
    char *path = srq_strdup(c->path); /* the thread looks after the first one only from here on */
    int rc =
        path != NULL ? tell(ctx, path, err) : srq_fail(err, -SRQ_ENOMEM, "out of memory opening the control socket");

    srq_free(path);
    c->tell = tell;
    c->tell_ctx = ctx;
    atomic_store(&c->tells, true);
    return rc;
}

void worker_control_wake(struct worker_control *c)
{
    uint64_t one = 1;

    if (write(c->wake, &one, sizeof(one)) < 0 && errno != EAGAIN)
        srq_log(SRQ_LOG_WARN, "control thread cannot be woken: %s", strerror(errno));
}

void worker_control_stop(struct worker_control *c, double linger_s)
{
    if (c == NULL)
        return;
    if (c->running) {
        c->stop_at = srq_clock_s() + linger_s;
        atomic_store(&c->stop, true);
        worker_control_wake(c);
        pthread_join(c->thread, NULL);
    }
    for (int i = 0; i < CLIENT_MAX; i++) {
        if (c->clients[i].fd >= 0)
            drop(&c->clients[i]);
    }
    if (c->listener >= 0) {
        close(c->listener);
        unlink(c->path);
    }
    if (c->wake >= 0)
        close(c->wake);
    srq_free(c->path);
    srq_free(c->job);
    srq_free(c);
}
