/* Curves with axes, and sparklines, in braille, blocks or ASCII. */
#ifndef SRQ_TUI_SRQTOP_PLOT_H
#define SRQ_TUI_SRQTOP_PLOT_H

#include "tui/srqtop/canvas.h"
#include "tui/srqtop/glyphs.h"
#include "tui/srqtop/model.h"

#define PLOT_CURVES CURVE_ROLES

struct plot_curve {
    const struct top_series *series;
    const char *label;
    bool apart; /* points are marks of their own, not joined */
};

struct plot {
    struct plot_curve curves[PLOT_CURVES];
    int count;
    const char *title, *x_title;
    bool log; /* logarithmic values; those that are not positive are left out */
    enum glyph_set set;
};

/* Draws into `r`: title, one line of legend a curve (marker, label, first and last value), axes with the least and the
 * greatest value, curves. Several curves differ by colour and carry their markers. With too little room the axes go,
 * then the legend. */
void plot_draw(struct canvas *c, struct rect r, const struct plot *p);

/* The curve in one row of w cells, lowest to highest, logarithmic when all is positive; "-" when there are no
 * points. */
void plot_spark(struct canvas *c, int x, int y, int w, const struct top_series *s, enum glyph_set set);

#endif
