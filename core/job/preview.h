/* What training does to pictures: some are sampled with the full-precision model once, and from the same noise with its
 * student now and then while that is trained (event sample.pictures). What is trained stays as it would be without. */
#ifndef SRQ_JOB_PREVIEW_H
#define SRQ_JOB_PREVIEW_H

#include "core/job/show.h"
#include "core/tune/trainer.h"

#define SRQ_PREVIEW_COST 20 /* one part of the training's time in so many, at most, unless `preview` was given */

struct srq_preview;

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

/* `t` stays the caller's, who frees it later. *out NULL: the job shows none. */
int srq_preview_create(struct srq_run *run, struct srq_train *t, struct srq_preview **out, struct srq_error *err);
void srq_preview_free(struct srq_preview *p); /* NULL is fine */

/* Between two steps, `step` of them done: shows the student when it is time to. What goes wrong is logged, and nothing
 * more is shown then. When the job is told to stop meanwhile, it comes back early, for the caller to see that too. */
void srq_preview_look(struct srq_preview *p, int64_t step);
/* After the last step. */
void srq_preview_end(struct srq_preview *p);

#endif
