/* Sets of pictures: what comes out of folders and arrays, and what is refused: files that are cut short, that say more
 * than they hold, or that unpack into more than they say. */
#include "tests/unit/folder.h"

#include "core/base/alloc.h"
#include "core/base/rng.h"
#include "core/format/picture_sheet.h"
#include "core/format/pictures.h"

#include <archive.h>
#include <archive_entry.h>
#include <math.h>
#include <png.h>

static struct srq_error err;

static struct srq_picture_set *open_set(const char *path)
{
    struct srq_picture_set *set;

    assert_ok(srq_pictures_open(path, &set, &err), &err);
    return set;
}

static void assert_shape(const struct srq_picture_set *set, int64_t n, int64_t h, int64_t w, int64_t c)
{
    struct srq_picture_shape s = srq_pictures_shape(set);

    assert_true(s.count == n && s.height == h && s.width == w && s.channels == c);
}

static void assert_byte(float got, int byte)
{
    assert_true(fabs((double)got - (byte / 127.5 - 1)) < 1e-6);
}

/* ---- making files ------------------------------------------------------------------------------------------------ */

/* A PNG file as libpng writes it. */
struct png_kind {
    int width, height, depth, type;
    bool interlaced;
    const uint8_t *rows; /* packed as the format packs them */
    int row_bytes;
    bool clear_first; /* palette entry 0 is transparent */
};

static void make_png(struct folder *d, const char *name, const struct png_kind *k)
{
    static const png_color palette[3] = { { 10, 20, 30 }, { 255, 0, 128 }, { 1, 2, 3 } };
    static const png_byte clear[1] = { 0 };
    FILE *f = fopen(folder_file(d, name), "wb");
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_bytep rows[64];

    assert_true(f != NULL && info != NULL && k->height <= 64);
    for (int y = 0; y < k->height; y++)
        rows[y] = (png_bytep)(uintptr_t)(k->rows + y * k->row_bytes);
    png_init_io(png, f);
    png_set_IHDR(png, info, (png_uint_32)k->width, (png_uint_32)k->height, k->depth, k->type,
                 k->interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    if (k->type == PNG_COLOR_TYPE_PALETTE)
        png_set_PLTE(png, info, palette, 3);
    if (k->clear_first)
        png_set_tRNS(png, info, clear, 1, NULL);
    png_set_gAMA(png, info, 1.0);
    png_write_info(png, info);
    png_write_image(png, rows);
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    assert_int_equal(fclose(f), 0);
}

static void make_gray(struct folder *d, const char *name, int width, int height, int first)
{
    uint8_t rows[256];

    for (int i = 0; i < width * height; i++)
        rows[i] = (uint8_t)(first + i);
    make_png(d, name,
             &(struct png_kind){ .width = width, .height = height, .depth = 8, .rows = rows, .row_bytes = width });
}

static const char *make_gz(struct folder *d, const char *name, const void *data, size_t len)
{
    struct archive *a = archive_write_new();
    struct archive_entry *e = archive_entry_new();

    archive_write_add_filter_gzip(a);
    archive_write_set_format_raw(a);
    assert_int_equal(archive_write_open_filename(a, folder_file(d, name)), ARCHIVE_OK);
    archive_entry_set_filetype(e, AE_IFREG);
    assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
    assert_int_equal(archive_write_data(a, data, len), len);
    archive_entry_free(e);
    archive_write_close(a);
    archive_write_free(a);
    return d->file;
}

/* IDX bytes of n pictures of 2 x 3 with values 0, 1, 2 …; returns their number. */
static size_t idx_bytes(uint8_t *out, int n)
{
    const uint8_t head[16] = { 0, 0, 8, 3, 0, 0, 0, (uint8_t)n, 0, 0, 0, 2, 0, 0, 0, 3 };

    memcpy(out, head, 16);
    for (int i = 0; i < n * 6; i++)
        out[16 + i] = (uint8_t)i;
    return 16 + (size_t)n * 6;
}

/* A .npy file, version 1, of this dictionary and data. */
static const char *make_npy(struct folder *d, const char *name, const char *head, const void *data, size_t len)
{
    uint8_t file[8192];
    size_t n = strlen(head) + 1, at = 10 + n;

    assert_true(at + len <= sizeof(file));
    memcpy(file, "\x93NUMPY\x01\x00", 8);
    file[8] = (uint8_t)(n & 255);
    file[9] = (uint8_t)(n >> 8);
    memcpy(file + 10, head, n - 1);
    file[at - 1] = '\n';
    memcpy(file + at, data, len);
    return folder_write(d, name, file, at + len);
}

/* ---- folders of PNG ---------------------------------------------------------------------------------------------- */

static void a_folder_is_read_in_the_order_of_names(void **state)
{
    struct srq_picture_set *set;
    struct folder d;
    float out[3 * 6];

    (void)state;
    folder_make(&d);
    make_gray(&d, "b.png", 3, 2, 50);
    make_gray(&d, "a10.PNG", 3, 2, 10);
    make_gray(&d, "a9.png", 3, 2, 90);
    make_gray(&d, ".hidden.png", 7, 7, 0);
    folder_write(&d, "notes.txt", "x", 1);
    set = open_set(d.path);
    assert_shape(set, 3, 2, 3, 1);
    assert_ok(srq_pictures_get(set, 0, 3, out, &err), &err);
    for (int i = 0; i < 6; i++) {
        assert_byte(out[i], 10 + i);
        assert_byte(out[6 + i], 90 + i);
        assert_byte(out[12 + i], 50 + i);
    }
    assert_ok(srq_pictures_get(set, 2, 1, out, &err), &err);
    assert_byte(out[0], 50);
    assert_ok(srq_pictures_get(set, 3, 0, out, &err), &err);
    assert_refused(srq_pictures_get(set, 2, 2, out, &err), -SRQ_EINVAL, &err, "has 3 pictures");
    assert_refused(srq_pictures_get(set, -1, 1, out, &err), -SRQ_EINVAL, &err, "number -1");
    assert_refused(srq_pictures_get(set, 1, INT64_MAX, out, &err), -SRQ_EINVAL, &err, "has 3");
    srq_pictures_close(set);
    folder_remove(&d);
}

/* Every kind of PNG with the samples that it should give. */
static void every_kind_of_png_is_read(void **state)
{
    static const uint8_t bits[] = { 0xa0, 0x40 }, rgb[] = { 1, 2, 3, 4, 5, 6 }, wide[] = { 0x12, 0x34, 0xff, 0xff };
    static const uint8_t gray_alpha[] = { 7, 0, 9, 255 }, rgba[] = { 9, 8, 7, 0, 6, 5, 4, 99 }, indices[] = { 0, 1 };
    static const uint8_t rgb16[] = { 0, 0, 0x80, 0x80, 0xff, 0xff, 1, 1, 2, 2, 3, 3 };
    static const struct {
        struct png_kind kind;
        int channels;
        int want[8];
    } rows[] = {
        { { 3, 2, 1, PNG_COLOR_TYPE_GRAY, false, bits, 1, false }, 1, { 255, 0, 255, 0, 255, 0 } },
        { { 2, 1, 16, PNG_COLOR_TYPE_GRAY, false, wide, 4, false }, 1, { 0x12, 255 } },
        { { 2, 1, 8, PNG_COLOR_TYPE_GRAY_ALPHA, false, gray_alpha, 4, false }, 1, { 7, 9 } },
        { { 2, 1, 8, PNG_COLOR_TYPE_RGB, false, rgb, 6, false }, 3, { 1, 2, 3, 4, 5, 6 } },
        { { 1, 2, 8, PNG_COLOR_TYPE_RGB, true, rgb, 3, false }, 3, { 1, 2, 3, 4, 5, 6 } },
        { { 2, 1, 8, PNG_COLOR_TYPE_RGB_ALPHA, false, rgba, 8, false }, 3, { 9, 8, 7, 6, 5, 4 } },
        { { 2, 1, 16, PNG_COLOR_TYPE_RGB, false, rgb16, 12, false }, 3, { 0, 0x80, 255, 1, 2, 3 } },
        { { 2, 1, 8, PNG_COLOR_TYPE_PALETTE, false, indices, 2, false }, 3, { 10, 20, 30, 255, 0, 128 } },
        { { 2, 1, 8, PNG_COLOR_TYPE_PALETTE, false, indices, 2, true }, 3, { 10, 20, 30, 255, 0, 128 } },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct png_kind *k = &rows[i].kind;
        struct srq_picture_set *set;
        struct folder d;
        float out[8];

        folder_make(&d);
        make_png(&d, "x.png", k);
        set = open_set(d.path);
        assert_shape(set, 1, k->height, k->width, rows[i].channels);
        assert_ok(srq_pictures_get(set, 0, 1, out, &err), &err);
        for (int j = 0; j < k->width * k->height * rows[i].channels; j++)
            assert_byte(out[j], rows[i].want[j]);
        srq_pictures_close(set);
        folder_remove(&d);
    }
}

static void pictures_of_another_size_or_colour_are_refused(void **state)
{
    static const uint8_t rgb[18] = { 0 };
    struct srq_picture_set *set;
    struct folder d;

    (void)state;
    folder_make(&d);
    assert_refused(srq_pictures_open(d.path, &set, &err), -SRQ_ENOENT, &err, "holds no PNG files");
    make_gray(&d, "a.png", 3, 2, 0);
    make_gray(&d, "b.png", 2, 3, 0);
    assert_refused(srq_pictures_open(d.path, &set, &err), -SRQ_EFORMAT, &err, "b.png is of 2 x 3 gray pixels");
    assert_non_null(strstr(err.text, "of 3 x 2 gray"));
    make_png(&d, "b.png",
             &(struct png_kind){ .width = 3, .height = 2, .depth = 8, .type = 2, .rows = rgb, .row_bytes = 9 });
    assert_refused(srq_pictures_open(d.path, &set, &err), -SRQ_EFORMAT, &err, "b.png is of 3 x 2 coloured");
    folder_write(&d, "b.png", "\x89PNG\r\n", 6);
    assert_refused(srq_pictures_open(d.path, &set, &err), -SRQ_EFORMAT, &err, "b.png is not a PNG file");
    assert_refused(srq_pictures_open("/nonexistent/x", &set, &err), -SRQ_ENOENT, &err, "/nonexistent/x");
    folder_remove(&d);
}

static size_t read_bytes(const char *path, uint8_t *out, size_t cap)
{
    FILE *f = fopen(path, "rb");
    size_t n;

    assert_non_null(f);
    n = fread(out, 1, cap, f);
    fclose(f);
    return n;
}

/* Cut at every byte, and changed at every byte: an error or a picture, and never a crash. */
static void damaged_png_are_errors(void **state)
{
    uint8_t file[1024], bad[1024];
    struct srq_picture_set *set;
    struct folder d;
    float out[64];
    size_t n;

    (void)state;
    folder_make(&d);
    make_gray(&d, "a.png", 5, 4, 3);
    n = read_bytes(d.file, file, sizeof(file));
    for (size_t cut = 0; cut + 12 < n; cut++) { /* what follows the pixels is the end mark */
        folder_write(&d, "a.png", file, cut);
        if (srq_pictures_open(d.path, &set, &err) != 0) {
            assert_non_null(strstr(err.text, "a.png"));
            continue;
        }
        assert_refused(srq_pictures_get(set, 0, 1, out, &err), -SRQ_EFORMAT, &err, "a.png is damaged");
        srq_pictures_close(set);
    }
    for (size_t i = 0; i < n; i++) {
        memcpy(bad, file, n);
        bad[i] ^= 0x41;
        folder_write(&d, "a.png", bad, n);
        if (srq_pictures_open(d.path, &set, &err) != 0)
            continue;
        if (srq_pictures_shape(set).height * srq_pictures_shape(set).width <= 20)
            (void)srq_pictures_get(set, 0, 1, out, &err);
        srq_pictures_close(set);
    }
    memcpy(file + 16, "\x7f\xff\xff\xff", 4);
    folder_write(&d, "a.png", file, n);
    assert_refused(srq_pictures_open(d.path, &set, &err), -SRQ_ELIMIT, &err, "2147483647 x 4");
    folder_remove(&d);
}

/* ---- IDX --------------------------------------------------------------------------------------------------------- */

static void idx_is_read_plain_and_packed_alike(void **state)
{
    static const char *const names[] = { "plain", "packed" };
    uint8_t file[128];
    size_t n = idx_bytes(file, 4);
    struct folder d;

    (void)state;
    folder_make(&d);
    folder_write(&d, "plain", file, n);
    make_gz(&d, "packed", file, n);
    for (int i = 0; i < 2; i++) {
        struct srq_picture_set *set = open_set(folder_file(&d, names[i]));
        float out[18];

        assert_shape(set, 4, 2, 3, 1);
        assert_ok(srq_pictures_get(set, 1, 3, out, &err), &err);
        for (int k = 0; k < 18; k++)
            assert_byte(out[k], 6 + k);
        srq_pictures_close(set);
    }
    folder_remove(&d);
}

static void refused(struct folder *d, const void *data, size_t len, int code, const char *part)
{
    struct srq_picture_set *set;

    folder_write(d, "pictures.bin", data, len);
    assert_refused(srq_pictures_open(d->file, &set, &err), code, &err, part);
    assert_non_null(strstr(err.text, "pictures.bin"));
    assert_null(set);
}

static void idx_that_says_more_than_it_holds_is_refused(void **state)
{
    static const uint8_t labels[] = { 0, 0, 8, 1, 0, 0, 0, 1, 5 }, floats[] = { 0, 0, 13, 3, 0, 0, 0, 1 };
    uint8_t file[128] = { 0 }, many[16];
    size_t n = idx_bytes(file, 4);
    struct folder d;

    (void)state;
    folder_make(&d);
    for (size_t cut = 0; cut < n; cut++)
        refused(&d, file, cut, -SRQ_EFORMAT, "pictures.bin");
    refused(&d, file, n - 1, -SRQ_EFORMAT, "has 39 bytes, where its header says 40");
    refused(&d, file, n + 1, -SRQ_EFORMAT, "has 41 bytes, where its header says 40");
    refused(&d, labels, sizeof(labels), -SRQ_EFORMAT, "an array of 1 dimensions");
    refused(&d, floats, sizeof(floats), -SRQ_EUNSUPPORTED, "type 0x0d");
    refused(&d, "hello, world", 12, -SRQ_EFORMAT, "is no set of pictures");
    memcpy(many, file, 16);
    memset(many + 4, 0xff, 12);
    refused(&d, many, 16, -SRQ_ELIMIT, "4294967295 x 4294967295");
    memcpy(many + 8, "\0\0\x40\0\0\0\x40\0", 8); /* 2^32-1 pictures of the largest size */
    refused(&d, many, 16, -SRQ_EFORMAT, "where its header says 1152921504338411536");
    memset(many + 4, 0, 4);
    refused(&d, many, 16, -SRQ_EFORMAT, "0 pictures");
    folder_remove(&d);
}

static void packed_files_are_cut_where_they_lie(void **state)
{
    uint8_t file[4096] = { 0 }, packed[4096];
    size_t n = idx_bytes(file, 4), packed_len;
    struct srq_picture_set *set;
    struct folder d;

    (void)state;
    folder_make(&d);
    make_gz(&d, "x", file, n - 1);
    assert_refused(srq_pictures_open(d.file, &set, &err), -SRQ_EFORMAT, &err,
                   "only 39 bytes, where its header says 40");
    make_gz(&d, "x", file, sizeof(file)); /* a hundred times as much as it says */
    assert_refused(srq_pictures_open(d.file, &set, &err), -SRQ_EFORMAT, &err, "its header says 40");
    memcpy(file + 4, "\x7f\xff\xff\xff", 4);
    make_gz(&d, "x", file, n);
    assert_refused(srq_pictures_open(d.file, &set, &err), -SRQ_ELIMIT, &err, "more than 2147483648; unpack it first");
    n = idx_bytes(file, 200);
    make_gz(&d, "x", file, n);
    packed_len = read_bytes(d.file, packed, sizeof(packed));
    for (size_t cut = 0; cut < packed_len - 8; cut++) { /* the checksum at the end need not be there */
        folder_write(&d, "x", packed, cut);
        assert_true(srq_pictures_open(d.file, &set, &err) < 0);
        assert_non_null(strstr(err.text, "/x"));
    }
    folder_remove(&d);
}

/* ---- NumPy ------------------------------------------------------------------------------------------------------- */

static void arrays_are_read_in_both_orders_of_dimensions(void **state)
{
    uint8_t data[2 * 2 * 4 * 3];
    struct srq_picture_set *set;
    struct folder d;
    float out[48];

    (void)state;
    for (int i = 0; i < 48; i++)
        data[i] = (uint8_t)(5 * i);
    folder_make(&d);
    set = open_set(
        make_npy(&d, "last.npy", "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2, 4, 3), }", data, 48));
    assert_shape(set, 2, 2, 4, 3);
    assert_ok(srq_pictures_get(set, 0, 2, out, &err), &err);
    for (int i = 0; i < 48; i++)
        assert_byte(out[i], 5 * i);
    srq_pictures_close(set);

    set = open_set(
        make_npy(&d, "first.npy", "{\"shape\": (2, 3, 2, 4), 'fortran_order': False, 'descr':'|u1'}", data, 48));
    assert_shape(set, 2, 2, 4, 3);
    assert_ok(srq_pictures_get(set, 1, 1, out, &err), &err);
    for (int p = 0; p < 8; p++)
        for (int c = 0; c < 3; c++)
            assert_byte(out[p * 3 + c], 5 * (24 + c * 8 + p));
    srq_pictures_close(set);
    folder_remove(&d);
}

static void floats_are_taken_as_they_are_and_held_to_their_range(void **state)
{
    float data[8] = { -1, 1, 0.25f, -0.5f, 0, 0.125f, 1.5f, NAN }, out[4];
    struct srq_picture_set *set;
    struct folder d;

    (void)state;
    folder_make(&d);
    set = open_set(
        make_npy(&d, "x.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2, 2), }", data, sizeof(data)));
    assert_shape(set, 2, 2, 2, 1);
    assert_ok(srq_pictures_get(set, 0, 1, out, &err), &err);
    assert_memory_equal(out, data, sizeof(out));
    assert_refused(srq_pictures_get(set, 1, 1, out, &err), -SRQ_EFORMAT, &err, "picture 1 has the value 1.5");
    srq_pictures_close(set);
    make_gz(&d, "x.npy", "\x93NUMPY\x01\0", 8);
    assert_refused(srq_pictures_open(d.file, &set, &err), -SRQ_EFORMAT, &err, "too short for a NumPy file");
    folder_remove(&d);
}

static void arrays_that_are_no_pictures_are_refused(void **state)
{
#define HEAD(descr, order, shape) "{'descr': " descr ", 'fortran_order': " order ", 'shape': " shape ", }"
    static const struct {
        const char *head;
        int code;
        const char *part;
    } rows[] = {
        { HEAD("'|u1'", "False", "(5, 3, 4, 3)"), -SRQ_EFORMAT, "[5, 3, 4, 3] does not tell which" },
        { HEAD("'|u1'", "False", "(5, 1, 4, 3)"), -SRQ_EFORMAT, "the second and the last may be" },
        { HEAD("'|u1'", "False", "(5, 4, 4, 2)"), -SRQ_EFORMAT, "does not tell which" },
        { HEAD("'|u1'", "False", "(5,)"), -SRQ_EFORMAT, "1 dimensions" },
        { HEAD("'|u1'", "False", "()"), -SRQ_EFORMAT, "0 dimensions" },
        { HEAD("'|u1'", "False", "(1, 1, 1, 1, 1, 1)"), -SRQ_EFORMAT, "at least 5 dimensions" },
        { HEAD("'|u1'", "False", "(1, 0, 4)"), -SRQ_EFORMAT, "are none" },
        { HEAD("'|u1'", "False", "(1, 20000, 4)"), -SRQ_ELIMIT, "larger than 16384" },
        { HEAD("'|u1'", "False", "(9223372036854775807, 4, 4)"), -SRQ_ELIMIT, "too many" },
        { HEAD("'|u1'", "False", "(9223372036854775808, 4, 4)"), -SRQ_EFORMAT, "not one of a plain array" },
        { HEAD("'|u1'", "False", "(2, 4, 4)"), -SRQ_EFORMAT, "where its header says" },
        { HEAD("'|u1'", "True", "(1, 4, 4)"), -SRQ_EUNSUPPORTED, "Fortran order" },
        { HEAD("'<f8'", "False", "(1, 4, 4)"), -SRQ_EUNSUPPORTED, "elements are <f8" },
        { HEAD("'>f4'", "False", "(1, 4, 4)"), -SRQ_EUNSUPPORTED, "elements are >f4" },
        { HEAD("[('a', '<f4')]", "False", "(1, 4, 4)"), -SRQ_EFORMAT, "not one of a plain array" },
        { "{'descr': '|u1', 'fortran_order': False}", -SRQ_EFORMAT, "not one of a plain array" },
        { "{'descr': '|u1', 'descr': '|u1', 'fortran_order': False, 'shape': (1, 4, 4)}", -SRQ_EFORMAT, "plain array" },
        { "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 4, 4)} + f()", -SRQ_EFORMAT, "plain array" },
        { "", -SRQ_EFORMAT, "plain array" },
    };
    uint8_t data[16] = { 0 }, cut[256];
    struct srq_picture_set *set;
    struct folder d;
    size_t n;

    (void)state;
    folder_make(&d);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        make_npy(&d, "x.npy", rows[i].head, data, sizeof(data));
        assert_refused(srq_pictures_open(d.file, &set, &err), rows[i].code, &err, rows[i].part);
        assert_non_null(strstr(err.text, "x.npy"));
    }
    make_npy(&d, "x.npy", HEAD("'|u1'", "False", "(1, 4, 4)"), data, sizeof(data));
    n = read_bytes(d.file, cut, sizeof(cut));
    for (size_t len = 0; len < n; len++)
        refused(&d, cut, len, -SRQ_EFORMAT, "pictures.bin");
    cut[6] = 9;
    refused(&d, cut, n, -SRQ_EUNSUPPORTED, "NumPy format 9");
    cut[6] = 2; /* a length of four bytes, of which two are text */
    refused(&d, cut, n, -SRQ_EFORMAT, "does not fit");
    folder_remove(&d);
#undef HEAD
}

static void random_bytes_are_errors(void **state)
{
    static const char *const begins[] = { "\x93NUMPY\x01\0\x40\0{", "\0\0\x08\x03", "\x1f\x8b\x08" };
    static const size_t lens[] = { 11, 4, 3 };
    uint8_t file[200];
    struct folder d;

    (void)state;
    folder_make(&d);
    for (int i = 0; i < 600; i++) {
        for (int k = 0; k < 200; k++)
            file[k] = (uint8_t)srq_rng_below(7, (uint64_t)i, (uint64_t)k, 256);
        memcpy(file, begins[i % 3], lens[i % 3]);
        folder_write(&d, "x", file, sizeof(file));
        {
            struct srq_picture_set *set;

            assert_true(srq_pictures_open(d.file, &set, &err) < 0);
        }
    }
    folder_remove(&d);
}

/* ---- sheets ------------------------------------------------------------------------------------------------------ */

static void a_sheet_is_read_back_and_is_the_same_each_time(void **state)
{
    static const float pictures[3][2] = { { -1, 1 }, { 0, 2 }, { -3, NAN } };
    struct srq_picture_sheet sheet = {
        .pictures = &pictures[0][0], .n = 3, .height = 1, .width = 2, .channels = 1, .columns = 2, .gap = 1, .scale = 2
    };
    /* 1 + 2*(4+1) wide, 1 + 2*(2+1) high */
    static const char *const want = "###########"
                                    "#..##"
                                    "#oo###"
                                    "#..##"
                                    "#oo###"
                                    "###########"
                                    "#....######"
                                    "#....######"
                                    "###########";
    uint8_t one[4096], two[4096];
    struct srq_picture_set *set;
    struct folder d;
    float out[77];

    (void)state;
    folder_make(&d);
    assert_ok(srq_picture_sheet_write(folder_file(&d, "a.png"), &sheet, &err), &err);
    set = open_set(d.path);
    assert_shape(set, 1, 7, 11, 1);
    assert_ok(srq_pictures_get(set, 0, 1, out, &err), &err);
    for (int i = 0; i < 77; i++)
        assert_byte(out[i], want[i] == '#' ? 255 : want[i] == 'o' ? 128 : 0);
    srq_pictures_close(set);
    {
        size_t n = read_bytes(d.file, one, sizeof(one));

        assert_ok(srq_picture_sheet_write(folder_file(&d, "b.png"), &sheet, &err), &err);
        assert_int_equal(read_bytes(d.file, two, sizeof(two)), n);
        assert_memory_equal(one, two, n);
    }
    folder_remove(&d);
}

static void sheets_in_colour_hold_all_bytes(void **state)
{
    float pictures[256 * 3], out[256 * 3];
    struct srq_picture_sheet sheet = { pictures, 1, 16, 16, 3, 1, 0, 1 };
    struct srq_picture_set *set;
    struct folder d;

    (void)state;
    for (int i = 0; i < 256 * 3; i++)
        pictures[i] = (float)(i % 256) / 127.5f - 1;
    folder_make(&d);
    assert_ok(srq_picture_sheet_write(folder_file(&d, "a.png"), &sheet, &err), &err);
    set = open_set(d.path);
    assert_shape(set, 1, 16, 16, 3);
    assert_ok(srq_pictures_get(set, 0, 1, out, &err), &err);
    assert_memory_equal(out, pictures, sizeof(out));
    srq_pictures_close(set);
    folder_remove(&d);
}

static void sheets_that_cannot_be_are_refused(void **state)
{
    static const float picture[4] = { 0 };
    const struct srq_picture_sheet good = { picture, 1, 2, 2, 1, 1, 0, 1 };
    struct srq_picture_sheet bad = good;

    (void)state;
    bad.channels = 2;
    assert_refused(srq_picture_sheet_write("/tmp/x.png", &bad, &err), -SRQ_EINVAL, &err, "2 channels");
    bad = good;
    bad.n = 0;
    assert_refused(srq_picture_sheet_write("/tmp/x.png", &bad, &err), -SRQ_EINVAL, &err, "0 pictures");
    bad = good;
    bad.scale = 100000;
    assert_refused(srq_picture_sheet_write("/tmp/x.png", &bad, &err), -SRQ_ELIMIT, &err, "200000 x 200000");
    assert_refused(srq_picture_sheet_write("/nonexistent/x.png", &good, &err), -SRQ_ENOENT, &err, "/nonexistent/x.png");
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static int allocations;

static bool fail_at(size_t size, void *ctx)
{
    (void)size;
    return ++allocations != *(int *)ctx;
}

static int open_and_read(const char *path)
{
    struct srq_picture_set *set;
    float out[24];
    int rc = srq_pictures_open(path, &set, &err);

    if (rc == 0)
        rc = srq_pictures_get(set, 0, 2, out, &err);
    srq_pictures_close(set);
    return rc;
}

static void running_out_of_memory_is_an_error(void **state)
{
    uint8_t file[64];
    struct folder d, pngs;

    (void)state;
    folder_make(&d);
    folder_make(&pngs);
    make_gz(&d, "x.gz", file, idx_bytes(file, 2));
    make_gray(&pngs, "a.png", 3, 2, 0);
    make_gray(&pngs, "b.png", 3, 2, 0);
    for (int kind = 0; kind < 2; kind++) {
        int rc = -1, n = 0;

        while (rc != 0) {
            allocations = 0;
            n++;
            srq_set_alloc_hook(fail_at, &n);
            rc = open_and_read(kind == 0 ? d.file : pngs.path);
            srq_set_alloc_hook(NULL, NULL);
            assert_true(n < 1000);
        }
        assert_true(n > 3);
    }
    folder_remove(&d);
    folder_remove(&pngs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_folder_is_read_in_the_order_of_names),
        cmocka_unit_test(every_kind_of_png_is_read),
        cmocka_unit_test(pictures_of_another_size_or_colour_are_refused),
        cmocka_unit_test(damaged_png_are_errors),
        cmocka_unit_test(idx_is_read_plain_and_packed_alike),
        cmocka_unit_test(idx_that_says_more_than_it_holds_is_refused),
        cmocka_unit_test(packed_files_are_cut_where_they_lie),
        cmocka_unit_test(arrays_are_read_in_both_orders_of_dimensions),
        cmocka_unit_test(floats_are_taken_as_they_are_and_held_to_their_range),
        cmocka_unit_test(arrays_that_are_no_pictures_are_refused),
        cmocka_unit_test(random_bytes_are_errors),
        cmocka_unit_test(a_sheet_is_read_back_and_is_the_same_each_time),
        cmocka_unit_test(sheets_in_colour_hold_all_bytes),
        cmocka_unit_test(sheets_that_cannot_be_are_refused),
        cmocka_unit_test(running_out_of_memory_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
