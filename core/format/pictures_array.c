/* One array of pictures in a file: which bytes are which. */
#include "core/format/pictures_array.h"

#include "core/base/alloc.h"

#include <archive.h>
#include <inttypes.h>
#include <string.h>

#define IDX_BYTES 0x08 /* type of elements */
#define FIRST_PART ((size_t)1 << 20)

static bool is_colours(int64_t channels)
{
    return channels == 1 || channels == 3;
}

/* Which dimension is what. */
static int name_dims(const int64_t dims[4], int rank, const char *file, struct srq_picture_array *a,
                     struct srq_error *err)
{
    if (rank == 3) {
        a->shape = (struct srq_picture_shape){ dims[0], dims[1], dims[2], 1 };
        return 0;
    }
    if (rank != 4)
        return srq_fail_field(err, -SRQ_EFORMAT, file,
                              "%s: an array of %s%d dimensions is no set of pictures, which has 3 or 4", file,
                              rank > 4 ? "at least " : "", rank);
    if (is_colours(dims[1]) == is_colours(dims[3]))
        return srq_fail_field(err, -SRQ_EFORMAT, file,
                              "%s: shape [%" PRId64 ", %" PRId64 ", %" PRId64 ", %" PRId64
                              "] does not tell which dimension is the channels (1 or 3)%s",
                              file, dims[0], dims[1], dims[2], dims[3],
                              is_colours(dims[1]) ? ": the second and the last may be" : "");
    a->planes = is_colours(dims[1]);
    a->shape = a->planes ? (struct srq_picture_shape){ dims[0], dims[2], dims[3], dims[1] }
                         : (struct srq_picture_shape){ dims[0], dims[1], dims[2], dims[3] };
    return 0;
}

static int measure(const char *file, struct srq_picture_array *a, struct srq_error *err)
{
    const struct srq_picture_shape *s = &a->shape;

    if (s->count < 1 || s->height < 1 || s->width < 1 || s->height > SRQ_PICTURE_SIDE_MAX ||
        s->width > SRQ_PICTURE_SIDE_MAX)
        return srq_fail_field(err, s->height < 1 || s->width < 1 || s->count < 1 ? -SRQ_EFORMAT : -SRQ_ELIMIT, file,
                              "%s: %" PRId64 " pictures of %" PRId64 " x %" PRId64
                              " are none, or larger than %d a side",
                              file, s->count, s->height, s->width, SRQ_PICTURE_SIDE_MAX);
    a->picture = (size_t)(s->height * s->width * s->channels) * (a->f32 ? sizeof(float) : 1);
    if (!srq_mul_size((size_t)s->count, a->picture, &a->total) || !srq_add_size(a->total, a->at, &a->total))
        return srq_fail_field(err, -SRQ_ELIMIT, file, "%s: %" PRId64 " pictures of %zu bytes are too many", file,
                              s->count, a->picture);
    return 0;
}

static int64_t load_be32(const uint8_t *p)
{
    return (int64_t)((uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]);
}

/* Two zeros, type, number of dimensions, dimensions; all big-endian. */
static int read_idx(const uint8_t *data, size_t len, const char *file, struct srq_picture_array *a, int64_t dims[4],
                    int *rank, struct srq_error *err)
{
    *rank = data[3];
    if (data[2] != IDX_BYTES)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, file, "%s: IDX elements are of type 0x%02x, not bytes (0x08)",
                              file, data[2]);
    a->at = 4 + 4 * (size_t)*rank;
    if (len < a->at)
        return srq_fail_field(err, -SRQ_EFORMAT, file, "%s: %zu bytes are too short for an IDX header", file, len);
    for (int i = 0; i < *rank && i < 4; i++)
        dims[i] = load_be32(data + 4 + 4 * i);
    return 0;
}

int srq_picture_array_read(const uint8_t *data, size_t len, const char *file, struct srq_picture_array *out,
                           struct srq_error *err)
{
    int64_t dims[4] = { 0 };
    int rank = 0, rc;

    *out = (struct srq_picture_array){ 0 };
    if (len >= 6 && memcmp(data, "\x93NUMPY", 6) == 0)
        rc = srq_npy_head_read(data, len, file, out, dims, &rank, err);
    else if (len >= 4 && data[0] == 0 && data[1] == 0)
        rc = read_idx(data, len, file, out, dims, &rank, err);
    else
        rc = srq_fail_field(err, -SRQ_EFORMAT, file,
                            "%s is no set of pictures: a folder of PNG, an IDX file or a .npy is", file);
    if (rc == 0)
        rc = name_dims(dims, rank, file, out, err);
    return rc == 0 ? measure(file, out, err) : rc;
}

/* ---- gzip -------------------------------------------------------------------------------------------------------- */

/* What came out so far. */
struct unpacking {
    struct archive *archive;
    const char *file;
    uint8_t *data;
    size_t len, cap;
};

/* Reads until there are `want` bytes or no more. */
static int unpack_to(struct unpacking *u, size_t want, struct srq_error *err)
{
    while (u->len < want) {
        la_ssize_t got;

        if (u->len == u->cap) {
            size_t cap = u->cap == 0 ? FIRST_PART : 2 * u->cap;
            uint8_t *data = srq_realloc(u->data, cap);

            if (data == NULL)
                return srq_fail_field(err, -SRQ_ENOMEM, u->file, "out of memory unpacking %s", u->file);
            u->data = data;
            u->cap = cap;
        }
        got = archive_read_data(u->archive, u->data + u->len, (want < u->cap ? want : u->cap) - u->len);
        if (got < 0)
            return srq_fail_field(err, -SRQ_EFORMAT, u->file, "%s: cannot unpack it: %s", u->file,
                                  archive_error_string(u->archive) != NULL ? archive_error_string(u->archive)
                                                                           : "it is damaged");
        if (got == 0)
            break;
        u->len += (size_t)got;
    }
    return 0;
}

static int unpack(struct unpacking *u, struct srq_picture_array *array, struct srq_error *err)
{
    int rc = unpack_to(u, SRQ_ARRAY_HEAD_MAX, err);

    if (rc == 0)
        rc = srq_picture_array_read(u->data, u->len, u->file, array, err);
    if (rc != 0)
        return rc;
    if (array->total > SRQ_PICTURES_UNPACKED_MAX)
        return srq_fail_field(err, -SRQ_ELIMIT, u->file,
                              "%s: would become %zu bytes, more than %" PRIu64 "; unpack it first", u->file,
                              array->total, SRQ_PICTURES_UNPACKED_MAX);
    rc = unpack_to(u, array->total + 1, err); /* one more, which must not be there */
    if (rc == 0 && u->len != array->total)
        rc = srq_fail_field(err, -SRQ_EFORMAT, u->file, "%s: unpacked it has %s %zu bytes, where its header says %zu",
                            u->file, u->len > array->total ? "at least" : "only", u->len, array->total);
    return rc;
}

int srq_picture_array_unpack(const uint8_t *data, size_t len, const char *file, uint8_t **out,
                             struct srq_picture_array *array, struct srq_error *err)
{
    struct unpacking u = { .archive = archive_read_new(), .file = file };
    struct archive_entry *entry;
    int rc = 0;

    *out = NULL;
    if (u.archive == NULL)
        return srq_fail_field(err, -SRQ_ENOMEM, file, "out of memory unpacking %s", file);
    if (archive_read_support_filter_gzip(u.archive) != ARCHIVE_OK ||
        archive_read_support_format_raw(u.archive) != ARCHIVE_OK ||
        archive_read_open_memory(u.archive, data, len) != ARCHIVE_OK ||
        archive_read_next_header(u.archive, &entry) != ARCHIVE_OK)
        rc = srq_fail_field(err, -SRQ_EFORMAT, file, "%s: cannot unpack it: %s", file,
                            archive_error_string(u.archive) != NULL ? archive_error_string(u.archive) : "it is empty");
    if (rc == 0)
        rc = unpack(&u, array, err);
    archive_read_free(u.archive);
    if (rc != 0)
        srq_free(u.data);
    else
        *out = u.data;
    return rc;
}
