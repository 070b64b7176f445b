/* The running program: terminal, daemon and timers in one loop. */
#ifndef SRQ_TUI_SRQTOP_APP_H
#define SRQ_TUI_SRQTOP_APP_H

#include "tui/srqtop/options.h"

int top_run(const struct top_options *o); /* gives an exit code (once.h) */

#endif
