/* The journal's last words about the job itself, kept up to date line by line. */
#ifndef SRQD_TESTAMENT_H
#define SRQD_TESTAMENT_H

#include "daemon/srqd/workers/journal_view.h"

#define TESTAMENT_EVENTS "job.state|log" /* the only ones that matter to it */

struct testament {
    int64_t seq; /* the last line that is in it; those before are too */
    int state;   /* enum srq_job_state; queued: none yet; -1: none of them */
    char reason[512];
    char error[512]; /* last log line of level error */
};

void testament_take(struct testament *t, const struct journal_entry *e);

#endif
