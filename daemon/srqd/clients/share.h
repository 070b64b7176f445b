/* What each user has of the service: connections, subscriptions, output that waits, programs that run. No user has all
 * of any of them. */
#ifndef SRQD_SHARE_H
#define SRQD_SHARE_H

#include "daemon/srqd/clients/authority.h"

#include <stddef.h>
#include <sys/queue.h>

/* Programs that are run for clients, each kind up to plans_at_once at a time. */
enum share_program { SHARE_PLAN, SHARE_CHANGE, SHARE_PROGRAMS };

struct share {
    TAILQ_ENTRY(share) entry;
    uid_t uid;
    int references;
    int clients, subscriptions;
    int waiting;                 /* plans that wait for their turn */
    int running[SHARE_PROGRAMS]; /* programs */
    uint64_t served;             /* when one was started last, in programs */
    int plans_kept;              /* answers of job.plan_spec, with clients */
    size_t output;               /* bytes that wait for its clients */
};
TAILQ_HEAD(share_list, share);

/* What all have together. */
struct shares {
    const struct srqd *d;
    struct share_list list;
    int clients, clients_plain; /* plain: without a right to the places kept for administrators */
    int running[SHARE_PROGRAMS];
    uint64_t last_served;
};
void shares_init(struct shares *all, const struct srqd *d);

/* The user's, made where it has none yet; each is given back with share_put. NULL when out of memory. */
struct share *share_get(struct shares *all, uid_t uid);
void share_put(struct shares *all, struct share *s);

/* Whether one more connection of `p`, whose share is `s`, may be taken. -SRQ_ELIMIT naming the limit. */
int share_admit(const struct shares *all, const struct share *s, const struct peer *p, struct srq_error *err);
/* A connection that was admitted came (1) or went (-1). */
void share_connect(struct shares *all, struct share *s, const struct peer *p, int by);
/* Whether one more subscription may. */
int share_subscribe(const struct shares *all, const struct share *s, struct srq_error *err);
/* Whether a program of that kind may be started for the user now. In the machine's service one place is kept for the
 * others. */
bool share_may_run(const struct shares *all, const struct share *s, enum share_program kind);
void share_run(struct shares *all, struct share *s, enum share_program kind);   /* it was started */
void share_ended(struct shares *all, struct share *s, enum share_program kind); /* it has ended */

#endif
