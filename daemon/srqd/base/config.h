/* srqd.conf(5): `key = value` lines in sections, strict. One table gives names, kinds, ranges and defaults. */
#ifndef SRQD_CONFIG_H
#define SRQD_CONFIG_H

#include <srq/error.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_PAUSES_MAX 16

struct pauses {
    int count;
    double s[CONFIG_PAUSES_MAX];
};

/* Limits of 0 mean none. */
struct srqd_config {
    /* [daemon] */
    int64_t max_clients, user_max_clients;
    int64_t admin_clients;     /* of max_clients, kept for root and administrators */
    int64_t hello_timeout_s;   /* a connection that has not said hello ends */
    int64_t client_output_max; /* bytes waiting for one client beyond which it is dropped */
    int64_t user_output_max;   /* the same for all clients of one user; the one with the most is dropped */
    int64_t user_max_subscriptions, user_max_plans;
    int64_t plan_timeout_s;
    int64_t plans_at_once;
    int64_t idle_exit_s;
    int64_t min_free; /* bytes of disk below which no job is taken */
    /* [limits] */
    int64_t max_running, max_threads, max_memory;
    int64_t user_max_running, user_max_threads, user_max_memory, user_max_disk, user_max_queued;
    int64_t time_limit_s; /* of a worker */
    /* [access] */
    char socket_group[64], admin_group[64];
    bool look_all;
    /* [restart] */
    struct pauses pauses_s;
    int64_t deaths_max;
    /* [retention] */
    int64_t keep_days, keep_jobs;
    /* [worker] */
    char slice[64];      /* of the workers' scopes; empty: none are made */
    int64_t memory_high; /* percent of what was planned */
    int64_t nice, oom_score_adj, cancel_grace_s, stop_grace_s;
};

enum config_kind { CONFIG_INT, CONFIG_SIZE, CONFIG_BOOL, CONFIG_NAME, CONFIG_PAUSES };

struct config_row {
    const char *section, *key;
    enum config_kind kind;
    size_t offset;
    int64_t min, max;
    const char *initial; /* its default, as one would write it */
    const char *help;
};

const struct config_row *config_rows(size_t *count);

void config_defaults(struct srqd_config *c);
/* Reads a whole text on top of the defaults. Errors name `path` and the line; `*c` is unchanged then. */
int config_parse(struct srqd_config *c, const char *path, const char *text, size_t len, struct srq_error *err);
/* The same from a file. */
int config_read(struct srqd_config *c, const char *path, struct srq_error *err);

#endif
