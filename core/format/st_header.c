/* Safetensors header: u64 N | N bytes of JSON | data. Every number in it is hostile until checked. */
#include "core/format/st_header.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "core/base/log.h"
#include "core/format/json.h"
#include "core/tensor/tensor.h"

#include <inttypes.h>
#include <stdlib.h>

#define SHOW 160

char *srq_st_show(const char *name, char *out, size_t cap)
{
    size_t n;

    srq_escape_control(name, out, cap);
    n = strlen(out);
    if (n + 4 < cap)
        return out;
    while (n > 0 && ((unsigned char)out[n - 1] & 0xc0) == 0x80) /* cut short, maybe inside a character */
        n--;
    if (n > 0 && ((unsigned char)out[n - 1] & 0x80) != 0)
        n--;
    out[n] = '\0';
    return out;
}

void srq_st_list(const char *name, char *list, size_t cap)
{
    char shown[64];
    size_t at = strlen(list), n = strlen(srq_st_show(name, shown, sizeof(shown)));

    if (at + n + 3 <= cap)
        snprintf(list + at, cap - at, "%s%s", at > 0 ? ", " : "", shown);
}

static uint64_t load_le64(const uint8_t *p)
{
    uint64_t v = 0;

    for (int i = 7; i >= 0; i--)
        v = v << 8 | p[i];
    return v;
}

/* Element types that newer files may hold and srq does not read. */
static bool known_elsewhere(const char *dtype)
{
    static const char *const names[] = { "C64", "F4", "F6_E2M3", "F6_E3M2" };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(dtype, names[i]) == 0)
            return true;
    }
    return false;
}

static int read_dtype(const json_t *info, const char *file, const char *shown, struct srq_st_entry *e,
                      struct srq_error *err)
{
    const char *dtype = json_string_value(json_object_get(info, "dtype"));
    char text[SHOW];

    if (dtype == NULL)
        return srq_fail_field(err, -SRQ_EFORMAT, shown, "%s: tensor \"%s\" has no dtype", file, shown);
    if (srq_dtype_parse(dtype, &e->dtype))
        return 0;
    srq_escape_control(dtype, text, sizeof(text));
    if (known_elsewhere(dtype))
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, shown, "%s: tensor \"%s\" has dtype %s, which srq does not read",
                              file, shown, text);
    return srq_fail_field(err, -SRQ_EFORMAT, shown, "%s: tensor \"%s\" has unknown dtype \"%s\"", file, shown, text);
}

static int read_shape(const json_t *info, const char *file, const char *shown, struct srq_st_entry *e,
                      struct srq_error *err)
{
    const json_t *shape = json_object_get(info, "shape");
    size_t rank = json_array_size(shape);

    if (!json_is_array(shape))
        return srq_fail_field(err, -SRQ_EFORMAT, shown, "%s: tensor \"%s\" has no shape", file, shown);
    if (rank > SRQ_MAX_RANK)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, shown, "%s: tensor \"%s\" has %zu dimensions, more than %d", file,
                              shown, rank, SRQ_MAX_RANK);
    e->rank = (int)rank;
    for (size_t i = 0; i < rank; i++) {
        const json_t *dim = json_array_get(shape, i);

        if (!json_is_integer(dim) || json_integer_value(dim) < 0)
            return srq_fail_field(err, -SRQ_EFORMAT, shown,
                                  "%s: dimension %zu of tensor \"%s\" is not a non-negative integer", file, i, shown);
        e->shape[i] = json_integer_value(dim);
    }
    return 0;
}

static int read_offsets(const json_t *info, const char *file, const char *shown, struct srq_st_entry *e,
                        struct srq_error *err)
{
    const json_t *offsets = json_object_get(info, "data_offsets");
    const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);

    if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end) ||
        json_integer_value(begin) < 0 || json_integer_value(end) < 0)
        return srq_fail_field(err, -SRQ_EFORMAT, shown,
                              "%s: data_offsets of tensor \"%s\" are not two non-negative integers", file, shown);
    e->begin = (uint64_t)json_integer_value(begin);
    e->end = (uint64_t)json_integer_value(end);
    if (e->end < e->begin)
        return srq_fail_field(err, -SRQ_EFORMAT, shown,
                              "%s: tensor \"%s\" ends at byte %" PRIu64 ", before its begin %" PRIu64, file, shown,
                              e->end, e->begin);
    return 0;
}

static int read_entry(const char *name, const json_t *info, const char *file, struct srq_st_entry *e,
                      struct srq_error *err)
{
    struct srq_tensor t;
    char shown[SHOW];
    size_t bytes;
    int rc;

    srq_st_show(name, shown, sizeof(shown));
    if (strlen(name) > SRQ_ST_NAME_MAX)
        return srq_fail_field(err, -SRQ_ELIMIT, shown, "%s: a tensor's name has %zu bytes, more than %d: \"%s…\"", file,
                              strlen(name), SRQ_ST_NAME_MAX, shown);
    if (!json_is_object(info))
        return srq_fail_field(err, -SRQ_EFORMAT, shown, "%s: tensor \"%s\" is not described by an object", file, shown);
    rc = read_dtype(info, file, shown, e, err);
    if (rc == 0)
        rc = read_shape(info, file, shown, e, err);
    if (rc == 0)
        rc = read_offsets(info, file, shown, e, err);
    if (rc != 0)
        return rc;
    t = srq_tensor_make(NULL, e->dtype, e->rank, e->shape);
    if (!srq_tensor_bytes(&t, &bytes))
        return srq_fail_field(err, -SRQ_EFORMAT, shown, "%s: the shape of tensor \"%s\" overflows", file, shown);
    if (bytes != e->end - e->begin)
        return srq_fail_field(err, -SRQ_EFORMAT, shown,
                              "%s: tensor \"%s\" needs %zu bytes by its shape and has %" PRIu64, file, shown, bytes,
                              e->end - e->begin);
    e->name = srq_strdup(name);
    if (e->name == NULL)
        return srq_fail_field(err, -SRQ_ENOMEM, file, "out of memory reading the header of %s", file);
    return 0;
}

static int check_metadata(const json_t *metadata, const char *file, struct srq_error *err)
{
    const char *key;
    json_t *value;

    if (!json_is_object(metadata))
        return srq_fail_field(err, -SRQ_EFORMAT, file, "%s: __metadata__ is not an object", file);
    json_object_foreach((json_t *)(uintptr_t)metadata, key, value)
    {
        char shown[SHOW];

        if (!json_is_string(value))
            return srq_fail_field(err, -SRQ_EFORMAT, file, "%s: __metadata__ \"%s\" is not a string", file,
                                  srq_st_show(key, shown, sizeof(shown)));
    }
    return 0;
}

static int by_place(const void *a, const void *b)
{
    const struct srq_st_entry *x = a, *y = b;

    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end)
        return x->end < y->end ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* No holes, no overlap, nothing after the last tensor. */
static int check_places(const struct srq_st_header *h, uint64_t data_bytes, const char *file, struct srq_error *err)
{
    uint64_t at = 0;
    char shown[SHOW];

    for (int64_t i = 0; i < h->count; i++) {
        const struct srq_st_entry *e = &h->entries[i];

        if (e->begin != at)
            return srq_fail_field(err, -SRQ_EFORMAT, file,
                                  "%s: tensor \"%s\" begins at byte %" PRIu64 " where %" PRIu64 " was due", file,
                                  srq_st_show(e->name, shown, sizeof(shown)), e->begin, at);
        at = e->end;
    }
    if (at != data_bytes)
        return srq_fail_field(err, -SRQ_EFORMAT, file,
                              "%s: the header describes %" PRIu64 " bytes of data, the file has %" PRIu64, file, at,
                              data_bytes);
    return 0;
}

static int read_entries(json_t *root, const char *file, struct srq_st_header *out, struct srq_error *err)
{
    const char *name;
    json_t *info;
    size_t n = json_object_size(root);
    int rc;

    if (n > SRQ_ST_COUNT_MAX)
        return srq_fail_field(err, -SRQ_ELIMIT, file, "%s: %zu tensors, more than %d", file, n, SRQ_ST_COUNT_MAX);
    out->entries = srq_calloc(n > 0 ? n : 1, sizeof(*out->entries));
    if (out->entries == NULL)
        return srq_fail_field(err, -SRQ_ENOMEM, file, "out of memory reading the header of %s", file);
    json_object_foreach(root, name, info)
    {
        if (strcmp(name, "__metadata__") == 0) {
            rc = check_metadata(info, file, err);
        } else {
            rc = read_entry(name, info, file, &out->entries[out->count], err);
            out->count += rc == 0;
        }
        if (rc != 0)
            return rc;
    }
    return 0;
}

int srq_st_header_read(const uint8_t *base, size_t size, const char *file, struct srq_st_header *out,
                       struct srq_error *err)
{
    uint64_t len;
    json_t *root;
    int rc;

    memset(out, 0, sizeof(*out));
    if (srq_is_lfs_pointer((const char *)base, size))
        return srq_fail_field(err, -SRQ_EFORMAT, file, SRQ_LFS_SENTENCE, file);
    if (size < 8)
        return srq_fail_field(err, -SRQ_EFORMAT, file, "%s: %zu bytes are too few for a header length", file, size);
    len = load_le64(base);
    if (len > SRQ_JSON_HEADER_MAX)
        return srq_fail_field(err, -SRQ_ELIMIT, file, "%s: header of %" PRIu64 " bytes, more than %zu", file, len,
                              SRQ_JSON_HEADER_MAX);
    if (len > size - 8)
        return srq_fail_field(err, -SRQ_EFORMAT, file, "%s: header of %" PRIu64 " bytes does not fit in a file of %zu",
                              file, len, size);
    if (len == 0 || base[8] != '{')
        return srq_fail_field(err, -SRQ_EFORMAT, file, "%s: the header does not start with '{'", file);
    rc = srq_json_read_text((const char *)base + 8, (size_t)len, file, &root, err);
    if (rc != 0)
        return rc;
    rc = read_entries(root, file, out, err);
    json_decref(root);
    if (rc == 0) {
        qsort(out->entries, (size_t)out->count, sizeof(*out->entries), by_place);
        out->data_at = 8 + len;
        rc = check_places(out, size - 8 - len, file, err);
    }
    if (rc != 0)
        srq_st_header_fini(out);
    return rc;
}

void srq_st_header_fini(struct srq_st_header *h)
{
    for (int64_t i = 0; i < h->count; i++)
        srq_free(h->entries[i].name);
    srq_free(h->entries);
    memset(h, 0, sizeof(*h));
}
