/* The daemon: its loop, and the tiers under it put together. */
#ifndef SRQD_SRQD_H
#define SRQD_SRQD_H

#include "daemon/srqd/base/background.h"
#include "daemon/srqd/clients/client.h"

struct daemon {
    struct srqd d;
    struct clients clients;
    int64_t idle_exit_s; /* from the command line; negative: as configured */
    double idle_since;   /* monotonic; 0: not idle */
    double stop_until;   /* monotonic; while stopping */
    struct event *tick;
};

/* Puts the tiers together. Nothing is read or opened yet. */
void srqd_init(struct daemon *s);
/* Reads the configuration of s->d.places. The old one stays when it is wrong. */
int srqd_reload(struct daemon *s, struct srq_error *err);
/* Listens, recovers jobs, runs until told to end, takes everything down. Places and configuration are set. Errors are
 * logged. */
int srqd_run(struct daemon *s, struct background *bg);

#endif
