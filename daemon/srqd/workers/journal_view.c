/* The journal, line by line. */
#include "daemon/srqd/workers/journal_view.h"

#include "core/base/alloc.h"
#include "core/proto/journal_line.h"
#include "core/proto/members.h"
#include "daemon/srqd/jobs/jobdir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define JOURNAL_MAX ((off_t)1 << 30)
#define CHUNK 65536
#define FOREIGN_MAX 1000 /* lines that are no journal's */

struct journal_view {
    char job[JOB_ID_MAX];
    struct srq_frames frames;
    int fd;
    off_t done;
    bool broken;
    int foreign;
};

int journal_open(const struct job *j, struct journal_view **out, struct srq_error *err)
{
    struct journal_view *v;
    int dir = jobdir_open(j, err), fd;
    struct stat st;

    *out = NULL;
    if (dir < 0)
        return dir;
    fd = openat(dir, "journal.ndjson", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    close(dir);
    if (fd < 0)
        return srq_fail(err, errno == ENOENT ? -SRQ_ENOENT : -SRQ_EIO, "cannot open the journal of job %s: %s", j->id,
                        strerror(errno));
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return srq_fail(err, -SRQ_EFORMAT, "the journal of job %s is not a regular file", j->id);
    }
    v = srq_calloc(1, sizeof(*v));
    if (v == NULL) {
        close(fd);
        return srq_fail(err, -SRQ_ENOMEM, "out of memory");
    }
    memcpy(v->job, j->id, sizeof(v->job));
    srq_frames_init(&v->frames);
    v->fd = fd;
    *out = v;
    return 0;
}

void journal_close(struct journal_view *v)
{
    if (v == NULL)
        return;
    close(v->fd);
    srq_frames_fini(&v->frames);
    srq_free(v);
}

static const char *events_for(const struct journal_filter *f, int64_t seq)
{
    return seq > f->since ? f->events : f->older != NULL ? f->older : "";
}

/* Whether `line` can be an entry that is wanted: a cheap look before the parser, since journals are mostly samples. */
static bool may_be(const char *line, const struct journal_filter *f)
{
    int64_t seq = srq_journal_line_seq(line);
    size_t len;
    const char *name = srq_journal_line_event(line, &len), *events;

    if (name == NULL || seq < 0)
        return true;
    events = events_for(f, seq);
    return events == NULL || srq_proto_is_one_of(name, len, events);
}

/* The line becomes the parameters of a notification. NULL when it is no event. */
static cJSON *params_of(const struct journal_view *v, struct srq_journal_line *line, struct journal_entry *e)
{
    const struct srq_event *row = srq_proto_event(line->event);
    cJSON *params = row != NULL ? cJSON_DetachItemViaPointer(line->json, line->data) : NULL;

    if (!srq_put_text(params, "job", v->job) || !srq_put_number(params, "seq", (double)line->seq) ||
        !srq_put_number(params, "time", line->time) || srq_proto_check_event(row, params, NULL) != 0) {
        cJSON_Delete(params);
        return NULL;
    }
    e->seq = line->seq;
    e->time = line->time;
    e->event = row->name;
    return params;
}

static bool visit_line(struct journal_view *v, const char *text, size_t len, const struct journal_filter *f,
                       journal_visit visit, void *ctx)
{
    struct journal_entry e = { 0 };
    struct srq_journal_line line;
    const char *events;
    bool more = true;

    if (!may_be(text, f))
        return true;
    if (srq_journal_line_read(text, len, &line, NULL) == 0)
        e.params = params_of(v, &line, &e);
    else
        v->foreign++;
    events = events_for(f, e.seq);
    if (e.params != NULL && (events == NULL || srq_proto_is_one_of(e.event, strlen(e.event), events)))
        more = visit(&e, ctx);
    cJSON_Delete(e.params);
    srq_journal_line_fini(&line);
    return more;
}

bool journal_shrunk(const struct journal_view *v)
{
    struct stat st;

    return fstat(v->fd, &st) != 0 || st.st_size < v->done;
}

/* An unfinished line is read again from its beginning: its worker may die, and the next one cuts it. */
static void step_back(struct journal_view *v)
{
    size_t unfinished = v->frames.in.len - v->frames.line;

    if (unfinished == 0 || lseek(v->fd, v->done - (off_t)unfinished, SEEK_SET) < 0)
        return;
    v->done -= (off_t)unfinished;
    srq_frames_fini(&v->frames);
    srq_frames_init(&v->frames);
}

void journal_seek(struct journal_view *v, int64_t since)
{
    char chunk[CHUNK];
    off_t low = 0, high; /* a line up to `since` begins at `low`, or it is 0; none does from `high` on */
    struct stat st;

    high = fstat(v->fd, &st) == 0 ? st.st_size : 0;
    while (high - low > CHUNK) {
        off_t middle = low + (high - low) / 2;
        ssize_t n = pread(v->fd, chunk, sizeof(chunk) - 1, middle);
        const char *nl = n > 0 ? memchr(chunk, '\n', (size_t)n) : NULL;
        int64_t seq;

        chunk[n > 0 ? n : 0] = '\0';
        seq = nl != NULL && strchr(nl, ',') != NULL ? srq_journal_line_seq(nl + 1) : -1;
        if (seq >= 0 && seq <= since)
            low = middle + (nl + 1 - chunk);
        else
            high = middle;
    }
    srq_frames_fini(&v->frames);
    srq_frames_init(&v->frames);
    v->foreign = 0;
    v->done = lseek(v->fd, low, SEEK_SET);
}

enum journal_stop journal_read(struct journal_view *v, const struct journal_filter *f, size_t budget,
                               journal_visit visit, void *ctx)
{
    char chunk[CHUNK];
    bool any = false;
    size_t spent = 0;
    const char *line;
    size_t len;

    for (;;) {
        ssize_t n;

        while (v->foreign <= FOREIGN_MAX && (line = srq_frames_next(&v->frames, &len)) != NULL) {
            any = true;
            if (!visit_line(v, line, len, f, visit, ctx))
                return JOURNAL_STOPPED;
        }
        if (any && budget > 0 && spent >= budget) /* the end is seen though a long line is not finished */
            return JOURNAL_MORE;
        if (v->broken || v->foreign > FOREIGN_MAX || v->done > JOURNAL_MAX)
            return JOURNAL_END;
        n = read(v->fd, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            step_back(v);
            return JOURNAL_END;
        }
        v->done += n;
        spent += (size_t)n;
        if (srq_frames_feed(&v->frames, chunk, (size_t)n, NULL) != 0)
            v->broken = true;
    }
}
