/* Which jobs go, and their going. */
#include "daemon/srqd/clients/sweep.h"

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "daemon/srqd/jobs/lifecycle.h"

#include <string.h>

struct sweep {
    TAILQ_ENTRY(sweep) entry;
    struct later later;
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

/* The ids of what goes, oldest first. */
static bool choose(const struct request *r, cJSON *names)
{
    const struct srqd_config *c = &r->d->config;
    double now = srq_wall_s();
    struct tallies t = { 0 };
    const struct job *j;
    bool ok = true;

    TAILQ_FOREACH_REVERSE(j, &r->d->jobs, job_list, entry)
    {
        int64_t *newer = job_ended(j) ? ended_of(&t, j->uid) : NULL;
        cJSON *name;

        if (!job_ended(j))
            continue;
        ok = newer != NULL;
        if (!ok)
            break;
        if ((*newer)++ < c->keep_jobs || now - j->ended < (double)c->keep_days * 86400.0 || !may_sweep(&r->c->peer, j))
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
    TAILQ_REMOVE(&s->later.all->sweeps, s, entry);
    turn_drop(&s->turn);
    cJSON_Delete(s->result);
    srq_free(s);
}

static bool step(void *ctx)
{
    struct sweep *s = ctx;
    struct srq_error err = { 0 };
    struct job *j = s->next != NULL ? job_find(&s->later.all->d->jobs, s->next->valuestring) : NULL;
    cJSON *result;
    int rc = 0;

    if (j != NULL && job_ended(j)) /* it may have been deleted or resumed meanwhile */
        rc = job_delete(j, &err);
    s->next = s->next != NULL ? s->next->next : NULL;
    if (rc == 0 && s->next != NULL)
        return true;
    result = rc == 0 ? s->result : NULL;
    s->result = rc == 0 ? NULL : s->result;
    rpc_answer_later(&s->later, rc, result, &err);
    sweep_free(s);
    return false;
}

int sweep_begin(const struct request *r, cJSON **result, struct srq_error *err)
{
    cJSON *names;
    struct sweep *s;

    *result = cJSON_CreateObject();
    names = cJSON_AddArrayToObject(*result, "deleted");
    if (names == NULL || !choose(r, names))
        return rpc_no_memory(err);
    if (rpc_flag(r, "dry_run", false) || names->child == NULL)
        return 0;
    s = srq_calloc(1, sizeof(*s));
    if (s == NULL)
        return rpc_no_memory(err);
    s->result = *result;
    *result = NULL;
    s->next = names->child;
    rpc_later(&s->later, r);
    turn_init(&s->turn, r->d->turns, r->c->peer.uid, step, s);
    TAILQ_INSERT_TAIL(&r->c->all->sweeps, s, entry);
    turn_wish(&s->turn);
    return RPC_LATER;
}

void sweeps_drop(struct clients *all)
{
    while (!TAILQ_EMPTY(&all->sweeps))
        sweep_free(TAILQ_FIRST(&all->sweeps));
}
