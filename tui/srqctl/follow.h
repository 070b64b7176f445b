/* Following a job to its end: subscribe, show progress, survive a restart of the daemon, stop on Ctrl-C. */
#ifndef SRQ_CTL_FOLLOW_H
#define SRQ_CTL_FOLLOW_H

#include "tui/srqctl/verb.h"

enum ctl_follow_show {
    CTL_SHOW_NOTHING,
    CTL_SHOW_PROGRESS, /* a line redrawn in place on a terminal, plain lines on a pipe */
    CTL_SHOW_EVENTS,   /* every event as one line of JSON */
    CTL_SHOW_LOG,      /* what ctl_follow_log is told */
};

/* Waits for `id` to end, at most `timeout_s` (0: for ever). CTL_OK when it is done, CTL_JOB_FAILED when it failed or
 * was canceled, CTL_TIMEOUT, CTL_INTERRUPTED, CTL_NO_DAEMON, CTL_NO_JOB, CTL_DENIED, the last three and CTL_TIMEOUT
 * complained of. `*job` (may be NULL): the job as job.get gives it at the end, the caller's; NULL when
 * there is none. */
int ctl_follow(struct ctl *ctl, const char *id, enum ctl_follow_show show, double timeout_s, cJSON **job);

/* After Ctrl-C: how to return to the job, which goes on. Gives `ended` back. */
int ctl_say_goes_on(int ended, const char *id);

/* What wait and watch begin with: --timeout, the daemon, the job that was named; then ctl_follow, and ctl_say_goes_on.
 */
int ctl_follow_named(struct ctl *ctl, enum ctl_follow_show show, cJSON **job);

/* The same, calling `tell` for each "log" event after line *seq of the journal; moves *seq to the last one. */
int ctl_follow_log(struct ctl *ctl, const char *id, double *seq,
                   void (*tell)(void *ctx, const char *event, const cJSON *params), void *ctx);
/* Waits `s` seconds; true: interrupted by Ctrl-C. */
bool ctl_follow_pause(double s);

/* Prints how it ended (for people): the table of the report when done, the reason when not. Gives `ended` back. */
int ctl_print_end(struct ctl *ctl, const cJSON *job, int ended);

#endif
