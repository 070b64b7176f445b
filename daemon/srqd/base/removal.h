/* Folders on their way out. A program of its own removes them, one batch after the other: a tree may be large and its
 * file system slow, and a forked part of the daemon would keep the daemon's locks and socket while it works. */
#ifndef SRQD_REMOVAL_H
#define SRQD_REMOVAL_H

#include "daemon/srqd/base/children.h"

#include <stddef.h>

struct removals;

struct removals *removals_create(struct event_base *base, struct children *children); /* NULL when out of memory */
/* What is being removed goes on without us; what waits stays where it is. NULL is fine. */
void removals_free(struct removals *r);

/* Removes the folder with all that is in it, soon. What stays of it is told in the log, and kept for removals_left. */
void removals_add(struct removals *r, const char *path);
/* It could not even be tried, for the reason that `err` gives. */
void removals_failed(struct removals *r, const char *path, const struct srq_error *err);

/* Folders that could not be removed since the start, the newest ones; *paths is the list's, until the loop goes on. */
size_t removals_left(const struct removals *r, const char *const **paths);

#endif
