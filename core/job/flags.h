/* What was asked of a job from outside. Set by any thread and by signal handlers, read by the computing thread. */
#ifndef SRQ_JOB_FLAGS_H
#define SRQ_JOB_FLAGS_H

#include <stdatomic.h>

struct srq_job_flags {
    atomic_bool pause;      /* checkpoint, end */
    atomic_bool cancel;     /* end for good */
    atomic_bool finish;     /* round what is left plainly, export */
    atomic_bool checkpoint; /* checkpoint now, go on */
    atomic_uint stage;      /* where the job is, for those outside: an srq_stage */
};

#endif
