/* A job with a transform: on what data its scales are found, for which schemes, and in what memory.
 *
 * The transform stage comes after the stored model was measured and before anything is quantized. It works towards the
 * schemes that the plan has when it first begins; changes of the plan are taken all the same while it runs and
 * afterwards, and the scales stay as they are. */
#ifndef SRQ_JOB_TRANSFORM_H
#define SRQ_JOB_TRANSFORM_H

#include "core/job/resolved.h"
#include "core/tune/transform.h"

#define SRQ_FOLD_TOKENS 64 /* on which the folded model is held against the stored one */

/* All of these do nothing for a job without a transform. */

/* Creates the plugin's instance and asks how it works. Before the plan is made. */
int srq_job_transform_open(struct srq_resolved *r, struct srq_error *err);
void srq_job_transform_close(struct srq_resolved *r);
/* After the plan of `req` was made: where nothing is quantized, its schemes are kept as aims, and the plan becomes one
 * that leaves every layer alone. */
int srq_job_transform_aim(struct srq_resolved *r, struct srq_plan_request *req, struct srq_error *err);
/* How it goes, with `nsamples` at hand. */
struct srq_transform_config srq_job_transform_config(const struct srq_resolved *r, int64_t nsamples);
/* Adds what the stage needs to r->footprint.memory, and what a folded model keeps. */
int srq_job_transform_needs(const struct srq_resolved *r, struct srq_needs *memory, struct srq_error *err);

#endif
