/* The row of work: one piece for each user stands in it, the user's others behind that one. */
#include "daemon/srqd/base/turns.h"

#include "core/base/alloc.h"
#include "core/base/clock.h"

#define SPENT_S 0.004 /* in one turn of the loop, and the last step on top */

struct turns {
    struct turn_list row;
    struct event *again;
    struct turn *stepping; /* NULL once it is dropped from within its own step */
};

static void arm(struct turns *t)
{
    const struct timeval now = { 0 };

    if (!evtimer_pending(t->again, NULL))
        evtimer_add(t->again, &now);
}

static void enter(struct turn *w)
{
    struct turn *first;

    TAILQ_FOREACH(first, &w->turns->row, entry)
    {
        if (first->uid == w->uid)
            break;
    }
    w->first = first;
    w->place = first != NULL ? TURN_BEHIND : TURN_FIRST;
    TAILQ_INSERT_TAIL(first != NULL ? &first->behind : &w->turns->row, w, entry);
}

/* The next of the user's stands for it, at `w`'s own place, or at the end of the row. */
static void leave(struct turn *w, bool to_end)
{
    struct turn_list *row = &w->turns->row;
    struct turn *next = TAILQ_FIRST(&w->behind), *other;

    if (next != NULL) {
        TAILQ_REMOVE(&w->behind, next, entry);
        TAILQ_INIT(&next->behind);
        TAILQ_CONCAT(&next->behind, &w->behind, entry);
        TAILQ_FOREACH(other, &next->behind, entry) other->first = next;
        next->place = TURN_FIRST;
        if (to_end)
            TAILQ_INSERT_TAIL(row, next, entry);
        else
            TAILQ_INSERT_BEFORE(w, next, entry);
    }
    TAILQ_REMOVE(row, w, entry);
    w->place = TURN_IDLE;
}

static void on_again(evutil_socket_t fd, short what, void *ctx)
{
    double until = srq_clock_s() + SPENT_S;
    struct turns *t = ctx;
    struct turn *w;
    int users = 0;

    (void)fd;
    (void)what;
    TAILQ_FOREACH(w, &t->row, entry) users++;
    while (users-- > 0 && (w = TAILQ_FIRST(&t->row)) != NULL) {
        leave(w, true);
        t->stepping = w;
        if (w->step(w->ctx) && t->stepping == w)
            turn_wish(w);
        t->stepping = NULL;
        if (srq_clock_s() >= until)
            break;
    }
    if (!TAILQ_EMPTY(&t->row))
        arm(t);
}

struct turns *turns_create(struct event_base *base)
{
    struct turns *t = srq_calloc(1, sizeof(*t));

    if (t == NULL)
        return NULL;
    TAILQ_INIT(&t->row);
    t->again = evtimer_new(base, on_again, t);
    if (t->again == NULL) {
        srq_free(t);
        return NULL;
    }
    return t;
}

void turns_free(struct turns *t)
{
    if (t == NULL)
        return;
    event_free(t->again);
    srq_free(t);
}

void turn_init(struct turn *w, struct turns *turns, uid_t uid, turn_step step, void *ctx)
{
    *w = (struct turn){ .turns = turns, .uid = uid, .step = step, .ctx = ctx, .place = TURN_IDLE };
    TAILQ_INIT(&w->behind);
}

void turn_wish(struct turn *w)
{
    if (w->place != TURN_IDLE)
        return;
    enter(w);
    arm(w->turns);
}

void turn_drop(struct turn *w)
{
    if (w->turns != NULL && w->turns->stepping == w)
        w->turns->stepping = NULL;
    if (w->place == TURN_FIRST)
        leave(w, false);
    else if (w->place == TURN_BEHIND)
        TAILQ_REMOVE(&w->first->behind, w, entry);
    w->place = TURN_IDLE;
}
