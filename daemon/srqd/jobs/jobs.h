/* All jobs, and what they stand on: the loop, the configuration, the places, the store. What the tiers above have to do
 * with a job is reached by the callbacks that they give; their own state is theirs. */
#ifndef SRQD_JOBS_H
#define SRQD_JOBS_H

#include "daemon/srqd/base/children.h"
#include "daemon/srqd/base/config.h"
#include "daemon/srqd/base/places.h"
#include "daemon/srqd/base/removal.h"
#include "daemon/srqd/base/turns.h"
#include "daemon/srqd/jobs/job.h"
#include "daemon/srqd/store/store.h"

#include <cjson/cJSON.h>

/* Who runs jobs. */
struct job_runner {
    void (*start)(struct job *j);  /* the queue has admitted it */
    void (*let_go)(struct job *j); /* it goes from memory; its worker, if it has one, lives on */
};

/* Who is told of jobs. */
struct job_watcher {
    void *ctx;
    void (*state)(void *ctx, struct job *j); /* it came into another state */
    /* An event of its journal; `params` stays the caller's. */
    void (*event)(void *ctx, struct job *j, const char *event, const cJSON *params);
    void (*deleted)(void *ctx, const struct job *j); /* it is about to be */
};

struct srqd {
    struct event_base *base;
    struct children *children;
    struct turns *turns;
    struct removals *removals;
    struct srqd_config config;
    struct places places;
    mode_t mask; /* umask at our start: what jobs write for their users follows it, our own files do not */
    struct srq_store *store;
    struct job_list jobs; /* in the order of submission */
    struct event *queue_event;
    bool lined_up;     /* the positions of waiting jobs are right */
    bool draining;     /* no job is started */
    bool stopping;     /* nor taken: srqd ends as soon as the workers of daemon stop --jobs are gone */
    bool measuring;    /* du(1) runs (disk.h) */
    double measure_at; /* monotonic: when those that run are measured again */
    int recovering;    /* jobs whose journal is still being read after our start; none is started meanwhile */
    struct job_runner runner;
    struct job_watcher watcher;
};

#endif
