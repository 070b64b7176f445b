/* Writing named tensors as safetensors, whole or in shards, so that a crash leaves the old files or the new ones. */
#include "core/format/tensors.h"

#include "core/base/alloc.h"
#include "core/base/buf.h"
#include "core/base/utf8.h"
#include "core/format/json.h"
#include "core/format/st_header.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#define SHOW 160
#define SHARDS_MAX 99999

struct slot {
    char *name;
    enum srq_dtype dtype;
    int rank;
    int64_t shape[SRQ_MAX_RANK];
    uint64_t bytes;
    int shard;
    uint64_t begin, at; /* in the data section, in the file */
    _Atomic uint64_t filled;
};

struct shard {
    char *name, *path, *tmp; /* final base name and path; temporary path */
    int fd;
    uint64_t data_bytes;
    bool placed; /* renamed to `path` */
};

enum stage { DECLARING, FILLING, FINISHED, FAILED };

struct srq_tensor_writer {
    char *dir, *base;
    uint64_t shard_bytes;
    struct slot *slots; /* in order of declaration; sorted by name from begin on */
    int64_t count, cap;
    struct shard *shards;
    int shard_count;
    uint64_t total;
    _Atomic int stage;
};

static int oom(const struct srq_tensor_writer *w, struct srq_error *err)
{
    return srq_fail_field(err, -SRQ_ENOMEM, w->dir, "out of memory writing tensors to %s", w->dir);
}

static int wrong_stage(const struct srq_tensor_writer *w, const char *doing, struct srq_error *err)
{
    static const char *const names[] = { "before it has begun", "after it has begun", "after it was finished",
                                         "after it failed" };

    return srq_fail_field(err, -SRQ_ESTATE, w->dir, "cannot %s: writing to %s is at a stage %s", doing, w->dir,
                          names[w->stage]);
}

/* Takes everything back that is not a finished model; descriptors stay open for threads still in put. */
static void give_up(struct srq_tensor_writer *w)
{
    w->stage = FAILED;
    for (int i = 0; i < w->shard_count; i++) {
        struct shard *s = &w->shards[i];

        if (s->fd >= 0)
            (void)!ftruncate(s->fd, 0); /* gives the space back before the last close */
        if (s->tmp != NULL)
            unlink(s->tmp);
        if (s->placed)
            unlink(s->path);
        s->placed = false;
    }
}

int srq_writer_create(const char *dir, const char *base, uint64_t shard_bytes, struct srq_tensor_writer **out,
                      struct srq_error *err)
{
    struct srq_tensor_writer *w;

    *out = NULL;
    if (!srq_is_base_name(base))
        return srq_fail_field(err, -SRQ_EINVAL, base, "\"%s\" is not a plain file name", base);
    w = srq_calloc(1, sizeof(*w));
    if (w == NULL)
        return srq_fail_field(err, -SRQ_ENOMEM, dir, "out of memory writing tensors to %s", dir);
    w->dir = srq_strdup(dir);
    w->base = srq_strdup(base);
    w->shard_bytes = shard_bytes;
    if (w->dir == NULL || w->base == NULL) {
        srq_writer_free(w);
        return srq_fail_field(err, -SRQ_ENOMEM, dir, "out of memory writing tensors to %s", dir);
    }
    *out = w;
    return 0;
}

static int check_declaration(const struct srq_tensor_writer *w, const char *name, const struct srq_tensor *t,
                             size_t *bytes, struct srq_error *err)
{
    char shown[SHOW];

    srq_st_show(name, shown, sizeof(shown));
    if (w->stage != DECLARING)
        return wrong_stage(w, "declare a tensor", err);
    if (strlen(name) > SRQ_ST_NAME_MAX || strcmp(name, "__metadata__") == 0 ||
        srq_utf8_check(name, strlen(name)) != strlen(name))
        return srq_fail_field(err, -SRQ_EINVAL, shown, "a tensor cannot have the name \"%s\"", shown);
    if (w->count >= SRQ_ST_COUNT_MAX)
        return srq_fail_field(err, -SRQ_ELIMIT, shown, "more than %d tensors in one model", SRQ_ST_COUNT_MAX);
    if (srq_dtype_size(t->dtype) == 0 || !srq_tensor_bytes(t, bytes))
        return srq_fail_field(err, -SRQ_EINVAL, shown, "tensor \"%s\" has a shape or type that cannot be written",
                              shown);
    return 0;
}

int srq_writer_declare(struct srq_tensor_writer *w, const char *name, enum srq_dtype dtype, int rank,
                       const int64_t *shape, struct srq_error *err)
{
    struct srq_tensor t;
    struct slot *s;
    size_t bytes;
    int rc;

    if (rank < 0 || rank > SRQ_MAX_RANK)
        return srq_fail(err, -SRQ_EINVAL, "a tensor of %d dimensions cannot be written", rank);
    t = srq_tensor_make(NULL, dtype, rank, shape);
    rc = check_declaration(w, name, &t, &bytes, err);
    if (rc != 0)
        return rc;
    if (__builtin_add_overflow(w->total, bytes, &w->total) || w->total > INT64_MAX)
        return srq_fail_field(err, -SRQ_EINVAL, w->dir, "the tensors written to %s have more bytes than a file can",
                              w->dir);
    if (w->count == w->cap) {
        int64_t cap = w->cap > 0 ? w->cap * 2 : 64;
        struct slot *slots = srq_reallocarray(w->slots, (size_t)cap, sizeof(*slots));

        if (slots == NULL)
            return oom(w, err);
        w->slots = slots;
        w->cap = cap;
    }
    s = &w->slots[w->count];
    memset(s, 0, sizeof(*s));
    s->name = srq_strdup(name);
    if (s->name == NULL)
        return oom(w, err);
    s->dtype = dtype;
    s->rank = rank;
    memcpy(s->shape, t.shape, sizeof(s->shape));
    s->bytes = bytes;
    w->count++;
    return 0;
}

/* ---- layout ------------------------------------------------------------------------------------------------------ */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct slot *)a)->name, ((const struct slot *)b)->name);
}

/* Shard, then largest elements first, so that every tensor is aligned, then name. */
static int by_place(const void *a, const void *b)
{
    const struct slot *x = *(struct slot *const *)a, *y = *(struct slot *const *)b;
    size_t sx = srq_dtype_size(x->dtype), sy = srq_dtype_size(y->dtype);

    if (x->shard != y->shard)
        return x->shard < y->shard ? -1 : 1;
    if (sx != sy)
        return sx > sy ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* Fills shards in the order of declaration; a tensor larger than the cap has a shard of its own. */
static int assign_shards(struct srq_tensor_writer *w)
{
    int shard = 0;
    uint64_t in_shard = 0;

    for (int64_t i = 0; i < w->count; i++) {
        struct slot *s = &w->slots[i];

        if (w->shard_bytes > 0 && in_shard > 0 && s->bytes > 0 && in_shard + s->bytes > w->shard_bytes) {
            shard++;
            in_shard = 0;
        }
        s->shard = shard;
        in_shard += s->bytes;
    }
    return shard + 1;
}

static int name_shards(struct srq_tensor_writer *w, int n, struct srq_error *err)
{
    if (n > SHARDS_MAX)
        return srq_fail_field(err, -SRQ_EINVAL, w->dir, "shards of %" PRIu64 " bytes would give %d files, more than %d",
                              w->shard_bytes, n, SHARDS_MAX);
    w->shards = srq_calloc((size_t)n, sizeof(*w->shards));
    if (w->shards == NULL)
        return oom(w, err);
    for (int i = 0; i < n; i++)
        w->shards[i].fd = -1;
    w->shard_count = n;
    for (int i = 0; i < n; i++) {
        struct shard *s = &w->shards[i];

        s->name = n == 1 ? srq_asprintf("%s.safetensors", w->base)
                         : srq_asprintf("%s-%05d-of-%05d.safetensors", w->base, i + 1, n);
        if (s->name == NULL)
            return oom(w, err);
        s->path = srq_path_join(w->dir, s->name);
        s->tmp = srq_asprintf("%s/.%s.tmp%ld", w->dir, s->name, (long)getpid());
        if (s->path == NULL || s->tmp == NULL)
            return oom(w, err);
    }
    return 0;
}

static void describe(const struct slot *s, struct srq_buf *out)
{
    srq_buf_puts(out, ",");
    srq_json_quote(out, s->name);
    srq_buf_printf(out, ":{\"dtype\":\"%s\",\"shape\":[", srq_dtype_name(s->dtype));
    for (int i = 0; i < s->rank; i++)
        srq_buf_printf(out, "%s%" PRId64, i > 0 ? "," : "", s->shape[i]);
    srq_buf_printf(out, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", s->begin, s->begin + s->bytes);
}

/* The first bytes of a shard: length, JSON, blanks until the data begin at a multiple of 8. */
static int make_header(const struct srq_tensor_writer *w, struct slot *const *slots, int64_t n, struct srq_buf *out,
                       struct srq_error *err)
{
    const uint8_t none[8] = { 0 };

    srq_buf_add(out, none, sizeof(none));
    srq_buf_puts(out, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (int64_t i = 0; !out->failed && i < n; i++)
        describe(slots[i], out);
    srq_buf_puts(out, "}");
    while (!out->failed && out->len % 8 != 0)
        srq_buf_puts(out, " ");
    if (out->failed)
        return oom(w, err);
    for (int i = 0; i < 8; i++)
        out->data[i] = (char)((uint64_t)(out->len - 8) >> (8 * i));
    return 0;
}

/* Creates the temporary file of a shard, at its full size so that a full disk shows now. */
static int create_shard(struct shard *s, const struct srq_buf *header, struct srq_error *err)
{
    int e;

    (void)unlink(s->tmp); /* of a crashed process with our id */
    s->fd = open(s->tmp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (s->fd < 0)
        return srq_fail_errno(err, "create", s->tmp);
    e = srq_reserve(s->fd, header->len + s->data_bytes);
    if (e == 0)
        e = srq_write_all(s->fd, header->data, header->len);
    if (e != 0) {
        errno = -e;
        return srq_fail_errno(err, "write", s->path);
    }
    return 0;
}

static int lay_out_shard(struct srq_tensor_writer *w, int shard, struct slot **slots, int64_t n, struct srq_error *err)
{
    struct shard *s = &w->shards[shard];
    struct srq_buf header;
    int rc;

    for (int64_t i = 0; i < n; i++) {
        slots[i]->begin = s->data_bytes;
        s->data_bytes += slots[i]->bytes;
    }
    srq_buf_init(&header, SRQ_JSON_HEADER_MAX);
    rc = make_header(w, slots, n, &header, err);
    for (int64_t i = 0; i < n; i++)
        slots[i]->at = header.len + slots[i]->begin;
    if (rc == 0)
        rc = create_shard(s, &header, err);
    srq_buf_fini(&header);
    return rc;
}

static int check_space(const struct srq_tensor_writer *w, struct srq_error *err)
{
    uint64_t space;
    int rc = srq_disk_free(w->dir, &space, err);

    if (rc == 0 && w->total > space)
        rc = srq_fail_field(err, -SRQ_ENOSPC, w->shards[0].path,
                            "cannot write %s: %" PRIu64 " bytes are needed and %" PRIu64 " are free", w->shards[0].path,
                            w->total, space);
    return rc;
}

static int lay_out(struct srq_tensor_writer *w, struct srq_error *err)
{
    struct slot **order;
    char shown[SHOW];
    int rc = name_shards(w, assign_shards(w), err);

    if (rc == 0)
        rc = check_space(w, err);
    if (rc != 0)
        return rc;
    if (w->count > 1)
        qsort(w->slots, (size_t)w->count, sizeof(*w->slots), by_name);
    for (int64_t i = 1; i < w->count; i++) {
        if (strcmp(w->slots[i].name, w->slots[i - 1].name) == 0)
            return srq_fail_field(err, -SRQ_EINVAL, w->dir, "tensor \"%s\" was declared twice",
                                  srq_st_show(w->slots[i].name, shown, sizeof(shown)));
    }
    order = srq_calloc((size_t)(w->count > 0 ? w->count : 1), sizeof(struct slot *));
    if (order == NULL)
        return oom(w, err);
    for (int64_t i = 0; i < w->count; i++)
        order[i] = &w->slots[i];
    qsort(order, (size_t)w->count, sizeof(*order), by_place);
    for (int64_t shard = 0, first = 0, end = 0; rc == 0 && shard < w->shard_count; shard++, first = end) {
        while (end < w->count && order[end]->shard == shard)
            end++;
        rc = lay_out_shard(w, (int)shard, order + first, end - first, err);
    }
    srq_free(order);
    return rc;
}

int srq_writer_begin(struct srq_tensor_writer *w, struct srq_error *err)
{
    int rc;

    if (w->stage != DECLARING)
        return wrong_stage(w, "begin", err);
    rc = lay_out(w, err);
    if (rc == 0)
        w->stage = FILLING;
    else
        give_up(w);
    return rc;
}

/* ---- filling and finishing --------------------------------------------------------------------------------------- */

int srq_writer_put(struct srq_tensor_writer *w, const char *name, uint64_t offset, const void *data, size_t bytes,
                   struct srq_error *err)
{
    struct slot key = { .name = (char *)(uintptr_t)name };
    struct slot *s;
    char shown[SHOW];
    int e;

    srq_st_show(name, shown, sizeof(shown));
    if (w->stage != FILLING)
        return wrong_stage(w, "fill a tensor", err);
    s = w->count > 0 ? bsearch(&key, w->slots, (size_t)w->count, sizeof(key), by_name) : NULL;
    if (s == NULL)
        return srq_fail_field(err, -SRQ_EINVAL, shown, "tensor \"%s\" was not declared", shown);
    if (offset > s->bytes || bytes > s->bytes - offset)
        return srq_fail_field(err, -SRQ_EINVAL, shown,
                              "%zu bytes at %" PRIu64 " are beyond the %" PRIu64 " bytes of tensor \"%s\"", bytes,
                              offset, s->bytes, shown);
    if (atomic_fetch_add(&s->filled, bytes) + bytes > s->bytes)
        return srq_fail_field(err, -SRQ_ESTATE, shown, "tensor \"%s\" was filled more than once", shown);
    e = srq_write_at(w->shards[s->shard].fd, data, bytes, s->at + offset);
    if (e != 0) {
        give_up(w);
        errno = -e;
        return srq_fail_errno(err, "write", w->shards[s->shard].path);
    }
    return 0;
}

/* What was written must be what the strict reader reads. */
static int verify_shard(const struct shard *s, struct srq_error *err)
{
    struct srq_map map;
    struct srq_st_header h;
    int rc = srq_map_open(s->tmp, &map, err);

    if (rc != 0)
        return rc;
    rc = srq_st_header_read(map.data, map.size, s->tmp, &h, err);
    if (rc == 0)
        srq_st_header_fini(&h);
    srq_map_close(&map);
    return rc;
}

static int place_shard(struct shard *s, struct srq_error *err)
{
    int fd = s->fd;

    if (fsync(fd) != 0)
        return srq_fail_errno(err, "write", s->path);
    s->fd = -1;
    if (close(fd) != 0)
        return srq_fail_errno(err, "write", s->path);
    if (rename(s->tmp, s->path) != 0)
        return srq_fail_errno(err, "rename to", s->path);
    s->placed = true;
    return 0;
}

static int write_index(const struct srq_tensor_writer *w, const char *path, struct srq_error *err)
{
    struct srq_buf out;
    int rc;

    srq_buf_init(&out, SRQ_JSON_HEADER_MAX);
    srq_buf_printf(&out, "{\n  \"metadata\": {\n    \"total_size\": %" PRIu64 "\n  },\n  \"weight_map\": {", w->total);
    for (int64_t i = 0; !out.failed && i < w->count; i++) {
        srq_buf_puts(&out, i > 0 ? ",\n    " : "\n    ");
        srq_json_quote(&out, w->slots[i].name);
        srq_buf_puts(&out, ": ");
        srq_json_quote(&out, w->shards[w->slots[i].shard].name);
    }
    srq_buf_puts(&out, "\n  }\n}\n");
    rc = out.failed ? oom(w, err) : srq_write_file_durable(path, out.data, out.len, 0666, err);
    srq_buf_fini(&out);
    return rc;
}

static int place_all(struct srq_tensor_writer *w, struct srq_error *err)
{
    char *index = srq_asprintf("%s/%s.safetensors.index.json", w->dir, w->base);
    char *single = srq_asprintf("%s/%s.safetensors", w->dir, w->base);
    int rc = index != NULL && single != NULL ? 0 : oom(w, err);

    for (int i = 0; rc == 0 && i < w->shard_count; i++)
        rc = verify_shard(&w->shards[i], err);
    for (int i = 0; rc == 0 && i < w->shard_count; i++)
        rc = place_shard(&w->shards[i], err);
    if (rc == 0 && w->shard_count > 1)
        rc = write_index(w, index, err);
    if (rc == 0)
        (void)unlink(w->shard_count > 1 ? single : index);
    if (rc == 0)
        rc = srq_fsync_dir(w->dir, err);
    srq_free(index);
    srq_free(single);
    return rc;
}

int srq_writer_finish(struct srq_tensor_writer *w, struct srq_error *err)
{
    char shown[SHOW];
    int rc;

    if (w->stage != FILLING)
        return wrong_stage(w, "finish", err);
    for (int64_t i = 0; i < w->count; i++) {
        const struct slot *s = &w->slots[i];

        if (s->filled != s->bytes) {
            give_up(w);
            return srq_fail_field(err, -SRQ_ESTATE, srq_st_show(s->name, shown, sizeof(shown)),
                                  "tensor \"%s\" has %" PRIu64 " of its %" PRIu64 " bytes", shown, (uint64_t)s->filled,
                                  s->bytes);
        }
    }
    rc = place_all(w, err);
    if (rc == 0)
        w->stage = FINISHED;
    else
        give_up(w);
    return rc;
}

void srq_writer_free(struct srq_tensor_writer *w)
{
    if (w == NULL)
        return;
    if (w->stage != FINISHED)
        give_up(w);
    for (int i = 0; i < w->shard_count; i++) {
        if (w->shards[i].fd >= 0)
            close(w->shards[i].fd);
        srq_free(w->shards[i].name);
        srq_free(w->shards[i].path);
        srq_free(w->shards[i].tmp);
    }
    for (int64_t i = 0; i < w->count; i++)
        srq_free(w->slots[i].name);
    srq_free(w->slots);
    srq_free(w->shards);
    srq_free(w->dir);
    srq_free(w->base);
    srq_free(w);
}
