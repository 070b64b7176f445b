/* Going into the background: the first process stays until the daemon serves, so that who started it can connect as
 * soon as it has ended with 0. */
#ifndef SRQD_BACKGROUND_H
#define SRQD_BACKGROUND_H

#include <srq/error.h>

struct background {
    int ready;   /* > 0: where to say that the daemon serves */
    char *state; /* folder of the log */
};

/* Returns in the background process only. Standard input and output become /dev/null; messages go to STATE/srqd.log
 * once the daemon serves, to standard error until then. */
int background_enter(struct background *b, const char *state, struct srq_error *err);
void background_ready(struct background *b);

#endif
