/* Characters of the three sets. */
#include "tui/srqtop/glyphs.h"

#define UNICODE_MARKS                                                                                            \
    .open = 0x25be, .closed = 0x25b8, .pinned = 0x25c6, .tagged = 0x2022, .edited = 0x2192, .cursor = 0x25b6,    \
    .differs = 0x2260, .pending = 0xb7, .tuning = 0x25b6, .finished = 0x2713, .stale = 0x21bb, .failed = 0x2717, \
    .vline = 0x2502, .hline = 0x2500, .tick = 0x2524, .corner = 0x2514, .arrow = 0x2192, .dot = 0xb7,            \
    .level = { 0x2581, 0x2582, 0x2583, 0x2584, 0x2585, 0x2586, 0x2587, 0x2588 },                                 \
    .shade = { 0xb7, 0x2591, 0x2592, 0x2593, 0x2588 },                                                           \
    .part = { 0x258f, 0x258e, 0x258d, 0x258c, 0x258b, 0x258a, 0x2589, 0x2588 }, .rest = 0x2591,                  \
    .marker = { 0x25cf, 0x25b2, 0x25a0, 0x25c6, 0x25bc, 0x2605 }

static const struct glyphs sets[GLYPHS_COUNT] = {
    [GLYPHS_BRAILLE] = { UNICODE_MARKS, .dots_x = 2, .dots_y = 4 },
    [GLYPHS_BLOCK] = { UNICODE_MARKS, .dots_x = 2, .dots_y = 2 },
    [GLYPHS_ASCII] = { .open = 'v',
                       .closed = '>',
                       .pinned = '!',
                       .tagged = '*',
                       .edited = '>',
                       .cursor = '>',
                       .differs = '#',
                       .pending = '.',
                       .tuning = '>',
                       .finished = '+',
                       .stale = '@',
                       .failed = 'x',
                       .vline = '|',
                       .hline = '-',
                       .tick = '+',
                       .corner = '+',
                       .arrow = '>',
                       .dot = '.',
                       .level = { '_', '.', '-', '~', '=', '+', '*', '#' },
                       .shade = { '.', ':', '+', '%', '#' },
                       .part = { '-', '-', '-', '=', '=', '=', '#', '#' },
                       .rest = '.',
                       .marker = { '*', 'o', '+', 'x', '%', '@' },
                       .dots_x = 1,
                       .dots_y = 1 },
};

const struct glyphs *glyphs_of(enum glyph_set set)
{
    return &sets[set];
}

/* Braille numbers its dots down the left column, then the right, with the bottom row last (Unicode 16, U+2800). */
static uint32_t braille(unsigned mask)
{
    static const unsigned char dot[8] = { 0x01, 0x08, 0x02, 0x10, 0x04, 0x20, 0x40, 0x80 };
    uint32_t code = 0x2800;

    for (int i = 0; i < 8; i++)
        if (mask >> i & 1)
            code |= dot[i];
    return code;
}

uint32_t glyphs_dots(enum glyph_set set, unsigned mask)
{
    /* Quadrants by upper left 1, upper right 2, lower left 4, lower right 8. */
    static const uint32_t quadrants[16] = { ' ',    0x2598, 0x259d, 0x2580, 0x2596, 0x258c, 0x259e, 0x259b,
                                            0x2597, 0x259a, 0x2590, 0x259c, 0x2584, 0x2599, 0x259f, 0x2588 };

    switch (set) {
    case GLYPHS_BRAILLE:
        return braille(mask & 0xff);
    case GLYPHS_BLOCK:
        return quadrants[mask & 0xf];
    default:
        return 0;
    }
}
