/* The characters that panels draw with: one table for braille, one for blocks, one for ASCII. */
#ifndef SRQ_TUI_SRQTOP_GLYPHS_H
#define SRQ_TUI_SRQTOP_GLYPHS_H

#include <stdbool.h>
#include <stdint.h>

enum glyph_set { GLYPHS_BRAILLE, GLYPHS_BLOCK, GLYPHS_ASCII, GLYPHS_COUNT };

#define GLYPH_LEVELS 8
#define GLYPH_SHADES 5
#define GLYPH_MARKERS 6

struct glyphs {
    uint32_t open, closed; /* a block whose layers are shown, or not */
    uint32_t pinned, tagged, edited, cursor, differs;
    uint32_t pending, tuning, finished, stale, failed; /* states */
    uint32_t vline, hline, tick, corner, arrow, dot;
    uint32_t level[GLYPH_LEVELS]; /* sparkline, low to high */
    uint32_t shade[GLYPH_SHADES]; /* heat, low to high; none is blank */
    uint32_t part[GLYPH_LEVELS];  /* progress: 1/8 … 8/8 of a cell */
    uint32_t rest;
    uint32_t marker[GLYPH_MARKERS]; /* one a curve */
    int dots_x, dots_y;             /* points of a curve in one cell */
};

const struct glyphs *glyphs_of(enum glyph_set set);
/* The character that shows the dots of `mask` (bit y * dots_x + x, y downwards) of one cell; ASCII has none: 0. */
uint32_t glyphs_dots(enum glyph_set set, unsigned mask);

#endif
