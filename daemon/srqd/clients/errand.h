/* Short runs of the worker program that clients wait for (--plan, --describe): a few at once, the others in a line that
 * is served user by user. */
#ifndef SRQD_ERRAND_H
#define SRQD_ERRAND_H

#include "daemon/srqd/clients/client.h"

/* Kept in what it is run for, from errand_queue to errand_over. */
struct errand {
    TAILQ_ENTRY(errand) entry;
    struct clients *all;
    struct share *share;
    /* Starts the program; errand_over is called when that has ended. */
    int (*start)(struct errand *e, struct srq_error *err);
    /* It could not be started (`rc` and why), or never will (`err` NULL: nobody is to be told): e goes. */
    void (*dropped)(struct errand *e, int rc, const struct srq_error *err);
};

/* Takes it into the line for the user, and starts what may be started. -SRQ_EBUSY naming the limit where the line is
 * too long: it is not taken then. */
int errand_queue(struct errand *e, struct clients *all, uid_t uid, struct srq_error *err);
/* Its program has ended; its memory is the caller's again. The next ones are started. */
void errand_over(struct errand *e);
/* Drops those that wait. */
void errands_drop(struct clients *all);

#endif
