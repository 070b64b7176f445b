/* One connection: who it is, its frames, what waits for it. */
#ifndef SRQD_CLIENT_H
#define SRQD_CLIENT_H

#include "core/proto/proto.h"
#include "daemon/srqd/srqd.h"

#include <event2/bufferevent.h>

#define CLIENT_SOFT_OUTPUT ((size_t)256 << 10) /* beyond it samples are held back and requests are not read */

struct subscription;
struct held_sample;
TAILQ_HEAD(subscription_list, subscription);
TAILQ_HEAD(held_list, held_sample);

struct client {
    TAILQ_ENTRY(client) entry;
    struct srqd *d;
    uint64_t number; /* names it in answers that come later */
    struct bufferevent *bev;
    struct srq_frames frames;
    uid_t uid;
    gid_t gid;
    pid_t pid;
    bool admin;
    bool hello;
    bool closing; /* goes when its output is written */
    int faults;   /* frames that were no message */
    int later;    /* answers under way */
    struct subscription_list subscriptions;
    struct held_list held; /* samples held back, newest of each series */
    int held_count;
    uint64_t next_subscription;
    char *plan_key;   /* spec of the last job.plan_spec */
    cJSON *plan;      /* its answer */
};

/* Takes over a connected descriptor (closed on failure). */
int client_accept(struct srqd *d, int fd, struct srq_error *err);
void client_free(struct client *c);
struct client *client_find(struct srqd *d, uint64_t number); /* NULL: it has gone */

/* Queues one line (with newline); a client whose output passes the hard limit is dropped. `line` is consumed. */
void client_send(struct client *c, char *line);
/* The same for a line that goes to many: it stays the caller's. NULL: there was no memory for it. */
void client_send_copy(struct client *c, const char *line, size_t len);
size_t client_waiting(const struct client *c); /* bytes of output */

/* Answers request `id` of method `m`: `result` (consumed) when rc is 0, else `err`. A result that does not match the
 * table is replaced by an error: what workers wrote never reaches a client unchecked. */
void client_answer(struct client *c, const char *id, const struct srq_method *m, int rc, cJSON *result,
                   const struct srq_error *err);

#endif
