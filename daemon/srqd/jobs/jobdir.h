/* Job directories: made durably, read as hostile input (a worker under another uid writes them), removed.
 *
 * A directory is built as ID.new and gets its name after the store knows the job; one on its way out is ID.del. */
#ifndef SRQD_JOBDIR_H
#define SRQD_JOBDIR_H

#include "daemon/srqd/jobs/job.h"

char *jobdir_path(const struct job *j); /* srq_free; NULL when out of memory */

/* Writes ID.new with both texts, durable, owned by the job's user. Leaves nothing behind when it fails. */
int jobdir_prepare(const struct job *j, const char *spec, const char *plan, struct srq_error *err);
/* ID.new becomes ID, durably. */
int jobdir_commit(const struct job *j, struct srq_error *err);
void jobdir_abandon(const struct job *j); /* removes ID.new */

/* The directory itself, never through a link; -SRQ_E… */
int jobdir_open(const struct job *j, struct srq_error *err);
/* A regular file of at most `max` bytes in it; srq_free. */
int jobdir_read(const struct job *j, const char *name, size_t max, char **text, size_t *len, struct srq_error *err);

/* The whole lines in the last `max` bytes of it. */
int jobdir_read_tail(const struct job *j, const char *name, size_t max, char **text, size_t *len,
                     struct srq_error *err);

/* Renames it away and has it removed by a program of its own, since a big tree takes time. A failure is told in the log
 * and kept (removals_left). */
void jobdir_remove(const struct job *j);
/* At start: finishes or removes what an earlier daemon left half done. */
void jobdir_tidy(struct srqd *d);

/* The last whole lines of worker.log, at most `cap` bytes with " | " between them; "" when there are none. */
void jobdir_last_words(const struct job *j, char *out, size_t cap);

/* What the `lock` file says and whether a process holds it. */
struct job_lock {
    bool held;
    pid_t pid;
    int64_t start_time;
    char host[256];
};
int jobdir_lock(const struct job *j, struct job_lock *lock, struct srq_error *err);

#endif
