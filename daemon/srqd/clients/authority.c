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

int authority_identify(struct client *c, int fd, struct srq_error *err)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
        return srq_fail(err, -SRQ_EIO, "cannot tell who connects: %s", strerror(errno));
    c->uid = peer.uid;
    c->gid = peer.gid;
    c->pid = peer.pid;
    c->admin = peer.uid == 0 || peer.uid == geteuid();
    if (!c->d->places.system && !c->admin)
        return srq_fail(err, -SRQ_EPERM, "this daemon serves user %lu only", (unsigned long)geteuid());
    if (!c->admin)
        c->admin = peer_in_group(fd, peer.gid, c->d->config.admin_group);
    return 0;
}

bool may_look(const struct client *c, const struct job *j)
{
    return c->uid == j->uid || c->uid == 0 || c->admin || c->d->config.look_all;
}

bool may_change(const struct client *c, const struct job *j)
{
    return c->uid == j->uid || c->uid == 0;
}

int authority_check(const struct client *c, const struct srq_method *m, const struct job *j, struct srq_error *err)
{
    switch (m->authority) {
    case SRQ_AUTH_ANY:
        return 0;
    case SRQ_AUTH_LOOK:
        if (j == NULL || may_look(c, j))
            return 0;
        break;
    case SRQ_AUTH_OWNER:
        if (j != NULL && may_change(c, j))
            return 0;
        break;
    case SRQ_AUTH_ADMIN:
        if (c->admin)
            return 0;
        return srq_fail(err, -SRQ_EPERM, "%s is for root and group %s", m->name, c->d->config.admin_group);
    }
    return srq_fail_field(err, -SRQ_EPERM, "job", "job %s belongs to %s", j != NULL ? j->id : "", j != NULL ? j->owner : "another user");
}
