/* Handlers of methods, by the file that they are in. */
#ifndef SRQD_HANDLERS_H
#define SRQD_HANDLERS_H

#include "daemon/srqd/clients/rpc.h"

struct rpc_row {
    const char *method; /* NULL: the end */
    rpc_handler handler;
};

extern const struct rpc_row rpc_daemon_rows[], rpc_job_rows[], rpc_look_rows[], rpc_plan_rows[], rpc_submit_rows[];

/* Ends what is read for pages of a client that goes. */
void rpc_look_drop_client(struct client *c);

#endif
