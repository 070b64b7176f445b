/* The tier of clients, put together and taken down. */
#ifndef SRQD_SERVICE_H
#define SRQD_SERVICE_H

#include "daemon/srqd/clients/client.h"

/* `orders` says how the process is asked. The clients become the watchers of `d`'s jobs. */
void service_init(struct clients *all, struct srqd *d, const struct process_orders *orders);
/* Whether nobody is connected and nothing is being done for anybody. */
bool service_idle(const struct clients *all);
/* Nobody is served any more. Changes that wait are dropped by changes_drop, when the jobs are gone too. */
void service_close(struct clients *all);

#endif
