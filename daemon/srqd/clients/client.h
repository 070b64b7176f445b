/* Connections: who each is, its frames, what waits for it; and what is kept for all of them. */
#ifndef SRQD_CLIENT_H
#define SRQD_CLIENT_H

#include "core/proto/proto.h"
#include "daemon/srqd/base/turns.h"
#include "daemon/srqd/clients/authority.h"
#include "daemon/srqd/clients/share.h"

#include <event2/bufferevent.h>

#define CLIENT_SOFT_OUTPUT ((size_t)256 << 10) /* beyond it samples are held back and requests are not read */
#define CLIENT_LATER_MAX 16                    /* answers under way beyond which requests are not read */

struct client;
struct gather;
struct look;
struct errand;
struct listener;
struct change;
struct subscription;
struct sweep;
struct held_sample;
TAILQ_HEAD(client_list, client);
TAILQ_HEAD(errand_list, errand);
TAILQ_HEAD(change_list, change);
TAILQ_HEAD(sweep_list, sweep);
TAILQ_HEAD(subscription_list, subscription);
TAILQ_HEAD(held_list, held_sample);
TAILQ_HEAD(gather_list, gather);
TAILQ_HEAD(look_list, look);

/* What connections are used for. */
struct client_user {
    /* Answers the request by itself. Not 0: it could not be taken as one; the caller sends the failure, and closes
     * where *fatal. */
    int (*request)(struct client *c, const struct srq_message *m, bool *fatal, struct srq_error *err);
    void (*drained)(struct client *c); /* its output ran low */
    bool (*replay)(struct client *c);  /* takes a step of what it replays; false: none to take now */
    void (*gone)(struct client *c);    /* it is about to be freed */
};

/* What the process itself can be asked for. */
struct process_orders {
    void *ctx;
    /* Reads the configuration again; the old one stays when it is wrong. */
    int (*reload)(void *ctx, struct srq_error *err);
    void (*quit)(void *ctx);           /* soon, after answers under way were written; workers go on */
    void (*stop_with_jobs)(void *ctx); /* when no worker is left, or after stop_grace_s */
};

/* Each part is for the file that its type or comment names. */
struct clients {
    struct srqd *d;
    struct process_orders orders;
    const struct client_user *user;
    struct listener *listener;
    struct client_list list;
    struct shares shares;
    uint64_t last_number;
    double told_refused; /* monotonic; when the log was last told of connections refused */
    int refused;         /* since then */
    double started;      /* wall time of our start */
    char refusing[256];  /* submission: why no job is taken; empty: they are */
    struct errand_list errands;
    int errand_count;
    struct change_list changes; /* those that wait */
    int change_count;
    struct sweep_list sweeps;
    double sweep_at; /* when the next of our own accord is due, monotonic; 0: now */
};

struct client {
    TAILQ_ENTRY(client) entry;
    struct clients *all;
    uint64_t number; /* names it in answers that come later */
    struct bufferevent *bev;
    struct event *reaper; /* frees it */
    struct srq_frames frames;
    struct peer peer;
    struct share *share;
    struct turn requests; /* one is taken a step */
    double since;         /* monotonic; when it connected */
    bool hello;
    bool half_closed; /* it sends no more, but reads */
    bool gone;        /* nor does it read */
    bool counted;     /* what waits for it, and its samples held back, are in share->output */
    bool closing;     /* goes when its output is written */
    int faults;       /* frames that were no message */
    int later;        /* answers under way */
    struct subscription_list subscriptions;
    struct turn replays;   /* of its subscriptions */
    struct held_list held; /* samples held back, newest of each series */
    int held_count;
    size_t held_bytes;
    uint64_t next_subscription;
    struct look_list looks;     /* reports that are being read for it */
    struct gather_list gathers; /* pages of journals that are being read for it */
    char *plan_key;             /* spec of the last job.plan_spec */
    cJSON *plan;                /* its answer */
};

/* Takes over a connected descriptor (closed on failure). A peer that is refused is told why. */
int client_accept(struct clients *all, int fd, struct srq_error *err);
void client_free(struct client *c);
/* Every second: ends connections that have not said hello in hello_timeout_s, and half-closed ones whose peer is gone.
 */
void clients_look_after(struct clients *all);
/* An answer that was under way has gone out, or never will. */
void client_later_done(struct client *c);
struct client *client_find(struct clients *all, uint64_t number); /* NULL: it has gone */

/* Queues one line (with newline); a client whose output passes the hard limit is dropped. `line` is consumed. */
void client_send(struct client *c, char *line);
/* The same for a line that goes to many: it stays the caller's. NULL: there was no memory for it. */
void client_send_copy(struct client *c, const char *line, size_t len);
size_t client_waiting(const struct client *c); /* bytes of output */
/* Drops it, or the one of its user for whom the most waits, where output and samples held back pass the hard limits. */
void client_bound(struct client *c);

/* Answers request `id` of method `m`: `result` (consumed) when rc is 0, else `err`. A result that does not match the
 * table is replaced by an error: what workers wrote never reaches a client unchecked. */
void client_answer(struct client *c, const char *id, const struct srq_method *m, int rc, cJSON *result,
                   const struct srq_error *err);

#endif
