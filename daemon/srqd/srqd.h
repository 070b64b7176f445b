/* The daemon: what its parts share. */
#ifndef SRQD_SRQD_H
#define SRQD_SRQD_H

#include "core/proto/proto.h"
#include "daemon/srqd/base/capture.h"
#include "daemon/srqd/base/children.h"
#include "daemon/srqd/base/config.h"
#include "daemon/srqd/base/places.h"
#include "daemon/srqd/jobs/job.h"
#include "daemon/srqd/store/store.h"

#include <event2/event.h>

struct background;
struct client;
struct listener;

struct submission;
struct change;

TAILQ_HEAD(client_list, client);
TAILQ_HEAD(submission_list, submission);
TAILQ_HEAD(change_list, change);

struct srqd {
    struct event_base *base;
    struct children *children;
    struct srq_store *store;
    struct srqd_config config;
    struct places places;
    struct listener *listener;
    struct client_list clients;
    int client_count;
    uint64_t next_client;
    struct job_list jobs; /* in the order of submission */
    int64_t idle_exit_s;  /* from the command line or the configuration */
    double started;       /* wall time */
    mode_t mask;          /* umask at our start: what jobs write for their users follows it, our own files do not */
    double idle_since;    /* monotonic; 0: not idle */
    bool draining;
    bool stopping;        /* ends as soon as the workers of daemon stop --jobs are gone */
    char refusing[256];   /* why no job is taken; empty: they are */
    int planning;         /* planner processes alive */
    struct submission_list waiting_plans;
    int waiting_plan_count;
    int changing; /* runs of srq-worker --change alive */
    struct change_list waiting_changes;
    int waiting_change_count;
    double stop_until;    /* monotonic; while stopping */
    struct event *queue_event, *tick;
};

/* Listens, recovers jobs, runs until told to end, takes everything down. d->places and d->config are set. Errors are
 * logged. */
int srqd_run(struct srqd *d, struct background *bg);
/* Reads the configuration again (daemon.reload, SIGHUP). The old one stays when it is wrong. */
int srqd_reload(struct srqd *d, struct srq_error *err);
/* Ends the loop soon, after answers under way were written. Workers go on. */
void srqd_quit(struct srqd *d);
/* Ends the loop when no worker is left, or after stop_grace_s. */
void srqd_stop_with_jobs(struct srqd *d);

#endif
