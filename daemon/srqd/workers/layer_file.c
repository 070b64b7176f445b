/* Finding the elements: strings and brackets are enough for that; the parser judges what lies between. */
#include "daemon/srqd/workers/layer_file.h"

#include "core/base/alloc.h"
#include "core/base/buf.h"
#include "core/base/fs.h"
#include "core/proto/proto.h"
#include "daemon/srqd/jobs/jobdir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX ((off_t)64 << 20)
#define AROUND_MAX ((size_t)1 << 20) /* bytes outside the layers */
#define LAYERS_MAX ((size_t)200000)
#define CHUNK 65536

struct place {
    off_t at;
    size_t len;
};

/* A revision names the layers that it changed, which may be all. */
const struct layer_array layer_array_plan = { "plan.json", "layers", (size_t)64 << 10 };
const struct layer_array layer_array_report = { "report.json", "layers", (size_t)64 << 10 };
const struct layer_array layer_array_history = { "history.json", "revisions", (size_t)4 << 20 };

struct layer_file {
    char job[JOB_ID_MAX];
    const char *name, *key;
    int fd;
    struct stat id;
    off_t done;
    struct srq_buf around, layer; /* text outside the array; of the element at hand */
    struct place *places;
    size_t count, room;
    int depth, array; /* the depth within the array; 0: not in it */
    bool string, escaped;
    cJSON *object;
};

int layer_file_open(const struct job *j, const struct layer_array *what, struct layer_file **out, struct srq_error *err)
{
    const char *name = what->file;
    struct layer_file *f = srq_calloc(1, sizeof(*f));
    int dir = f != NULL ? jobdir_open(j, err) : srq_fail(err, -SRQ_ENOMEM, "the daemon is out of memory"), rc = 0;

    *out = NULL;
    if (dir < 0) {
        srq_free(f);
        return dir;
    }
    memcpy(f->job, j->id, sizeof(f->job));
    f->name = name;
    f->key = what->key;
    srq_buf_init(&f->around, AROUND_MAX);
    srq_buf_init(&f->layer, what->element_max);
    f->fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (f->fd < 0 || fstat(f->fd, &f->id) != 0)
        rc = srq_fail_errno(err, "open", name);
    else if (!S_ISREG(f->id.st_mode))
        rc = srq_fail_field(err, -SRQ_EFORMAT, name, "%s is not a regular file", name);
    else if (f->id.st_size > FILE_MAX)
        rc = srq_fail_field(err, -SRQ_ELIMIT, name, "%s has %lld bytes, more than the %lld allowed", name,
                            (long long)f->id.st_size, (long long)FILE_MAX);
    close(dir);
    if (rc != 0) {
        layer_file_close(f);
        return rc;
    }
    *out = f;
    return 0;
}

void layer_file_close(struct layer_file *f)
{
    if (f == NULL)
        return;
    if (f->fd >= 0)
        close(f->fd);
    srq_buf_fini(&f->around);
    srq_buf_fini(&f->layer);
    srq_free(f->places);
    cJSON_Delete(f->object);
    srq_free(f);
}

bool layer_file_current(const struct layer_file *f, const struct job *j)
{
    int dir = jobdir_open(j, NULL);
    struct stat st;
    bool same = dir >= 0 && fstatat(dir, f->name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_dev == f->id.st_dev &&
                st.st_ino == f->id.st_ino && st.st_size == f->id.st_size && st.st_mtim.tv_sec == f->id.st_mtim.tv_sec &&
                st.st_mtim.tv_nsec == f->id.st_mtim.tv_nsec;

    if (dir >= 0)
        close(dir);
    return same;
}

/* ---- reading ------------------------------------------------------------------------------------------------------
 */

static int wrong(const struct layer_file *f, int code, const char *what, struct srq_error *err)
{
    return srq_fail_field(err, code, f->name, "%s of job %s %s", f->name, f->job, what);
}

static int no_memory(struct srq_error *err)
{
    return srq_fail(err, -SRQ_ENOMEM, "the daemon is out of memory");
}

/* Whether the text so far ends with the key. */
static bool after_key(const struct srq_buf *b, const char *key)
{
    size_t n = b->len, len = strlen(key);

    while (n > 0 && strchr(" \t\r\n", b->data[n - 1]) != NULL)
        n--;
    if (n == 0 || b->data[--n] != ':')
        return false;
    while (n > 0 && strchr(" \t\r\n", b->data[n - 1]) != NULL)
        n--;
    return n >= len + 2 && b->data[n - 1] == '"' && b->data[n - len - 2] == '"' &&
           memcmp(b->data + n - len - 1, key, len) == 0;
}

static int end_layer(struct layer_file *f, off_t end, layer_file_visit visit, void *ctx, struct srq_error *err)
{
    cJSON *json = NULL;
    int rc = 0;

    if (f->count == LAYERS_MAX)
        return srq_fail_field(err, -SRQ_ELIMIT, f->name, "%s of job %s has more than %zu layers", f->name, f->job,
                              LAYERS_MAX);
    if (f->count == f->room) {
        size_t room = f->room > 0 ? 2 * f->room : 256;
        void *more = srq_realloc(f->places, room * sizeof(*f->places));

        if (more == NULL)
            return no_memory(err);
        f->places = more;
        f->room = room;
    }
    f->places[f->count++] = (struct place){ end - (off_t)f->layer.len, f->layer.len };
    if (visit != NULL && (rc = srq_json_parse(f->layer.data, f->layer.len, SRQ_DEPTH_MAX, &json, err)) == 0)
        rc = visit(json, ctx, err);
    cJSON_Delete(json);
    srq_buf_clear(&f->layer);
    return rc;
}

/* What the character does outside strings; *ends: it is the last of an element. */
static int take_bracket(struct layer_file *f, char c, bool *ends, struct srq_error *err)
{
    if (c == '{' || c == '[') {
        if (f->array > 0 && f->depth == f->array && c == '[')
            return wrong(f, -SRQ_EFORMAT, "has a layer that is no object", err);
        if (c == '[' && f->depth == 1 && f->array == 0 && after_key(&f->around, f->key))
            f->array = 2;
        f->depth++;
    } else if (c == '}' || c == ']') {
        f->depth--;
        *ends = f->array > 0 && f->depth == f->array;
        if (f->array > 0 && f->depth < f->array)
            f->array = 0;
    }
    return 0;
}

static int take(struct layer_file *f, char c, bool *ends, struct srq_error *err)
{
    bool between = f->array > 0 && f->depth == f->array && !f->string, was_in = f->array > 0;
    struct srq_buf *to;
    int rc = 0;

    *ends = false;
    if (f->escaped) {
        f->escaped = false;
    } else if (f->string) {
        f->escaped = c == '\\';
        f->string = c != '"';
    } else if (c == '"') {
        if (between)
            return wrong(f, -SRQ_EFORMAT, "has a layer that is no object", err);
        f->string = true;
    } else {
        rc = take_bracket(f, c, ends, err);
    }
    if (rc != 0)
        return rc;
    if (between && f->array > 0 && c != '{') /* commas and blanks */
        return strchr(", \t\r\n", c) != NULL ? 0 : wrong(f, -SRQ_EFORMAT, "has a layer that is no object", err);
    to = was_in && f->array > 0 ? &f->layer : &f->around;
    if (srq_buf_add(to, &c, 1))
        return 0;
    return wrong(f, -SRQ_ELIMIT, to == &f->layer ? "has a layer that is too long" : "is too long beside its layers",
                 err);
}

static int finish(struct layer_file *f, struct srq_error *err)
{
    int rc =
        srq_json_parse(f->around.data != NULL ? f->around.data : "", f->around.len, SRQ_DEPTH_MAX, &f->object, err);

    srq_buf_fini(&f->around);
    if (rc != 0)
        return rc;
    if (!cJSON_IsObject(f->object))
        return wrong(f, -SRQ_EFORMAT, "is no JSON object", err);
    return 0;
}

int layer_file_step(struct layer_file *f, layer_file_visit visit, void *ctx, struct srq_error *err)
{
    char chunk[CHUNK];
    ssize_t n = pread(f->fd, chunk, sizeof(chunk), f->done);
    int rc = 0;

    if (f->object != NULL)
        return 0;
    if (n < 0)
        return errno == EINTR ? 1 : srq_fail_errno(err, "read", f->name);
    if (n == 0 || f->done > FILE_MAX)
        return finish(f, err);
    for (ssize_t i = 0; rc == 0 && i < n; i++) {
        bool ends;

        rc = take(f, chunk[i], &ends, err);
        if (rc == 0 && ends)
            rc = end_layer(f, f->done + i + 1, visit, ctx, err);
    }
    f->done += n;
    return rc == 0 ? 1 : rc;
}

/* ---- looking ------------------------------------------------------------------------------------------------------
 */

cJSON *layer_file_object(struct layer_file *f)
{
    return f->object;
}

size_t layer_file_count(const struct layer_file *f)
{
    return f->count;
}

int layer_file_layer(const struct layer_file *f, size_t at, cJSON **out, struct srq_error *err)
{
    const struct place *p = &f->places[at];
    char *text = srq_malloc(p->len + 1);
    int rc;

    *out = NULL;
    if (text == NULL)
        return no_memory(err);
    if (pread(f->fd, text, p->len, p->at) != (ssize_t)p->len)
        rc = wrong(f, -SRQ_EIO, "became shorter while it was read", err);
    else
        rc = srq_json_parse(text, p->len, SRQ_DEPTH_MAX, out, err);
    srq_free(text);
    return rc;
}
