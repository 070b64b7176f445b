/* The parts of the tier, put together. */
#include "daemon/srqd/clients/service.h"

#include "core/base/clock.h"
#include "daemon/srqd/clients/dispatch.h"
#include "daemon/srqd/clients/events.h"
#include "daemon/srqd/clients/handlers.h"
#include "daemon/srqd/clients/listener.h"
#include "daemon/srqd/clients/submission.h"

static void on_gone(struct client *c)
{
    events_drop_client(c);
    rpc_look_drop_client(c);
}

void service_init(struct clients *all, struct srqd *d, const struct process_orders *orders)
{
    static const struct client_user user = { rpc_dispatch, events_drained, on_gone };

    *all = (struct clients){ .d = d, .orders = *orders, .user = &user, .started = srq_wall_s() };
    TAILQ_INIT(&all->list);
    TAILQ_INIT(&all->plans.waiting);
    TAILQ_INIT(&all->changes.waiting);
    d->watcher = (struct job_watcher){ all, events_announce_state, events_publish, events_forget_job };
}

bool service_idle(const struct clients *all)
{
    return all->count == 0 && all->plans.running == 0 && all->changes.running == 0;
}

void service_close(struct clients *all)
{
    listener_close(all);
    while (!TAILQ_EMPTY(&all->list))
        client_free(TAILQ_FIRST(&all->list));
    submissions_drop(all);
}
