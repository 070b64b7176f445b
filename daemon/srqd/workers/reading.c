/* Steps of a reading. */
#include "daemon/srqd/workers/reading.h"

#include "core/base/alloc.h"

struct reading {
    struct reading_wish wish;
    struct reading **holder;
    struct event *turn;
};

static enum journal_stop step(const struct reading_wish *w, size_t budget)
{
    return w->journal != NULL ? journal_read(w->journal, &w->filter, budget, w->visit, w->ctx) : JOURNAL_END;
}

static void finish(const struct reading_wish *w)
{
    if (w->close)
        journal_close(w->journal);
    w->done(w->ctx);
}

static void on_turn(evutil_socket_t fd, short what, void *ctx)
{
    const struct timeval soon = { 0 };
    struct reading *r = ctx;
    struct reading_wish w = r->wish;

    (void)fd;
    (void)what;
    if (step(&w, JOURNAL_STEP) == JOURNAL_MORE) {
        if (evtimer_add(r->turn, &soon) == 0)
            return;
        (void)step(&w, 0);
    }
    r->wish.close = false;
    reading_stop(r->holder);
    finish(&w);
}

void reading_start(const struct reading_wish *w, struct reading **holder)
{
    const struct timeval soon = { 0 };
    struct reading *r;

    *holder = NULL;
    if (step(w, JOURNAL_STEP) == JOURNAL_MORE) {
        r = srq_calloc(1, sizeof(*r));
        if (r != NULL && (r->turn = evtimer_new(w->base, on_turn, r)) != NULL && evtimer_add(r->turn, &soon) == 0) {
            r->wish = *w;
            r->holder = holder;
            *holder = r;
            return;
        }
        if (r != NULL && r->turn != NULL)
            event_free(r->turn);
        srq_free(r);
        (void)step(w, 0);
    }
    finish(w);
}

void reading_stop(struct reading **holder)
{
    struct reading *r = *holder;

    if (r == NULL)
        return;
    *holder = NULL;
    event_free(r->turn);
    if (r->wish.close)
        journal_close(r->wish.journal);
    srq_free(r);
}
