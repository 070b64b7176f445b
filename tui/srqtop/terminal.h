/* The terminal behind a canvas: ncurses, wide characters. One at a time. */
#ifndef SRQ_TUI_SRQTOP_TERMINAL_H
#define SRQ_TUI_SRQTOP_TERMINAL_H

#include "tui/srqtop/canvas.h"
#include "tui/srqtop/theme.h"
#include "tui/srqtop/view.h"

#include <srq/error.h>

/* Takes the terminal of standard input and output over: full screen, raw keys, mouse.
 * `mono`: no colours (NO_COLOR in the environment says so too). -SRQ_EINVAL: not a terminal, or one unknown to
 * terminfo; nothing is changed then. setlocale must have been called. */
int terminal_open(const struct theme *theme, bool mono, struct srq_error *err);
void terminal_close(void); /* gives it back as it was; does nothing when it is not open */
/* Async-signal-safe: writes the restoring sequences and sets the old modes. For handlers of deadly signals. */
void terminal_restore(void);
void terminal_suspend(void); /* the same as terminal_restore before the process is stopped; not for handlers */
/* After the process was stopped and continues: takes the terminal again and draws everything at the next flush. */
void terminal_resume(void);

void terminal_size(int *width, int *height);
/* To be called after SIGWINCH, before terminal_size. */
void terminal_resized(void);
/* Shows the canvas; only what changed since the last flush is written. */
void terminal_flush(const struct canvas *c);
void terminal_redraw(void); /* everything is written again at the next flush */
/* The next key without waiting: false when there is none. The descriptor to poll is standard input. */
bool terminal_key(struct top_key *key);
/* Seconds until terminal_key is to be asked again though no byte came, as after ESC; negative: not at all. */
double terminal_key_wait(void);
bool terminal_gone(void);   /* standard input is at its end: the terminal went away */
int terminal_colours(void); /* 256, 16, 8 or 0, as in use */
void terminal_set_theme(const struct theme *theme);

/* Shows how far something is where the terminal's window has a place for it (OSC 9;4); -1: nothing is. */
void terminal_progress(int percent);
/* Rings, and has the terminal notify of a message (OSC 9) where it can. */
void terminal_notify(const char *message);

/* Whether the locale's characters are UTF-8: else draw with GLYPHS_ASCII. */
bool terminal_utf8(void);

#endif
