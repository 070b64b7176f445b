/* A font of 5 by 7 pixels for the labels of pictures. */
#ifndef SRQ_CTL_FONT_H
#define SRQ_CTL_FONT_H

#include <stdint.h>

#define CTL_FONT_WIDTH 5
#define CTL_FONT_HEIGHT 7

/* Rows from the top, the leftmost pixel in bit 4. What is not printable ASCII is a question mark. */
const uint8_t *ctl_font_glyph(char c);

#endif
