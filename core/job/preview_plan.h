/* How often, and in how many steps, pictures are sampled with a student while it is trained (preview.h). */
#ifndef SRQ_JOB_PREVIEW_PLAN_H
#define SRQ_JOB_PREVIEW_PLAN_H

#include "core/job/resolved.h"

#define SRQ_PREVIEW_PICTURES 4
#define SRQ_PREVIEW_STEPS 10
#define SRQ_PREVIEW_COST 20 /* one part of the training's time in so many, at most, unless `preview` was given */

/* How many times the student is looked at, at equal distances: before its first step, …, after its last one; the last
 * alone where that is once. 0: never. In how many steps its pictures are sampled, and how many those are. */
struct srq_preview_plan {
    int refreshes, steps, pictures;
};

/* As many as asked for in option `preview`, and up to 10 steps; less of both where these would cost too much beside the
 * training, except what was asked for. A function of the job alone. */
struct srq_preview_plan srq_preview_plan_of(const struct srq_job *job);
/* Pictures that pass through the model for it, for the estimate; bytes that it keeps. */
double srq_preview_passes(const struct srq_job *job);
uint64_t srq_preview_bytes(const struct srq_job *job);

#endif
