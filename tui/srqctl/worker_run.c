/* srq-worker as a helper. */
#include "tui/srqctl/worker_run.h"

#include "core/base/alloc.h"
#include "core/base/buf.h"
#include "core/base/log.h"
#include "core/proto/proto.h"
#include "tui/srqctl/verb.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTPUT_MAX ((size_t)256 << 20) /* every layer of a large model, described */
#define WORDS_MAX ((size_t)64 << 10)
#define ARGS_MAX 16
#define LOOK_MS 500 /* a signal that came just before the wait is seen after it */

struct run {
    const char *input;
    size_t input_left;
    int in, out, err; /* our ends; -1 when closed */
    struct srq_buf text, words;
    ctl_worker_line line;
    void *ctx;
    char last[512]; /* its last line on standard error */
};

const char *ctl_worker_program(void)
{
    const char *p = getenv("SRQ_WORKER");

    return p != NULL && p[0] != '\0' ? p : SRQ_LIBEXECDIR "/srq-worker";
}

/* Whether a Ctrl-C comes to us and not to the worker: it would get two signals otherwise, and not wait after the
 * second. */
static bool signals_are_caught(void)
{
    struct sigaction sa;

    return sigaction(SIGINT, NULL, &sa) == 0 && sa.sa_handler != SIG_DFL && sa.sa_handler != SIG_IGN;
}

static _Noreturn void child(const char *const *args, int in, int out, int err)
{
    const char *argv[ARGS_MAX + 2] = { ctl_worker_program() };

    for (size_t i = 0; args[i] != NULL && i < ARGS_MAX; i++)
        argv[i + 1] = args[i];
    if (signals_are_caught())
        setpgid(0, 0);
    signal(SIGPIPE, SIG_DFL);
    dup2(in, 0);
    dup2(out, 1);
    if (err >= 0)
        dup2(err, 2);
    execv(argv[0], (char **)(uintptr_t)argv);
    dprintf(2, "%s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

static void shut(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static int launch(struct run *r, const char *const *args, pid_t *pid, struct srq_error *err)
{
    int in[2], out[2], words[2];

    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 || pipe2(words, O_CLOEXEC) != 0)
        return srq_fail(err, -SRQ_EIO, "cannot run %s: %s", ctl_worker_program(), strerror(errno));
    fflush(NULL);
    *pid = fork();
    if (*pid == 0)
        child(args, in[0], out[1], words[1]);
    close(in[0]);
    close(out[1]);
    close(words[1]);
    r->in = in[1];
    r->out = out[0];
    r->err = words[0];
    fcntl(r->in, F_SETFL, O_NONBLOCK);
    return *pid > 0 ? 0 : srq_fail(err, -SRQ_EIO, "cannot run %s: %s", ctl_worker_program(), strerror(errno));
}

static void take_lines(struct run *r)
{
    char *nl;

    while (r->words.len > 0 && (nl = memchr(r->words.data, '\n', r->words.len)) != NULL) {
        *nl = '\0';
        if (r->line != NULL)
            r->line(r->words.data, r->ctx);
        else
            fprintf(stderr, "%s\n", r->words.data);
        srq_escape_control(r->words.data, r->last, sizeof(r->last));
        srq_buf_drop(&r->words, (size_t)(nl - r->words.data) + 1);
    }
    if (r->words.failed) /* a line without end: start afresh */
        srq_buf_clear(&r->words);
}

static void feed(struct run *r)
{
    ssize_t n = r->input_left > 0 ? write(r->in, r->input, r->input_left) : 0;

    if (n > 0) {
        r->input += n;
        r->input_left -= (size_t)n;
    }
    if (r->input_left == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        shut(&r->in);
}

static void drain(int *fd, struct srq_buf *to)
{
    char data[65536];
    ssize_t n = read(*fd, data, sizeof(data));

    if (n > 0)
        srq_buf_add(to, data, (size_t)n);
    else if (n == 0 || (errno != EINTR && errno != EAGAIN))
        shut(fd);
}

static void exchange(struct run *r, pid_t pid)
{
    bool told = false;

    while (r->out >= 0 || r->err >= 0) {
        struct pollfd p[3] = { { .fd = r->out, .events = POLLIN },
                               { .fd = r->err, .events = POLLIN },
                               { .fd = r->in, .events = POLLOUT } };

        if (ctl_interrupted && !told)
            told = kill(pid, SIGTERM) == 0;
        if (poll(p, 3, LOOK_MS) < 0) {
            if (errno == EINTR)
                continue;
            return;
        }
        if (p[0].revents != 0)
            drain(&r->out, &r->text);
        if (p[1].revents != 0) {
            drain(&r->err, &r->words);
            take_lines(r);
        }
        if (p[2].revents != 0)
            feed(r);
    }
}

static int judge(struct run *r, int status, cJSON **out, struct srq_error *err)
{
    struct srq_error why = { 0 };
    int rc = r->text.len > 0 && !r->text.failed ? srq_json_parse(r->text.data, r->text.len, SRQ_DEPTH_MAX, out, &why)
                                                : -SRQ_EFORMAT;

    if (rc == 0) {
        rc = srq_proto_refusal(*out, err);
        if (rc == 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
            return 0;
        cJSON_Delete(*out);
        *out = NULL;
        if (rc != 0)
            return rc;
    }
    if (WIFSIGNALED(status))
        return srq_fail(err, -SRQ_EIO, "%s was killed by signal %d%s%s", ctl_worker_program(), WTERMSIG(status),
                        r->last[0] != '\0' ? ": " : "", r->last);
    return srq_fail(err, -SRQ_EIO, "%s exited with code %d%s%s", ctl_worker_program(), WEXITSTATUS(status),
                    r->last[0] != '\0' ? ": " : ", and its answer is no JSON", r->last);
}

int ctl_worker_run(const char *const *args, const char *input, ctl_worker_line line, void *ctx, cJSON **out,
                   struct srq_error *err)
{
    struct run r = { .input = input,
                     .input_left = input != NULL ? strlen(input) : 0,
                     .line = line,
                     .ctx = ctx,
                     .in = -1,
                     .out = -1,
                     .err = -1 };
    int status = 0, rc;
    pid_t pid = -1;

    *out = NULL;
    srq_buf_init(&r.text, OUTPUT_MAX);
    srq_buf_init(&r.words, WORDS_MAX);
    rc = launch(&r, args, &pid, err);
    if (rc == 0) {
        exchange(&r, pid);
        shut(&r.in);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
        rc = judge(&r, status, out, err);
        if (rc != 0 && rc != -SRQ_ECANCELED && ctl_interrupted) /* before it could say so itself */
            rc = srq_fail(err, -SRQ_ECANCELED, "interrupted");
    }
    shut(&r.in);
    shut(&r.out);
    shut(&r.err);
    srq_buf_fini(&r.text);
    srq_buf_fini(&r.words);
    return rc;
}
