/* Who may do what, from what the kernel said about the peer when it connected. */
#ifndef SRQD_AUTHORITY_H
#define SRQD_AUTHORITY_H

#include "core/proto/proto.h"
#include "daemon/srqd/jobs/jobs.h"

struct peer {
    uid_t uid;
    gid_t gid;
    pid_t pid;
    bool admin;
};

/* Who is at the other end of `fd`. A per-user daemon refuses everybody but its user and root. */
int authority_identify(const struct srqd *d, int fd, struct peer *p, struct srq_error *err);

bool may_look(const struct peer *p, const struct job *j);
bool may_change(const struct peer *p, const struct job *j);
/* 0, or -SRQ_EPERM with a sentence. `j` is NULL for methods about no job. */
int authority_check(const struct srqd *d, const struct peer *p, const struct srq_method *m, const struct job *j,
                    struct srq_error *err);

#endif
