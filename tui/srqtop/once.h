/* srqtop --once: one picture as text, or everything known as JSON. */
#ifndef SRQ_TUI_SRQTOP_ONCE_H
#define SRQ_TUI_SRQTOP_ONCE_H

#include "tui/srqtop/options.h"

/* Exit codes, as srqctl's. */
enum top_exit { TOP_OK = 0, TOP_REFUSED = 1, TOP_USAGE = 2, TOP_NO_DAEMON = 3, TOP_NO_JOB = 4, TOP_DENIED = 5 };

int top_once(const struct top_options *o);

#endif
