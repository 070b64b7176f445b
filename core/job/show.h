/* Pictures for those who watch a job on a diffusion model: event sample.pictures (srq-protocol(7)). */
#ifndef SRQ_JOB_SHOW_H
#define SRQ_JOB_SHOW_H

#include "core/job/high_steps.h"
#include "core/job/run.h"

#define SRQ_SHOWN_PICTURES 4 /* at a time, at most */
#define SRQ_SHOWN_SIDE 32    /* larger ones are made smaller, keeping their shape */

struct srq_high_steps;

struct srq_shown {
    enum srq_sampled which;
    int64_t train_step;                /* training steps done by then; below 0: of the job's result */
    const float *pictures;             /* [count, height, width, channels], -1 dark to 1 light */
    int64_t count;                     /* those past SRQ_SHOWN_PICTURES are left out */
    struct srq_picture_shape shape;    /* of one; its count is not looked at */
    int steps;                         /* in which they were sampled */
    const struct srq_high_steps *high; /* as sampling settled them; NULL: as the job says */
    const double *signal, *noise; /* [steps] sums of squares of what the full-precision model says along its way, and of
                                     how far off this one is; NULL: there is no comparison */
};

/* Tells them; a failure is the events' own (srq_events_check). */
void srq_show_pictures(struct srq_run *run, const struct srq_shown *s);

#endif
