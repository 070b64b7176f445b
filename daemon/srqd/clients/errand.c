/* The line of errands. */
#include "daemon/srqd/clients/errand.h"

#include "daemon/srqd/jobs/jobs.h"

#define WAITING_MAX 256

static void take_off(struct errand *e)
{
    TAILQ_REMOVE(&e->all->errands, e, entry);
    e->all->errand_count--;
    e->share->waiting--;
}

static bool before(const struct share *a, const struct share *b)
{
    const int plan = SHARE_PLAN;

    return a->running[plan] != b->running[plan] ? a->running[plan] < b->running[plan] : a->served < b->served;
}

/* The oldest errand of the user with the fewest that run, of those the one who was served the longest ago. */
static struct errand *next_errand(const struct clients *all)
{
    struct errand *e, *best = NULL;

    TAILQ_FOREACH(e, &all->errands, entry)
    {
        if (share_may_run(&all->shares, e->share, SHARE_PLAN) && (best == NULL || before(e->share, best->share)))
            best = e;
    }
    return best;
}

static void start_next(struct clients *all)
{
    struct errand *e;

    while ((e = next_errand(all)) != NULL) {
        struct share *s = e->share;
        struct srq_error err = { 0 };
        int rc;

        take_off(e);
        rc = e->start(e, &err);
        if (rc == 0) {
            share_run(&all->shares, s, SHARE_PLAN);
        } else {
            s->served = ++all->shares.last_served;
            e->dropped(e, rc, &err);
        }
        share_put(&all->shares, s); /* of the line */
    }
}

int errand_queue(struct errand *e, struct clients *all, uid_t uid, struct srq_error *err)
{
    const struct srqd *d = all->d;
    int64_t most = d->places.system ? d->config.user_max_plans : 0;

    if (all->errand_count >= WAITING_MAX)
        return srq_fail(err, -SRQ_EBUSY, "%d jobs wait to be planned; try again", WAITING_MAX);
    e->all = all;
    e->share = share_get(&all->shares, uid);
    if (e->share == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "the daemon is out of memory");
    if (most > 0 && e->share->waiting >= most) {
        share_put(&all->shares, e->share);
        return srq_fail_field(
            err, -SRQ_EBUSY, "user_max_plans",
            "%lld jobs of uid %lu wait to be planned, the most of one user (user_max_plans); try again",
            (long long)most, (unsigned long)uid);
    }
    TAILQ_INSERT_TAIL(&all->errands, e, entry);
    all->errand_count++;
    e->share->waiting++;
    start_next(all);
    return 0;
}

void errand_over(struct errand *e)
{
    struct clients *all = e->all;

    share_ended(&all->shares, e->share, SHARE_PLAN);
    start_next(all);
}

void errands_drop(struct clients *all)
{
    struct errand *e;

    while ((e = TAILQ_FIRST(&all->errands)) != NULL) {
        struct share *s = e->share;

        take_off(e);
        e->dropped(e, 0, NULL);
        share_put(&all->shares, s);
    }
}
