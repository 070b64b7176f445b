/* Who may do what, from what the kernel said about the peer when it connected. */
#ifndef SRQD_AUTHORITY_H
#define SRQD_AUTHORITY_H

#include "core/proto/proto.h"
#include "daemon/srqd/clients/client.h"

/* Fills uid, gid, pid and admin. A per-user daemon refuses everybody but its user and root. */
int authority_identify(struct client *c, int fd, struct srq_error *err);

bool may_look(const struct client *c, const struct job *j);
bool may_change(const struct client *c, const struct job *j);
/* 0, or -SRQ_EPERM with a sentence. `j` is NULL for methods about no job. */
int authority_check(const struct client *c, const struct srq_method *m, const struct job *j, struct srq_error *err);

#endif
