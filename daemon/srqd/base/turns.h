/* Work of a size that a user chooses, done in steps: at every turn of the loop one of each user at most, and no more
 * than fit into a few milliseconds, so that neither a long piece of work nor very many of them keep others waiting. */
#ifndef SRQD_TURNS_H
#define SRQD_TURNS_H

#include <event2/event.h>
#include <stdbool.h>
#include <sys/queue.h>
#include <sys/types.h>

/* Takes one step, of a few milliseconds at most. True: there is another one to take. It may drop its own work, and what
 * holds it; it returns false then. */
typedef bool (*turn_step)(void *ctx);

struct turn;
struct turns;
TAILQ_HEAD(turn_list, turn);

/* A piece of work, kept in whatever it belongs to. All members are turns.c's. */
struct turn {
    TAILQ_ENTRY(turn) entry;
    struct turns *turns;
    uid_t uid;
    turn_step step;
    void *ctx;
    struct turn_list behind; /* of the same user, where this one stands in the row for that user */
    enum { TURN_IDLE, TURN_FIRST, TURN_BEHIND } place;
    struct turn *first; /* whom it is behind */
};

/* NULL when out of memory. All work must have been dropped before it is freed; NULL is fine. */
struct turns *turns_create(struct event_base *base);
void turns_free(struct turns *t);

/* Work for user `uid`, not in the row yet. */
void turn_init(struct turn *w, struct turns *turns, uid_t uid, turn_step step, void *ctx);
/* Its step is taken soon; nothing where it is in the row already. */
void turn_wish(struct turn *w);
/* Out of the row. Fine for work that is not in it, or of zeros. */
void turn_drop(struct turn *w);

#endif
