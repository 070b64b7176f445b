/* The short environment that srqd keeps and hands to workers. */
#ifndef SRQD_ENVIRONMENT_H
#define SRQD_ENVIRONMENT_H

#include <stdbool.h>
#include <sys/types.h>

bool environment_keeps(const char *name_and_value);
/* Drops everything else from the process's own environment, and what must not go to children (NOTIFY_SOCKET stays
 * readable for us but is never handed on). */
void environment_prune(void);

/* A NULL-terminated environment for a child that runs as `uid`: the kept names, with HOME, USER and LOGNAME of that
 * user where it is not ours (and without our XDG_* then), then `extra` ("NAME=value", NULL-terminated, may be NULL).
 * Freed with environment_free. NULL when out of memory. */
char **environment_for(uid_t uid, const char *user, const char *home, const char *const *extra);
void environment_free(char **envp);

#endif
