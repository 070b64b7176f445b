/* Changes of the plan as messages: the request as worker.change brings it, the answer, and the event. */
#ifndef SRQ_JOB_CHANGE_JSON_H
#define SRQ_JOB_CHANGE_JSON_H

#include "core/budget/live.h"

/* How far a unit is, as messages say it. */
const char *srq_unit_state_word(enum srq_unit_state s);

/* From the params of worker.change {op, by, pins, patterns, bits, to, release, running, propagate, revision, dry_run}:
 * what does not belong to the op, or is missing or malformed: -SRQ_EINVAL with err->field. srq_change_fini in any case.
 */
int srq_change_parse(const cJSON *params, struct srq_change *out, struct srq_error *err);

/* Data of the plan.changed that tells of a change worked out. NULL: out of memory. */
cJSON *srq_change_event(const struct srq_change_context *ctx, const struct srq_change *change,
                        const struct srq_change_result *r);
/* The reply, as srq-protocol(7) says of job.pin; without "job". */
cJSON *srq_change_reply(const struct srq_change_context *ctx, const struct srq_change *change,
                        const struct srq_change_result *r);

/* Adds "options" {lr, hp_first, hp_last}, null where they are as submitted. False when out of memory. */
bool srq_put_live_options(cJSON *o, const double *option);
/* And reads them; what is not there is as submitted. */
void srq_read_live_options(const cJSON *o, double *option);

#endif
