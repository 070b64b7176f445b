/* Which jobs go, and their going. */
#include "daemon/srqd/clients/sweep.h"

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "daemon/srqd/jobs/lifecycle.h"

#include <string.h>
#include <unistd.h>

#define SWEEP_EVERY_S 3600.0

struct sweep {
    TAILQ_ENTRY(sweep) entry;
    struct clients *all;
    struct later later; /* who is answered; not where it is the daemon's own */
    bool own;
    struct turn turn;
    cJSON *result;     /* with the ids of all that are to go */
    const cJSON *next; /* of them; NULL: all have gone */
};

/* Ended jobs of each user, counted from the newest. */
struct tally {
    uid_t uid;
    int64_t ended;
};

struct tallies {
    struct tally *of;
    size_t count, room;
};

static int64_t *ended_of(struct tallies *t, uid_t uid)
{
    for (size_t i = 0; i < t->count; i++) {
        if (t->of[i].uid == uid)
            return &t->of[i].ended;
    }
    if (t->count == t->room) {
        size_t room = t->room > 0 ? 2 * t->room : 8;
        void *more = srq_realloc(t->of, room * sizeof(*t->of));

        if (more == NULL)
            return NULL;
        t->of = more;
        t->room = room;
    }
    t->of[t->count] = (struct tally){ uid, 0 };
    return &t->of[t->count++].ended;
}

static bool may_sweep(const struct peer *p, const struct job *j)
{
    return may_change(p, j) || p->admin;
}

/* The ids of what goes, oldest first. asker: NULL for the daemon itself, which may sweep all. */
static bool choose(const struct srqd *d, const struct peer *asker, cJSON *names)
{
    const struct srqd_config *c = &d->config;
    double now = srq_wall_s();
    struct tallies t = { 0 };
    const struct job *j;
    bool ok = true;

    TAILQ_FOREACH_REVERSE(j, &d->jobs, job_list, entry)
    {
        int64_t *newer = job_ended(j) ? ended_of(&t, j->uid) : NULL;
        cJSON *name;

        if (!job_ended(j))
            continue;
        ok = newer != NULL;
        if (!ok)
            break;
        if ((*newer)++ < c->keep_jobs || now - j->ended < (double)c->keep_days * 86400.0 ||
            (asker != NULL && !may_sweep(asker, j)))
            continue;
        name = cJSON_CreateString(j->id);
        ok = name != NULL && cJSON_InsertItemInArray(names, 0, name);
        if (!ok)
            break;
    }
    srq_free(t.of);
    return ok;
}

static void sweep_free(struct sweep *s)
{
    TAILQ_REMOVE(&s->all->sweeps, s, entry);
    turn_drop(&s->turn);
    cJSON_Delete(s->result);
    srq_free(s);
}

static bool step(void *ctx)
{
    struct sweep *s = ctx;
    struct srq_error err = { 0 };
    struct job *j = s->next != NULL ? job_find(&s->all->d->jobs, s->next->valuestring) : NULL;
    cJSON *result;
    int rc = 0;

    if (j != NULL && job_ended(j)) /* it may have been deleted or resumed meanwhile */
        rc = job_delete(j, &err);
    s->next = s->next != NULL ? s->next->next : NULL;
    if (rc == 0 && s->next != NULL)
        return true;
    result = rc == 0 ? s->result : NULL;
    s->result = rc == 0 ? NULL : s->result;
    if (s->own && rc != 0)
        srq_log(SRQ_LOG_ERROR, "retention: %s; tried again later", err.text);
    if (s->own)
        cJSON_Delete(result);
    else
        rpc_answer_later(&s->later, rc, result, &err);
    sweep_free(s);
    return false;
}

static void begin(struct clients *all, struct sweep *s, uid_t uid, cJSON *result, const cJSON *names)
{
    s->all = all;
    s->result = result;
    s->next = names->child;
    turn_init(&s->turn, all->d->turns, uid, step, s);
    TAILQ_INSERT_TAIL(&all->sweeps, s, entry);
    turn_wish(&s->turn);
}

int sweep_begin(const struct request *r, cJSON **result, struct srq_error *err)
{
    cJSON *names;
    struct sweep *s;

    *result = cJSON_CreateObject();
    names = cJSON_AddArrayToObject(*result, "deleted");
    if (names == NULL || !choose(r->d, &r->c->peer, names))
        return rpc_no_memory(err);
    if (rpc_flag(r, "dry_run", false) || names->child == NULL)
        return 0;
    s = srq_calloc(1, sizeof(*s));
    if (s == NULL)
        return rpc_no_memory(err);
    rpc_later(&s->later, r);
    begin(r->c->all, s, r->c->peer.uid, *result, names);
    *result = NULL;
    return RPC_LATER;
}

void sweep_look_after(struct clients *all)
{
    cJSON *result, *names;
    struct sweep *s;

    TAILQ_FOREACH(s, &all->sweeps, entry)
    {
        if (s->own)
            return;
    }
    if (srq_clock_s() < all->sweep_at)
        return;
    all->sweep_at = srq_clock_s() + SWEEP_EVERY_S;
    result = cJSON_CreateObject();
    names = cJSON_AddArrayToObject(result, "deleted");
    s = names != NULL && choose(all->d, NULL, names) && names->child != NULL ? srq_calloc(1, sizeof(*s)) : NULL;
    if (s == NULL) {
        cJSON_Delete(result);
        return;
    }
    s->own = true;
    begin(all, s, geteuid(), result, names);
}

void sweeps_drop(struct clients *all)
{
    while (!TAILQ_EMPTY(&all->sweeps))
        sweep_free(TAILQ_FIRST(&all->sweeps));
}
