/* Reading GGUF files. Every length is held against what is left of the file before it is used. */
#include "core/format/gguf.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "core/base/utf8.h"
#include "core/format/st_header.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define KEYS_MAX 65536
#define TENSORS_MAX (1 << 20)
#define KEY_BYTES_MAX 65535
#define ALIGNMENT 32
#define ALIGNMENT_MAX (1u << 20)
#define SHOW 160
#define LEAST_KEY (8 + 1 + 4 + 1)             /* bytes that a key takes at least */
#define LEAST_TENSOR (8 + 1 + 4 + 8 + 4 + 8u) /* the same of a tensor */

/* Bytes of a value of each type; 0: its length is written. */
static const uint8_t value_bytes[] = { 1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8 };
#define VALUE_TYPES (sizeof(value_bytes) / sizeof(value_bytes[0]))

/* A key with its value, in the map. */
struct key {
    const char *text;
    size_t len;
    uint32_t type, element; /* of an array: that of its elements */
    uint64_t count;         /* of an array's elements, of a text's bytes */
    const uint8_t *value;
};

struct srq_gguf {
    struct srq_map map;
    struct key *keys; /* by text */
    int64_t key_count;
    struct srq_gguf_tensor *tensors;
    int64_t count;
    size_t data_at;
};

/* Where reading has come to. Nothing is read after an error. */
struct cursor {
    const uint8_t *data;
    size_t at, size;
    const char *file;
};

static int cut_short(const struct cursor *c, const char *what, struct srq_error *err)
{
    return srq_fail_field(err, -SRQ_EFORMAT, c->file, "%s ends at byte %zu, inside %s", c->file, c->size, what);
}

/* Little-endian, whatever the machine is. */
static uint64_t number_at(const uint8_t *p, int bytes)
{
    uint64_t value = 0;

    for (int i = 0; i < bytes; i++)
        value |= (uint64_t)p[i] << (8 * i);
    return value;
}

static int take_number(struct cursor *c, int bytes, uint64_t *value, const char *what, struct srq_error *err)
{
    *value = 0;
    if (c->size - c->at < (size_t)bytes)
        return cut_short(c, what, err);
    *value = number_at(c->data + c->at, bytes);
    c->at += (size_t)bytes;
    return 0;
}

static int take_text(struct cursor *c, const char **text, size_t *len, const char *what, struct srq_error *err)
{
    uint64_t n;
    int rc = take_number(c, 8, &n, what, err);

    if (rc != 0)
        return rc;
    if (n > c->size - c->at)
        return srq_fail_field(err, -SRQ_EFORMAT, c->file,
                              "%s: %s is said to have %" PRIu64 " bytes, more than are left", c->file, what, n);
    *text = (const char *)c->data + c->at;
    *len = (size_t)n;
    c->at += (size_t)n;
    return 0;
}

/* ---- keys -------------------------------------------------------------------------------------------------------- */

static int by_text(const void *a, const void *b)
{
    const struct key *x = a, *y = b;
    int order = memcmp(x->text, y->text, x->len < y->len ? x->len : y->len);

    return order != 0 ? order : x->len < y->len ? -1 : x->len > y->len;
}

static const struct key *find_key(const struct srq_gguf *g, const char *text)
{
    const struct key k = { .text = text, .len = strlen(text) };

    return bsearch(&k, g->keys, (size_t)g->key_count, sizeof(k), by_text);
}

static char *show_key(const struct key *k, char out[SHOW])
{
    char text[SHOW];

    snprintf(text, sizeof(text), "%.*s", (int)(k->len < SHOW - 1 ? k->len : SHOW - 1), k->text);
    return srq_st_show(text, out, SHOW);
}

static int skip_array(struct cursor *c, struct key *k, const char *shown, struct srq_error *err)
{
    uint64_t type, count, bytes;
    int rc;

    if ((rc = take_number(c, 4, &type, shown, err)) != 0 || (rc = take_number(c, 8, &count, shown, err)) != 0)
        return rc;
    k->element = (uint32_t)type;
    k->count = count;
    k->value = c->data + c->at;
    if (type >= VALUE_TYPES || type == SRQ_GGUF_ARRAY)
        return srq_fail_field(err, -SRQ_EFORMAT, shown, "%s: key %s is an array of type %" PRIu64, c->file, shown,
                              type);
    if (type == SRQ_GGUF_TEXT) {
        for (uint64_t i = 0; rc == 0 && i < count; i++) {
            const char *text;
            size_t len;

            rc = take_text(c, &text, &len, shown, err);
        }
        return rc;
    }
    if (__builtin_mul_overflow(count, (uint64_t)value_bytes[type], &bytes) || bytes > c->size - c->at)
        return srq_fail_field(err, -SRQ_EFORMAT, shown, "%s: key %s has %" PRIu64 " elements, more than the file holds",
                              c->file, shown, count);
    c->at += (size_t)bytes;
    return 0;
}

static int take_alignment(const struct cursor *c, uint64_t type, uint32_t *alignment, struct srq_error *err)
{
    struct cursor here = *c;
    uint64_t value;
    int rc = take_number(&here, 4, &value, "general.alignment", err);

    if (rc != 0)
        return rc;
    if (type != SRQ_GGUF_U32 || value < 8 || value > ALIGNMENT_MAX || (value & (value - 1)) != 0)
        return srq_fail_field(err, -SRQ_EFORMAT, "general.alignment",
                              "%s: general.alignment is %" PRIu64 " of type %" PRIu64 ", not a power of two from 8",
                              c->file, value, type);
    *alignment = (uint32_t)value;
    return 0;
}

static int take_key(struct cursor *c, struct key *k, uint32_t *alignment, struct srq_error *err)
{
    static const char special[] = "general.alignment";
    char shown[SHOW];
    const char *text = NULL;
    uint64_t type;
    size_t len = 0;
    int rc = take_text(c, &k->text, &k->len, "a key", err);

    if (rc != 0)
        return rc;
    show_key(k, shown);
    if (k->len == 0 || k->len > KEY_BYTES_MAX || srq_utf8_check(k->text, k->len) != k->len)
        return srq_fail_field(err, -SRQ_EFORMAT, shown, "%s: a key of %zu bytes, \"%s\"", c->file, k->len, shown);
    if ((rc = take_number(c, 4, &type, shown, err)) != 0)
        return rc;
    if (type >= VALUE_TYPES)
        return srq_fail_field(err, -SRQ_EFORMAT, shown, "%s: key %s has a value of type %" PRIu64, c->file, shown,
                              type);
    if (k->len == sizeof(special) - 1 && memcmp(k->text, special, k->len) == 0 &&
        (rc = take_alignment(c, type, alignment, err)) != 0)
        return rc;
    k->type = (uint32_t)type;
    k->value = c->data + c->at;
    if (type == SRQ_GGUF_ARRAY)
        return skip_array(c, k, shown, err);
    if (type == SRQ_GGUF_TEXT) {
        rc = take_text(c, &text, &len, shown, err);
        k->value = (const uint8_t *)text;
        k->count = len;
        return rc;
    }
    if (c->size - c->at < value_bytes[type])
        return cut_short(c, shown, err);
    c->at += value_bytes[type];
    return 0;
}

static int take_keys(struct srq_gguf *g, struct cursor *c, uint64_t count, uint32_t *alignment, struct srq_error *err)
{
    struct key *keys = srq_calloc((size_t)count + 1, sizeof(*keys));
    char shown[SHOW];
    int rc = 0;

    if (keys == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory reading %s", c->file);
    g->keys = keys;
    g->key_count = (int64_t)count;
    for (uint64_t i = 0; rc == 0 && i < count; i++)
        rc = take_key(c, &keys[i], alignment, err);
    if (rc == 0)
        qsort(keys, (size_t)count, sizeof(*keys), by_text);
    for (uint64_t i = 1; rc == 0 && i < count; i++)
        if (by_text(&keys[i - 1], &keys[i]) == 0)
            rc = srq_fail_field(err, -SRQ_EFORMAT, show_key(&keys[i], shown), "%s: key %s is there twice", c->file,
                                shown);
    return rc;
}

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

static int take_name(struct cursor *c, struct srq_gguf_tensor *t, struct srq_error *err)
{
    const char *text;
    size_t len;
    int rc = take_text(c, &text, &len, "a tensor's name", err);

    if (rc != 0)
        return rc;
    if (len == 0 || len > SRQ_GGUF_NAME_MAX || srq_utf8_check(text, len) != len || memchr(text, '\0', len) != NULL)
        return srq_fail_field(err, -SRQ_EFORMAT, c->file, "%s: a tensor's name of %zu bytes is not text of 1 to %d",
                              c->file, len, SRQ_GGUF_NAME_MAX);
    memcpy(t->name, text, len);
    return 0;
}

static int take_shape(struct cursor *c, struct srq_gguf_tensor *t, const char *shown, struct srq_error *err)
{
    uint64_t rank, dim, type;
    int64_t rows = 1;
    int rc;

    if ((rc = take_number(c, 4, &rank, shown, err)) != 0)
        return rc;
    if (rank < 1 || rank > SRQ_GGUF_RANK_MAX)
        return srq_fail_field(err, -SRQ_EFORMAT, shown, "%s: tensor %s has %" PRIu64 " dimensions", c->file, shown,
                              rank);
    t->rank = (int)rank;
    for (int d = t->rank - 1; d >= 0; d--) {
        if ((rc = take_number(c, 8, &dim, shown, err)) != 0)
            return rc;
        if (dim < 1 || dim > INT64_MAX || (d + 1 < t->rank && __builtin_mul_overflow(rows, (int64_t)dim, &rows)))
            return srq_fail_field(err, -SRQ_EFORMAT, shown, "%s: tensor %s has a dimension of %" PRIu64, c->file, shown,
                                  dim);
        t->shape[d] = (int64_t)dim;
    }
    if ((rc = take_number(c, 4, &type, shown, err)) != 0)
        return rc;
    t->type = srq_gguf_type((uint32_t)type);
    if (t->type == NULL)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, shown,
                              "%s: tensor %s has type %" PRIu64 ", which srq does not know", c->file, shown, type);
    if (!srq_gguf_row_bytes(t->type, t->shape[t->rank - 1], &t->bytes) ||
        __builtin_mul_overflow(t->bytes, (uint64_t)rows, &t->bytes))
        return srq_fail_field(err, -SRQ_EFORMAT, shown,
                              "%s: rows of %" PRId64 " of tensor %s are no whole blocks of %s, or too many", c->file,
                              t->shape[t->rank - 1], shown, t->type->name);
    return 0;
}

/* Begins of data are checked as they come: each where the one before it ends, rounded up. */
static int take_tensor(struct cursor *c, struct srq_gguf_tensor *t, uint32_t alignment, uint64_t *due,
                       struct srq_error *err)
{
    char shown[SHOW];
    uint64_t begin;
    int rc = take_name(c, t, err);

    if (rc != 0)
        return rc;
    srq_st_show(t->name, shown, sizeof(shown));
    if ((rc = take_shape(c, t, shown, err)) != 0 || (rc = take_number(c, 8, &begin, shown, err)) != 0)
        return rc;
    if (begin != *due)
        return srq_fail_field(err, -SRQ_EFORMAT, shown, "%s: tensor %s begins at %" PRIu64 ", where %" PRIu64 " is due",
                              c->file, shown, begin, *due);
    t->data = NULL;
    if (t->bytes > c->size || *due > c->size)
        return srq_fail_field(err, -SRQ_EFORMAT, shown, "%s: tensor %s has %" PRIu64 " bytes, more than the file",
                              c->file, shown, t->bytes);
    *due += (t->bytes + alignment - 1) / alignment * alignment;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int check_names(const struct srq_gguf *g, const char *file, struct srq_error *err)
{
    const char **names = srq_calloc((size_t)g->count + 1, sizeof(*names));
    char shown[SHOW];
    int rc = 0;

    if (names == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory reading %s", file);
    for (int64_t i = 0; i < g->count; i++)
        names[i] = g->tensors[i].name;
    qsort(names, (size_t)g->count, sizeof(*names), by_name);
    for (int64_t i = 1; rc == 0 && i < g->count; i++)
        if (strcmp(names[i - 1], names[i]) == 0)
            rc = srq_fail_field(err, -SRQ_EFORMAT, srq_st_show(names[i], shown, sizeof(shown)),
                                "%s: tensor %s is there twice", file, shown);
    srq_free(names);
    return rc;
}

/* Every tensor's place, once it is known where the data begin. */
static int place_data(struct srq_gguf *g, const struct cursor *c, uint32_t alignment, struct srq_error *err)
{
    uint64_t at;

    g->data_at = (c->at + alignment - 1) / alignment * alignment;
    at = g->data_at;
    for (int64_t i = 0; i < g->count; i++) {
        struct srq_gguf_tensor *t = &g->tensors[i];
        uint64_t room = (t->bytes + alignment - 1) / alignment * alignment;
        char shown[SHOW];

        if (at > c->size || room > c->size - at)
            return srq_fail_field(err, -SRQ_EFORMAT, srq_st_show(t->name, shown, sizeof(shown)),
                                  "%s: tensor %s ends at byte %" PRIu64 ", beyond the file's %zu", c->file, shown,
                                  at + room, c->size);
        t->data = c->data + at;
        at += room;
    }
    return 0;
}

static int read_begin(struct cursor *c, uint64_t *tensors, uint64_t *keys, struct srq_error *err)
{
    uint64_t version;
    int rc;

    if (c->size < 4 || memcmp(c->data, "GGUF", 4) != 0)
        return srq_fail_field(err, -SRQ_EFORMAT, c->file, "%s does not begin as a GGUF file does", c->file);
    c->at = 4;
    if ((rc = take_number(c, 4, &version, "its version", err)) != 0 ||
        (rc = take_number(c, 8, tensors, "its number of tensors", err)) != 0 ||
        (rc = take_number(c, 8, keys, "its number of keys", err)) != 0)
        return rc;
    if (version != 2 && version != 3)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, c->file,
                              (version & 0xffff) == 0 ? "%s is a GGUF file of the other byte order (version %" PRIu64
                                                        ")"
                                                      : "%s is of GGUF version %" PRIu64 "; srq reads 2 and 3",
                              c->file, version);
    if (*keys > KEYS_MAX || *keys > c->size / LEAST_KEY)
        return srq_fail_field(err, -SRQ_ELIMIT, c->file, "%s is said to have %" PRIu64 " keys", c->file, *keys);
    if (*tensors > TENSORS_MAX || *tensors > c->size / LEAST_TENSOR)
        return srq_fail_field(err, -SRQ_ELIMIT, c->file, "%s is said to have %" PRIu64 " tensors", c->file, *tensors);
    return 0;
}

static int read_head(struct srq_gguf *g, struct srq_error *err)
{
    struct cursor c = { .data = g->map.data, .size = g->map.size, .file = g->map.path };
    uint64_t tensors = 0, keys = 0, due = 0;
    uint32_t alignment = ALIGNMENT;
    int rc = read_begin(&c, &tensors, &keys, err);

    if (rc == 0)
        rc = take_keys(g, &c, keys, &alignment, err);
    if (rc != 0)
        return rc;
    g->tensors = srq_calloc((size_t)tensors + 1, sizeof(*g->tensors));
    if (g->tensors == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory reading %s", c.file);
    for (uint64_t i = 0; rc == 0 && i < tensors; i++)
        rc = take_tensor(&c, &g->tensors[i], alignment, &due, err);
    g->count = (int64_t)tensors;
    if (rc == 0)
        rc = check_names(g, c.file, err);
    return rc == 0 ? place_data(g, &c, alignment, err) : rc;
}

/* ---- */

int srq_gguf_open(const char *path, struct srq_gguf **out, struct srq_error *err)
{
    struct srq_gguf *g = srq_calloc(1, sizeof(*g));
    int rc;

    *out = NULL;
    if (g == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory reading %s", path);
    rc = srq_map_open(path, &g->map, err);
    if (rc != 0) {
        srq_free(g);
        return rc;
    }
    rc = read_head(g, err);
    if (rc != 0) {
        srq_gguf_close(g);
        return rc;
    }
    *out = g;
    return 0;
}

void srq_gguf_close(struct srq_gguf *g)
{
    if (g == NULL)
        return;
    srq_map_close(&g->map);
    srq_free(g->keys);
    srq_free(g->tensors);
    srq_free(g);
}

int64_t srq_gguf_count(const struct srq_gguf *g)
{
    return g->count;
}

const struct srq_gguf_tensor *srq_gguf_tensor(const struct srq_gguf *g, int64_t i)
{
    return &g->tensors[i];
}

const uint8_t *srq_gguf_head_read(const struct srq_gguf *g, size_t *len)
{
    *len = g->data_at;
    return g->map.data;
}

uint64_t srq_gguf_offset(const struct srq_gguf *g, const struct srq_gguf_tensor *t)
{
    return (uint64_t)(t->data - g->map.data);
}

void srq_gguf_release(const struct srq_gguf *g, const struct srq_gguf_tensor *t)
{
    srq_map_release(&g->map, t->data, (size_t)t->bytes);
}

int srq_gguf_check(const struct srq_gguf *g, struct srq_error *err)
{
    return srq_map_check(&g->map, err);
}

/* ---- values of keys ---------------------------------------------------------------------------------------------- */

int64_t srq_gguf_key_count(const struct srq_gguf *g)
{
    return g->key_count;
}

const char *srq_gguf_key_name(const struct srq_gguf *g, int64_t i, size_t *len)
{
    *len = g->keys[i].len;
    return g->keys[i].text;
}

bool srq_gguf_has(const struct srq_gguf *g, const char *key)
{
    return find_key(g, key) != NULL;
}

static int wrong_type(const struct srq_gguf *g, const char *key, const char *due, struct srq_error *err)
{
    return srq_fail_field(err, -SRQ_EFORMAT, key, "%s: key %s is not %s", g->map.path, key, due);
}

/* The key, or NULL with 0 where it is absent and may be. */
static int want_key(const struct srq_gguf *g, const char *key, bool required, const struct key **out,
                    struct srq_error *err)
{
    *out = find_key(g, key);
    return *out != NULL || !required
               ? 0
               : srq_fail_field(err, -SRQ_EFORMAT, key, "%s: key %s is missing", g->map.path, key);
}

int srq_gguf_read_int(const struct srq_gguf *g, const char *key, bool required, int64_t *out, struct srq_error *err)
{
    enum { U8, I8, U16, I16, U32, I32, U64 = 10, I64 };
    const struct key *k;
    uint64_t value;
    int bits, rc = want_key(g, key, required, &k, err);

    if (rc != 0 || k == NULL)
        return rc;
    if (k->type > I32 && k->type != U64 && k->type != I64)
        return wrong_type(g, key, "an integer", err);
    bits = 8 * value_bytes[k->type];
    value = number_at(k->value, bits / 8);
    if (k->type == U64 && value > INT64_MAX)
        return wrong_type(g, key, "an integer within 63 bits", err);
    if ((k->type == I8 || k->type == I16 || k->type == I32) && (value >> (bits - 1) & 1) != 0)
        value |= UINT64_MAX << bits;
    *out = (int64_t)value;
    return 0;
}

static float float_at(const uint8_t *p)
{
    uint32_t bits = (uint32_t)number_at(p, 4);
    float value;

    memcpy(&value, &bits, sizeof(value));
    return value;
}

int srq_gguf_read_float(const struct srq_gguf *g, const char *key, bool required, double *out, struct srq_error *err)
{
    enum { DOUBLE = 12 };
    const struct key *k;
    int rc = want_key(g, key, required, &k, err);

    if (rc != 0 || k == NULL)
        return rc;
    if (k->type == SRQ_GGUF_FLOAT) {
        *out = (double)float_at(k->value);
    } else if (k->type == DOUBLE) {
        uint64_t bits = number_at(k->value, 8);

        memcpy(out, &bits, sizeof(*out));
    } else {
        return wrong_type(g, key, "a floating-point number", err);
    }
    return 0;
}

int srq_gguf_read_bool(const struct srq_gguf *g, const char *key, bool required, bool *out, struct srq_error *err)
{
    const struct key *k;
    int rc = want_key(g, key, required, &k, err);

    if (rc != 0 || k == NULL)
        return rc;
    if (k->type != SRQ_GGUF_BOOL || k->value[0] > 1)
        return wrong_type(g, key, "true or false", err);
    *out = k->value[0] == 1;
    return 0;
}

static bool is_text(const struct srq_gguf_text *t)
{
    return srq_utf8_check(t->text, t->len) == t->len && memchr(t->text, '\0', t->len) == NULL;
}

int srq_gguf_read_text(const struct srq_gguf *g, const char *key, bool required, struct srq_gguf_text *out,
                       struct srq_error *err)
{
    struct srq_gguf_text found;
    const struct key *k;
    int rc = want_key(g, key, required, &k, err);

    if (rc != 0 || k == NULL)
        return rc;
    found = (struct srq_gguf_text){ (const char *)k->value, (size_t)k->count };
    if (k->type != SRQ_GGUF_TEXT || !is_text(&found))
        return wrong_type(g, key, "a text in UTF-8", err);
    *out = found;
    return 0;
}

int srq_gguf_read_array(const struct srq_gguf *g, const char *key, bool required, enum srq_gguf_value type,
                        struct srq_gguf_array *out, struct srq_error *err)
{
    const struct key *k;
    int rc = want_key(g, key, required, &k, err);

    *out = (struct srq_gguf_array){ .g = g, .key = key, .type = type };
    if (rc != 0 || k == NULL)
        return rc;
    if (k->type != SRQ_GGUF_ARRAY || k->element != (uint32_t)type)
        return wrong_type(g, key,
                          type == SRQ_GGUF_TEXT  ? "an array of texts"
                          : type == SRQ_GGUF_I32 ? "an array of integers"
                                                 : "an array of numbers",
                          err);
    out->count = k->count;
    out->at = k->value;
    return 0;
}

int32_t srq_gguf_take_i32(struct srq_gguf_array *a)
{
    uint32_t bits = (uint32_t)number_at(a->at, 4);

    a->at += 4;
    a->taken++;
    return (int32_t)bits;
}

float srq_gguf_take_float(struct srq_gguf_array *a)
{
    float value = float_at(a->at);

    a->at += 4;
    a->taken++;
    return value;
}

int srq_gguf_take_text(struct srq_gguf_array *a, struct srq_gguf_text *out, struct srq_error *err)
{
    out->len = (size_t)number_at(a->at, 8); /* opening has checked that it is there */
    out->text = (const char *)a->at + 8;
    a->at += 8 + out->len;
    if (!is_text(out))
        return srq_fail_field(err, -SRQ_EFORMAT, a->key, "%s: element %" PRIu64 " of key %s is not a text in UTF-8",
                              a->g->map.path, a->taken, a->key);
    a->taken++;
    return 0;
}
