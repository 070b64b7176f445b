/* Starting a program as the user it works for: own session, no inherited descriptors, short environment. */
#ifndef SRQD_LAUNCH_H
#define SRQD_LAUNCH_H

#include <srq/error.h>

#include <sys/types.h>

struct launch {
    const char *const *argv;  /* argv[0] is the program's path; NULL-terminated */
    uid_t uid;                /* whom it works for; privileges are dropped to it where we are root */
    gid_t gid;                /* used where the user is in no passwd file */
    const char *const *extra; /* environment, "NAME=value"; may be NULL */
    int in, out, err;         /* the child's 0, 1, 2; -1: /dev/null */
    int log_dir;              /* with log_name: 1 and 2 are appended to this file, opened as the user */
    const char *log_name;     /* NULL: as `out` and `err` say */
    int nice, oom_score_adj;
    mode_t mask; /* umask of the child */
    /* NULL: it is waited for that the program is executed. Else that is not: it is the caller's descriptor to close,
     * and launch_report says once the process has ended whether the program ever ran. */
    int *report;
};

/* -SRQ_EPERM when we may not become that user; -SRQ_ENOENT naming the program when it cannot be executed; -SRQ_ELIMIT
 * when there were too few processes, descriptors or the like just now. */
int launch_process(const struct launch *l, pid_t *pid, struct srq_error *err);

/* Of an ended process that `l` was for: 0, or why the program could not be executed, as above. */
int launch_report(const struct launch *l, int report, struct srq_error *err);

/* User name of `uid` into `out`, or the number where it has none. */
void user_name_of(uid_t uid, char *out, size_t cap);

#endif
