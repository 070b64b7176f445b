/* Curves: points are joined in a raster of dots, several a cell, which become characters at the end. */
#include "tui/srqtop/plot.h"

#include "core/base/alloc.h"
#include "tui/srqtop/figures.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { LABEL = 9 }; /* columns of the labels of the vertical axis */

struct range {
    double x0, x1, y0, y1;
    bool any;
};

/* Raster of one plot: per cell the dots set and the curve that drew last; per curve and column the last row drawn. */
struct raster {
    int w, h;   /* cells */
    int nx, ny; /* dots in a cell */
    uint8_t *mask;
    int8_t *owner;
    uint8_t *mark;   /* a point that stands alone */
    int16_t *height; /* [PLOT_CURVES, w], row of cells, -1: none */
};

static bool usable(const struct top_point *p, bool log)
{
    return isfinite(p->iter) && isfinite(p->value) && (!log || p->value > 0);
}

static struct range range_of(const struct plot *p)
{
    struct range r = { .any = false };

    for (int k = 0; k < p->count; k++)
        for (int i = 0; i < p->curves[k].series->count; i++) {
            const struct top_point *at = &p->curves[k].series->points[i];

            if (!usable(at, p->log))
                continue;
            if (!r.any)
                r = (struct range){ at->iter, at->iter, at->value, at->value, true };
            r.x0 = fmin(r.x0, at->iter);
            r.x1 = fmax(r.x1, at->iter);
            r.y0 = fmin(r.y0, at->value);
            r.y1 = fmax(r.y1, at->value);
        }
    return r;
}

static bool raster_init(struct raster *a, int w, int h, const struct glyphs *g)
{
    size_t cells = (size_t)w * (size_t)h, columns = (size_t)PLOT_CURVES * (size_t)w;

    *a = (struct raster){ .w = w, .h = h, .nx = g->dots_x, .ny = g->dots_y };
    a->height = srq_calloc(columns * sizeof(*a->height) + 3 * cells, 1);
    if (a->height == NULL)
        return false;
    a->mask = (uint8_t *)(a->height + columns);
    a->owner = (int8_t *)(a->mask + cells);
    a->mark = a->mask + 2 * cells;
    for (size_t i = 0; i < columns; i++)
        a->height[i] = -1;
    return true;
}

static void raster_dot(struct raster *a, int curve, int x, int y)
{
    int cx = x / a->nx, cy = y / a->ny;
    size_t at = (size_t)cy * (size_t)a->w + (size_t)cx;

    if (x < 0 || y < 0 || cx >= a->w || cy >= a->h)
        return;
    a->mask[at] |= (uint8_t)(1u << (y % a->ny * a->nx + x % a->nx));
    a->owner[at] = (int8_t)curve;
    a->height[curve * a->w + cx] = (int16_t)cy;
}

/* Bresenham's line; both ends lie in the raster, so that it is no longer than the raster is large. */
static void raster_line(struct raster *a, int curve, int x0, int y0, int x1, int y1)
{
    int dx = abs(x1 - x0), dy = -abs(y1 - y0), sx = x0 < x1 ? 1 : -1, sy = y0 < y1 ? 1 : -1, e = dx + dy;

    for (;;) {
        raster_dot(a, curve, x0, y0);
        if (x0 == x1 && y0 == y1)
            return;
        if (2 * e >= dy) {
            e += dy;
            x0 += sx;
        } else {
            e += dx;
            y0 += sy;
        }
    }
}

static void raster_curve(struct raster *a, int curve, const struct plot_curve *of, struct range r, bool log)
{
    const struct top_series *s = of->series;
    int w = a->w * a->nx - 1, h = a->h * a->ny - 1, px = -1, py = -1;
    double y0 = log ? log10(r.y0) : r.y0, y1 = log ? log10(r.y1) : r.y1;
    double xs = r.x1 > r.x0 ? w / (r.x1 - r.x0) : 0, ys = y1 > y0 ? h / (y1 - y0) : 0;

    for (int i = 0; i < s->count; i++) {
        const struct top_point *p = &s->points[i];
        double value = p->value;
        int x, y;

        if (!usable(p, log))
            continue;
        if (log)
            value = log10(value);
        x = (int)((p->iter - r.x0) * xs + 0.5);
        y = ys > 0 ? h - (int)((value - y0) * ys + 0.5) : h / 2;
        if (x == px && y == py)
            continue;
        if (of->apart) {
            raster_dot(a, curve, x, y);
            if (x >= 0 && y >= 0 && x / a->nx < a->w && y / a->ny < a->h)
                a->mark[y / a->ny * a->w + x / a->nx] = 1;
        } else {
            raster_line(a, curve, px < 0 ? x : px, px < 0 ? y : py, x, y);
        }
        px = x;
        py = y;
    }
}

static void show(struct canvas *c, int x0, int y0, const struct raster *a, const struct plot *p)
{
    const struct glyphs *g = glyphs_of(p->set);

    for (int y = 0; y < a->h; y++)
        for (int x = 0; x < a->w; x++) {
            size_t at = (size_t)y * (size_t)a->w + (size_t)x;
            int k = a->owner[at];
            uint32_t code = a->mask[at] == 0 || a->mark[at] ? 0 : glyphs_dots(p->set, a->mask[at]);

            if (a->mask[at] != 0)
                canvas_put(c, x0 + x, y0 + y, code != 0 ? code : g->marker[k], (enum role)(ROLE_CURVE_0 + k), 0);
        }
    if (p->count < 2)
        return;
    /* Markers at places of each curve's own, so that curves that run together still show both. */
    for (int k = 0; k < p->count; k++)
        for (int x = p->curves[k].apart ? a->w : 1 + k * 2;
             x<a->w; x += a->w / 4> 2 * p->count ? a->w / 4 : 2 * p->count)
            if (a->height[k * a->w + x] >= 0)
                canvas_put(c, x0 + x, y0 + a->height[k * a->w + x], g->marker[k], (enum role)(ROLE_CURVE_0 + k),
                           ATTR_BOLD);
}

static void axes(struct canvas *c, struct rect in, struct range r, const struct plot *p)
{
    const struct glyphs *g = glyphs_of(p->set);
    char text[FIGURE];
    int x = in.x - 1, bottom = in.y + in.h, steps = in.h >= 13 ? 4 : in.h >= 7 ? 2 : 1, n;

    for (int y = in.y; y < bottom; y++)
        canvas_put(c, x, y, g->vline, ROLE_AXIS, 0);
    canvas_put(c, x, bottom, g->corner, ROLE_AXIS, 0);
    canvas_fill(c, (struct rect){ in.x, bottom, in.w, 1 }, g->hline, ROLE_AXIS, 0);
    canvas_put(c, x, in.y, g->tick, ROLE_AXIS, 0);
    canvas_str_right(c, in.x - LABEL, in.y, LABEL - 1, figure_number(known(r.y1), text), ROLE_TEXT, 0);
    if (in.h > 1 && r.y1 > r.y0) {
        canvas_put(c, x, bottom - 1, g->tick, ROLE_AXIS, 0);
        canvas_str_right(c, in.x - LABEL, bottom - 1, LABEL - 1, figure_number(known(r.y0), text), ROLE_TEXT, 0);
    }
    for (int k = 1; k < steps && r.y1 > r.y0; k++) {
        int y = (in.h - 1) * k / steps;
        double t = 1 - (double)y / (in.h - 1);

        canvas_put(c, x, in.y + y, g->tick, ROLE_AXIS, 0);
        figure_number(known(p->log ? r.y0 * pow(r.y1 / r.y0, t) : r.y0 + t * (r.y1 - r.y0)), text);
        canvas_str_right(c, in.x - LABEL, in.y + y, LABEL - 1, text, ROLE_TEXT, 0);
    }
    n = canvas_str(c, in.x, bottom + 1, in.w / 3, figure_count(known(r.x0), text), ROLE_TEXT, 0);
    if (r.x1 > r.x0)
        canvas_str_right(c, in.x + in.w / 2, bottom + 1, in.w - in.w / 2, figure_count(known(r.x1), text), ROLE_TEXT,
                         0);
    if (p->x_title != NULL)
        canvas_str(c, in.x + n + 2, bottom + 1, in.w - n - 10, p->x_title, ROLE_FAINT, 0);
}

static void legend(struct canvas *c, int x, int y, int w, const struct plot *p, int k)
{
    const struct glyphs *g = glyphs_of(p->set);
    const struct top_series *s = p->curves[k].series;
    struct metric first = { false, 0 }, last = { false, 0 };
    char text[FIGURE];
    int room = p->curves[k].apart ? w - 2 : w - 24 > w / 2 ? w - 24 : w / 2;

    if (s->count > 0) {
        first = known(s->points[0].value);
        last = known(s->points[s->count - 1].value);
    }
    canvas_put(c, x, y, g->marker[k], (enum role)(ROLE_CURVE_0 + k), ATTR_BOLD);
    room = canvas_str_tail(c, x + 2, y, room, p->curves[k].label, (enum role)(ROLE_CURVE_0 + k), 0);
    if (p->curves[k].apart)
        return;
    canvas_str(c, x + 4 + room, y, w - room - 4, figure_change(first, last, figure_number, g->arrow, text), ROLE_TEXT,
               0);
}

/* Title and legend; returns the rows they took. */
static int heading(struct canvas *c, struct rect r, const struct plot *p)
{
    int rows = 0, curves = p->count;

    if (r.h < 3)
        return 0;
    if (p->title != NULL)
        canvas_printf(c, r.x, r.y + rows++, r.w, ROLE_HEAD, 0, "%s%s", p->title, p->log ? " (log)" : "");
    curves = curves < r.h / 3 ? curves : r.h / 3;
    for (int k = 0; k < curves; k++)
        legend(c, r.x, r.y + rows++, r.w, p, k);
    if (curves < p->count && curves > 0)
        canvas_printf(c, r.x + r.w - 8, r.y + rows - 1, 8, ROLE_FAINT, 0, " +%d more", p->count - curves);
    return rows;
}

void plot_draw(struct canvas *c, struct rect r, const struct plot *p)
{
    struct rect old = canvas_clip(c, r), in = r;
    struct range range = range_of(p);
    struct raster a;
    int used = heading(c, r, p);
    bool framed = r.w >= 3 * LABEL && r.h - used >= 4;

    in.y += used;
    in.h -= used;
    if (framed) {
        in.x += LABEL;
        in.w -= LABEL;
        in.h -= 2;
    }
    if (in.w <= 0 || in.h <= 0) {
        canvas_unclip(c, old);
        return;
    }
    if (!range.any) {
        canvas_str(c, in.x, in.y + in.h / 2, in.w, "- no points yet", ROLE_FAINT, 0);
    } else if (raster_init(&a, in.w, in.h, glyphs_of(p->set))) {
        if (framed)
            axes(c, in, range, p);
        for (int k = 0; k < p->count; k++)
            raster_curve(&a, k, &p->curves[k], range, p->log);
        show(c, in.x, in.y, &a, p);
        srq_free(a.height);
    }
    canvas_unclip(c, old);
}

/* Mean of the points that fall into column i of w; points stand at equal distances. */
static double column_mean(const struct top_series *s, int i, int w)
{
    int begin = (int)((int64_t)s->count * i / w), end = (int)((int64_t)s->count * (i + 1) / w), n = 0;
    double sum = 0;

    if (end <= begin)
        end = begin + 1;
    for (int k = begin; k < end && k < s->count; k++)
        if (isfinite(s->points[k].value)) {
            sum += s->points[k].value;
            n++;
        }
    return n > 0 ? sum / n : NAN;
}

void plot_spark(struct canvas *c, int x, int y, int w, const struct top_series *s, enum glyph_set set)
{
    enum { MOST = 64 };
    const struct glyphs *g = glyphs_of(set);
    double v[MOST], low = INFINITY, high = -INFINITY;
    bool log = true;

    w = w < MOST ? w : MOST;
    w = w < s->count ? w : s->count;
    if (s->count == 0) {
        canvas_put(c, x, y, '-', ROLE_FAINT, 0);
        return;
    }
    for (int i = 0; i < w; i++) {
        v[i] = column_mean(s, i, w);
        log = log && !(v[i] <= 0);
    }
    for (int i = 0; i < w; i++) {
        v[i] = log ? log10(v[i]) : v[i];
        low = fmin(low, v[i]);
        high = fmax(high, v[i]);
    }
    for (int i = 0; i < w; i++) {
        int level = high > low ? (int)((v[i] - low) / (high - low) * (GLYPH_LEVELS - 1) + 0.5) : 0;

        if (isfinite(v[i]))
            canvas_put(c, x + i, y, g->level[level], ROLE_SPARK, 0);
    }
}
