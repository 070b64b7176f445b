/* Drawings as PNG files: shapes become pixels here, text by a small built-in font, so that no font has to be
 * installed. */
#include "tui/srqctl/picture.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "tui/srqctl/font.h"

#include <math.h>
#include <png.h>
#include <string.h>

#define ENLARGED 2 /* pixels of the picture a pixel of the font */
#define PIXELS_MAX 64000000

struct pixels {
    int width, height;
    uint8_t *rgb;
};

/* Mixes a colour in; `share` 0 … 1. */
static void blend(struct pixels *px, int x, int y, uint32_t rgb, double share)
{
    uint8_t *at;

    if (x < 0 || y < 0 || x >= px->width || y >= px->height || share <= 0)
        return;
    share = share > 1 ? 1 : share;
    at = px->rgb + 3 * ((size_t)y * (size_t)px->width + (size_t)x);
    for (int i = 0; i < 3; i++) {
        double have = at[i], want = (rgb >> (16 - 8 * i)) & 0xff;

        at[i] = (uint8_t)lround(have + (want - have) * share);
    }
}

static void draw_rect(struct pixels *px, const struct ctl_shape *s)
{
    for (int y = (int)lround(s->y); y < (int)lround(s->y + s->h); y++)
        for (int x = (int)lround(s->x); x < (int)lround(s->x + s->w); x++)
            blend(px, x, y, s->rgb, 1);
}

/* Every pixel near the line gets the share of it that the line's width covers there. */
static void draw_line(struct pixels *px, const struct ctl_shape *s)
{
    double dx = s->w - s->x, dy = s->h - s->y, len2 = dx * dx + dy * dy, reach = s->width / 2 + 1;
    int x0 = (int)floor(fmin(s->x, s->w) - reach), x1 = (int)ceil(fmax(s->x, s->w) + reach);
    int y0 = (int)floor(fmin(s->y, s->h) - reach), y1 = (int)ceil(fmax(s->y, s->h) + reach);

    x0 = x0 < 0 ? 0 : x0;
    y0 = y0 < 0 ? 0 : y0;
    x1 = x1 < px->width ? x1 : px->width - 1;
    y1 = y1 < px->height ? y1 : px->height - 1;
    for (int y = y0; y <= y1; y++) {
        for (int x = x0; x <= x1; x++) {
            double cx = x + 0.5 - s->x, cy = y + 0.5 - s->y;
            double t = len2 > 0 ? (cx * dx + cy * dy) / len2 : 0;
            double far;

            t = t < 0 ? 0 : t > 1 ? 1 : t;
            far = hypot(cx - t * dx, cy - t * dy);
            blend(px, x, y, s->rgb, s->width / 2 + 0.5 - far);
        }
    }
}

static void draw_text(struct pixels *px, const struct ctl_shape *s)
{
    int n = (int)strlen(s->text), wide = n * CTL_PICTURE_CHAR - (n > 0 ? ENLARGED : 0);
    int left = (int)lround(s->x) - (s->anchor == CTL_MIDDLE ? wide / 2 : s->anchor == CTL_RIGHT ? wide : 0);
    int top = (int)lround(s->y) - CTL_FONT_HEIGHT * ENLARGED / 2;

    for (int i = 0; i < n; i++) {
        const uint8_t *rows = ctl_font_glyph(s->text[i]);

        for (int y = 0; y < CTL_FONT_HEIGHT * ENLARGED; y++)
            for (int x = 0; x < CTL_FONT_WIDTH * ENLARGED; x++)
                if ((rows[y / ENLARGED] >> (CTL_FONT_WIDTH - 1 - x / ENLARGED)) & 1)
                    blend(px, left + i * CTL_PICTURE_CHAR + x, top + y, s->rgb, 1);
    }
}

static int draw(const struct ctl_picture *p, struct pixels *px, struct srq_error *err)
{
    size_t bytes = (size_t)p->width * (size_t)p->height * 3;

    if (p->width < 1 || p->height < 1 || bytes > (size_t)PIXELS_MAX * 3)
        return srq_fail(err, -SRQ_ELIMIT, "a picture of %d x %d pixels is too large", p->width, p->height);
    *px = (struct pixels){ p->width, p->height, srq_malloc(bytes) };
    if (px->rgb == NULL || p->failed) {
        srq_free(px->rgb);
        return srq_fail(err, -SRQ_ENOMEM, "out of memory drawing a picture");
    }
    memset(px->rgb, 0xff, bytes);
    for (int i = 0; i < p->count; i++) {
        if (p->shapes[i].kind == CTL_SHAPE_RECT)
            draw_rect(px, &p->shapes[i]);
        else if (p->shapes[i].kind == CTL_SHAPE_LINE)
            draw_line(px, &p->shapes[i]);
        else
            draw_text(px, &p->shapes[i]);
    }
    return 0;
}

int ctl_picture_png(const struct ctl_picture *p, const char *path, struct srq_error *err)
{
    png_image image = { .version = PNG_IMAGE_VERSION,
                        .width = (png_uint_32)p->width,
                        .height = (png_uint_32)p->height,
                        .format = PNG_FORMAT_RGB };
    png_alloc_size_t size = 0;
    struct pixels px = { 0 };
    void *file = NULL;
    int rc = srq_check_replaced(path, "\x89PNG", "PNG picture", err);

    if (rc == 0)
        rc = draw(p, &px, err);

    if (rc != 0)
        return rc;
    if (png_image_write_get_memory_size(image, size, 0, px.rgb, 0, NULL) != 0)
        file = srq_malloc(size);
    if (file == NULL || png_image_write_to_memory(&image, file, &size, 0, px.rgb, 0, NULL) == 0)
        rc = srq_fail_field(err, -SRQ_EIO, path, "cannot make the picture %s: %s", path,
                            image.message[0] != '\0' ? image.message : "out of memory");
    png_image_free(&image);
    if (rc == 0)
        rc = srq_write_file_durable(path, file, size, 0666, err);
    srq_free(file);
    srq_free(px.rgb);
    return rc;
}
