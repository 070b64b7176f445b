/* What srq-worker says while it works for a verb: one moving line on a terminal, plain lines elsewhere. */
#ifndef SRQ_CTL_WORKER_VIEW_H
#define SRQ_CTL_WORKER_VIEW_H

#include "tui/srqctl/progress.h"
#include "tui/srqctl/verb.h"

struct ctl_worker_view {
    bool live, plain; /* neither with --json */
    bool shown;       /* the moving line is on the screen */
    double drawn_s;
    struct ctl_progress progress;
};

void ctl_worker_view_init(struct ctl_worker_view *v, const struct ctl *ctl);
/* A ctl_worker_line (ctx: the view): events are shown, anything else is passed on to standard error. */
void ctl_worker_view_line(const char *line, void *ctx);
void ctl_worker_view_end(struct ctl_worker_view *v); /* takes the moving line away */

#endif
