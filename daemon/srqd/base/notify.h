/* Tells the service manager how we are (sd_notify(3)'s protocol: a datagram to $NOTIFY_SOCKET). */
#ifndef SRQD_NOTIFY_H
#define SRQD_NOTIFY_H

#include <stdbool.h>

/* Sends e.g. "READY=1". True when sent; false, silently, where no manager listens. */
bool notify_manager(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
