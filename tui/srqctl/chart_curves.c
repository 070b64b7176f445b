/* Curves with axes. */
#include "tui/srqctl/chart.h"

#include "core/base/alloc.h"
#include "tui/client/human.h"
#include "tui/srqctl/verb.h"

#include <math.h>
#include <stdio.h>

#define INK 0x222222
#define FAINT 0xdddddd
#define LEFT 110
#define RIGHT 30
#define TOP 50
#define BOTTOM 64

/* Colours that differ for colour-blind readers too (Okabe and Ito's set). */
static const uint32_t palette[] = { 0x0072b2, 0xd55e00, 0x009e73, 0xcc79a7, 0xe69f00, 0x56b4e9, 0x000000 };
#define COLOURS (int)(sizeof(palette) / sizeof(palette[0]))

struct axis {
    double low, high; /* logarithms where log is set */
    bool log;
    double from, to; /* pixels */
};

static double place(const struct axis *a, double v)
{
    double at = ((a->log ? log10(v) : v) - a->low) / (a->high - a->low);

    return a->from + at * (a->to - a->from);
}

/* The range of the known values, widened a little; [0, 1] where there is none. */
static struct axis make_axis(const struct ctl_curve *c, int count, bool y, bool log)
{
    struct axis a = { .low = INFINITY, .high = -INFINITY, .log = log };

    for (int k = 0; k < count; k++) {
        for (int i = 0; i < c[k].count; i++) {
            double v = y ? c[k].y[i] : c[k].x[i];

            if (!isfinite(c[k].y[i]) || !isfinite(v))
                continue;
            a.low = fmin(a.low, v);
            a.high = fmax(a.high, v);
        }
    }
    if (a.low > a.high) {
        a.low = 0;
        a.high = 1;
    }
    a.log = log && a.low > 0;
    if (a.log) {
        a.low = log10(a.low);
        a.high = log10(a.high);
    }
    if (a.high - a.low < 1e-12 * (fabs(a.high) + 1e-300)) {
        double wide = a.log ? 0.5 : fabs(a.high) > 0 ? fabs(a.high) / 2 : 0.5;

        a.low -= wide;
        a.high += wide;
    } else if (y) {
        double wide = (a.high - a.low) * 0.04;

        a.low -= wide;
        a.high += wide;
    }
    return a;
}

/* 1, 2 or 5 times a power of ten, so that about `wanted` steps make the range. */
static double round_step(double range, int wanted)
{
    double raw = range / wanted, power = pow(10, floor(log10(raw))), m = raw / power;

    return power * (m < 1.5 ? 1 : m < 3.5 ? 2 : m < 7.5 ? 5 : 10);
}

static void tick(struct ctl_picture *p, const struct axis *a, const struct axis *other, bool y, double v)
{
    double at = place(a, v);
    char text[CTL_HUMAN];

    snprintf(text, sizeof(text), "%.6g", v);
    if (y) {
        ctl_picture_line(p, other->from, at, other->to, at, 1, FAINT);
        ctl_picture_text(p, other->from - 8, at, CTL_RIGHT, INK, text);
    } else {
        ctl_picture_line(p, at, other->from, at, other->from + 6, 1, INK);
        ctl_picture_text(p, at, other->from + 20, CTL_MIDDLE, INK, text);
    }
}

static void ticks(struct ctl_picture *p, const struct axis *a, const struct axis *other, bool y, int wanted)
{
    double step = round_step(a->high - a->low, wanted);

    if (!a->log) {
        for (double v = ceil(a->low / step) * step; v <= a->high + step * 1e-9; v += step)
            tick(p, a, other, y, fabs(v) < step * 1e-9 ? 0 : v);
        return;
    }
    if (a->high - a->low < 1) { /* less than a decade: round values, unevenly spaced */
        double low = pow(10, a->low), high = pow(10, a->high);

        step = round_step(high - low, wanted);
        for (double v = ceil(low / step) * step; v <= high * (1 + 1e-9); v += step)
            tick(p, a, other, y, v);
        return;
    }
    for (double e = ceil(a->low); e <= a->high; e += ceil((a->high - a->low) / (2 * wanted)))
        tick(p, a, other, y, pow(10, e));
}

static void draw_curve(struct ctl_picture *p, const struct ctl_curve *c, const struct axis *x, const struct axis *y,
                       uint32_t rgb)
{
    double last_x = NAN, last_y = NAN;

    for (int i = 0; i < c->count; i++) {
        double at_x, at_y;

        if (!isfinite(c->y[i]) || !isfinite(c->x[i]) || (y->log && c->y[i] <= 0))
            continue;
        at_x = place(x, c->x[i]);
        at_y = place(y, c->y[i]);
        if (!isnan(last_x))
            ctl_picture_line(p, last_x, last_y, at_x, at_y, 2, rgb);
        if (c->dots)
            ctl_picture_rect(p, at_x - 3, at_y - 3, 6, 6, rgb);
        last_x = at_x;
        last_y = at_y;
    }
}

void ctl_chart_curves(struct ctl_picture *p, const char *title, const char *x_name, const char *y_name,
                      const struct ctl_curve *curves, int count, bool log_y)
{
    struct axis x = make_axis(curves, count, false, false), y = make_axis(curves, count, true, log_y);

    x.from = LEFT;
    x.to = p->width - RIGHT;
    y.from = p->height - BOTTOM;
    y.to = TOP;
    ctl_picture_text(p, p->width / 2.0, 20, CTL_MIDDLE, INK, title);
    ticks(p, &y, &x, true, 5);
    ticks(p, &x, &y, false, 8);
    ctl_picture_line(p, x.from, y.from, x.to, y.from, 1, INK);
    ctl_picture_line(p, x.from, y.to, x.from, y.from, 1, INK);
    ctl_picture_text(p, x.to, p->height - 16, CTL_RIGHT, INK, x_name);
    ctl_picture_text(p, 8, TOP - 18, CTL_LEFT, INK, y_name);
    for (int k = 0; k < count; k++) {
        draw_curve(p, &curves[k], &x, &y, palette[k % COLOURS]);
        if (count > 1 && curves[k].name != NULL) {
            double at = TOP + 12 + (double)k * CTL_PICTURE_LINE;

            ctl_picture_line(p, x.to - 40, at, x.to - 10, at, 3, palette[k % COLOURS]);
            ctl_picture_text(p, x.to - 48, at, CTL_RIGHT, INK, curves[k].name);
        }
    }
}

bool ctl_chart_points(const cJSON *series, double **x, double **y, int *count)
{
    const cJSON *points = ctl_get(series, "points"), *point;
    size_t n = (size_t)cJSON_GetArraySize(points);

    *count = 0;
    *x = srq_calloc(n + 1, sizeof(**x));
    *y = srq_calloc(n + 1, sizeof(**y));
    if (*x == NULL || *y == NULL) {
        srq_free(*x);
        srq_free(*y);
        *x = *y = NULL;
        return false;
    }
    cJSON_ArrayForEach(point, points)
    {
        (*x)[*count] = ctl_num(point, "iter");
        (*y)[(*count)++] = ctl_num(point, "value");
    }
    return true;
}
