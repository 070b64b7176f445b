/* What training does to pictures: some are sampled with the full-precision model once, and from the same noise with its
 * student now and then while that is trained (event sample.pictures). What is trained stays as it would be without. */
#ifndef SRQ_JOB_PREVIEW_H
#define SRQ_JOB_PREVIEW_H

#include "core/job/preview_plan.h"
#include "core/job/run.h"
#include "core/tune/trainer.h"

struct srq_preview;

/* `t` stays the caller's, who frees it later. *out NULL: the job shows none. */
int srq_preview_create(struct srq_run *run, struct srq_train *t, struct srq_preview **out, struct srq_error *err);
void srq_preview_free(struct srq_preview *p); /* NULL is fine */

/* Between two steps, `step` of them done: shows the student when it is time to. What goes wrong is logged, and nothing
 * more is shown then. When the job is told to stop meanwhile, it comes back early, for the caller to see that too. */
void srq_preview_look(struct srq_preview *p, int64_t step);
/* After the last step. */
void srq_preview_end(struct srq_preview *p);

#endif
