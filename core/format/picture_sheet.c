/* Sheets of pictures, through libpng's simple writer, which writes no time and no text. */
#include "core/format/picture_sheet.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"

#include <inttypes.h>
#include <math.h>
#include <png.h>
#include <string.h>

#define PIXELS_MAX 64000000
#define SIDE_MAX 1000000 /* of what is multiplied with each other, so that products stay far from overflow */

static uint8_t to_byte(float v)
{
    if (!(v > -1))
        return 0;
    return v >= 1 ? 255 : (uint8_t)lrintf((v + 1) * 127.5f);
}

static bool is_side(int64_t v, int64_t min)
{
    return v >= min && v <= SIDE_MAX;
}

static int measure(const char *path, const struct srq_picture_sheet *s, int64_t *width, int64_t *height,
                   struct srq_error *err)
{
    if (!is_side(s->height, 1) || !is_side(s->width, 1) || !is_side(s->columns, 1) || !is_side(s->n, 1) ||
        !is_side(s->gap, 0) || !is_side(s->scale, 1) || (s->channels != 1 && s->channels != 3))
        return srq_fail_field(err, -SRQ_EINVAL, path,
                              "%s: cannot draw %" PRId64 " pictures of %" PRId64 " x %" PRId64 " pixels and %" PRId64
                              " channels in %" PRId64 " columns, enlarged %" PRId64 " times",
                              path, s->n, s->width, s->height, s->channels, s->columns, s->scale);
    *width = s->gap + s->columns * (s->width * s->scale + s->gap);
    *height = s->gap + (s->n + s->columns - 1) / s->columns * (s->height * s->scale + s->gap);
    if (*width > PIXELS_MAX || *height > PIXELS_MAX || *width * *height > PIXELS_MAX)
        return srq_fail_field(err, -SRQ_ELIMIT, path, "%s: a sheet of %" PRId64 " x %" PRId64 " pixels is too large",
                              path, *width, *height);
    return 0;
}

int srq_picture_sheet_check(const char *path, const struct srq_picture_sheet *s, struct srq_error *err)
{
    int64_t width, height;

    return measure(path, s, &width, &height, err);
}

static void draw(const struct srq_picture_sheet *s, int64_t i, int64_t sheet_width, uint8_t *sheet)
{
    const float *picture = s->pictures + i * s->height * s->width * s->channels;
    int64_t left = s->gap + i % s->columns * (s->width * s->scale + s->gap);
    int64_t top = s->gap + i / s->columns * (s->height * s->scale + s->gap);

    for (int64_t y = 0; y < s->height * s->scale; y++) {
        uint8_t *row = sheet + ((top + y) * sheet_width + left) * s->channels;

        for (int64_t x = 0; x < s->width * s->scale; x++)
            for (int64_t c = 0; c < s->channels; c++)
                row[x * s->channels + c] = to_byte(picture[(y / s->scale * s->width + x / s->scale) * s->channels + c]);
    }
}

static int write_png(const char *path, png_image *image, const uint8_t *sheet, struct srq_error *err)
{
    png_alloc_size_t size = 0;
    void *file = NULL;
    int rc = 0;

    if (png_image_write_get_memory_size(*image, size, 0, sheet, 0, NULL) != 0)
        file = srq_malloc(size);
    if (file == NULL || png_image_write_to_memory(image, file, &size, 0, sheet, 0, NULL) == 0)
        rc = srq_fail_field(err, file == NULL ? -SRQ_ENOMEM : -SRQ_EIO, path, "cannot make the picture %s: %s", path,
                            image->message[0] != '\0' ? image->message : "out of memory");
    png_image_free(image);
    if (rc == 0)
        rc = srq_write_file_durable(path, file, size, 0666, err);
    srq_free(file);
    return rc;
}

int srq_picture_sheet_write(const char *path, const struct srq_picture_sheet *s, struct srq_error *err)
{
    png_image image = { .version = PNG_IMAGE_VERSION };
    int64_t width = 0, height = 0;
    uint8_t *sheet;
    int rc = measure(path, s, &width, &height, err);

    if (rc != 0)
        return rc;
    sheet = srq_malloc((size_t)(width * height * s->channels));
    if (sheet == NULL)
        return srq_fail_field(err, -SRQ_ENOMEM, path, "out of memory drawing %s", path);
    memset(sheet, 0xff, (size_t)(width * height * s->channels));
    for (int64_t i = 0; i < s->n; i++)
        draw(s, i, width, sheet);
    image.width = (png_uint_32)width;
    image.height = (png_uint_32)height;
    image.format = s->channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
    rc = write_png(path, &image, sheet, err);
    srq_free(sheet);
    return rc;
}
