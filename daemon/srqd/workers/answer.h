/* What a short run of the worker program (--plan, --change) said: JSON, a refusal, or nothing that can be used. */
#ifndef SRQD_ANSWER_H
#define SRQD_ANSWER_H

#include "daemon/srqd/base/capture.h"
#include "daemon/srqd/jobs/jobs.h"

/* The JSON object it printed into *out, or the sentence that says why there is none. `doing` is the option it was
 * called with, `max` the cap its output was held to. */
int worker_answer_read(const struct srqd *d, const struct captured *c, const char *doing, size_t max, cJSON **out,
                       struct srq_error *err);

#endif
