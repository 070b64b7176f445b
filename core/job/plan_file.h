/* plan.json: the live plan as a job keeps it.
 *
 * {revision, budget {bits, candidates}|null, allocation|null, pins, hold {block, generation, schemes}|null, retune
 * [blocks], generations [of those], back, options {lr, hp_first, hp_last}, last_change|null, layers}. A file with
 * revision and layers alone, as srq-worker --plan gives them, is read too: then budget and pins stay as they are in
 * `lp`. */
#ifndef SRQ_JOB_PLAN_FILE_H
#define SRQ_JOB_PLAN_FILE_H

#include "core/budget/live.h"

int srq_live_plan_save(const struct srq_live_plan *lp, const char *path, struct srq_error *err);
/* Replaces what `lp` holds (made by srq_live_plan_init for the same layers). */
int srq_live_plan_load(struct srq_live_plan *lp, const char *path, struct srq_error *err);

#endif
