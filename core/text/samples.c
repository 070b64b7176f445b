/* Calibration and evaluation text into token windows. */
#include "core/text/samples.h"

#include "core/base/alloc.h"
#include "core/base/ends.h"
#include "core/base/fs.h"
#include "core/base/hash.h"
#include "core/base/rng.h"
#include "core/base/utf8.h"
#include "core/format/json.h"
#include "core/text/chat.h"
#include "core/text/template.h"
#include "core/text/tokenizer_parts.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#define FILE_BYTES_MAX ((size_t)1 << 30)
#define FILES_MAX 100000
#define SHUFFLE_STREAM 0x63616c6962u /* of the counter-based generator: record order */
#define LOOK_BYTES ((size_t)4 << 20)
#define ENOUGH 1 /* returned by a record function: no more records are wanted */

/* ---- the list of files ------------------------------------------------------------------------------------------- */

struct paths {
    char **data;
    size_t count, cap;
};

static void paths_fini(struct paths *p)
{
    for (size_t i = 0; i < p->count; i++)
        srq_free(p->data[i]);
    srq_free(p->data);
}

/* Takes `path` over, also when it fails. */
static int add_path(struct paths *p, char *path, struct srq_error *err)
{
    if (p->count == FILES_MAX) {
        srq_free(path);
        return srq_fail(err, -SRQ_ELIMIT, "more than %d text files", FILES_MAX);
    }
    if (path != NULL && p->count == p->cap) {
        size_t cap = p->cap > 0 ? p->cap * 2 : 16;
        char **data = srq_reallocarray(p->data, cap, sizeof(*data));

        if (data == NULL) {
            srq_free(path);
            path = NULL;
        } else {
            p->data = data;
            p->cap = cap;
        }
    }
    if (path == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory listing text files");
    p->data[p->count++] = path;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int add_folder(struct paths *p, const char *folder, struct srq_error *err)
{
    size_t first = p->count;
    DIR *dir = opendir(folder);
    int rc = 0;

    if (dir == NULL)
        return srq_fail_errno(err, "open", folder);
    for (struct dirent *e; rc == 0 && (e = readdir(dir)) != NULL;) {
        bool hidden = e->d_name[0] == '.';

        if (!hidden && (srq_ends_with(e->d_name, ".txt") || srq_ends_with(e->d_name, ".jsonl")))
            rc = add_path(p, srq_path_join(folder, e->d_name), err);
    }
    closedir(dir);
    if (rc == 0 && p->count == first)
        return srq_fail_field(err, -SRQ_ENOENT, folder, "%s holds no .txt and no .jsonl", folder);
    qsort(p->data + first, p->count - first, sizeof(*p->data), by_name);
    return rc;
}

static int list_paths(const struct srq_sample_request *req, struct paths *p, struct srq_error *err)
{
    int rc = 0;

    for (int i = 0; rc == 0 && i < req->file_count; i++) {
        struct stat st;

        if (stat(req->files[i], &st) == 0 && S_ISDIR(st.st_mode))
            rc = add_folder(p, req->files[i], err);
        else
            rc = add_path(p, srq_strdup(req->files[i]), err);
    }
    return rc;
}

int64_t srq_samples_bytes(const char *const *files, int file_count)
{
    struct srq_sample_request req = { .files = files, .file_count = file_count };
    struct paths p = { 0 };
    int64_t bytes = 0;

    (void)list_paths(&req, &p, NULL);
    for (size_t i = 0; i < p.count; i++) {
        struct stat st;

        bytes += stat(p.data[i], &st) == 0 && S_ISREG(st.st_mode) ? (int64_t)st.st_size : 0;
    }
    paths_fini(&p);
    return bytes;
}

/* A file is held as it is, its words at a time as six bytes of place and id for every one of text; of rows
 * one is encoded at a time, and one of messages is held as it was read, as values, and as text beside that. */
#define BYTES_A_BYTE 6
#define ROW_BYTES_A_BYTE 12
#define ENCODER_BYTES ((int64_t)1 << 20) /* words that were seen before */
#define ROW_BYTES ((int64_t)64 << 10)
#define TEMPLATE_BYTES ((int64_t)1 << 20)

int64_t srq_samples_memory(const char *const *files, int file_count, enum srq_sampling sampling)
{
    struct srq_sample_request req = { .files = files, .file_count = file_count };
    struct paths p = { 0 };
    int64_t most = 0, all = 0;

    (void)list_paths(&req, &p, NULL);
    for (size_t i = 0; i < p.count; i++) {
        struct stat st;
        int64_t bytes = stat(p.data[i], &st) == 0 && S_ISREG(st.st_mode) ? (int64_t)st.st_size : 0;
        bool rows = srq_ends_with(p.data[i], ".jsonl");
        int64_t at_once = rows && bytes > ROW_BYTES ? ROW_BYTES : bytes;
        int64_t held;

        bytes = bytes < (int64_t)FILE_BYTES_MAX ? bytes : (int64_t)FILE_BYTES_MAX; /* larger ones are refused */
        at_once = at_once < bytes ? at_once : bytes;
        all += bytes;
        held = bytes + (rows ? ROW_BYTES_A_BYTE : BYTES_A_BYTE) * at_once + (rows ? TEMPLATE_BYTES : 0);
        most = held > most ? held : most;
    }
    paths_fini(&p);
    return (most > 0 ? most + ENCODER_BYTES : 0) + (sampling == SRQ_SAMPLING_SHUFFLED ? all : 0);
}

/* ---- records ----------------------------------------------------------------------------------------------------- */

/* A row or a file; its texts live only during the call. */
struct piece {
    const char *where, *text;
    size_t len;
    bool rendered; /* by the chat template, which writes the special tokens itself */
};

typedef int (*record_fn)(void *ctx, const struct piece *piece, struct srq_error *err);

struct reading {
    const char *model_dir;
    record_fn fn;
    void *ctx;
    struct srq_chat *chat; /* opened by the first row that needs it */
    struct srq_buf rendered;
};

static void reading_begin(struct reading *r, const char *model_dir, record_fn fn, void *ctx)
{
    *r = (struct reading){ .model_dir = model_dir, .fn = fn, .ctx = ctx };
    srq_buf_init(&r->rendered, SRQ_TEMPLATE_OUTPUT_MAX);
}

static void reading_end(struct reading *r)
{
    srq_chat_free(r->chat);
    srq_buf_fini(&r->rendered);
}

static int open_chat(struct reading *r, const char *where, struct srq_error *err)
{
    struct srq_error why = { 0 };
    int rc;

    if (r->chat != NULL)
        return 0;
    rc = r->model_dir != NULL ? srq_chat_open(r->model_dir, &r->chat, &why)
                              : srq_fail(&why, -SRQ_ENOENT, "no model was given");
    if (rc == 0)
        return 0;
    return srq_fail_field(err, rc, where, "%s: a row with \"messages\" needs the model's chat template; %s", where,
                          why.text);
}

static int read_messages(struct reading *r, const char *where, const json_t *row, struct srq_error *err)
{
    struct piece piece = { .where = where, .rendered = true };
    int rc = open_chat(r, where, err);

    if (rc == 0)
        rc = srq_chat_render(r->chat, where, row, &r->rendered, err);
    piece.text = r->rendered.data != NULL ? r->rendered.data : "";
    piece.len = r->rendered.len;
    return rc == 0 ? r->fn(r->ctx, &piece, err) : rc;
}

static int read_row(struct reading *r, const char *where, const char *line, size_t len, struct srq_error *err)
{
    struct piece piece = { .where = where };
    json_t *row;
    const json_t *text;
    int rc = srq_json_read_text(line, len, where, &row, err);

    if (rc != 0)
        return rc;
    text = json_object_get(row, "text");
    if (json_is_string(text)) {
        piece.text = json_string_value(text);
        piece.len = json_string_length(text);
        rc = r->fn(r->ctx, &piece, err);
    } else if (json_object_get(row, "messages") != NULL) {
        rc = read_messages(r, where, row, err);
    } else {
        rc = srq_fail_field(err, -SRQ_EFORMAT, where,
                            "%s: the row is not an object with a string \"text\" or a list \"messages\"", where);
    }
    json_decref(row);
    return rc;
}

static bool blank(const char *line, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r')
            return false;
    }
    return true;
}

static int read_rows(struct reading *r, const char *path, const char *data, size_t len, struct srq_error *err)
{
    long long number = 0;
    int rc = 0;

    for (size_t at = 0, end; rc == 0 && at < len; at = end + 1) {
        const char *newline = memchr(data + at, '\n', len - at);
        char *where;

        end = newline != NULL ? (size_t)(newline - data) : len;
        number++;
        if (blank(data + at, end - at))
            continue;
        where = srq_asprintf("%s:%lld", path, number);
        if (where == NULL)
            return srq_fail_field(err, -SRQ_ENOMEM, path, "out of memory reading %s", path);
        rc = read_row(r, where, data + at, end - at, err);
        srq_free(where);
    }
    return rc;
}

/* What some editors put before a text is no part of it. */
static size_t mark_bytes(const char *data, size_t len)
{
    return len >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

/* Gives every record of all files to r->fn, until it returns something else than 0. */
static int for_records(struct reading *r, const struct paths *p, struct srq_error *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < p->count; i++) {
        const char *path = p->data[i];
        char *data;
        size_t len, good, mark;

        rc = srq_read_file(path, FILE_BYTES_MAX, &data, &len, err);
        if (rc != 0)
            return rc;
        good = srq_utf8_check(data, len);
        mark = mark_bytes(data, len);
        if (srq_is_lfs_pointer(data, len))
            rc = srq_fail_field(err, -SRQ_EFORMAT, path, SRQ_LFS_SENTENCE, path);
        else if (good != len)
            rc = srq_fail_field(err, -SRQ_EFORMAT, path, "%s is not UTF-8 text at byte %zu", path, good);
        else if (srq_ends_with(path, ".jsonl"))
            rc = read_rows(r, path, data + mark, len - mark, err);
        else
            rc = r->fn(r->ctx, &(struct piece){ .where = path, .text = data + mark, .len = len - mark }, err);
        srq_free(data);
    }
    return rc;
}

/* ---- a look before all is read ----------------------------------------------------------------------------------- */

static int drop_piece(void *ctx, const struct piece *piece, struct srq_error *err)
{
    (void)ctx;
    (void)piece;
    (void)err;
    return 0;
}

/* The first row of a file that is not blank, where it is one of messages and lies within what is looked at. */
static int check_first_row(struct reading *r, const char *path, struct srq_error *err)
{
    struct stat st;
    bool regular = stat(path, &st) == 0 && S_ISREG(st.st_mode);
    char *data = regular ? srq_malloc(LOOK_BYTES) : NULL, *where = NULL;
    FILE *f = data != NULL ? fopen(path, "rbe") : NULL;
    size_t len = f != NULL ? fread(data, 1, LOOK_BYTES, f) : 0, end;
    bool whole = f != NULL && feof(f);
    long long number = 1;
    json_t *row = NULL;
    int rc = 0;

    for (size_t at = mark_bytes(data, len); at < len; at = end + 1, number++) {
        const char *newline = memchr(data + at, '\n', len - at);

        end = newline != NULL ? (size_t)(newline - data) : len;
        if (blank(data + at, end - at))
            continue;
        where = newline != NULL || whole ? srq_asprintf("%s:%lld", path, number) : NULL;
        if (where != NULL && srq_utf8_check(data + at, end - at) == end - at &&
            srq_json_read_text(data + at, end - at, where, &row, NULL) == 0 &&
            !json_is_string(json_object_get(row, "text")) && json_object_get(row, "messages") != NULL)
            rc = read_messages(r, where, row, err);
        break;
    }
    if (f != NULL)
        fclose(f);
    json_decref(row);
    srq_free(where);
    srq_free(data);
    return rc;
}

int srq_samples_check(const char *const *files, int file_count, const char *model_dir, struct srq_error *err)
{
    struct srq_sample_request req = { .files = files, .file_count = file_count };
    struct reading reading;
    struct paths p = { 0 };
    int64_t all = 0, bytes;
    int rc;

    reading_begin(&reading, model_dir, drop_piece, NULL);
    rc = list_paths(&req, &p, err);
    for (size_t i = 0; rc == 0 && i < p.count; i++) { /* a device or a FIFO would not end */
        rc = srq_file_check(p.data[i], FILE_BYTES_MAX, &bytes, err);
        all += bytes;
        if (rc == 0 && srq_ends_with(p.data[i], ".json"))
            rc = srq_fail_field(err, -SRQ_EUNSUPPORTED, p.data[i],
                                "%s would be taken for plain text with all its marks: give rows as .jsonl, an object "
                                "with \"text\" or \"messages\" on each line",
                                p.data[i]);
    }
    if (rc == 0 && all == 0)
        rc = srq_fail_field(err, -SRQ_EINVAL, files[0], file_count > 1 ? "%s and the others are empty" : "%s is empty",
                            files[0]);
    for (size_t i = 0; rc == 0 && i < p.count; i++) {
        if (srq_ends_with(p.data[i], ".jsonl"))
            rc = check_first_row(&reading, p.data[i], err);
    }
    reading_end(&reading);
    paths_fini(&p);
    return rc;
}

/* ---- windows ----------------------------------------------------------------------------------------------------- */

struct collecting {
    const struct srq_tokenizer *tk;
    const struct srq_sample_request *req;
    struct srq_ids ids;
    int64_t seen; /* ids of all records looked at */
    int64_t want; /* ids; INT64_MAX: all */
};

/* Adds `count` ids; one that the model has no embedding for is refused by name. */
static int take_ids(struct collecting *c, const char *where, const int32_t *ids, int64_t count, struct srq_error *err)
{
    for (int64_t i = 0; i < count; i++) {
        if (ids[i] >= c->req->vocab)
            return srq_fail_field(err, -SRQ_EINVAL, where,
                                  "%s: token \"%s\" has the id %d, but the model has only %lld embeddings", where,
                                  srq_tokenizer_token(c->tk, ids[i]), ids[i], (long long)c->req->vocab);
    }
    return srq_ids_append(&c->ids, ids, count)
               ? 0
               : srq_fail_field(err, -SRQ_ENOMEM, where, "out of memory for the ids of %s", where);
}

static int add_window_text(void *ctx, const struct piece *piece, struct srq_error *err)
{
    struct collecting *c = ctx;
    int32_t *ids;
    int64_t count, left = c->want - c->ids.count;
    int rc = srq_tokenizer_encode(c->tk, piece->text, piece->len, false, &ids, &count, err);

    if (rc != 0)
        return rc;
    c->seen += count;
    rc = take_ids(c, piece->where, ids, count < left ? count : left, err);
    srq_free(ids);
    return rc == 0 && c->ids.count >= c->want ? ENOUGH : rc;
}

/* ---- shuffled records -------------------------------------------------------------------------------------------- */

struct record {
    char *where, *text;
    size_t len;
    bool rendered;
};

struct records {
    struct record *data;
    int64_t count, cap;
};

static int keep_record(void *ctx, const struct piece *piece, struct srq_error *err)
{
    struct records *r = ctx;
    const char *where = piece->where;
    struct record *rec;

    if (r->count == r->cap) {
        int64_t cap = r->cap > 0 ? r->cap * 2 : 64;
        struct record *data = srq_reallocarray(r->data, (size_t)cap, sizeof(*data));

        if (data == NULL)
            return srq_fail_field(err, -SRQ_ENOMEM, where, "out of memory reading %s", where);
        r->data = data;
        r->cap = cap;
    }
    rec = &r->data[r->count];
    rec->where = srq_strdup(where);
    rec->text = srq_malloc(piece->len);
    rec->len = piece->len;
    rec->rendered = piece->rendered;
    r->count++;
    if (rec->where == NULL || rec->text == NULL)
        return srq_fail_field(err, -SRQ_ENOMEM, where, "out of memory reading %s", where);
    if (piece->len > 0)
        memcpy(rec->text, piece->text, piece->len);
    return 0;
}

static void records_fini(struct records *r)
{
    for (int64_t i = 0; i < r->count; i++) {
        srq_free(r->data[i].where);
        srq_free(r->data[i].text);
    }
    srq_free(r->data);
}

/* More than half of a sample being one and the same token says that it is padding or noise. */
static bool monotonous(const int32_t *ids, int64_t n)
{
    int64_t same = 0;

    for (int64_t i = 0; i < n; i++)
        same += ids[i] == ids[n - 1];
    return same > n / 2;
}

/* Encodes one record; adds its first seqlen ids, what the post-processor puts at the end included, or nothing. To what
 * a chat template made, the post-processor adds nothing. */
static int add_record(struct collecting *c, const struct record *r, struct srq_error *err)
{
    int64_t n = c->req->seqlen, tail = r->rendered ? 0 : c->tk->suffix.count, count;
    int32_t *ids;
    int rc = srq_tokenizer_encode(c->tk, r->text, r->len, !r->rendered, &ids, &count, err);

    if (rc != 0)
        return rc;
    c->seen += count;
    if (count > n && tail < n)
        memmove(ids + n - tail, ids + count - tail, (size_t)tail * sizeof(*ids));
    if (count >= n && !monotonous(ids, n))
        rc = take_ids(c, r->where, ids, n, err);
    srq_free(ids);
    return rc;
}

static int collect_shuffled(struct collecting *c, const struct paths *paths, struct srq_error *err)
{
    struct records r = { 0 };
    struct reading reading;
    int64_t *order = NULL;
    int rc;

    reading_begin(&reading, c->req->model_dir, keep_record, &r);
    rc = for_records(&reading, paths, err);
    reading_end(&reading);
    if (rc == 0) {
        order = srq_calloc((size_t)r.count, sizeof(*order));
        if (order == NULL)
            rc = srq_fail(err, -SRQ_ENOMEM, "out of memory shuffling %lld records", (long long)r.count);
    }
    if (rc == 0)
        srq_rng_shuffle(c->req->seed, SHUFFLE_STREAM, order, r.count);
    for (int64_t i = 0; rc == 0 && i < r.count && c->ids.count < c->want; i++)
        rc = add_record(c, &r.data[order[i]], err);
    srq_free(order);
    records_fini(&r);
    return rc;
}

static int collect_windows(struct collecting *c, const struct paths *paths, struct srq_error *err)
{
    struct reading reading;
    int rc;

    reading_begin(&reading, c->req->model_dir, add_window_text, c);
    rc = for_records(&reading, paths, err);
    reading_end(&reading);
    return rc;
}

/* ---- public ------------------------------------------------------------------------------------------------------ */

static int check_request(const struct srq_sample_request *req, int64_t *want, struct srq_error *err)
{
    if (req->file_count <= 0)
        return srq_fail_field(err, -SRQ_EINVAL, "calib", "no text file was given");
    if (req->seqlen < 1)
        return srq_fail_field(err, -SRQ_EINVAL, "seqlen", "seqlen is %lld, less than 1", (long long)req->seqlen);
    if (req->nsamples < 0)
        return srq_fail_field(err, -SRQ_EINVAL, "nsamples", "nsamples is %lld, less than 0", (long long)req->nsamples);
    if (req->nsamples == 0)
        *want = INT64_MAX;
    else if (__builtin_mul_overflow(req->nsamples, req->seqlen, want))
        return srq_fail_field(err, -SRQ_EINVAL, "nsamples", "%lld samples of %lld ids are too many",
                              (long long)req->nsamples, (long long)req->seqlen);
    return 0;
}

static int hash_samples(struct srq_samples *s, struct srq_error *err)
{
    struct srq_hash *h = srq_hash_create();

    if (h == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory hashing samples");
    srq_hash_add(h, &s->count, sizeof(s->count));
    srq_hash_add(h, &s->seqlen, sizeof(s->seqlen));
    srq_hash_add(h, s->ids, (size_t)(s->count * s->seqlen) * sizeof(*s->ids));
    srq_hash_hex(h, s->hash);
    srq_hash_free(h);
    return 0;
}

static int finish(struct collecting *c, const struct paths *paths, struct srq_samples *out, struct srq_error *err)
{
    const char *first = paths->data[0];

    out->seqlen = c->req->seqlen;
    out->count = c->ids.count / out->seqlen;
    if (out->count == 0 && c->req->sampling == SRQ_SAMPLING_SHUFFLED)
        return srq_fail_field(err, -SRQ_EINVAL, first,
                              "no record of %s%s has %lld ids (seqlen) of its own; all records together have %lld",
                              first, paths->count > 1 ? " and the other files" : "", (long long)out->seqlen,
                              (long long)c->seen);
    if (out->count == 0)
        return srq_fail_field(err, -SRQ_EINVAL, first, "%s%s gives %lld ids, too few for one sample of %lld (seqlen)",
                              first, paths->count > 1 ? " with the other files" : "", (long long)c->seen,
                              (long long)out->seqlen);
    out->ids = c->ids.data;
    c->ids.data = NULL;
    return hash_samples(out, err);
}

int srq_samples_read(const struct srq_tokenizer *tk, const struct srq_sample_request *req, struct srq_samples *out,
                     struct srq_error *err)
{
    struct collecting c = { .tk = tk, .req = req };
    struct paths paths = { 0 };
    int rc;

    memset(out, 0, sizeof(*out));
    rc = check_request(req, &c.want, err);
    if (rc == 0)
        rc = list_paths(req, &paths, err);
    if (rc == 0)
        rc = req->sampling == SRQ_SAMPLING_SHUFFLED ? collect_shuffled(&c, &paths, err)
                                                    : collect_windows(&c, &paths, err);
    if (rc == 0 || rc == ENOUGH)
        rc = finish(&c, &paths, out, err);
    if (rc != 0)
        srq_samples_fini(out);
    srq_free(c.ids.data);
    paths_fini(&paths);
    return rc;
}

void srq_samples_fini(struct srq_samples *s)
{
    srq_free(s->ids);
    srq_free(s->mask);
    memset(s, 0, sizeof(*s));
}
