/* history.json: what each revision of a plan changed, and how it is taken back.
 *
 * {"revisions": [{revision, time (seconds since the epoch), by, op, what (the request in words), changed (layers that
 * got another scheme), before {bits|null, options, pins}, layers [{layer, old, new, asked, source, untied}]}]}, oldest
 * first. `old` and `new` are schemes; the last three say what was decided for the layer before. The newest
 * SRQ_HISTORY_MOST are kept. The file is written before plan.json: revisions beyond plan.json's never were. */
#ifndef SRQ_JOB_HISTORY_H
#define SRQ_JOB_HISTORY_H

#include "core/budget/live.h"

#define SRQ_HISTORY_FILE "history.json"
#define SRQ_HISTORY_MOST 200

/* Of the job directory `dir`, up to `revision`; a job that has none has no revisions. cJSON_Delete *out. */
int srq_history_load(const char *dir, int64_t revision, cJSON **out, struct srq_error *err);
int srq_history_save(const cJSON *history, const char *dir, struct srq_error *err);
/* Adds the change that makes `next` of `now`. -SRQ_ENOMEM. */
int srq_history_add(cJSON *history, const struct srq_live_plan *now, const struct srq_change *change,
                    const struct srq_live_plan *next, double time, struct srq_error *err);
/* What was decided at revision `to`, as a copy of `now` with those schemes asked for, pins and budget. A revision that
 * was never there, or is not kept any more: -SRQ_EINVAL, field "to". srq_live_plan_fini in any case. */
int srq_history_past(const cJSON *history, const struct srq_live_plan *now, int64_t to, struct srq_live_plan *out,
                     struct srq_error *err);
/* [{revision, op, what, layers [{layer, old, new}]}] for whoever gets the model: no time, no person. NULL: no memory.
 */
cJSON *srq_history_public(const cJSON *history);

#endif
