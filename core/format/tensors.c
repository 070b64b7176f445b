/* An opened set of named tensors: one safetensors file, or the shards that an index names. */
#include "core/format/tensors.h"

#include "core/base/alloc.h"
#include "core/base/ends.h"
#include "core/base/hash.h"
#include "core/format/json.h"
#include "core/format/st_header.h"
#include "core/format/st_index.h"
#include "core/math/team.h"

#include <dirent.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>

#define SHOW 160
#define COPY_ALIGN 64
#define NOTES_MAX 4
#define HASH_CHUNK ((size_t)8 << 20)

struct item {
    char *name;
    enum srq_dtype dtype;
    int rank;
    int64_t shape[SRQ_MAX_RANK];
    int file;
    const uint8_t *data; /* in the map */
    size_t bytes;
    bool misaligned;
    bool copied;    /* under the set's lock */
    size_t copy_at; /* in the set's copies */
};

struct srq_tensors {
    struct srq_map *files;
    int file_count;
    struct item *items; /* sorted by name */
    int64_t count, cap;
    uint64_t bytes;
    uint8_t *copies; /* reserved for misaligned tensors, filled as they are asked for */
    size_t copies_size;
    pthread_mutex_t *lock;
    char *notes[NOTES_MAX];
    int note_count;
};

/* Takes `text` over; NULL: out of memory. */
static int add_note(struct srq_tensors *ts, char *text, const char *path, struct srq_error *err)
{
    if (text == NULL)
        return srq_fail_field(err, -SRQ_ENOMEM, path, "out of memory opening %s", path);
    if (ts->note_count == NOTES_MAX)
        srq_free(text);
    else
        ts->notes[ts->note_count++] = text;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct item *)a)->name, ((const struct item *)b)->name);
}

static void sort(struct srq_tensors *ts)
{
    if (ts->count > 0)
        qsort(ts->items, (size_t)ts->count, sizeof(*ts->items), by_name);
}

static struct item *find(const struct srq_tensors *ts, const char *name)
{
    struct item key = { .name = (char *)(uintptr_t)name };

    return ts->count > 0 ? bsearch(&key, ts->items, (size_t)ts->count, sizeof(key), by_name) : NULL;
}

static int more_items(struct srq_tensors *ts, int64_t more, const char *path, struct srq_error *err)
{
    int64_t cap = ts->count + more + ts->cap / 2;
    struct item *items;

    if (ts->count + more <= ts->cap)
        return 0;
    items = srq_reallocarray(ts->items, (size_t)(cap > 0 ? cap : 1), sizeof(*items));
    if (items == NULL)
        return srq_fail_field(err, -SRQ_ENOMEM, path, "out of memory reading %s", path);
    ts->items = items;
    ts->cap = cap;
    return 0;
}

/* Makes the tensors of file `f` items of the set; their names move over. */
static int take_entries(struct srq_tensors *ts, int f, struct srq_st_header *h, struct srq_error *err)
{
    const struct srq_map *map = &ts->files[f];
    int rc = more_items(ts, h->count, map->path, err);

    if (rc != 0)
        return rc;
    for (int64_t i = 0; i < h->count; i++) {
        struct srq_st_entry *e = &h->entries[i];
        struct item *it = &ts->items[ts->count++];

        memset(it, 0, sizeof(*it));
        it->name = e->name;
        e->name = NULL;
        it->dtype = e->dtype;
        it->rank = e->rank;
        memcpy(it->shape, e->shape, sizeof(it->shape));
        it->file = f;
        it->bytes = (size_t)(e->end - e->begin);
        it->data = map->data + h->data_at + e->begin;
        it->misaligned = (h->data_at + e->begin) % srq_dtype_size(e->dtype) != 0 && it->bytes > 0;
        ts->bytes += it->bytes;
    }
    return 0;
}

/* Opens file `f` of the set. With an index, its tensors must be just those that the index puts there. */
static int open_file(struct srq_tensors *ts, int f, const char *path, const struct srq_st_index *index,
                     struct srq_error *err)
{
    struct srq_st_header h;
    char shown[SHOW];
    int rc;

    rc = srq_map_open(path, &ts->files[f], err);
    if (rc != 0)
        return rc;
    ts->file_count = f + 1;
    rc = srq_st_header_read(ts->files[f].data, ts->files[f].size, path, &h, err);
    if (rc != 0)
        return rc;
    for (int64_t i = 0; index != NULL && rc == 0 && i < h.count; i++) {
        int64_t at = srq_st_index_find(index, h.entries[i].name);

        srq_st_show(h.entries[i].name, shown, sizeof(shown));
        if (at < 0)
            rc = srq_fail_field(err, -SRQ_EFORMAT, shown, "%s holds tensor \"%s\", which the index does not list", path,
                                shown);
        else if (index->places[at].file != f)
            rc = srq_fail_field(err, -SRQ_EFORMAT, shown, "%s holds tensor \"%s\", which the index puts in %s", path,
                                shown, index->files[index->places[at].file]);
    }
    if (rc == 0)
        rc = take_entries(ts, f, &h, err);
    srq_st_header_fini(&h);
    return rc;
}

static int alloc_files(struct srq_tensors *ts, int n, const char *path, struct srq_error *err)
{
    ts->files = srq_calloc((size_t)(n > 0 ? n : 1), sizeof(*ts->files));
    return ts->files != NULL ? 0 : srq_fail_field(err, -SRQ_ENOMEM, path, "out of memory opening %s", path);
}

static int open_single(struct srq_tensors *ts, const char *path, struct srq_error *err)
{
    int rc = alloc_files(ts, 1, path, err);

    return rc != 0 ? rc : open_file(ts, 0, path, NULL, err);
}

/* A shard by its name, and none that the index has; NULL: there is no index. */
static bool is_stray(const char *name, const struct srq_st_index *index)
{
    bool shard = strncmp(name, "model-", 6) == 0 || strncmp(name, "diffusion_pytorch_model-", 24) == 0;

    for (int f = 0; index != NULL && f < index->file_count; f++)
        if (strcmp(index->files[f], name) == 0)
            return false;
    return shard && strstr(name, "-of-") != NULL && srq_ends_with(name, ".safetensors");
}

/* Shards beside the weights: of another model, or left behind by a download or a conversion. */
static int note_strays(struct srq_tensors *ts, const char *dir, const struct srq_st_index *index, struct srq_error *err)
{
    char first[256] = "", more[48] = "";
    DIR *d = opendir(dir);
    int count = 0;

    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) { /* the first by name, whatever the order on disk */
        if (!is_stray(e->d_name, index))
            continue;
        if (count++ == 0 || strcmp(e->d_name, first) < 0)
            snprintf(first, sizeof(first), "%s", e->d_name);
    }
    if (d != NULL)
        closedir(d);
    if (count == 0)
        return 0;
    if (count > 1)
        snprintf(more, sizeof(more), " and %d more", count - 1);
    return add_note(ts,
                    srq_asprintf("%s%s beside the weights that are used %s no part of them: not read", first, more,
                                 count > 1 ? "are" : "is"),
                    dir, err);
}

static int open_shards(struct srq_tensors *ts, const char *dir, const char *path, const struct srq_st_index *index,
                       struct srq_error *err)
{
    char shown[SHOW];
    int rc = alloc_files(ts, index->file_count, path, err);

    for (int f = 0; rc == 0 && f < index->file_count; f++) {
        char *file = srq_path_join(dir, index->files[f]);

        if (file == NULL)
            return srq_fail_field(err, -SRQ_ENOMEM, path, "out of memory opening %s", path);
        rc = open_file(ts, f, file, index, err);
        srq_free(file);
    }
    if (rc != 0)
        return rc;
    sort(ts);
    for (int64_t i = 0; i < index->count; i++) { /* nothing in the shards is unlisted, so only listed ones can lack */
        if (find(ts, index->places[i].name) == NULL)
            return srq_fail_field(err, -SRQ_EFORMAT, srq_st_show(index->places[i].name, shown, sizeof(shown)),
                                  "%s puts tensor \"%s\" in %s, which does not hold it", path, shown,
                                  index->files[index->places[i].file]);
    }
    rc = note_strays(ts, dir, index, err);
    if (rc == 0 && index->total_size < 0)
        return add_note(
            ts, srq_asprintf("%s: metadata.total_size is no number of bytes: what the files hold is used", path), path,
            err);
    if (rc == 0 && !isnan(index->total_size) && index->total_size != (double)ts->bytes)
        return add_note(ts,
                        srq_asprintf("%s says that its tensors have %.0f bytes (metadata.total_size), but the files "
                                     "hold %" PRIu64 ": what they hold is used",
                                     path, index->total_size, ts->bytes),
                        path, err);
    return rc;
}

static int open_index(struct srq_tensors *ts, const char *path, struct srq_error *err)
{
    struct srq_st_index index;
    const char *slash = strrchr(path, '/');
    char *dir = slash == NULL ? srq_strdup(".") : srq_strndup(path, (size_t)(slash - path) + 1);
    char *data = NULL;
    size_t len;
    int rc;

    if (dir == NULL)
        return srq_fail_field(err, -SRQ_ENOMEM, path, "out of memory opening %s", path);
    rc = srq_read_file(path, SRQ_JSON_HEADER_MAX, &data, &len, err);
    if (rc == 0) {
        rc = srq_st_index_parse(data, len, path, &index, err);
        srq_free(data);
        if (rc == 0) {
            rc = open_shards(ts, dir, path, &index, err);
            srq_st_index_fini(&index);
        }
    }
    srq_free(dir);
    return rc;
}

/* The names that a folder's weights go by, the first that is there counts: so the full ones before a variant in half
 * precision. Indexes of variants have been written in three ways. */
static const char *const folder_names[] = {
    "model.safetensors",
    "model.safetensors.index.json",
    "diffusion_pytorch_model.safetensors",
    "diffusion_pytorch_model.safetensors.index.json",
    "model.fp16.safetensors",
    "diffusion_pytorch_model.fp16.safetensors",
    "diffusion_pytorch_model.safetensors.index.fp16.json",
    "diffusion_pytorch_model.safetensors.fp16.index.json",
    "diffusion_pytorch_model.fp16.safetensors.index.json",
    "diffusion_pytorch_model.bf16.safetensors",
};

/* Weights in a form, or under a name, that is not read. */
static bool unread_weights(const char *name)
{
    static const char *const ends[] = { ".safetensors", ".bin", ".bin.index.json", ".pt", ".pth", ".ckpt", ".msgpack" };

    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
        if (srq_ends_with(name, ends[i]) && name[0] != '.')
            return true;
    return false;
}

/* One of the names may be a link to a file that is gone: those of a cache that was cleared, of a disk that is away. */
static int refuse_links(const char *dir, struct srq_error *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < sizeof(folder_names) / sizeof(folder_names[0]); i++) {
        char *path = srq_path_join(dir, folder_names[i]);

        rc = path != NULL ? srq_refuse_dangling(path, err) : 0;
        srq_free(path);
    }
    return rc;
}

/* Why a folder without any of the names is refused: by what it holds instead, if it does. */
static int refuse_folder(const char *dir, struct srq_error *err)
{
    char found[256] = "";
    int rc = refuse_links(dir, err);
    DIR *d = rc == 0 ? opendir(dir) : NULL;

    if (rc != 0)
        return rc;
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) /* the first by name, whatever the order on disk */
        if (unread_weights(e->d_name) && (found[0] == '\0' || strcmp(e->d_name, found) < 0))
            snprintf(found, sizeof(found), "%s", e->d_name);
    if (d != NULL)
        closedir(d);
    if (found[0] == '\0')
        return srq_fail_field(err, -SRQ_ENOENT, dir, "%s holds no %s and no %s", dir, folder_names[0], folder_names[1]);
    if (srq_ends_with(found, ".safetensors"))
        return srq_fail_field(err, -SRQ_ENOENT, dir,
                              "%s holds %s, a name that srq does not take for the model's weights: give a folder where "
                              "they are called %s or %s",
                              dir, found, folder_names[0], folder_names[2]);
    return srq_fail_field(
        err, -SRQ_EUNSUPPORTED, dir,
        "%s holds its weights as %s only, and srq reads safetensors: load the model where it was made "
        "and save it with safe_serialization=True",
        dir, found);
}

/* A file of the weights beside an index of shards of the same name: two models, one of which is not looked at. */
static int note_index(struct srq_tensors *ts, const char *path, struct srq_error *err)
{
    char *index = srq_asprintf("%s.index.json", path);
    int rc = index == NULL ? srq_fail_field(err, -SRQ_ENOMEM, path, "out of memory opening %s", path) : 0;

    if (rc == 0 && srq_path_exists(index))
        rc = add_note(ts, srq_asprintf("%s is not read: %s beside it holds the weights that are used", index, path),
                      path, err);
    srq_free(index);
    return rc;
}

static int open_folder(struct srq_tensors *ts, const char *dir, struct srq_error *err)
{
    for (size_t i = 0; i < sizeof(folder_names) / sizeof(folder_names[0]); i++) {
        char *path = srq_path_join(dir, folder_names[i]);
        bool there;
        int rc = 0;

        if (path == NULL)
            return srq_fail_field(err, -SRQ_ENOMEM, dir, "out of memory opening %s", dir);
        there = srq_path_exists(path);
        if (there)
            rc = srq_ends_with(path, ".json") ? open_index(ts, path, err) : open_single(ts, path, err);
        if (there && rc == 0 && !srq_ends_with(path, ".json"))
            rc = note_index(ts, path, err);
        if (there && rc == 0 && !srq_ends_with(path, ".json"))
            rc = note_strays(ts, dir, NULL, err);
        srq_free(path);
        if (there)
            return rc;
    }
    return refuse_folder(dir, err);
}

/* Reserves aligned room for tensors whose data lie at odd addresses; pages are used only when they are copied. */
static int reserve_copies(struct srq_tensors *ts, const char *path, struct srq_error *err)
{
    size_t at = 0;

    for (int64_t i = 0; i < ts->count; i++) {
        struct item *it = &ts->items[i];

        if (it->misaligned) {
            it->copy_at = at;
            at += (it->bytes + COPY_ALIGN - 1) / COPY_ALIGN * COPY_ALIGN;
        }
    }
    if (at == 0)
        return 0;
    ts->copies = srq_pages_alloc(at);
    if (ts->copies == NULL)
        return srq_fail_field(err, -SRQ_ENOMEM, path,
                              "%s: no memory for aligned copies of misaligned tensors (%zu bytes)", path, at);
    ts->copies_size = at;
    return 0;
}

int srq_tensors_open(const char *path, struct srq_tensors **out, struct srq_error *err)
{
    struct srq_tensors *ts = srq_calloc(1, sizeof(*ts));
    struct stat st;
    int rc;

    *out = NULL;
    if (ts != NULL)
        ts->lock = srq_malloc(sizeof(*ts->lock));
    if (ts == NULL || ts->lock == NULL) {
        srq_free(ts);
        return srq_fail_field(err, -SRQ_ENOMEM, path, "out of memory opening %s", path);
    }
    pthread_mutex_init(ts->lock, NULL);
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        rc = open_folder(ts, path, err);
    else if (srq_ends_with(path, ".json"))
        rc = open_index(ts, path, err);
    else
        rc = open_single(ts, path, err);
    if (rc == 0) {
        sort(ts);
        rc = reserve_copies(ts, path, err);
    }
    if (rc != 0) {
        srq_tensors_close(ts);
        return rc;
    }
    *out = ts;
    return 0;
}

static int add_place(struct srq_tensors *ts, const struct srq_tensors_place *p, struct srq_error *err)
{
    const struct srq_map *map = &ts->files[ts->file_count - 1];
    struct srq_tensor t = srq_tensor_make(NULL, p->dtype, p->rank, p->shape);
    struct item *it = &ts->items[ts->count];
    int64_t n = srq_tensor_count(&t);
    uint64_t bytes;
    char shown[SHOW];

    srq_st_show(p->name, shown, sizeof(shown));
    if (n < 0 || __builtin_mul_overflow((uint64_t)n, (uint64_t)srq_dtype_size(p->dtype), &bytes) ||
        p->begin > map->size || bytes > map->size - p->begin || p->begin % srq_dtype_size(p->dtype) != 0)
        return srq_fail_field(err, -SRQ_EFORMAT, shown, "%s does not hold tensor \"%s\"", map->path, shown);
    *it = (struct item){ .name = srq_strdup(p->name),
                         .dtype = p->dtype,
                         .rank = p->rank,
                         .file = ts->file_count - 1,
                         .data = map->data + p->begin,
                         .bytes = (size_t)bytes };
    if (it->name == NULL)
        return srq_fail_field(err, -SRQ_ENOMEM, map->path, "out of memory reading %s", map->path);
    memcpy(it->shape, p->shape, sizeof(it->shape));
    ts->count++;
    ts->bytes += bytes;
    return 0;
}

int srq_tensors_add(struct srq_tensors *ts, const char *path, const struct srq_tensors_place *places, int64_t count,
                    struct srq_error *err)
{
    struct srq_map *files = srq_reallocarray(ts->files, (size_t)ts->file_count + 1, sizeof(*files));
    char shown[SHOW];
    int rc;

    if (files == NULL)
        return srq_fail_field(err, -SRQ_ENOMEM, path, "out of memory opening %s", path);
    ts->files = files;
    rc = srq_map_open(path, &ts->files[ts->file_count], err);
    if (rc != 0)
        return rc;
    ts->file_count++;
    rc = more_items(ts, count, path, err);
    for (int64_t i = 0; rc == 0 && i < count; i++)
        rc = add_place(ts, &places[i], err);
    sort(ts);
    for (int64_t i = 1; rc == 0 && i < ts->count; i++)
        if (strcmp(ts->items[i - 1].name, ts->items[i].name) == 0)
            rc = srq_fail_field(err, -SRQ_EFORMAT, srq_st_show(ts->items[i].name, shown, sizeof(shown)),
                                "%s: tensor \"%s\" is there twice", path, shown);
    return rc;
}

void srq_tensors_close(struct srq_tensors *ts)
{
    if (ts == NULL)
        return;
    for (int f = 0; f < ts->file_count; f++)
        srq_map_close(&ts->files[f]);
    for (int64_t i = 0; i < ts->count; i++)
        srq_free(ts->items[i].name);
    for (int i = 0; i < ts->note_count; i++)
        srq_free(ts->notes[i]);
    srq_pages_free(ts->copies, ts->copies_size);
    pthread_mutex_destroy(ts->lock);
    srq_free(ts->lock);
    srq_free(ts->items);
    srq_free(ts->files);
    srq_free(ts);
}

int64_t srq_tensors_count(const struct srq_tensors *ts)
{
    return ts->count;
}

const char *srq_tensors_name(const struct srq_tensors *ts, int64_t i)
{
    return i >= 0 && i < ts->count ? ts->items[i].name : NULL;
}

const char *srq_tensors_note(const struct srq_tensors *ts, int i)
{
    return i >= 0 && i < ts->note_count ? ts->notes[i] : NULL;
}

uint64_t srq_tensors_bytes(const struct srq_tensors *ts)
{
    return ts->bytes;
}

bool srq_tensors_describe(const struct srq_tensors *ts, const char *name, struct srq_tensor *out)
{
    const struct item *it = find(ts, name);

    if (it == NULL)
        return false;
    *out = srq_tensor_make(NULL, it->dtype, it->rank, it->shape);
    return true;
}

bool srq_tensors_get(const struct srq_tensors *ts, const char *name, struct srq_tensor *out)
{
    struct item *it = find(ts, name);
    const uint8_t *data;

    if (it == NULL)
        return false;
    data = it->data;
    if (it->misaligned) {
        pthread_mutex_lock(ts->lock);
        if (!it->copied)
            memcpy(ts->copies + it->copy_at, it->data, it->bytes);
        it->copied = true;
        pthread_mutex_unlock(ts->lock);
        data = ts->copies + it->copy_at;
    }
    *out = srq_tensor_make((void *)(uintptr_t)data, it->dtype, it->rank, it->shape);
    return true;
}

void srq_tensors_release(const struct srq_tensors *ts, const struct srq_tensor *t)
{
    const uint8_t *p = t->data;
    size_t bytes;

    if (p == NULL || !srq_tensor_bytes(t, &bytes))
        return;
    for (int f = 0; f < ts->file_count; f++) {
        const struct srq_map *map = &ts->files[f];

        if (p >= map->data && p < map->data + map->size) {
            srq_map_release(map, p, bytes);
            return;
        }
    }
}

int srq_tensors_check(const struct srq_tensors *ts, struct srq_error *err)
{
    int rc = 0;

    for (int f = 0; rc == 0 && f < ts->file_count; f++)
        rc = srq_map_check(&ts->files[f], err);
    return rc;
}

/* ---- hash -------------------------------------------------------------------------------------------------------- */

struct chunk {
    const struct item *item;
    size_t at, len;
    char hex[SRQ_HASH_HEX]; /* empty: out of memory */
};

struct chunk_job {
    const struct srq_tensors *ts;
    struct chunk *chunks;
};

static void hash_chunk(void *ctx, int64_t i, int thread)
{
    const struct chunk_job *job = ctx;
    struct chunk *c = &job->chunks[i];
    struct srq_hash *h = srq_hash_create();

    (void)thread;
    if (h == NULL)
        return;
    srq_hash_add(h, c->item->data + c->at, c->len);
    srq_hash_hex(h, c->hex);
    srq_hash_free(h);
    srq_map_release(&job->ts->files[c->item->file], c->item->data + c->at, c->len);
}

static void hash_names(struct srq_hash *h, const struct item *it)
{
    srq_hash_add_text(h, it->name);
    srq_hash_add_text(h, srq_dtype_name(it->dtype));
    srq_hash_add(h, &(int64_t){ it->rank }, sizeof(int64_t));
    srq_hash_add(h, it->shape, (size_t)it->rank * sizeof(it->shape[0]));
}

int srq_tensors_hash(const struct srq_tensors *ts, char out[33], struct srq_error *err)
{
    struct chunk_job job = { .ts = ts };
    struct srq_hash *h = srq_hash_create();
    int64_t n = 0, k = 0;
    int rc = -SRQ_ENOMEM;

    for (int64_t i = 0; i < ts->count; i++)
        n += (int64_t)((ts->items[i].bytes + HASH_CHUNK - 1) / HASH_CHUNK);
    job.chunks = srq_calloc((size_t)(n > 0 ? n : 1), sizeof(*job.chunks));
    if (h == NULL || job.chunks == NULL)
        goto out;
    for (int64_t i = 0; i < ts->count; i++) {
        for (size_t at = 0; at < ts->items[i].bytes; at += HASH_CHUNK) {
            size_t left = ts->items[i].bytes - at;

            job.chunks[k++] =
                (struct chunk){ .item = &ts->items[i], .at = at, .len = left < HASH_CHUNK ? left : HASH_CHUNK };
        }
    }
    srq_parallel_items(n, hash_chunk, &job);
    k = 0;
    for (int64_t i = 0; i < ts->count; i++) {
        hash_names(h, &ts->items[i]);
        for (size_t at = 0; at < ts->items[i].bytes; at += HASH_CHUNK, k++) {
            if (job.chunks[k].hex[0] == '\0')
                goto out;
            srq_hash_add(h, job.chunks[k].hex, SRQ_HASH_HEX - 1);
        }
    }
    srq_hash_hex(h, out);
    rc = srq_tensors_check(ts, err);
out:
    if (rc == -SRQ_ENOMEM)
        srq_fail(err, rc, "out of memory hashing %lld tensors", (long long)ts->count);
    if (h != NULL)
        srq_hash_free(h);
    srq_free(job.chunks);
    return rc;
}
