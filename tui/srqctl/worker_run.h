/* srq-worker as a helper: one run, text in, JSON out. */
#ifndef SRQ_CTL_WORKER_RUN_H
#define SRQ_CTL_WORKER_RUN_H

#include <srq/error.h>

#include <cjson/cJSON.h>

/* One line that it wrote to standard error, without newline. */
typedef void (*ctl_worker_line)(const char *line, void *ctx);

const char *ctl_worker_program(void); /* $SRQ_WORKER, else the installed one */

/* Runs the worker with `args` (NULL at the end, without its name) and `input` (NULL: nothing) on standard input.
 * Standard error goes line by line to `line` (NULL: to ours). *out: what it printed, the caller's.
 * Where Ctrl-C is caught (ctl_catch_signals) it asks the worker to end, in whose time and words the run ends then.
 * The worker's own refusal {"error": …} comes back as that error; a death or anything but JSON as -SRQ_EIO with its
 * last words. */
int ctl_worker_run(const char *const *args, const char *input, ctl_worker_line line, void *ctx, cJSON **out,
                   struct srq_error *err);

#endif
