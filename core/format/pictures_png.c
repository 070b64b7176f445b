/* Reading PNG through libpng, from a mapped file. Its errors come back by longjmp: what must survive them is in struct
 * reading, and each function that sets the jump up has nothing of its own to free. */
#include "core/format/pictures_png.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"

#include <inttypes.h>
#include <png.h>
#include <setjmp.h>
#include <string.h>

#define HEAD 33 /* signature and IHDR with its checksum */
#define CHUNK_BYTES_MAX ((png_alloc_size_t)8 << 20)
#define CHUNKS_MAX 1000

struct reading {
    const char *path;
    const uint8_t *at, *end;
    png_structp png;
    png_infop info;
    png_bytep *rows;
    char what[160]; /* libpng's sentence */
    jmp_buf back;
};

/* ---- header ------------------------------------------------------------------------------------------------------ */

static uint32_t load_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int shape_of(const struct srq_map *map, struct srq_picture_shape *out, struct srq_error *err)
{
    const uint8_t *p = map->data;
    uint32_t width, height;

    *out = (struct srq_picture_shape){ 0 };
    if (map->size < HEAD || memcmp(p, "\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16) != 0)
        return srq_fail_field(err, -SRQ_EFORMAT, map->path, "%s is not a PNG file", map->path);
    width = load_be32(p + 16);
    height = load_be32(p + 20);
    if (width < 1 || height < 1 || width > SRQ_PICTURE_SIDE_MAX || height > SRQ_PICTURE_SIDE_MAX)
        return srq_fail_field(err, -SRQ_ELIMIT, map->path,
                              "%s: a picture of %" PRIu32 " x %" PRIu32 " pixels; sides are 1 … %d", map->path, width,
                              height, SRQ_PICTURE_SIDE_MAX);
    *out = (struct srq_picture_shape){ 1, height, width, (p[25] & PNG_COLOR_MASK_COLOR) != 0 ? 3 : 1 };
    return 0;
}

int srq_png_shape(const char *path, struct srq_picture_shape *out, struct srq_error *err)
{
    struct srq_map map;
    int rc = srq_map_open(path, &map, err);

    if (rc != 0)
        return rc;
    rc = shape_of(&map, out, err);
    srq_map_close(&map);
    return rc;
}

/* ---- samples ----------------------------------------------------------------------------------------------------- */

static void on_error(png_structp png, png_const_charp what)
{
    struct reading *r = png_get_error_ptr(png);

    snprintf(r->what, sizeof(r->what), "%s", what);
    longjmp(r->back, 1);
}

static void on_warning(png_structp png, png_const_charp what)
{
    (void)png;
    (void)what;
}

static png_voidp on_alloc(png_structp png, png_alloc_size_t size)
{
    (void)png;
    return srq_malloc(size);
}

static void on_free(png_structp png, png_voidp p)
{
    (void)png;
    srq_free(p);
}

static void on_read(png_structp png, png_bytep out, size_t len)
{
    struct reading *r = png_get_io_ptr(png);

    if (len > (size_t)(r->end - r->at))
        png_error(png, "the file ends early");
    memcpy(out, r->at, len);
    r->at += len;
}

/* To 8 bits a sample and as many channels as the shape has. */
static void set_transforms(struct reading *r)
{
    png_set_palette_to_rgb(r->png);
    png_set_expand_gray_1_2_4_to_8(r->png);
    png_set_scale_16(r->png);
    png_set_strip_alpha(r->png);
    png_set_interlace_handling(r->png);
    png_read_update_info(r->png, r->info);
}

static bool decode(struct reading *r, const struct srq_picture_shape *shape, uint8_t *out)
{
    size_t row = (size_t)(shape->width * shape->channels);

    if (setjmp(r->back) != 0)
        return false;
    png_set_read_fn(r->png, r, on_read);
    png_set_user_limits(r->png, SRQ_PICTURE_SIDE_MAX, SRQ_PICTURE_SIDE_MAX);
    png_set_chunk_malloc_max(r->png, CHUNK_BYTES_MAX);
    png_set_chunk_cache_max(r->png, CHUNKS_MAX);
    png_read_info(r->png, r->info);
    set_transforms(r);
    if (png_get_rowbytes(r->png, r->info) != row || png_get_image_height(r->png, r->info) != shape->height)
        png_error(r->png, "its pixels are not what its header says");
    for (int64_t y = 0; y < shape->height; y++)
        r->rows[y] = out + (size_t)y * row;
    png_read_image(r->png, r->rows);
    png_read_end(r->png, NULL);
    return true;
}

static int read_pixels(struct reading *r, const struct srq_picture_shape *shape, uint8_t *out, struct srq_error *err)
{
    int rc = 0;

    r->rows = srq_calloc((size_t)shape->height, sizeof(*r->rows));
    /* Making the struct does not come back by on_error's jump: it returns NULL. */
    r->png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, r, on_error, on_warning, NULL, on_alloc, on_free);
    r->info = r->png != NULL ? png_create_info_struct(r->png) : NULL;
    if (r->rows == NULL || r->info == NULL)
        rc = srq_fail_field(err, -SRQ_ENOMEM, r->path, "out of memory reading %s", r->path);
    else if (!decode(r, shape, out))
        rc = srq_fail_field(err, -SRQ_EFORMAT, r->path, "%s is damaged: %s", r->path, r->what);
    if (r->png != NULL)
        png_destroy_read_struct(&r->png, &r->info, NULL);
    srq_free(r->rows);
    return rc;
}

static int check_shape(const char *path, const struct srq_picture_shape *got, const struct srq_picture_shape *want,
                       struct srq_error *err)
{
    if (got->width == want->width && got->height == want->height && got->channels == want->channels)
        return 0;
    return srq_fail_field(err, -SRQ_EFORMAT, path,
                          "%s is of %" PRId64 " x %" PRId64 " %s pixels, and those before it of %" PRId64 " x %" PRId64
                          " %s pixels",
                          path, got->width, got->height, got->channels == 1 ? "gray" : "coloured", want->width,
                          want->height, want->channels == 1 ? "gray" : "coloured");
}

int srq_png_read(const char *path, const struct srq_picture_shape *shape, uint8_t *out, struct srq_error *err)
{
    struct srq_picture_shape got;
    struct srq_map map;
    int rc = srq_map_open(path, &map, err);

    if (rc != 0)
        return rc;
    rc = shape_of(&map, &got, err);
    if (rc == 0)
        rc = check_shape(path, &got, shape, err);
    if (rc == 0) {
        struct reading r = { .path = path, .at = map.data, .end = map.data + map.size };

        rc = read_pixels(&r, shape, out, err);
    }
    if (rc == 0)
        rc = srq_map_check(&map, err);
    srq_map_close(&map);
    return rc;
}

int srq_png_check_shape(const char *path, const struct srq_picture_shape *want, struct srq_error *err)
{
    struct srq_picture_shape got;
    int rc = srq_png_shape(path, &got, err);

    return rc == 0 ? check_shape(path, &got, want, err) : rc;
}
