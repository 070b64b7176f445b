/* SIGCHLD into callbacks. Each watched pid is asked for by itself, so that no child of a library is taken away. */
#include "daemon/srqd/base/children.h"

#include "core/base/alloc.h"

#include <signal.h>
#include <stdbool.h>
#include <sys/queue.h>
#include <sys/wait.h>

struct child {
    TAILQ_ENTRY(child) entry;
    pid_t pid;
    child_ended ended;
    void *ctx;
};

struct children {
    TAILQ_HEAD(, child) list;
    struct event *signal;
};

static struct child *next_ended(struct children *c, int *status)
{
    struct child *child;

    TAILQ_FOREACH(child, &c->list, entry)
    {
        if (waitpid(child->pid, status, WNOHANG) == child->pid)
            return child;
    }
    return NULL;
}

/* A callback may add and forget children: the list is walked anew after each. */
static void on_sigchld(evutil_socket_t fd, short what, void *ctx)
{
    struct children *c = ctx;
    struct child *child;
    int status;

    (void)fd;
    (void)what;
    while ((child = next_ended(c, &status)) != NULL) {
        TAILQ_REMOVE(&c->list, child, entry);
        if (child->ended != NULL)
            child->ended(child->pid, status, child->ctx);
        srq_free(child);
    }
}

struct children *children_create(struct event_base *base)
{
    struct children *c = srq_calloc(1, sizeof(*c));

    if (c == NULL)
        return NULL;
    TAILQ_INIT(&c->list);
    c->signal = evsignal_new(base, SIGCHLD, on_sigchld, c);
    if (c->signal == NULL || event_add(c->signal, NULL) != 0) {
        children_free(c);
        return NULL;
    }
    return c;
}

void children_free(struct children *c)
{
    struct child *child;

    if (c == NULL)
        return;
    while ((child = TAILQ_FIRST(&c->list)) != NULL) {
        TAILQ_REMOVE(&c->list, child, entry);
        srq_free(child);
    }
    if (c->signal != NULL)
        event_free(c->signal);
    srq_free(c);
}

int children_watch(struct children *c, pid_t pid, child_ended ended, void *ctx, struct srq_error *err)
{
    struct child *child = srq_calloc(1, sizeof(*child));

    if (child == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for process %ld", (long)pid);
    child->pid = pid;
    child->ended = ended;
    child->ctx = ctx;
    TAILQ_INSERT_TAIL(&c->list, child, entry);
    /* It may have ended before we got here; its signal is pending then or was taken already. */
    event_active(c->signal, EV_SIGNAL, 1);
    return 0;
}

void children_forget(struct children *c, pid_t pid)
{
    struct child *child;

    TAILQ_FOREACH(child, &c->list, entry)
    {
        if (child->pid == pid)
            child->ended = NULL;
    }
}
