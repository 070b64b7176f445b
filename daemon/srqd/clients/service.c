/* The parts of the tier, put together. */
#include "daemon/srqd/clients/service.h"

#include "core/base/clock.h"
#include "daemon/srqd/clients/dispatch.h"
#include "daemon/srqd/clients/errand.h"
#include "daemon/srqd/clients/events.h"
#include "daemon/srqd/clients/handlers.h"
#include "daemon/srqd/clients/listener.h"
#include "daemon/srqd/clients/submission.h"
#include "daemon/srqd/clients/sweep.h"

static void on_gone(struct client *c)
{
    events_drop_client(c);
    rpc_look_drop_client(c);
    submission_drop_client(c);
}

static void on_state(void *ctx, struct job *j)
{
    struct clients *all = ctx;

    events_announce_state(all, j);
    if (job_ended(j)) {
        all->sweep_at = 0;
        sweep_look_after(all);
    }
}

void service_init(struct clients *all, struct srqd *d, const struct process_orders *orders)
{
    static const struct client_user user = { rpc_dispatch, events_drained, events_replay, on_gone };

    *all = (struct clients){ .d = d, .orders = *orders, .user = &user, .started = srq_wall_s() };
    TAILQ_INIT(&all->list);
    shares_init(&all->shares, d);
    TAILQ_INIT(&all->errands);
    TAILQ_INIT(&all->changes);
    TAILQ_INIT(&all->sweeps);
    d->watcher = (struct job_watcher){ all, on_state, events_publish, events_forget_job };
}

bool service_idle(const struct clients *all)
{
    return all->shares.clients == 0 && all->shares.running[SHARE_PLAN] == 0 && all->shares.running[SHARE_CHANGE] == 0;
}

void service_close(struct clients *all)
{
    listener_close(all);
    while (!TAILQ_EMPTY(&all->list))
        client_free(TAILQ_FIRST(&all->list));
    errands_drop(all);
    sweeps_drop(all);
}
