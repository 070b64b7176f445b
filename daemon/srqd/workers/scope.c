/* StartTransientUnit(name, mode, properties, auxiliary units) of org.freedesktop.systemd1(5). */
#include "daemon/srqd/workers/scope.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "core/base/log.h"
#include "daemon/srqd/base/capture.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRAM "/usr/bin/busctl"
#define TIMEOUT_S 20.0
#define WORDS_MAX 40
/* Above the plan's share: what is mapped from the model's files, which the kernel gives back when it has to. */
#define MAPPED_BYTES ((int64_t)256 << 20)

/* Whether systemd is there for us: as sd_booted(3) finds it, or one user's manager. */
static bool present(const struct srqd *d)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    char *path = d->places.system              ? srq_strdup("/run/systemd/system")
                 : runtime != NULL && *runtime ? srq_path_join(runtime, "systemd")
                                               : NULL;
    bool found = path != NULL && srq_path_exists(path) && srq_path_exists(PROGRAM);

    srq_free(path);
    return found || getenv("SRQ_BUSCTL") != NULL;
}

static void opened(const struct captured *c, void *ctx)
{
    char *id = ctx;
    char said[512], clean[1024];

    if (c->failed != 0)
        snprintf(said, sizeof(said), "%.500s", c->why.text);
    else
        snprintf(said, sizeof(said), "%.*s", (int)strcspn(c->err, "\n"), c->timed_out ? "no answer" : c->err);
    if (c->failed != 0 || c->timed_out || !WIFEXITED(c->status) || WEXITSTATUS(c->status) != 0)
        srq_log(SRQ_LOG_WARN, "job %s: systemd makes no scope for its worker, which stays in the daemon's group: %s",
                id, srq_escape_control(said, clean, sizeof(clean)));
    srq_free(id);
}

struct words {
    const char *argv[WORDS_MAX];
    char room[8][128]; /* of those that are put together */
    int count, made;
};

static void word(struct words *w, const char *text)
{
    w->argv[w->count++] = text;
}

static void made(struct words *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void made(struct words *w, const char *fmt, ...)
{
    char *room = w->room[w->made++];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(room, sizeof(w->room[0]), fmt, ap);
    va_end(ap);
    word(w, room);
}

static void property(struct words *w, const char *name, const char *type, const char *value)
{
    word(w, name);
    word(w, type);
    word(w, value);
}

static void put_request(struct words *w, const struct job *j)
{
    const struct srqd_config *c = &j->d->config;
    bool high = c->memory_high > 0 && j->memory_bytes > 0;

    word(w, getenv("SRQ_BUSCTL") != NULL ? getenv("SRQ_BUSCTL") : PROGRAM);
    if (!j->d->places.system)
        word(w, "--user");
    word(w, "call");
    word(w, "org.freedesktop.systemd1");
    word(w, "/org/freedesktop/systemd1");
    word(w, "org.freedesktop.systemd1.Manager");
    word(w, "StartTransientUnit");
    word(w, "ssa(sv)a(sa(sv))");
    /* The process makes the name one of its own: a scope of an earlier worker may not be gone yet. */
    made(w, "srq-job-%s-%ld.scope", j->id, (long)j->pid);
    word(w, "fail");
    word(w, high ? "5" : "4");
    word(w, "Description");
    word(w, "s");
    made(w, "srq job %s of %.60s", j->id, j->owner);
    property(w, "Slice", "s", c->slice);
    property(w, "CollectMode", "s", "inactive-or-failed");
    word(w, "PIDs");
    word(w, "au");
    word(w, "1");
    made(w, "%ld", (long)j->pid);
    if (high) {
        word(w, "MemoryHigh");
        word(w, "t");
        made(w, "%" PRId64, j->memory_bytes / 100 * c->memory_high + MAPPED_BYTES);
    }
    word(w, "0");
}

void scope_open(const struct job *j)
{
    struct words *w;
    struct capture_wish wish = { .uid = geteuid(), .gid = getegid(), .out_max = 4096, .timeout_s = TIMEOUT_S };
    struct srq_error err;
    char *id;

    if (j->d->config.slice[0] == '\0' || !present(j->d))
        return;
    w = srq_calloc(1, sizeof(*w));
    id = srq_strdup(j->id);
    if (w == NULL || id == NULL) {
        srq_free(id);
    } else {
        put_request(w, j);
        wish.argv = w->argv;
        if (capture_start(j->d->base, j->d->children, &wish, opened, id, &err) != 0) {
            srq_log(SRQ_LOG_WARN, "job %s: no scope for its worker: %s", j->id, err.text);
            srq_free(id);
        }
    }
    srq_free(w);
}
