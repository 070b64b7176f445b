/* Columns of a table within a given width: what matters most stays, what is left goes to those that can grow. */
#ifndef SRQ_TUI_SRQTOP_COLUMNS_H
#define SRQ_TUI_SRQTOP_COLUMNS_H

#include "tui/srqtop/canvas.h"

#define COLUMNS_MOST 16

struct column {
    const char *title;
    int least, most; /* width */
    int rank;        /* the highest goes first when there is no room; 0 never goes */
    bool right;      /* numbers: title at the right end */
};

/* Where each column begins and how wide it is (0: left out), one blank between two. count <= COLUMNS_MOST. */
struct column_place {
    int x, w;
};
void columns_fit(const struct column *columns, int count, int x, int width, struct column_place *place);
void columns_titles(struct canvas *c, int y, const struct column *columns, int count, const struct column_place *place);

#endif
