/* The list of shapes, and SVG. */
#include "tui/srqctl/picture.h"

#include "core/base/alloc.h"

#include <string.h>

#define SHAPES_MAX 4000000

void ctl_picture_init(struct ctl_picture *p, int width, int height)
{
    *p = (struct ctl_picture){ .width = width, .height = height };
}

void ctl_picture_fini(struct ctl_picture *p)
{
    srq_free(p->shapes);
    memset(p, 0, sizeof(*p));
}

static struct ctl_shape *add(struct ctl_picture *p)
{
    if (p->count == p->cap) {
        int cap = p->cap > 0 ? 2 * p->cap : 256;
        struct ctl_shape *more = cap <= SHAPES_MAX ? srq_reallocarray(p->shapes, (size_t)cap, sizeof(*more)) : NULL;

        if (more == NULL) {
            p->failed = true;
            return NULL;
        }
        p->shapes = more;
        p->cap = cap;
    }
    memset(&p->shapes[p->count], 0, sizeof(p->shapes[0]));
    return &p->shapes[p->count++];
}

void ctl_picture_rect(struct ctl_picture *p, double x, double y, double w, double h, uint32_t rgb)
{
    struct ctl_shape *s = add(p);

    if (s == NULL)
        return;
    s->kind = CTL_SHAPE_RECT;
    s->x = x;
    s->y = y;
    s->w = w;
    s->h = h;
    s->rgb = rgb;
}

void ctl_picture_line(struct ctl_picture *p, double x0, double y0, double x1, double y1, double width, uint32_t rgb)
{
    struct ctl_shape *s = add(p);

    if (s == NULL)
        return;
    s->kind = CTL_SHAPE_LINE;
    s->x = x0;
    s->y = y0;
    s->w = x1;
    s->h = y1;
    s->width = width;
    s->rgb = rgb;
}

void ctl_picture_text(struct ctl_picture *p, double x, double y, enum ctl_anchor anchor, uint32_t rgb, const char *text)
{
    struct ctl_shape *s = add(p);

    if (s == NULL)
        return;
    s->kind = CTL_SHAPE_TEXT;
    s->x = x;
    s->y = y;
    s->anchor = anchor;
    s->rgb = rgb;
    snprintf(s->text, sizeof(s->text), "%s", text);
}

void ctl_xml_text(struct srq_buf *out, const char *text)
{
    for (const char *c = text; *c != '\0'; c++) {
        switch (*c) {
        case '&':
            srq_buf_puts(out, "&amp;");
            break;
        case '<':
            srq_buf_puts(out, "&lt;");
            break;
        case '>':
            srq_buf_puts(out, "&gt;");
            break;
        case '"':
            srq_buf_puts(out, "&quot;");
            break;
        case '\'':
            srq_buf_puts(out, "&#39;");
            break;
        default:
            if ((unsigned char)*c >= 32 && *c != 127)
                srq_buf_add(out, c, 1);
        }
    }
}

/* A run of lines that begin where the one before ended is one element: curves have thousands of points. */
static int svg_lines(const struct ctl_picture *p, int at, struct srq_buf *out)
{
    const struct ctl_shape *s = &p->shapes[at];

    srq_buf_printf(out, "<polyline fill='none' stroke='#%06x' stroke-width='%.3g' points='%.1f,%.1f %.1f,%.1f", s->rgb,
                   s->width, s->x, s->y, s->w, s->h);
    while (at + 1 < p->count && s[1].kind == CTL_SHAPE_LINE && s[1].rgb == s->rgb && s[1].width == s->width &&
           s[1].x == s->w && s[1].y == s->h) {
        at++;
        s++;
        srq_buf_printf(out, " %.1f,%.1f", s->w, s->h);
    }
    srq_buf_puts(out, "'/>\n");
    return at;
}

void ctl_picture_svg(const struct ctl_picture *p, const char *title, struct srq_buf *out)
{
    static const char *const anchors[] = { "start", "middle", "end" };

    srq_buf_printf(out, "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 %d %d' role='img'><title>", p->width,
                   p->height);
    ctl_xml_text(out, title);
    srq_buf_puts(out, "</title>\n");
    for (int i = 0; i < p->count; i++) {
        const struct ctl_shape *s = &p->shapes[i];

        if (s->kind == CTL_SHAPE_RECT) {
            srq_buf_printf(out, "<rect x='%.1f' y='%.1f' width='%.1f' height='%.1f' fill='#%06x'/>\n", s->x, s->y, s->w,
                           s->h, s->rgb);
        } else if (s->kind == CTL_SHAPE_LINE) {
            i = svg_lines(p, i, out);
        } else {
            srq_buf_printf(out, "<text x='%.1f' y='%.1f' dy='.35em' text-anchor='%s' fill='#%06x'>", s->x, s->y,
                           anchors[s->anchor], s->rgb);
            ctl_xml_text(out, s->text);
            srq_buf_puts(out, "</text>\n");
        }
    }
    srq_buf_puts(out, "</svg>\n");
}
