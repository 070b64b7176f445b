/* A grid of character cells that panels draw into. Pure: knows no terminal, no colour and no locale.
 *
 * A cell holds one character (its code point), the role it plays and attributes. A character two columns wide takes its
 * cell and the next one, whose code is 0. Drawing outside the clip rectangle does nothing. Text from elsewhere may be
 * anything: broken UTF-8 and control characters become '?', characters without width are left out; with `ascii` every
 * character beyond ASCII becomes '?'. */
#ifndef SRQ_TUI_SRQTOP_CANVAS_H
#define SRQ_TUI_SRQTOP_CANVAS_H

#include "tui/srqtop/role.h"

#include <stdbool.h>
#include <stdint.h>

enum { ATTR_BOLD = 1, ATTR_UNDERLINE = 2, ATTR_REVERSE = 4 };

struct rect {
    int x, y, w, h; /* absent when w or h is 0 */
};

/* A pixel: red, green, blue. */
struct pixel {
    uint8_t rgb[3];
};

struct cell {
    uint32_t code; /* 0: right half of the wide character before it */
    uint8_t role, attr;
    struct pixel top, bottom; /* of ROLE_PICTURE with a half block: colours of its halves; else 0 */
};

struct canvas {
    int w, h;
    struct cell *cells; /* [h, w] */
    struct rect clip;
    bool ascii;
    bool pixels;            /* colours of pixels can be shown; a clear leaves it and `ascii` */
    int cursor_x, cursor_y; /* where the terminal's cursor shall be; -1: hidden */
};

void canvas_init(struct canvas *c);
void canvas_fini(struct canvas *c);
/* Blank canvas of w × h (at least 1 × 1), clip everything. False: no memory, the old canvas stays. */
bool canvas_resize(struct canvas *c, int w, int h);
void canvas_clear(struct canvas *c); /* blanks, clip everything, cursor hidden */
/* Clips to `r` within the canvas; returns the rectangle that was in force, for canvas_unclip. */
struct rect canvas_clip(struct canvas *c, struct rect r);
void canvas_unclip(struct canvas *c, struct rect old);

void canvas_put(struct canvas *c, int x, int y, uint32_t code, enum role role, int attr);
/* Two pixels, one above the other: a half block in their colours, or where those cannot be shown a character as dense
 * as they are light. */
void canvas_pixels(struct canvas *c, int x, int y, struct pixel top, struct pixel bottom);
void canvas_fill(struct canvas *c, struct rect r, uint32_t code, enum role role, int attr);
/* Writes text in at most `max` columns; what does not fit is cut and ends in an ellipsis. Returns the columns used. */
int canvas_str(struct canvas *c, int x, int y, int max, const char *text, enum role role, int attr);
/* The same, but what does not fit is cut at the beginning: the end of a layer's name says more. */
int canvas_str_tail(struct canvas *c, int x, int y, int max, const char *text, enum role role, int attr);
/* The same as canvas_str, ending at column x + max. */
void canvas_str_right(struct canvas *c, int x, int y, int max, const char *text, enum role role, int attr);
int canvas_printf(struct canvas *c, int x, int y, int max, enum role role, int attr, const char *fmt, ...)
    __attribute__((format(printf, 7, 8)));
/* Adds attributes to cells that are drawn already, and their role unless it is ROLE_COUNT. */
void canvas_mark(struct canvas *c, struct rect r, enum role role, int attr);

int canvas_columns(const char *text); /* columns that text takes */
/* Decodes one character of any bytes: its code ('?' for broken bytes and controls), advancing *text; 0 at the end. */
uint32_t canvas_next(const char **text);
int canvas_width_of(uint32_t code); /* 0, 1 or 2 columns */

/* The characters as lines, blanks at line ends left out; the caller frees it (srq_free). NULL: no memory. */
char *canvas_text(const struct canvas *c);
/* The roles as lines of one letter a cell (role.h), 'blank' where there is nothing to see: for tests. */
char *canvas_roles(const struct canvas *c);

#endif
