/* Inside core/job: tuning the scales of a finished result end to end (core/tune/refine.h), where the option `refine`
 * asks for it and the method reads calibration text. */
#ifndef SRQ_JOB_REFINE_H
#define SRQ_JOB_REFINE_H

#include "core/job/resolved.h"
#include "core/tune/refine.h"

/* Whether the job has the stage, under its present plan. */
bool srq_job_refines(const struct srq_resolved *r);
/* How it goes, with `nsamples` at hand. */
struct srq_refine_config srq_job_refine_config(const struct srq_resolved *r, int64_t nsamples);
/* Adds its rows to r->footprint.memory. */
int srq_job_refine_needs(const struct srq_resolved *r, struct srq_needs *memory, int64_t nsamples,
                         struct srq_error *err);
uint64_t srq_job_refine_disk(const struct srq_resolved *r);

#endif
