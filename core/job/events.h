/* What a job tells: every event goes into the journal first. Helpers that build the data of each kind (srq-protocol(7)). */
#ifndef SRQ_JOB_EVENTS_H
#define SRQ_JOB_EVENTS_H

#include "core/job/control.h"

#include <srq/plugin.h>

struct srq_events {
    struct srq_journal *journal;
    struct srq_job_flags *flags;
    struct srq_error first; /* the first failure to write; the job ends on it at its next tick */
    /* progress of the running stage */
    enum srq_stage stage;
    double stage_start, last_sent, base_done;
};

void srq_events_init(struct srq_events *e, struct srq_journal *j, struct srq_job_flags *flags);
/* -SRQ_E… once an event could not be written. */
int srq_events_check(const struct srq_events *e, struct srq_error *err);

void srq_event_state(struct srq_events *e, const char *state, const char *reason /* or NULL */);
void srq_event_log(struct srq_events *e, enum srq_log_level level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Begins a stage at `done` of `total` (0: unknown). */
void srq_event_stage(struct srq_events *e, enum srq_stage stage, double done, double total, const char *unit);
/* Sent at most a few times a second and ever more rarely in a long stage; the last one always. */
void srq_event_progress(struct srq_events *e, double done, double total, const char *unit, const char *detail);
/* Any other event; data is consumed. A NULL `data` means that memory ran out while it was built. */
void srq_event_send(struct srq_events *e, const char *event, cJSON *data, bool sync);

/* Adds a number, or null where it is not finite: unknown is null, never 0. */
bool srq_json_number(cJSON *object, const char *key, double value);
bool srq_json_text_or_null(cJSON *object, const char *key, const char *text);

#endif
