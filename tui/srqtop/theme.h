/* How roles look: colours of 256, of 16, or attributes alone.
 *
 * Every theme can be read without telling red from green: heat is a ramp of rising lightness, and symbols, shades or
 * words say the same as the colour does. */
#ifndef SRQ_TUI_SRQTOP_THEME_H
#define SRQ_TUI_SRQTOP_THEME_H

#include "tui/srqtop/role.h"

#include <stdint.h>

#define THEME_NONE (-1) /* the terminal's own colour */

struct theme_look {
    int16_t fg, bg; /* colour number or THEME_NONE */
    uint8_t attr;   /* ATTR_… of canvas.h */
};

struct theme {
    const char *name, *summary;
    struct theme_look deep[ROLE_COUNT];  /* 256 colours */
    struct theme_look plain[ROLE_COUNT]; /* 8 + 8 colours; 8 … 15 are bright */
};

extern const struct theme themes[];               /* ends with a NULL name; the first is the default */
const struct theme *theme_find(const char *name); /* NULL: none of that name */
/* 0xRRGGBB of one of the 256 colours, as xterm has them. */
uint32_t theme_rgb(int colour);
/* Look of a role with that many colours (256, 16, 8; fewer: attributes only, the same in every theme). */
struct theme_look theme_look_of(const struct theme *t, enum role role, int colours);

#endif
