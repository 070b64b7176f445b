/* Names of the panels in the top line: where each stands, for drawing and for clicks. */
#ifndef SRQ_TUI_SRQTOP_TABS_H
#define SRQ_TUI_SRQTOP_TABS_H

#include "tui/srqtop/canvas.h"
#include "tui/srqtop/view.h"

/* Writes "1 Queue" (or less, where the line is narrow) into `label`[32]; the rectangle is absent when there is no
 * room. */
struct rect tab_place(struct rect tabs, enum top_panel panel, char *label);
/* TOP_PANEL_COUNT: none there. */
enum top_panel tab_at(struct rect tabs, int x, int y);

#endif
