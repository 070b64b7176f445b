/* Pictures in cells: how large, and each of their pixels. */
#include "tui/srqtop/picture_cells.h"

enum { LARGEST = 4 }; /* times as large as they are */

/* Size of one picture in `w` by `h` pixels of the screen; false: not even one pixel fits. */
static bool scale(const struct top_pictures *p, int w, int h, struct picture_fit *out)
{
    int times = w / p->width < h / p->height ? w / p->width : h / p->height;

    if (w < 1 || h < 2)
        return false;
    times = times < LARGEST ? times : LARGEST;
    out->w = times >= 1 ? p->width * times : w < p->width * h / p->height ? w : p->width * h / p->height;
    out->w = out->w > 0 ? out->w : 1;
    out->h = times >= 1 ? p->height * times : p->height * out->w / p->width;
    out->h = out->h < 2 ? 2 : out->h + out->h % 2; /* whole cells */
    return true;
}

struct picture_fit picture_fit(const struct top_pictures *p, int columns, int rows)
{
    struct picture_fit best = { .count = 0 };

    for (int count = p->count; count > 0 && best.count == 0; count--)
        for (int across = 1; across <= count; across++) {
            struct picture_fit f = { .count = count, .across = across, .down = (count + across - 1) / across };

            if (!scale(p, (columns - across + 1) / across, 2 * ((rows - f.down + 1) / f.down), &f))
                continue;
            if ((count == 1 || 4 * f.w >= 3 * p->width) && f.w > best.w)
                best = f;
        }
    return best;
}

/* Mean of what lies under pixel x, y of a picture that is drawn w by h. */
static struct pixel pixel_of(const struct top_pictures *p, int at, const struct picture_fit *f, int x, int y)
{
    const uint8_t *bytes = p->bytes + (size_t)at * (size_t)(p->height * p->width * p->channels);
    int x0 = x * p->width / f->w, x1 = (x + 1) * p->width / f->w, y0 = y * p->height / f->h,
        y1 = (y + 1) * p->height / f->h;
    struct pixel out;

    x1 = x1 > x0 ? x1 : x0 + 1;
    y1 = y1 > y0 ? y1 : y0 + 1;
    for (int c = 0; c < 3; c++) {
        int sum = 0, n = (x1 - x0) * (y1 - y0);

        for (int i = y0; i < y1; i++)
            for (int k = x0; k < x1; k++)
                sum += bytes[(i * p->width + k) * p->channels + (p->channels == 3 ? c : 0)];
        out.rgb[c] = (uint8_t)((sum + n / 2) / n);
    }
    return out;
}

void picture_draw(struct canvas *c, struct rect r, const struct top_pictures *p, int first, struct picture_fit fit)
{
    struct rect old = canvas_clip(c, r);

    for (int i = 0; i < fit.count && first + i < p->count; i++) {
        int left = r.x + i % fit.across * (fit.w + 1), top = r.y + i / fit.across * (fit.h / 2 + 1);

        for (int y = 0; y + 1 < fit.h; y += 2)
            for (int x = 0; x < fit.w; x++)
                canvas_pixels(c, left + x, top + y / 2, pixel_of(p, first + i, &fit, x, y),
                              pixel_of(p, first + i, &fit, x, y + 1));
    }
    canvas_unclip(c, old);
}
