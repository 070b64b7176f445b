/* Pictures in cells of two pixels each. */
#ifndef SRQ_TUI_SRQTOP_PICTURE_CELLS_H
#define SRQ_TUI_SRQTOP_PICTURE_CELLS_H

#include "tui/srqtop/canvas.h"
#include "tui/srqtop/model.h"

/* How many pictures are shown in a rectangle, in how many columns and rows of pictures, and how large one is in pixels
 * of the screen: columns of cells, and twice the rows. */
struct picture_fit {
    int count, across, down, w, h;
};

/* As many pictures as are hardly made smaller, else one; several times as large where there is room. Pictures have a
 * free column or row between them. count 0: there is no room, or no picture. */
struct picture_fit picture_fit(const struct top_pictures *p, int columns, int rows);

/* Draws picture `first` and those after it, as `fit` says, from the upper left corner of r. */
void picture_draw(struct canvas *c, struct rect r, const struct top_pictures *p, int first, struct picture_fit fit);

#endif
