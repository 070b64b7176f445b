/* Work in steps: users are served in turn, however much each has, and the loop is returned to. */
#include "tests/unit/test.h"

#include "core/base/clock.h"
#include "daemon/srqd/base/turns.h"

struct work {
    struct turn turn;
    char name;
    int steps; /* still to be taken */
    struct work *drops;
    double slow_s;
};

static char taken[64];

static bool step(void *ctx)
{
    struct work *w = ctx;
    double until = srq_clock_s() + w->slow_s;
    size_t n = strlen(taken);

    taken[n] = w->name;
    taken[n + 1] = '\0';
    if (w->drops != NULL)
        turn_drop(&w->drops->turn);
    while (w->slow_s > 0 && srq_clock_s() < until)
        continue;
    return --w->steps > 0;
}

struct room {
    struct event_base *base;
    struct turns *turns;
};

static void open_room(struct room *r)
{
    taken[0] = '\0';
    r->base = event_base_new();
    r->turns = turns_create(r->base);
    assert_non_null(r->turns);
}

static void close_room(struct room *r)
{
    turns_free(r->turns);
    event_base_free(r->base);
}

static void start(struct room *r, struct work *w, uid_t uid)
{
    turn_init(&w->turn, r->turns, uid, step, w);
    turn_wish(&w->turn);
    turn_wish(&w->turn); /* once is enough */
}

static void users_are_served_in_turn_and_each_ones_work_too(void **state)
{
    struct work a = { .name = 'a', .steps = 2 }, b = { .name = 'b', .steps = 2 }, c = { .name = 'c', .steps = 2 },
                x = { .name = 'x', .steps = 4 }, y = { .name = 'y', .steps = 1 };
    struct room r;

    (void)state;
    open_room(&r);
    start(&r, &a, 1);
    start(&r, &b, 1);
    start(&r, &c, 1);
    start(&r, &x, 2);
    start(&r, &y, 3);
    event_base_dispatch(r.base);
    assert_string_equal(taken, "axybxcxaxbc");
    close_room(&r);
}

static void work_can_be_dropped_wherever_it_stands(void **state)
{
    struct work a = { .name = 'a', .steps = 3 }, b = { .name = 'b', .steps = 3 }, c = { .name = 'c', .steps = 3 },
                own = { .name = 'o', .steps = 9 }, behind = { .name = 'd', .steps = 9, .drops = &b };
    struct room r;

    (void)state;
    open_room(&r);
    start(&r, &a, 1);
    start(&r, &b, 1);
    start(&r, &c, 1);
    turn_drop(&a.turn); /* the first of its user: b stands there now */
    turn_drop(&c.turn); /* behind it */
    turn_drop(&c.turn);
    own.drops = &own; /* from within its own step */
    start(&r, &own, 2);
    start(&r, &behind, 3); /* somebody else's, from within a step */
    behind.steps = 1;
    event_base_dispatch(r.base);
    assert_string_equal(taken, "bod");
    close_room(&r);
}

static void the_loop_has_its_turn_between_long_steps(void **state)
{
    struct work slow = { .name = 's', .steps = 3, .slow_s = 0.01 };
    struct room r;

    (void)state;
    open_room(&r);
    start(&r, &slow, 1);
    event_base_loop(r.base, EVLOOP_ONCE);
    assert_string_equal(taken, "s");
    event_base_dispatch(r.base);
    assert_string_equal(taken, "sss");
    close_room(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(users_are_served_in_turn_and_each_ones_work_too),
        cmocka_unit_test(work_can_be_dropped_wherever_it_stands),
        cmocka_unit_test(the_loop_has_its_turn_between_long_steps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
