/* The journal, line by line. */
#include "daemon/srqd/workers/journal_view.h"

#include "core/base/alloc.h"
#include "daemon/srqd/jobs/jobdir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define JOURNAL_MAX ((off_t)1 << 30)
#define CHUNK 65536

struct journal_view {
    char job[JOB_ID_MAX];
    struct srq_frames frames;
    int fd;
    off_t done;
    bool broken;
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

/* Whether `name` of `len` bytes is one of `events`. */
static bool is_one_of(const char *name, size_t len, const char *events)
{
    for (const char *p = events; p != NULL; p = strchr(p, '|')) {
        p += *p == '|';
        if (strcspn(p, "|") == len && memcmp(p, name, len) == 0)
            return true;
    }
    return false;
}

/* Whether `line` can be an entry of `events`: a cheap look before the parser, since journals are mostly samples. */
static bool may_be(const char *line, const char *events)
{
    static const char key[] = "\"event\":\"";
    const char *name = events != NULL ? strstr(line, key) : NULL;

    if (name == NULL)
        return true;
    name += sizeof(key) - 1;
    return is_one_of(name, strcspn(name, "\""), events);
}

/* {"seq","time","event","data","sum"} becomes the parameters of a notification. NULL when it is no event. */
static cJSON *params_of(const struct journal_view *v, cJSON *line, struct journal_entry *e)
{
    cJSON *seq = cJSON_GetObjectItemCaseSensitive(line, "seq");
    cJSON *when = cJSON_GetObjectItemCaseSensitive(line, "time");
    cJSON *event = cJSON_GetObjectItemCaseSensitive(line, "event");
    cJSON *data = cJSON_GetObjectItemCaseSensitive(line, "data");
    const struct srq_event *row;
    cJSON *params;

    if (!cJSON_IsNumber(seq) || !cJSON_IsNumber(when) || !cJSON_IsString(event) || !cJSON_IsObject(data))
        return NULL;
    row = srq_proto_event(event->valuestring);
    params = row != NULL ? cJSON_DetachItemViaPointer(line, data) : NULL;
    if (params == NULL)
        return NULL;
    if (cJSON_AddStringToObject(params, "job", v->job) == NULL ||
        cJSON_AddNumberToObject(params, "seq", seq->valuedouble) == NULL ||
        cJSON_AddNumberToObject(params, "time", when->valuedouble) == NULL ||
        srq_proto_check_event(row, params, NULL) != 0) {
        cJSON_Delete(params);
        return NULL;
    }
    e->seq = (int64_t)seq->valuedouble;
    e->time = when->valuedouble;
    e->event = row->name;
    return params;
}

static bool visit_line(struct journal_view *v, const char *line, size_t len, int64_t since, const char *events,
                       journal_visit visit, void *ctx)
{
    struct journal_entry e = { 0 };
    cJSON *json;
    bool more = true;

    if (!may_be(line, events))
        return true;
    if (srq_json_parse(line, len, SRQ_DEPTH_MAX, &json, NULL) != 0)
        return true;
    e.params = params_of(v, json, &e);
    if (e.params != NULL && e.seq > since &&
        (events == NULL || is_one_of(e.event, strlen(e.event), events)))
        more = visit(&e, ctx);
    cJSON_Delete(e.params);
    cJSON_Delete(json);
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

bool journal_read(struct journal_view *v, int64_t since, const char *events, size_t budget, journal_visit visit,
                  void *ctx)
{
    char chunk[CHUNK];
    size_t spent = 0;
    const char *line;
    size_t len;

    for (;;) {
        ssize_t n;

        while ((line = srq_frames_next(&v->frames, &len)) != NULL) {
            if (!visit_line(v, line, len, since, events, visit, ctx))
                return false;
        }
        if (budget > 0 && spent >= budget)
            return false;
        if (v->broken || v->done > JOURNAL_MAX)
            return true;
        n = read(v->fd, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            step_back(v);
            return true;
        }
        v->done += n;
        spent += (size_t)n;
        if (srq_frames_feed(&v->frames, chunk, (size_t)n, NULL) != 0)
            v->broken = true;
    }
}

void journal_scan(const struct job *j, int64_t since, const char *events, journal_visit visit, void *ctx)
{
    struct journal_view *v;

    if (journal_open(j, &v, NULL) != 0)
        return;
    (void)journal_read(v, since, events, 0, visit, ctx);
    journal_close(v);
}
