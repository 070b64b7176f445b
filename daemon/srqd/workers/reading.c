/* Steps of a reading. */
#include "daemon/srqd/workers/reading.h"

#include "core/base/alloc.h"

struct reading {
    struct reading_wish wish;
    struct reading **holder;
    struct turn turn;
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

static bool on_turn(void *ctx)
{
    struct reading *r = ctx;
    struct reading_wish w = r->wish;

    if (step(&w, JOURNAL_STEP) == JOURNAL_MORE)
        return true;
    r->wish.close = false;
    reading_stop(r->holder);
    finish(&w);
    return false;
}

void reading_start(const struct reading_wish *w, struct reading **holder)
{
    struct reading *r;

    *holder = NULL;
    if (step(w, JOURNAL_STEP) == JOURNAL_MORE) {
        r = srq_calloc(1, sizeof(*r));
        if (r != NULL) {
            r->wish = *w;
            r->holder = holder;
            *holder = r;
            turn_init(&r->turn, w->turns, w->uid, on_turn, r);
            turn_wish(&r->turn);
            return;
        }
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
    turn_drop(&r->turn);
    if (r->wish.close)
        journal_close(r->wish.journal);
    srq_free(r);
}
