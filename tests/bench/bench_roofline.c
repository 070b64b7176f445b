/* Rooflines (Williams, Waterman and Patterson 2009): what operations reach, under what memory and arithmetic allow for
 * so many FLOPs a byte. */
#include "bench.h"

#include "core/tensor/dtype.h"
#include "tui/srqctl/picture.h"

#include <math.h>

#define WIDTH 1240
#define HEIGHT 720 /* of a chart */
#define LEFT 110
#define RIGHT 250 /* room for the labels of the rightmost points */
#define TOP 70
#define BOTTOM 64
#define DOT 5 /* half a point's side */
#define INK 0x222222
#define FAINT 0xdddddd
#define ROOF 0xd55e00
#define POINT 0x0072b2

/* Logarithms of the ends, whole decades; pixels. */
struct axis {
    double low, high, from, to;
};

struct chart {
    struct ctl_picture *p;
    const struct bench_iteration *b;
    double limit, bytes; /* GFLOPS; GB/s */
    struct axis x, y;    /* FLOPs a byte; GFLOPS */
    double top;
    struct {
        double x, y, w;           /* left end, middle, width */
    } taken[2 * BENCH_PARTS + 1]; /* by points and labels, and that of memory */
    int taken_count;
};

static double place(const struct axis *a, double v)
{
    return a->from + (log10(v) - a->low) / (a->high - a->low) * (a->to - a->from);
}

/* Operations without arithmetic are under no roof: copies. */
static bool point_of(const struct bench_part *part, double *x, double *y)
{
    if (!(part->work.flops > 0) || !(part->work.bytes > 0))
        return false;
    *x = part->work.flops / part->work.bytes;
    *y = part->work.flops / part->seconds * 1e-9;
    return true;
}

static void widen(struct axis *a, double v)
{
    if (!(v > 0))
        return;
    a->low = fmin(a->low, floor(log10(v)));
    a->high = fmax(a->high, ceil(log10(v)));
}

static void make_axes(struct chart *c)
{
    double x, y;

    c->x = (struct axis){ -1, 1, LEFT, WIDTH - RIGHT };
    c->y = (struct axis){ 0, 1, c->top + HEIGHT - BOTTOM, c->top + TOP };
    widen(&c->y, c->limit);
    if (c->bytes > 0)
        widen(&c->x, c->limit / c->bytes);
    for (int i = 0; i < c->b->part_count; i++) {
        if (!point_of(&c->b->parts[i], &x, &y))
            continue;
        widen(&c->x, x);
        widen(&c->y, y);
    }
}

static void draw_axes(const struct chart *c)
{
    char text[CTL_PICTURE_LABEL];

    for (double e = c->x.low; e <= c->x.high; e++) {
        double at = place(&c->x, pow(10, e));

        ctl_picture_line(c->p, at, c->y.from, at, c->y.to, 1, FAINT);
        snprintf(text, sizeof(text), "%g", pow(10, e));
        ctl_picture_text(c->p, at, c->y.from + 20, CTL_MIDDLE, INK, text);
    }
    for (double e = c->y.low; e <= c->y.high; e++) {
        double at = place(&c->y, pow(10, e));

        ctl_picture_line(c->p, c->x.from, at, c->x.to, at, 1, FAINT);
        snprintf(text, sizeof(text), "%g", pow(10, e));
        ctl_picture_text(c->p, c->x.from - 8, at, CTL_RIGHT, INK, text);
    }
    ctl_picture_line(c->p, c->x.from, c->y.from, c->x.to, c->y.from, 1, INK);
    ctl_picture_line(c->p, c->x.from, c->y.to, c->x.from, c->y.from, 1, INK);
    ctl_picture_text(c->p, c->x.to, c->top + HEIGHT - 16, CTL_RIGHT, INK, "FLOPs a byte");
    ctl_picture_text(c->p, 8, c->top + TOP - 18, CTL_LEFT, INK, "GFLOPS");
}

static void take(struct chart *c, double x, double y, double w)
{
    c->taken[c->taken_count].x = x;
    c->taken[c->taken_count].y = y;
    c->taken[c->taken_count++].w = w;
}

/* The slope of memory up to where arithmetic, if its limit is known, ends it. */
static void draw_roof(struct chart *c)
{
    double low = fmax(pow(10, c->x.low), pow(10, c->y.low) / c->bytes);
    double high = fmin(pow(10, c->x.high), (c->limit > 0 ? c->limit : pow(10, c->y.high)) / c->bytes), at_x, at_y;
    char text[CTL_PICTURE_LABEL];

    if (!(c->bytes > 0))
        return;
    ctl_picture_line(c->p, place(&c->x, low), place(&c->y, low * c->bytes), place(&c->x, high),
                     place(&c->y, high * c->bytes), 2, ROOF);
    snprintf(text, sizeof(text), "%.1f GB/s", c->bytes);
    at_x = place(&c->x, sqrt(low * high)) - 12;
    at_y = place(&c->y, sqrt(low * high) * c->bytes);
    ctl_picture_text(c->p, at_x, at_y, CTL_RIGHT, ROOF, text);
    take(c, at_x - (double)strlen(text) * CTL_PICTURE_CHAR, at_y, (double)strlen(text) * CTL_PICTURE_CHAR);
    if (!(c->limit > 0))
        return;
    ctl_picture_line(c->p, place(&c->x, high), place(&c->y, c->limit), c->x.to, place(&c->y, c->limit), 2, ROOF);
    snprintf(text, sizeof(text), "%.0f GFLOPS, %s", c->limit, srq_dtype_name(c->b->dtype));
    ctl_picture_text(c->p, c->x.to, place(&c->y, c->limit) - 14, CTL_RIGHT, ROOF, text);
}

/* Whether a label there would cover something. */
static bool covers(const struct chart *c, double x, double y, double w)
{
    for (int i = 0; i < c->taken_count; i++)
        if (fabs(c->taken[i].y - y) < CTL_PICTURE_LINE && x < c->taken[i].x + c->taken[i].w && c->taken[i].x < x + w)
            return true;
    return false;
}

/* Beside the point, or as near above or below as is free, with a line that leads there. */
static void draw_label(struct chart *c, double x, double y, const char *name)
{
    double w = (double)strlen(name) * CTL_PICTURE_CHAR, left = x + 20, at = y;

    for (int k = 1; covers(c, left, at, w) && k < 2 * BENCH_PARTS; k++)
        at = y + (k % 2 != 0 ? -1 : 1) * (k + 1) / 2 * CTL_PICTURE_LINE;
    if (at != y)
        ctl_picture_line(c->p, x, y, left - 3, at, 1, POINT);
    ctl_picture_text(c->p, left, at, CTL_LEFT, INK, name);
    take(c, left, at, w);
}

static void draw(struct ctl_picture *p, const struct bench_iteration *b, const struct bench_limits *l, double top)
{
    struct chart c = { .p = p, .b = b, .limit = bench_limit(l, b->dtype) * 1e-9, .bytes = l->bytes * 1e-9, .top = top };
    char text[CTL_PICTURE_LABEL];
    double x, y;

    make_axes(&c);
    snprintf(text, sizeof(text), "%s, block %s", b->method->name, b->shape->name);
    ctl_picture_text(p, LEFT, top + 16, CTL_LEFT, INK, text);
    ctl_picture_text(p, LEFT, top + 36, CTL_LEFT, INK, b->what);
    draw_axes(&c);
    draw_roof(&c);
    for (int i = 0; i < b->part_count; i++)
        if (point_of(&b->parts[i], &x, &y))
            take(&c, place(&c.x, x) - DOT, place(&c.y, y), 2 * DOT);
    for (int i = 0; i < b->part_count; i++)
        if (point_of(&b->parts[i], &x, &y))
            draw_label(&c, place(&c.x, x), place(&c.y, y), b->parts[i].name);
    for (int i = 0; i < b->part_count; i++)
        if (point_of(&b->parts[i], &x, &y))
            ctl_picture_rect(p, place(&c.x, x) - DOT, place(&c.y, y) - DOT, 2 * DOT, 2 * DOT, POINT);
}

int bench_roofline(const struct bench_results *r, const char *path, struct srq_error *err)
{
    struct ctl_picture p;
    int rc;

    ctl_picture_init(&p, WIDTH, HEIGHT * r->count);
    for (int i = 0; i < r->count; i++)
        draw(&p, &r->iterations[i], &r->limits, (double)HEIGHT * i);
    rc = ctl_picture_png(&p, path, err);
    ctl_picture_fini(&p);
    return rc;
}
