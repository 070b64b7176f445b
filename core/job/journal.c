/* Journal: append, verify, cut a torn tail, read back. */
#include "core/job/journal.h"

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_MAX_BYTES ((size_t)1 << 20)
#define JOURNAL_MAX ((size_t)4 << 30)

struct srq_journal {
    char *path;
    int fd;
    pthread_mutex_t lock;
    int64_t seq;
    uint64_t bytes;
    srq_journal_watch watch;
    void *watch_ctx;
};

/* ---- opening ----------------------------------------------------------------------------------------------------- */

/* Walks the lines of `text`. Gives the bytes of the good lines at its start and the last sequence number; `good_after`:
 * whether a line behind the first bad one has a right sum. */
static void scan(const char *text, size_t len, uint64_t *good, int64_t *seq, bool *good_after)
{
    size_t at = 0;
    bool bad = false;

    *good = 0;
    *seq = 0;
    *good_after = false;
    while (at < len) {
        const char *end = memchr(text + at, '\n', len - at);
        int64_t number = srq_journal_line_seq(text + at);

        if (end == NULL)
            break;
        if (!srq_journal_line_holds(text + at, (size_t)(end - text) - at))
            bad = true;
        else if (bad || number != *seq + 1) /* a line before this one is gone */
            bad = *good_after = true;
        at = (size_t)(end - text) + 1;
        if (!bad) {
            *seq = number;
            *good = at;
        }
    }
}

static int open_and_check(struct srq_journal *j, uint64_t *cut, struct srq_error *err)
{
    struct stat st;
    char *text;
    size_t len;
    bool good_after;
    int rc;

    j->fd = open(j->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (j->fd < 0 || fstat(j->fd, &st) != 0)
        return srq_fail_field(err, -SRQ_EIO, j->path, "cannot open %s: %s", j->path, strerror(errno));
    rc = srq_read_file(j->path, JOURNAL_MAX, &text, &len, err);
    if (rc != 0)
        return rc;
    scan(text, len, &j->bytes, &j->seq, &good_after);
    srq_free(text);
    if (good_after)
        return srq_fail_field(err, -SRQ_EFORMAT, j->path,
                              "%s is damaged behind line %" PRId64 ": a bad line is followed by good ones", j->path,
                              j->seq);
    *cut = len - j->bytes;
    if (*cut > 0 && (ftruncate(j->fd, (off_t)j->bytes) != 0 || fsync(j->fd) != 0))
        return srq_fail_field(err, -SRQ_EIO, j->path, "cannot cut the torn tail of %s: %s", j->path, strerror(errno));
    return 0;
}

int srq_journal_open(const char *path, struct srq_journal **out, uint64_t *cut, struct srq_error *err)
{
    struct srq_journal *j = srq_calloc(1, sizeof(*j));
    int rc;

    *cut = 0;
    if (j == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory opening %s", path);
    j->fd = -1;
    pthread_mutex_init(&j->lock, NULL);
    j->path = srq_strdup(path);
    rc = j->path != NULL ? open_and_check(j, cut, err) : srq_fail(err, -SRQ_ENOMEM, "out of memory opening %s", path);
    if (rc == 0)
        *out = j;
    else
        srq_journal_close(j);
    return rc;
}

void srq_journal_close(struct srq_journal *j)
{
    if (j == NULL)
        return;
    if (j->fd >= 0)
        close(j->fd);
    pthread_mutex_destroy(&j->lock);
    srq_free(j->path);
    srq_free(j);
}

/* ---- appending --------------------------------------------------------------------------------------------------- */

static int write_line(struct srq_journal *j, const char *line, size_t len, bool sync, struct srq_error *err)
{
    int e = srq_write_all(j->fd, line, len);

    if (e == 0 && sync && fsync(j->fd) != 0)
        e = -errno;
    if (e == 0)
        return 0;
    if (ftruncate(j->fd, (off_t)j->bytes) != 0) /* else the next open cuts it */
        return srq_fail_field(err, -SRQ_EIO, j->path, "cannot write %s: %s", j->path, strerror(-e));
    return srq_fail_field(err, e == -ENOSPC || e == -EDQUOT ? -SRQ_ENOSPC : -SRQ_EIO, j->path, "cannot write %s: %s",
                          j->path, strerror(-e));
}

int srq_journal_append(struct srq_journal *j, const char *event, cJSON *data, bool sync, struct srq_error *err)
{
    double now = srq_wall_s();
    char *text = data != NULL ? cJSON_PrintUnformatted(data) : NULL, *line = NULL;
    size_t len = 0;
    int rc = 0;

    pthread_mutex_lock(&j->lock);
    if (data == NULL || text != NULL)
        line = srq_journal_line_print(j->seq + 1, now, event, text != NULL ? text : "{}");
    len = line != NULL ? strlen(line) : 0;
    if (line == NULL)
        rc = srq_fail_field(err, -SRQ_ENOMEM, j->path, "out of memory writing to the journal");
    else if (len > LINE_MAX_BYTES)
        rc = srq_fail_field(err, -SRQ_ELIMIT, j->path, "a journal line of %zu bytes is too long (%s)", len, event);
    else
        rc = write_line(j, line, len, sync, err);
    if (rc == 0) {
        j->seq++;
        j->bytes += len;
        if (j->watch != NULL)
            j->watch(j->watch_ctx, j->seq, now, event, data);
    }
    pthread_mutex_unlock(&j->lock);
    srq_free(line);
    cJSON_free(text);
    cJSON_Delete(data);
    return rc;
}

int64_t srq_journal_seq(struct srq_journal *j)
{
    int64_t seq;

    pthread_mutex_lock(&j->lock);
    seq = j->seq;
    pthread_mutex_unlock(&j->lock);
    return seq;
}

uint64_t srq_journal_bytes(struct srq_journal *j)
{
    uint64_t bytes;

    pthread_mutex_lock(&j->lock);
    bytes = j->bytes;
    pthread_mutex_unlock(&j->lock);
    return bytes;
}

void srq_journal_watch_set(struct srq_journal *j, srq_journal_watch watch, void *ctx)
{
    pthread_mutex_lock(&j->lock);
    j->watch = watch;
    j->watch_ctx = ctx;
    pthread_mutex_unlock(&j->lock);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static int give_lines(const char *text, size_t len, uint64_t *offset,
                      int (*fn)(void *ctx, const struct srq_journal_line *line), void *ctx, struct srq_error *err)
{
    size_t at = 0;

    while (at < len) {
        const char *end = memchr(text + at, '\n', len - at);
        struct srq_journal_line line = { 0 };
        size_t n;
        int rc;

        if (end == NULL)
            break;
        n = (size_t)(end - text) - at;
        rc = srq_journal_line_holds(text + at, n) ? srq_journal_line_read(text + at, n, &line, err)
                                                  : srq_fail(err, -SRQ_EFORMAT, "a journal line's checksum is wrong");
        if (rc == 0)
            rc = fn(ctx, &line);
        srq_journal_line_fini(&line);
        if (rc != 0)
            return rc;
        *offset += n + 1;
        at += n + 1;
    }
    return 0;
}

int srq_journal_read(struct srq_journal *j, uint64_t *offset, int (*fn)(void *ctx, const struct srq_journal_line *line),
                     void *ctx, struct srq_error *err)
{
    const size_t chunk = 2 * LINE_MAX_BYTES;
    uint64_t end = srq_journal_bytes(j);
    int rc = 0;

    while (rc == 0 && *offset < end) {
        size_t want = end - *offset < chunk ? (size_t)(end - *offset) : chunk;
        uint64_t before = *offset;
        char *text = srq_malloc(want);
        ssize_t n = text != NULL ? pread(j->fd, text, want, (off_t)*offset) : -1;

        if (n <= 0)
            rc = srq_fail_field(err, -SRQ_EIO, j->path, "cannot read %s: %s", j->path, strerror(errno));
        else
            rc = give_lines(text, (size_t)n, offset, fn, ctx, err);
        srq_free(text);
        if (rc == 0 && *offset == before)
            rc = srq_fail_field(err, -SRQ_EFORMAT, j->path, "%s has a line that does not end", j->path);
    }
    return rc;
}
