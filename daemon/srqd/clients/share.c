/* Counting by user. A user's own daemon has one user only: what is shared out among users is not, there. */
#include "daemon/srqd/clients/share.h"

#include "core/base/alloc.h"

void shares_init(struct shares *all, const struct srqd *d)
{
    *all = (struct shares){ .d = d };
    TAILQ_INIT(&all->list);
}

struct share *share_get(struct shares *all, uid_t uid)
{
    struct share *s;

    TAILQ_FOREACH(s, &all->list, entry)
    {
        if (s->uid == uid)
            break;
    }
    if (s == NULL) {
        s = srq_calloc(1, sizeof(*s));
        if (s == NULL)
            return NULL;
        s->uid = uid;
        TAILQ_INSERT_TAIL(&all->list, s, entry);
    }
    s->references++;
    return s;
}

void share_put(struct shares *all, struct share *s)
{
    if (s == NULL || --s->references > 0)
        return;
    TAILQ_REMOVE(&all->list, s, entry);
    srq_free(s);
}

/* Root and, in the machine's service, administrators have the places that are kept for them too. */
static bool may_have_kept_places(const struct srqd *d, const struct peer *p)
{
    return p->uid == 0 || (d->places.system && p->admin);
}

int share_admit(const struct shares *all, const struct share *s, const struct peer *p, struct srq_error *err)
{
    const struct srqd_config *c = &all->d->config;
    int64_t kept = c->admin_clients < c->max_clients / 2 ? c->admin_clients : c->max_clients / 2;

    if (all->clients >= c->max_clients)
        return srq_fail_field(err, -SRQ_ELIMIT, "max_clients", "%lld clients are connected already (max_clients)",
                              (long long)c->max_clients);
    if (all->d->places.system && p->uid != 0 && c->user_max_clients > 0 && s->clients >= c->user_max_clients)
        return srq_fail_field(err, -SRQ_ELIMIT, "user_max_clients",
                              "uid %lu has %d connections already, the most of one user (user_max_clients)",
                              (unsigned long)p->uid, s->clients);
    if (!may_have_kept_places(all->d, p) && all->clients_plain >= c->max_clients - kept)
        return srq_fail_field(err, -SRQ_ELIMIT, "admin_clients",
                              "%d clients are connected already; the last %lld places (admin_clients) are for %s",
                              all->clients_plain, (long long)kept, all->d->places.system ? "administrators" : "root");
    return 0;
}

void share_connect(struct shares *all, struct share *s, const struct peer *p, int by)
{
    all->clients += by;
    s->clients += by;
    if (!may_have_kept_places(all->d, p))
        all->clients_plain += by;
}

int share_subscribe(const struct shares *all, const struct share *s, struct srq_error *err)
{
    int64_t limit = all->d->config.user_max_subscriptions;

    if (limit <= 0 || s->subscriptions < limit)
        return 0;
    return srq_fail_field(err, -SRQ_ELIMIT, "user_max_subscriptions",
                          "uid %lu has %d subscriptions already, the most of one user (user_max_subscriptions)",
                          (unsigned long)s->uid, s->subscriptions);
}

bool share_may_run(const struct shares *all, const struct share *s, enum share_program kind)
{
    int64_t most = all->d->config.plans_at_once, own = all->d->places.system && most > 1 ? most - 1 : most;

    return all->running[kind] < most && s->running[kind] < own;
}

void share_run(struct shares *all, struct share *s, enum share_program kind)
{
    all->running[kind]++;
    s->running[kind]++;
    s->references++;
    s->served = ++all->last_served;
}

void share_ended(struct shares *all, struct share *s, enum share_program kind)
{
    all->running[kind]--;
    s->running[kind]--;
    share_put(all, s);
}
