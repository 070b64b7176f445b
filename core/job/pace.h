/* How often a part of a job that takes long writes its checkpoint: every checkpoint_s seconds, or more rarely where
 * that would cost more than one part in SRQ_PACE_COST of the time; 0 seconds: whenever it can. */
#ifndef SRQ_JOB_PACE_H
#define SRQ_JOB_PACE_H

#include "core/job/events.h"

#define SRQ_PACE_COST 20 /* 5 % */

struct srq_pace {
    struct srq_events *events;
    double asked_s;
    double began, saved_at; /* monotonic: one begins to be written; the last one, or the beginning of the work */
    double cost_s;          /* of the last one */
    bool told;              /* that they are further apart than was asked for */
};

void srq_pace_init(struct srq_pace *p, struct srq_events *e, double asked_s);
bool srq_pace_due(struct srq_pace *p);
/* Before a checkpoint is written, and once it is on disk, which is told. block -1: it is of none. */
void srq_pace_begin(struct srq_pace *p);
int srq_pace_end(struct srq_pace *p, int block, int64_t iter, size_t bytes, struct srq_error *err);

#endif
