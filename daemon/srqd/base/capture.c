/* A program's output, collected. */
#include "daemon/srqd/base/capture.h"

#include "core/base/alloc.h"
#include "core/base/buf.h"
#include "daemon/srqd/base/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define ERR_MAX 4096

struct capture {
    struct children *children;
    struct event *in, *out, *err, *timeout;
    struct srq_buf input, output, errors;
    size_t sent;
    pid_t pid;
    int report; /* of launch_process */
    char *program;
    uid_t uid;
    bool exited;
    struct captured result;
    capture_done done;
    void *ctx;
};

/* Event and descriptor go together. */
static void drop(struct event **e)
{
    if (*e == NULL)
        return;
    close(event_get_fd(*e));
    event_free(*e);
    *e = NULL;
}

static void note_failure(struct capture *c)
{
    const char *const argv[] = { c->program, NULL };
    const struct launch l = { .argv = argv, .uid = c->uid };

    c->result.failed = launch_report(&l, c->report, &c->result.why);
}

static void finish(struct capture *c)
{
    if (!c->exited || c->out != NULL || c->err != NULL)
        return;
    c->result.out = c->output.data != NULL ? c->output.data : "";
    c->result.out_len = c->output.len;
    c->result.err = c->errors.data != NULL ? c->errors.data : "";
    note_failure(c);
    c->done(&c->result, c->ctx);
    drop(&c->in);
    event_free(c->timeout);
    srq_buf_fini(&c->input);
    srq_buf_fini(&c->output);
    srq_buf_fini(&c->errors);
    close(c->report);
    srq_free(c->program);
    srq_free(c);
}

static void kill_group(struct capture *c)
{
    if (c->exited)
        return;
    kill(c->pid, SIGKILL); /* it may not have its group yet */
    kill(-c->pid, SIGKILL);
}

static void on_write(evutil_socket_t fd, short what, void *ctx)
{
    struct capture *c = ctx;
    ssize_t n = write(fd, c->input.data + c->sent, c->input.len - c->sent);

    (void)what;
    if (n > 0)
        c->sent += (size_t)n;
    if ((n < 0 && errno != EAGAIN && errno != EINTR) || c->sent == c->input.len)
        drop(&c->in);
}

static void on_out(evutil_socket_t fd, short what, void *ctx)
{
    struct capture *c = ctx;
    char chunk[65536];
    ssize_t n = read(fd, chunk, sizeof(chunk));

    (void)what;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0 && srq_buf_add(&c->output, chunk, (size_t)n))
        return;
    if (n > 0) {
        c->result.too_long = true;
        kill_group(c);
    }
    drop(&c->out);
    finish(c);
}

static void on_err(evutil_socket_t fd, short what, void *ctx)
{
    struct capture *c = ctx;
    char chunk[4096];
    ssize_t n = read(fd, chunk, sizeof(chunk));

    (void)what;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0) {
        size_t room = ERR_MAX - c->errors.len;

        srq_buf_add(&c->errors, chunk, (size_t)n < room ? (size_t)n : room);
        return;
    }
    drop(&c->err);
    finish(c);
}

static void on_exit_of(pid_t pid, int status, void *ctx)
{
    struct capture *c = ctx;

    (void)pid;
    c->exited = true;
    c->result.status = status;
    finish(c);
}

/* A program that lives on in the background with our pipe does not keep the answer back either. */
static void on_timeout(evutil_socket_t fd, short what, void *ctx)
{
    struct capture *c = ctx;
    const struct timeval again = { .tv_sec = 1 };

    (void)fd;
    (void)what;
    c->result.timed_out = true;
    if (!c->exited) {
        kill_group(c);
        evtimer_add(c->timeout, &again);
        return;
    }
    drop(&c->out);
    drop(&c->err);
    finish(c);
}

static int open_pipes(int p[6], struct srq_error *err)
{
    for (int i = 0; i < 6; i++)
        p[i] = -1;
    for (int i = 0; i < 6; i += 2) {
        if (pipe2(p + i, O_CLOEXEC) != 0)
            return srq_fail(err, -SRQ_ELIMIT, "cannot make a pipe: %s", strerror(errno));
    }
    fcntl(p[1], F_SETFL, O_NONBLOCK);
    fcntl(p[2], F_SETFL, O_NONBLOCK);
    fcntl(p[4], F_SETFL, O_NONBLOCK);
    return 0;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static struct event *watch(struct event_base *base, int *fd, short what, event_callback_fn fn, struct capture *c)
{
    struct event *e = event_new(base, *fd, what | EV_PERSIST, fn, c);

    if (e != NULL && event_add(e, NULL) == 0) {
        *fd = -1;
        return e;
    }
    if (e != NULL)
        event_free(e);
    return NULL;
}

int capture_start(struct event_base *base, struct children *children, const struct capture_wish *w, capture_done done,
                  void *ctx, struct srq_error *err)
{
    struct capture *c = srq_calloc(1, sizeof(*c));
    struct timeval tv = { .tv_sec = (time_t)w->timeout_s,
                          .tv_usec = (suseconds_t)((w->timeout_s - (double)(time_t)w->timeout_s) * 1e6) };
    struct launch l = {
        .argv = w->argv, .uid = w->uid, .gid = w->gid, .nice = w->nice, .oom_score_adj = 500, .mask = 077
    };
    int p[6], rc;

    if (c == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory starting %s", w->argv[0]);
    c->done = done;
    c->ctx = ctx;
    c->children = children;
    srq_buf_init(&c->input, w->input_len + 1);
    srq_buf_init(&c->output, w->out_max);
    srq_buf_init(&c->errors, ERR_MAX + 1);
    rc = open_pipes(p, err);
    if (rc == 0 && w->input != NULL && !srq_buf_add(&c->input, w->input, w->input_len))
        rc = srq_fail(err, -SRQ_ENOMEM, "out of memory starting %s", w->argv[0]);
    l.in = p[0];
    l.out = p[3];
    l.err = p[5];
    l.report = &c->report; /* the loop does not wait for the program to be executed */
    c->report = -1;
    c->uid = w->uid;
    if (rc == 0 && (c->program = srq_strdup(w->argv[0])) == NULL)
        rc = srq_fail(err, -SRQ_ENOMEM, "out of memory starting %s", w->argv[0]);
    if (rc == 0)
        rc = launch_process(&l, &c->pid, err);
    if (rc == 0) {
        c->timeout = evtimer_new(base, on_timeout, c);
        c->out = watch(base, &p[2], EV_READ, on_out, c);
        c->err = watch(base, &p[4], EV_READ, on_err, c);
        if (c->input.len > 0)
            c->in = watch(base, &p[1], EV_WRITE, on_write, c);
        if (c->timeout == NULL || c->out == NULL || c->err == NULL || evtimer_add(c->timeout, &tv) != 0 ||
            children_watch(children, c->pid, on_exit_of, c, err) != 0) {
            rc = srq_fail(err, -SRQ_ENOMEM, "out of memory watching %s", w->argv[0]);
            kill_group(c);
        }
    }
    for (int i = 0; i < 6; i++)
        close_fd(&p[i]);
    if (rc == 0)
        return 0;
    drop(&c->in);
    drop(&c->out);
    drop(&c->err);
    if (c->timeout != NULL)
        event_free(c->timeout);
    srq_buf_fini(&c->input);
    srq_buf_fini(&c->output);
    srq_buf_fini(&c->errors);
    if (c->report >= 0)
        close(c->report);
    srq_free(c->program);
    srq_free(c);
    return rc;
}
