/* Who is told when a child process ends. */
#ifndef SRQD_CHILDREN_H
#define SRQD_CHILDREN_H

#include <srq/error.h>

#include <event2/event.h>
#include <sys/types.h>

/* `status` as waitpid gives it. */
typedef void (*child_ended)(pid_t pid, int status, void *ctx);

struct children;

struct children *children_create(struct event_base *base);
void children_free(struct children *c);
int children_watch(struct children *c, pid_t pid, child_ended ended, void *ctx, struct srq_error *err);
void children_forget(struct children *c, pid_t pid); /* still reaped, nobody told */

#endif
