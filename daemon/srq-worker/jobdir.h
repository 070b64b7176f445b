/* A job directory: who may work in it (design 3). */
#ifndef SRQ_WORKER_JOBDIR_H
#define SRQ_WORKER_JOBDIR_H

#include <srq/error.h>

#include <stdbool.h>

struct worker_jobdir {
    char *path; /* absolute */
    char *id;   /* the directory's name: the job's id */
    int lock;   /* descriptor of the held lock */
};

/* Opens `path`, making it (and ckpt/ in it) where `create`. Takes the lock: -SRQ_EBUSY naming who holds it. Temporary
 * files that a killed worker left in the directory and in ckpt/ are removed. */
int worker_jobdir_open(const char *path, bool create, struct worker_jobdir *out, struct srq_error *err);
/* Writes {pid, host, start_time, socket} into the lock and the socket's path into `control`. start_time: of the
 * process, in clock ticks since boot (proc(5), stat, field 22), which together with pid names it for good. */
int worker_jobdir_announce(struct worker_jobdir *d, const char *socket, struct srq_error *err);
/* Empties the lock file and lets go. */
void worker_jobdir_close(struct worker_jobdir *d);

/* The folder for control sockets, made 0700 where missing: $SRQ_RUNTIME_DIR, else $XDG_RUNTIME_DIR/srq, else
 * /tmp/srq-UID, which must be the user's own. srq_free. */
int worker_runtime_dir(char **out, struct srq_error *err);

#endif
