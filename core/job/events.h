/* What a job tells: every event goes into the journal first. Helpers that build the data of each kind
 * (srq-protocol(7)). */
#ifndef SRQ_JOB_EVENTS_H
#define SRQ_JOB_EVENTS_H

#include "core/job/flags.h"
#include "core/job/journal.h"
#include "core/proto/members.h"
#include "core/proto/proto.h"

#include <srq/plugin.h>

/* What a job goes through, in this order; a stage that comes more than once has a place for each time. */
enum srq_place { /* of the way */
                 SRQ_WAY_LOAD,
                 SRQ_WAY_CALIBRATE,
                 SRQ_WAY_SCORE,
                 SRQ_WAY_ALLOCATE,
                 SRQ_WAY_ORIGINAL, /* evaluated */
                 SRQ_WAY_ROUNDED,
                 SRQ_WAY_TRANSFORM,
                 SRQ_WAY_QUANTIZE,
                 SRQ_WAY_REFINE,
                 SRQ_WAY_RESULT,
                 SRQ_WAY_EXPORT,
                 SRQ_WAY_LENGTH
};

struct srq_events {
    struct srq_journal *journal;
    struct srq_job_flags *flags;
    struct srq_error first; /* the first failure to write; the job ends on it at its next tick */
    /* progress of the running stage */
    enum srq_stage stage;
    double stage_start, last_sent, base_done;
    double spent[SRQ_STAGES], since; /* seconds in each stage, and when the running one was entered; 0: none yet */
    /* the time left */
    double expected[SRQ_WAY_LENGTH]; /* seconds that each part of the way takes; NaN: unknown */
    int place;                       /* -1: before the first */
    double pace;                     /* of this machine now, against what was expected */
};

void srq_events_init(struct srq_events *e, struct srq_journal *j, struct srq_job_flags *flags);
/* -SRQ_E… once an event could not be written. */
int srq_events_check(const struct srq_events *e, struct srq_error *err);

void srq_event_state(struct srq_events *e, enum srq_job_state state, const char *reason /* or NULL */);
void srq_event_log(struct srq_events *e, enum srq_log_level level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Takes up how long every part will take; before the first stage. */
void srq_event_expect(struct srq_events *e, const double expected[SRQ_WAY_LENGTH]);
/* Begins a stage at `done` of `total` (0: unknown). */
void srq_event_stage(struct srq_events *e, enum srq_stage stage, double done, double total, const char *unit);
double srq_events_spent(const struct srq_events *e, enum srq_stage stage); /* in this run so far */
/* Sent at most a few times a second and ever more rarely in a long stage; the last one always. */
void srq_event_progress(struct srq_events *e, double done, double total, const char *unit, const char *detail);
/* Any other event; data is consumed. A NULL `data` means that memory ran out while it was built. */
void srq_event_send(struct srq_events *e, const char *event, cJSON *data, bool sync);

#endif
