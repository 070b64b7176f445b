/* Authority from peer credentials. */
#include "daemon/srqd/clients/authority.h"

#include "core/base/alloc.h"

#include <errno.h>
#include <grp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif

/* Whether the peer is in `group`, by its supplementary groups at connect time. */
static bool peer_in_group(int fd, gid_t primary, const char *name)
{
    const struct group *g = name[0] != '\0' ? getgrnam(name) : NULL;
    gid_t gid, *groups = NULL;
    socklen_t len = 0;
    bool found = false;

    if (g == NULL)
        return false;
    gid = g->gr_gid;
    if (primary == gid)
        return true;
    /* The first call says how much room it wants. */
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &len) == 0 || errno != ERANGE || len == 0)
        return false;
    groups = srq_malloc(len);
    if (groups != NULL && getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) == 0) {
        for (size_t i = 0; i < len / sizeof(gid_t); i++)
            found = found || groups[i] == gid;
    }
    srq_free(groups);
    return found;
}

int authority_identify(const struct srqd *d, int fd, struct peer *p, struct srq_error *err)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
        return srq_fail(err, -SRQ_EIO, "cannot tell who connects: %s", strerror(errno));
    *p = (struct peer){ peer.uid, peer.gid, peer.pid, peer.uid == 0 || peer.uid == geteuid() };
    if (!d->places.system && !p->admin)
        return srq_fail(err, -SRQ_EPERM, "this daemon serves user %lu only", (unsigned long)geteuid());
    if (!p->admin)
        p->admin = peer_in_group(fd, peer.gid, d->config.admin_group);
    return 0;
}

bool may_look(const struct peer *p, const struct job *j)
{
    return p->uid == j->uid || p->uid == 0 || p->admin || j->d->config.look_all;
}

bool may_change(const struct peer *p, const struct job *j)
{
    return p->uid == j->uid || p->uid == 0;
}

int authority_check(const struct srqd *d, const struct peer *p, const struct srq_method *m, const struct job *j,
                    struct srq_error *err)
{
    switch (m->authority) {
    case SRQ_AUTH_ANY:
        return 0;
    case SRQ_AUTH_LOOK:
        if (j == NULL || may_look(p, j))
            return 0;
        break;
    case SRQ_AUTH_OWNER:
        if (j != NULL && may_change(p, j))
            return 0;
        break;
    case SRQ_AUTH_ADMIN:
        if (p->admin)
            return 0;
        return srq_fail(err, -SRQ_EPERM, "%s is for root and group %s", m->name, d->config.admin_group);
    }
    return srq_fail_field(err, -SRQ_EPERM, "job", "job %s belongs to %s", j != NULL ? j->id : "",
                          j != NULL ? j->owner : "another user");
}
