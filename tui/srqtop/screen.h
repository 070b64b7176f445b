/* The whole picture: draws what the view looks at into a canvas. */
#ifndef SRQ_TUI_SRQTOP_SCREEN_H
#define SRQ_TUI_SRQTOP_SCREEN_H

#include "tui/srqtop/canvas.h"
#include "tui/srqtop/view.h"

/* Clears `c` and draws; the canvas' size is the screen's. Scroll positions and the cursor are brought into range first
 * (view_settle). */
void screen_draw(struct top_model *m, struct top_view *v, struct canvas *c);

#endif
