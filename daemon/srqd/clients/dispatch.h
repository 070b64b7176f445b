/* Requests: looked up in the table, held to it, allowed or not, handed to their handler. */
#ifndef SRQD_DISPATCH_H
#define SRQD_DISPATCH_H

#include "daemon/srqd/clients/client.h"

/* As struct client_user wants it. */
int rpc_dispatch(struct client *c, const struct srq_message *m, bool *fatal, struct srq_error *err);

#endif
