/* What the tier of workers keeps with a job: its process, the connection to it, what its journal says. */
#ifndef SRQD_WORKER_H
#define SRQD_WORKER_H

#include "daemon/srqd/jobs/job.h"
#include "daemon/srqd/workers/testament.h"

#include <event2/event.h>

struct reading;
struct worker_link;
struct layer_view;

struct worker {
    bool child;               /* the process is our child; else it was adopted */
    bool killed;              /* we sent it SIGKILL */
    int64_t oom_kills;        /* of our cgroup when it started; negative: unknown */
    struct event *exit_watch; /* adopted workers */
    int exit_fd;
    struct event *timer; /* restart pause, or grace of a canceled worker */
    struct worker_link *link;
    struct testament testament;
    struct reading *reading; /* of the journal, while it is not settled what becomes of the job */
    bool known;              /* `status` is from waitpid; the end of the process that the reading is for */
    int status;
    struct reading *change; /* of what a change without a worker wrote */
    void (*caught_up)(void *ctx);
    void *caught_ctx;
    struct layer_view *view; /* what the journal says of its layers; NULL: nobody asked yet */
};

/* The job's, made where there is none yet; NULL when out of memory. */
struct worker *worker_of(struct job *j);

#endif
