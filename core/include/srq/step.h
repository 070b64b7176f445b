/* Where a loop of the host is: tuning a block, or training scales. */
#ifndef SRQ_STEP_H
#define SRQ_STEP_H

#include <srq/types.h>

/* How srq_step.schedule falls over T steps. */
enum {
    SRQ_DECAY_LINEAR = 0, /* 1 - t/T */
    SRQ_DECAY_COSINE,     /* (1 + cos(pi t/T)) / 2 */
};

struct srq_step {
    uint32_t size;
    int64_t iter, iters;  /* 0-based */
    int64_t micro, accum; /* micro-batch within the step */
    double schedule;      /* factor on learning rates, by the decay that was asked for */
};

#endif
