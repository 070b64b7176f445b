/* Runs a short program, feeds its standard input and collects what it prints, without blocking the loop. */
#ifndef SRQD_CAPTURE_H
#define SRQD_CAPTURE_H

#include "daemon/srqd/base/children.h"

#include <stdbool.h>
#include <stddef.h>

struct captured {
    const char *out; /* NUL-terminated */
    size_t out_len;
    const char *err; /* the beginning of standard error, NUL-terminated */
    int status;      /* as waitpid gives it */
    bool timed_out;
    bool too_long;        /* printed more than the cap and was killed */
    int failed;           /* not 0: the program was never executed; a negative code, */
    struct srq_error why; /* and why */
};

typedef void (*capture_done)(const struct captured *c, void *ctx);

struct capture_wish {
    const char *const *argv;
    uid_t uid;
    gid_t gid;
    const char *input; /* copied; may be NULL */
    size_t input_len;
    size_t out_max;
    double timeout_s;
    int nice; /* added to the program's niceness */
};

/* `done` is called exactly once when 0 was returned, except when the loop ends first. */
int capture_start(struct event_base *base, struct children *children, const struct capture_wish *w, capture_done done,
                  void *ctx, struct srq_error *err);

#endif
