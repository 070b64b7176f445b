/* A drawing as a list of shapes, in pixels from the top left corner; written as a PNG file or as SVG text. */
#ifndef SRQ_CTL_PICTURE_H
#define SRQ_CTL_PICTURE_H

#include "core/base/buf.h"

#include <srq/error.h>

#include <stdint.h>

#define CTL_PICTURE_CHAR 12   /* width of a character, the gap behind it included */
#define CTL_PICTURE_LINE 20   /* height of a line of text, its gap included */
#define CTL_PICTURE_LABEL 120 /* longest text, bytes */

enum ctl_anchor { CTL_LEFT, CTL_MIDDLE, CTL_RIGHT }; /* what x means for a text */

struct ctl_shape {
    enum { CTL_SHAPE_RECT, CTL_SHAPE_LINE, CTL_SHAPE_TEXT } kind;
    double x, y, w, h; /* rectangle; line: from (x, y) to (w, h); text: y is its middle */
    double width;      /* of a line */
    enum ctl_anchor anchor;
    uint32_t rgb;
    char text[CTL_PICTURE_LABEL];
};

struct ctl_picture {
    int width, height;
    struct ctl_shape *shapes;
    int count, cap;
    bool failed; /* out of memory: it cannot be written */
};

void ctl_picture_init(struct ctl_picture *p, int width, int height);
void ctl_picture_fini(struct ctl_picture *p);
void ctl_picture_rect(struct ctl_picture *p, double x, double y, double w, double h, uint32_t rgb);
void ctl_picture_line(struct ctl_picture *p, double x0, double y0, double x1, double y1, double width, uint32_t rgb);
/* ASCII is drawn; other characters become '?' in a PNG. */
void ctl_picture_text(struct ctl_picture *p, double x, double y, enum ctl_anchor anchor, uint32_t rgb,
                      const char *text);

/* Writes a PNG of width x height pixels on white, complete or not at all. */
int ctl_picture_png(const struct ctl_picture *p, const char *path, struct srq_error *err);
/* Adds an <svg> element that scales with the page; `title` names it for readers who do not see it. */
void ctl_picture_svg(const struct ctl_picture *p, const char *title, struct srq_buf *out);
/* Adds text with &, <, >, " and ' written as entities, control characters left out. */
void ctl_xml_text(struct srq_buf *out, const char *text);

#endif
