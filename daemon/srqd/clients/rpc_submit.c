/* job.submit and job.plan_spec. */
#include "daemon/srqd/clients/handlers.h"

#include "daemon/srqd/clients/submission.h"

#include <string.h>

static int submit(const struct request *r, cJSON **result, struct srq_error *err)
{
    (void)result;
    return submission_begin(r, err);
}

/* A further page of the plan that this client has just asked for needs no second planning. */
static int plan_spec(const struct request *r, cJSON **result, struct srq_error *err)
{
    char *key = NULL;
    bool same;

    if (rpc_number(r, "offset", 0) == 0 || r->c->plan == NULL)
        return submission_begin(r, err);
    key = cJSON_PrintUnformatted(rpc_param(r, "spec"));
    same = key != NULL && strcmp(key, r->c->plan_key) == 0;
    cJSON_free(key);
    return same ? submission_plan_reply(r, r->c->plan, result, err) : submission_begin(r, err);
}

const struct rpc_row rpc_submit_rows[] = {
    { "job.submit", submit },
    { "job.plan_spec", plan_spec },
    { NULL, NULL },
};
