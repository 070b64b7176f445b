/* Writing GGUF files. Numbers are little-endian whatever the machine is. */
#include "core/format/gguf.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define GGUF_VERSION 3
#define ALIGNMENT 32
#define HEAD_MAX ((size_t)1 << 30)

struct slot {
    char name[SRQ_GGUF_NAME_MAX + 1];
    uint32_t type;
    int rank;
    int64_t shape[SRQ_GGUF_RANK_MAX];
    uint64_t bytes, begin; /* in the data section */
    _Atomic uint64_t filled;
};

struct srq_gguf_writer {
    struct srq_buf keys, head;
    uint64_t key_count;
    struct slot *slots;
    int64_t count, cap;
    uint64_t data_bytes;
    char *path; /* from begin on */
    int fd;
};

static uint64_t aligned(uint64_t n)
{
    return (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static int no_memory(struct srq_error *err)
{
    return srq_fail(err, -SRQ_ENOMEM, "out of memory writing a GGUF file");
}

int srq_gguf_writer_create(struct srq_gguf_writer **out, struct srq_error *err)
{
    struct srq_gguf_writer *w = *out = srq_calloc(1, sizeof(*w));

    if (w == NULL)
        return no_memory(err);
    srq_buf_init(&w->keys, HEAD_MAX);
    srq_buf_init(&w->head, HEAD_MAX);
    w->fd = -1;
    return 0;
}

void srq_gguf_writer_free(struct srq_gguf_writer *w)
{
    if (w == NULL)
        return;
    if (w->fd >= 0)
        close(w->fd);
    srq_buf_fini(&w->keys);
    srq_buf_fini(&w->head);
    srq_free(w->slots);
    srq_free(w->path);
    srq_free(w);
}

/* ---- keys -------------------------------------------------------------------------------------------------------- */

static void add_number(struct srq_buf *b, uint64_t value, int bytes)
{
    uint8_t raw[8];

    for (int i = 0; i < bytes; i++)
        raw[i] = (uint8_t)(value >> (8 * i));
    srq_buf_add(b, raw, (size_t)bytes);
}

static void add_text(struct srq_buf *b, const char *text, size_t len)
{
    add_number(b, len, 8);
    srq_buf_add(b, text, len);
}

static uint32_t float_bits(float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static void begin_key(struct srq_gguf_writer *w, const char *key, uint32_t type)
{
    w->key_count++;
    add_text(&w->keys, key, strlen(key));
    add_number(&w->keys, type, 4);
}

void srq_gguf_key_u32(struct srq_gguf_writer *w, const char *key, uint32_t value)
{
    begin_key(w, key, SRQ_GGUF_U32);
    add_number(&w->keys, value, 4);
}

void srq_gguf_key_float(struct srq_gguf_writer *w, const char *key, float value)
{
    begin_key(w, key, SRQ_GGUF_FLOAT);
    add_number(&w->keys, float_bits(value), 4);
}

void srq_gguf_key_bool(struct srq_gguf_writer *w, const char *key, bool value)
{
    begin_key(w, key, SRQ_GGUF_BOOL);
    add_number(&w->keys, value, 1);
}

void srq_gguf_key_text(struct srq_gguf_writer *w, const char *key, const char *text)
{
    begin_key(w, key, SRQ_GGUF_TEXT);
    add_text(&w->keys, text, strlen(text));
}

void srq_gguf_key_array(struct srq_gguf_writer *w, const char *key, enum srq_gguf_value type, uint64_t count)
{
    begin_key(w, key, SRQ_GGUF_ARRAY);
    add_number(&w->keys, type, 4);
    add_number(&w->keys, count, 8);
}

void srq_gguf_add_i32(struct srq_gguf_writer *w, int32_t value)
{
    add_number(&w->keys, (uint32_t)value, 4);
}

void srq_gguf_add_float(struct srq_gguf_writer *w, float value)
{
    add_number(&w->keys, float_bits(value), 4);
}

void srq_gguf_add_text(struct srq_gguf_writer *w, const char *text, size_t len)
{
    add_text(&w->keys, text, len);
}

/* ---- layout ------------------------------------------------------------------------------------------------------ */

static int measure(const struct slot *s, uint64_t *bytes, struct srq_error *err)
{
    const struct srq_gguf_type *type = srq_gguf_type(s->type);
    int64_t rows = 1;

    *bytes = 0;
    for (int i = 0; i + 1 < s->rank; i++)
        if (s->shape[i] < 1 || __builtin_mul_overflow(rows, s->shape[i], &rows))
            return srq_fail_field(err, -SRQ_EINVAL, s->name, "tensor %s has a shape that cannot be written", s->name);
    if (type == NULL || s->shape[s->rank - 1] < 1 || !srq_gguf_row_bytes(type, s->shape[s->rank - 1], bytes) ||
        __builtin_mul_overflow(*bytes, (uint64_t)rows, bytes) || *bytes > INT64_MAX - ALIGNMENT)
        return srq_fail_field(err, -SRQ_EINVAL, s->name, "tensor %s with rows of %" PRId64 " cannot be written as %s",
                              s->name, s->shape[s->rank - 1], type != NULL ? type->name : "that type");
    return 0;
}

int srq_gguf_declare(struct srq_gguf_writer *w, const char *name, uint32_t type, int rank, const int64_t *shape,
                     struct srq_error *err)
{
    struct slot *s;
    int rc;

    if (w->path != NULL)
        return srq_fail_field(err, -SRQ_ESTATE, name, "tensor %s was declared after %s was begun", name, w->path);
    if (strlen(name) > SRQ_GGUF_NAME_MAX || name[0] == '\0')
        return srq_fail_field(err, -SRQ_EINVAL, name, "a tensor of GGUF has a name of 1 to %d bytes, not \"%s\"",
                              SRQ_GGUF_NAME_MAX, name);
    if (rank < 1 || rank > SRQ_GGUF_RANK_MAX)
        return srq_fail_field(err, -SRQ_EINVAL, name, "tensor %s has %d dimensions, not 1 to %d", name, rank,
                              SRQ_GGUF_RANK_MAX);
    if (w->count == w->cap) {
        int64_t cap = w->cap > 0 ? 2 * w->cap : 64;
        struct slot *slots = srq_reallocarray(w->slots, (size_t)cap, sizeof(*slots));

        if (slots == NULL)
            return no_memory(err);
        w->slots = slots;
        w->cap = cap;
    }
    s = &w->slots[w->count];
    memset(s, 0, sizeof(*s));
    snprintf(s->name, sizeof(s->name), "%s", name);
    s->type = type;
    s->rank = rank;
    memcpy(s->shape, shape, (size_t)rank * sizeof(*shape));
    rc = measure(s, &s->bytes, err);
    if (rc != 0)
        return rc;
    s->begin = w->data_bytes;
    if (__builtin_add_overflow(w->data_bytes, aligned(s->bytes), &w->data_bytes) || w->data_bytes > INT64_MAX / 2)
        return srq_fail_field(err, -SRQ_EINVAL, name, "the tensors have more bytes than a file can");
    w->count++;
    return 0;
}

static int make_head(struct srq_gguf_writer *w, struct srq_error *err)
{
    struct srq_buf *b = &w->head;

    srq_buf_puts(b, "GGUF");
    add_number(b, GGUF_VERSION, 4);
    add_number(b, (uint64_t)w->count, 8);
    add_number(b, w->key_count, 8);
    srq_buf_add(b, w->keys.data, w->keys.len);
    for (int64_t i = 0; i < w->count; i++) {
        const struct slot *s = &w->slots[i];

        add_text(b, s->name, strlen(s->name));
        add_number(b, (uint64_t)s->rank, 4);
        for (int d = s->rank - 1; d >= 0; d--)
            add_number(b, (uint64_t)s->shape[d], 8);
        add_number(b, s->type, 4);
        add_number(b, s->begin, 8);
    }
    if (!b->failed)
        for (uint64_t left = aligned(b->len) - b->len; left > 0; left--)
            srq_buf_add(b, "", 1);
    return w->keys.failed || b->failed ? no_memory(err) : 0;
}

const struct srq_buf *srq_gguf_head(const struct srq_gguf_writer *w)
{
    return &w->head;
}

int srq_gguf_begin(struct srq_gguf_writer *w, const char *path, struct srq_error *err)
{
    int rc = make_head(w, err), e;

    if (rc != 0)
        return rc;
    w->path = srq_strdup(path);
    if (w->path == NULL)
        return no_memory(err);
    w->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (w->fd < 0)
        return srq_fail_errno(err, "create", path);
    e = srq_reserve(w->fd, w->head.len + w->data_bytes);
    if (e == 0)
        e = srq_write_all(w->fd, w->head.data, w->head.len);
    errno = -e;
    return e == 0 ? 0 : srq_fail_errno(err, "write", path);
}

/* ---- filling ----------------------------------------------------------------------------------------------------- */

int srq_gguf_put(struct srq_gguf_writer *w, int64_t i, uint64_t offset, const void *data, size_t bytes,
                 struct srq_error *err)
{
    struct slot *s = &w->slots[i];
    int e;

    if (offset > s->bytes || bytes > s->bytes - offset)
        return srq_fail_field(err, -SRQ_EINVAL, s->name,
                              "%zu bytes at %" PRIu64 " are beyond the %" PRIu64 " bytes of tensor %s", bytes, offset,
                              s->bytes, s->name);
    if (atomic_fetch_add(&s->filled, bytes) + bytes > s->bytes)
        return srq_fail_field(err, -SRQ_ESTATE, s->name, "tensor %s was filled more than once", s->name);
    e = srq_write_at(w->fd, data, bytes, w->head.len + s->begin + offset);
    errno = -e;
    return e == 0 ? 0 : srq_fail_errno(err, "write", w->path);
}

int srq_gguf_finish(struct srq_gguf_writer *w, struct srq_error *err)
{
    int fd = w->fd;

    for (int64_t i = 0; i < w->count; i++)
        if (w->slots[i].filled != w->slots[i].bytes)
            return srq_fail_field(err, -SRQ_ESTATE, w->slots[i].name, "tensor %s of %s was not filled",
                                  w->slots[i].name, w->path);
    if (fsync(fd) != 0)
        return srq_fail_errno(err, "write", w->path);
    w->fd = -1;
    return close(fd) == 0 ? 0 : srq_fail_errno(err, "write", w->path);
}
