/* Handlers of methods, by the file that they are in; NULL: the method is not there. */
#ifndef SRQD_HANDLERS_H
#define SRQD_HANDLERS_H

#include "daemon/srqd/clients/rpc.h"

rpc_handler rpc_daemon_handler(const char *method);
rpc_handler rpc_job_handler(const char *method);
rpc_handler rpc_submit_handler(const char *method);
rpc_handler rpc_look_handler(const char *method);
rpc_handler rpc_plan_handler(const char *method);

#endif
