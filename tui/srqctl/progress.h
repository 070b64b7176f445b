/* What is known about a running job from its events, and how to say it: one line on a terminal, plain lines on a pipe.
 * Pure: text in, text out; follow.h does the waiting and writing. */
#ifndef SRQ_CTL_PROGRESS_H
#define SRQ_CTL_PROGRESS_H

#include "core/base/buf.h"

#include <cjson/cJSON.h>
#include <stdbool.h>

#define CTL_PLAIN_EVERY_S 10.0 /* between two plain lines about the same stage */

struct ctl_progress {
    char state[16], reason[256];
    char stage[16], unit[32], detail[128];
    double done, total, rate, eta_s;      /* NaN: unknown */
    double stage_elapsed_s, stage_seen_s; /* as sent, and our clock when it came: elapsed goes on between events */
    double started;                       /* wall time of the first event; NaN */
    int block;                            /* -1: none runs */
    char block_name[128];
    double iter, iters, loss, loss_first, loss_best;
    int tuned, plain; /* blocks that ended with and without an iterate to keep */
    double said_s;    /* our clock at the last plain line of stage.progress */
};

void ctl_progress_init(struct ctl_progress *p);

/* Takes an event in. `now` is a monotonic clock in seconds. What deserves a line of its own is appended to `lines`:
 * changes of state and stage, ended blocks, measurements, warnings; on a terminal (`live`) only what the line cannot
 * show: measurements, warnings, changes of state. A stage says how far it is at most every CTL_PLAIN_EVERY_S. */
void ctl_progress_event(struct ctl_progress *p, const char *event, const cJSON *params, double now, bool live,
                        struct srq_buf *lines);

/* The one line, at most `width` columns, no newline: what matters least is left out first. */
void ctl_progress_line(const struct ctl_progress *p, double now, double wall, int width, struct srq_buf *out);

#endif
