/* A job on its way in: planned by the worker program as the submitting user, made durable, accepted. */
#ifndef SRQD_SUBMISSION_H
#define SRQD_SUBMISSION_H

#include "daemon/srqd/clients/rpc.h"

/* Starts planning for job.submit or job.plan_spec, or lines up behind other plans. RPC_LATER or an error. */
int submission_begin(const struct request *r, struct srq_error *err);
/* Forgets the plan that is kept with a client. */
void submission_drop_client(struct client *c);

/* Of the answer to a plan or to a change of one: what the job needs, and how large it is. */
void submission_take_needs(struct job *j, const cJSON *answer);

/* The scheme of its layers, or, with a budget (`bits` above 0), what their schemes are chosen within. */
int submission_take_scheme(const cJSON *spec, double bits, char **out, struct srq_error *err);

/* 0, or why the daemon takes no job now; keeps all->refusing. */
int submission_allowed(struct clients *all, struct srq_error *err);

/* The reply of job.plan_spec out of the planner's answer. */
int submission_plan_reply(const struct request *r, const cJSON *answer, cJSON **result, struct srq_error *err);

#endif
