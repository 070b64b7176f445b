/* What the end of a worker means. */
#ifndef SRQD_OUTCOME_H
#define SRQD_OUTCOME_H

#include "daemon/srqd/jobs/job.h"

enum outcome_kind {
    OUTCOME_DONE,
    OUTCOME_PAUSED,
    OUTCOME_CANCELED,
    OUTCOME_FAILED,  /* a retry would end the same way */
    OUTCOME_LOCKED,  /* another worker has the job directory */
    OUTCOME_CRASHED, /* a retry may help */
    OUTCOME_LOST,    /* it ended unseen, unfinished, while srqd was away */
};

struct outcome {
    enum outcome_kind kind;
    char text[900]; /* the cause, for people */
};

/* `known`: `status` is from waitpid. Else only the journal can tell. */
void outcome_decide(const struct job *j, bool known, int status, struct outcome *o);

#endif
