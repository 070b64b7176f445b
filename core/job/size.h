/* The size of an export, before it is made and as it was made. */
#ifndef SRQ_JOB_SIZE_H
#define SRQ_JOB_SIZE_H

#include "core/job/high_steps.h"
#include "core/job/resolved.h"

/* Bytes of all tensors of the export under a plan, in the first format; 0: they cannot be told. `resolved` a struct
 * srq_resolved. */
uint64_t srq_resolved_stored(void *resolved, const struct srq_plan *plan);
/* Takes the size of r->plan. */
void srq_resolved_take_size(struct srq_resolved *r);
/* after_bytes of that, with the steps of full precision that sampling came to. */
uint64_t srq_resolved_size_made(const struct srq_resolved *r, struct srq_high_steps steps);

#endif
