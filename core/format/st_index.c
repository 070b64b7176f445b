/* Shard index: {"metadata": {…}, "weight_map": {tensor: file}}. */
#include "core/format/st_index.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "core/format/json.h"
#include "core/format/st_header.h"

#include <math.h>
#include <stdlib.h>

#define SHOW 160
#define FILES_MAX 4000

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct srq_st_place *)a)->name, ((const struct srq_st_place *)b)->name);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int check_row(const char *name, const json_t *value, const char *what, struct srq_error *err)
{
    const char *file = json_string_value(value);
    char shown[SHOW], shown_file[SHOW];

    srq_st_show(name, shown, sizeof(shown));
    if (strlen(name) > SRQ_ST_NAME_MAX)
        return srq_fail_field(err, -SRQ_ELIMIT, what, "%s: a tensor's name has %zu bytes, more than %d: \"%s…\"", what,
                              strlen(name), SRQ_ST_NAME_MAX, shown);
    if (file == NULL)
        return srq_fail_field(err, -SRQ_EFORMAT, what, "%s: the file of tensor \"%s\" is not a string", what, shown);
    if (!srq_is_base_name(file))
        return srq_fail_field(err, -SRQ_EFORMAT, what,
                              "%s: tensor \"%s\" is said to be in \"%s\", which is not a plain file name", what, shown,
                              srq_st_show(file, shown_file, sizeof(shown_file)));
    return 0;
}

/* The distinct file names of the map, sorted. */
static int collect_files(json_t *map, const char *what, struct srq_st_index *out, struct srq_error *err)
{
    size_t n = json_object_size(map), i = 0, kept = 0;
    const char **all = srq_calloc(n > 0 ? n : 1, sizeof(*all));
    const char *name;
    json_t *value;
    int rc = 0;

    if (all == NULL)
        goto oom;
    json_object_foreach(map, name, value)
    {
        all[i++] = json_string_value(value);
    }
    qsort(all, n, sizeof(*all), by_text);
    for (i = 0; i < n; i++) {
        if (kept == 0 || strcmp(all[i], all[kept - 1]) != 0)
            all[kept++] = all[i];
    }
    if (kept > FILES_MAX) {
        rc = srq_fail_field(err, -SRQ_ELIMIT, what, "%s names %zu files, more than %d", what, kept, FILES_MAX);
        goto out;
    }
    out->files = srq_calloc(kept > 0 ? kept : 1, sizeof(*out->files));
    if (out->files == NULL)
        goto oom;
    for (i = 0; i < kept; i++) {
        out->files[i] = srq_strdup(all[i]);
        if (out->files[i] == NULL)
            goto oom;
        out->file_count++;
    }
    goto out;
oom:
    rc = srq_fail_field(err, -SRQ_ENOMEM, what, "out of memory reading %s", what);
out:
    srq_free(all);
    return rc;
}

static int collect_places(json_t *map, const char *what, struct srq_st_index *out, struct srq_error *err)
{
    size_t n = json_object_size(map);
    const char *name;
    json_t *value;

    out->places = srq_calloc(n > 0 ? n : 1, sizeof(*out->places));
    if (out->places == NULL)
        return srq_fail_field(err, -SRQ_ENOMEM, what, "out of memory reading %s", what);
    json_object_foreach(map, name, value)
    {
        const char *file = json_string_value(value);
        char **at = bsearch(&file, out->files, (size_t)out->file_count, sizeof(*out->files), by_text);
        struct srq_st_place *p = &out->places[out->count];

        p->file = (int)(at - out->files);
        p->name = srq_strdup(name);
        if (p->name == NULL)
            return srq_fail_field(err, -SRQ_ENOMEM, what, "out of memory reading %s", what);
        out->count++;
    }
    qsort(out->places, (size_t)out->count, sizeof(*out->places), by_name);
    return 0;
}

int srq_st_index_parse(const char *data, size_t len, const char *what, struct srq_st_index *out, struct srq_error *err)
{
    json_t *root, *map, *value, *total;
    const char *name;
    int rc;

    memset(out, 0, sizeof(*out));
    rc = srq_json_read_text(data, len, what, &root, err);
    if (rc != 0)
        return rc;
    total = json_object_get(json_object_get(root, "metadata"), "total_size");
    out->total_size = json_is_number(total) ? json_number_value(total) : total == NULL ? (double)NAN : -1;
    map = json_object_get(root, "weight_map");
    if (!json_is_object(map))
        rc = srq_fail_field(err, -SRQ_EFORMAT, what, "%s has no weight_map", what);
    else if (json_object_size(map) > SRQ_ST_COUNT_MAX)
        rc = srq_fail_field(err, -SRQ_ELIMIT, what, "%s: %zu tensors, more than %d", what, json_object_size(map),
                            SRQ_ST_COUNT_MAX);
    if (rc == 0) {
        json_object_foreach(map, name, value)
        {
            rc = check_row(name, value, what, err);
            if (rc != 0)
                break;
        }
    }
    if (rc == 0)
        rc = collect_files(map, what, out, err);
    if (rc == 0)
        rc = collect_places(map, what, out, err);
    json_decref(root);
    if (rc != 0)
        srq_st_index_fini(out);
    return rc;
}

int64_t srq_st_index_find(const struct srq_st_index *index, const char *name)
{
    struct srq_st_place key = { .name = (char *)(uintptr_t)name };
    struct srq_st_place *at =
        index->count > 0 ? bsearch(&key, index->places, (size_t)index->count, sizeof(key), by_name) : NULL;

    return at != NULL ? at - index->places : -1;
}

void srq_st_index_fini(struct srq_st_index *index)
{
    for (int64_t i = 0; i < index->count; i++)
        srq_free(index->places[i].name);
    for (int i = 0; i < index->file_count; i++)
        srq_free(index->files[i]);
    srq_free(index->places);
    srq_free(index->files);
    memset(index, 0, sizeof(*index));
}
