/* Opened sets of pictures. */
#include "core/format/pictures.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "core/format/pictures_array.h"
#include "core/format/pictures_png.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

/* Either the files of a folder, or an array: mapped, or unpacked into memory. */
struct srq_picture_set {
    char *path;
    struct srq_picture_shape shape;
    char **files;
    struct srq_picture_array array;
    struct srq_map map;
    uint8_t *unpacked;
    const uint8_t *data; /* of the array */
};

/* ---- folders ----------------------------------------------------------------------------------------------------- */

static bool is_png_name(const char *name)
{
    size_t n = strlen(name);

    return name[0] != '.' && n > 4 && strcasecmp(name + n - 4, ".png") == 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int add_file(struct srq_picture_set *set, const char *name, struct srq_error *err)
{
    int64_t n = set->shape.count;

    if (n == SRQ_PICTURES_FILES_MAX)
        return srq_fail_field(err, -SRQ_ELIMIT, set->path, "%s holds more than %d PNG files", set->path,
                              SRQ_PICTURES_FILES_MAX);
    if ((n & (n - 1)) == 0) { /* room for twice as many */
        char **files = srq_reallocarray(set->files, n == 0 ? 1 : 2 * (size_t)n, sizeof(*files));

        if (files == NULL)
            return srq_fail_field(err, -SRQ_ENOMEM, set->path, "out of memory listing %s", set->path);
        set->files = files;
    }
    set->files[n] = srq_path_join(set->path, name);
    if (set->files[n] == NULL)
        return srq_fail_field(err, -SRQ_ENOMEM, set->path, "out of memory listing %s", set->path);
    set->shape.count++;
    return 0;
}

static int list_files(struct srq_picture_set *set, struct srq_error *err)
{
    DIR *dir = opendir(set->path);
    int rc = 0;

    if (dir == NULL)
        return srq_fail_errno(err, "open", set->path);
    for (struct dirent *e; rc == 0 && (e = readdir(dir)) != NULL;)
        if (is_png_name(e->d_name))
            rc = add_file(set, e->d_name, err);
    closedir(dir);
    if (rc == 0 && set->shape.count == 0)
        return srq_fail_field(err, -SRQ_ENOENT, set->path, "%s holds no PNG files", set->path);
    if (rc == 0)
        qsort(set->files, (size_t)set->shape.count, sizeof(*set->files), by_name);
    return rc;
}

static int open_folder(struct srq_picture_set *set, struct srq_error *err)
{
    struct srq_picture_shape first;
    int rc = list_files(set, err);

    if (rc == 0)
        rc = srq_png_shape(set->files[0], &first, err);
    if (rc != 0)
        return rc;
    first.count = set->shape.count;
    set->shape = first;
    for (int64_t i = 1; rc == 0 && i < set->shape.count; i++)
        rc = srq_png_check_shape(set->files[i], &set->shape, err);
    return rc;
}

/* ---- arrays ------------------------------------------------------------------------------------------------------ */

static int open_array(struct srq_picture_set *set, struct srq_error *err)
{
    const struct srq_map *map = &set->map;
    int rc = srq_map_open(set->path, &set->map, err);

    if (rc != 0)
        return rc;
    if (map->size >= 2 && map->data[0] == 0x1f && map->data[1] == 0x8b) {
        rc = srq_picture_array_unpack(map->data, map->size, set->path, &set->unpacked, &set->array, err);
        set->data = set->unpacked;
    } else {
        rc = srq_picture_array_read(map->data, map->size, set->path, &set->array, err);
        set->data = map->data;
        if (rc == 0 && map->size != set->array.total)
            rc = srq_fail_field(err, -SRQ_EFORMAT, set->path, "%s has %zu bytes, where its header says %zu", set->path,
                                map->size, set->array.total);
    }
    set->shape = set->array.shape;
    return rc;
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

int srq_pictures_open(const char *path, struct srq_picture_set **out, struct srq_error *err)
{
    struct srq_picture_set *set = srq_calloc(1, sizeof(*set));
    struct stat st;
    int rc;

    *out = NULL;
    if (set == NULL)
        return srq_fail_field(err, -SRQ_ENOMEM, path, "out of memory opening %s", path);
    set->path = srq_strdup(path);
    if (set->path == NULL)
        rc = srq_fail_field(err, -SRQ_ENOMEM, path, "out of memory opening %s", path);
    else if (stat(path, &st) != 0)
        rc = srq_fail_errno(err, "open", path);
    else
        rc = S_ISDIR(st.st_mode) ? open_folder(set, err) : open_array(set, err);
    if (rc != 0)
        srq_pictures_close(set);
    else
        *out = set;
    return rc;
}

void srq_pictures_close(struct srq_picture_set *set)
{
    if (set == NULL)
        return;
    for (int64_t i = 0; set->files != NULL && i < set->shape.count; i++)
        srq_free(set->files[i]);
    srq_free(set->files);
    if (set->map.path != NULL)
        srq_map_close(&set->map);
    srq_free(set->unpacked);
    srq_free(set->path);
    srq_free(set);
}

struct srq_picture_shape srq_pictures_shape(const struct srq_picture_set *set)
{
    return set->shape;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static float from_byte(uint8_t v)
{
    return (float)v / 127.5f - 1;
}

static int get_file(const struct srq_picture_set *set, int64_t i, float *out, struct srq_error *err)
{
    size_t count = (size_t)(set->shape.height * set->shape.width * set->shape.channels);
    uint8_t *samples = srq_malloc(count);
    int rc;

    if (samples == NULL)
        return srq_fail_field(err, -SRQ_ENOMEM, set->files[i], "out of memory reading %s", set->files[i]);
    rc = srq_png_read(set->files[i], &set->shape, samples, err);
    for (size_t k = 0; rc == 0 && k < count; k++)
        out[k] = from_byte(samples[k]);
    srq_free(samples);
    return rc;
}

/* Element k of the picture at `data`, which need not be aligned. */
static float element(const struct srq_picture_set *set, const uint8_t *data, size_t k)
{
    float v;

    if (!set->array.f32)
        return from_byte(data[k]);
    memcpy(&v, data + k * sizeof(v), sizeof(v));
    return v;
}

static int get_picture(const struct srq_picture_set *set, int64_t i, float *out, struct srq_error *err)
{
    const uint8_t *data = set->data + set->array.at + (size_t)i * set->array.picture;
    size_t pixels = (size_t)(set->shape.height * set->shape.width), channels = (size_t)set->shape.channels;

    for (size_t p = 0; p < pixels; p++) {
        for (size_t c = 0; c < channels; c++) {
            float v = element(set, data, set->array.planes ? c * pixels + p : p * channels + c);

            if (!(v >= -1 && v <= 1))
                return srq_fail_field(err, -SRQ_EFORMAT, set->path,
                                      "%s: picture %" PRId64 " has the value %g; f32 pictures are in [-1, 1]",
                                      set->path, i, (double)v);
            out[p * channels + c] = v;
        }
    }
    return 0;
}

int srq_pictures_get(const struct srq_picture_set *set, int64_t first, int64_t n, float *out, struct srq_error *err)
{
    int64_t size = set->shape.height * set->shape.width * set->shape.channels;
    int rc = 0;

    if (first < 0 || n < 0 || first > set->shape.count || n > set->shape.count - first)
        return srq_fail_field(err, -SRQ_EINVAL, set->path,
                              "%s has %" PRId64 " pictures, not %" PRId64 " from number %" PRId64, set->path,
                              set->shape.count, n, first);
    for (int64_t i = 0; rc == 0 && i < n; i++)
        rc = (set->files != NULL ? get_file : get_picture)(set, first + i, out + i * size, err);
    return rc == 0 && set->files == NULL ? srq_map_check(&set->map, err) : rc;
}
