/* rm(1), fed with what is to go: it is not led astray by who changes the tree meanwhile. */
#include "daemon/srqd/base/removal.h"

#include "core/base/alloc.h"
#include "core/base/log.h"
#include "daemon/srqd/base/capture.h"

#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROGRAM "/bin/rm"
#define FIXED 3 /* words before the paths */
#define BATCH 64
#define LEFT_MAX 64
#define TIMEOUT_S (7 * 86400.0)

struct going {
    TAILQ_ENTRY(going) entry;
    char *path;
};
TAILQ_HEAD(going_list, going);

struct removals {
    struct event_base *base;
    struct children *children;
    struct going_list waiting, running;
    char *left[LEFT_MAX];
    size_t left_count;
};

static void forget_left(struct removals *r, size_t at)
{
    srq_free(r->left[at]);
    memmove(r->left + at, r->left + at + 1, (--r->left_count - at) * sizeof(r->left[0]));
}

void removals_failed(struct removals *r, const char *path, const struct srq_error *err)
{
    srq_log(SRQ_LOG_ERROR, "%s is not removed: %s", path, err->text);
    for (size_t i = 0; i < r->left_count; i++) {
        if (strcmp(r->left[i], path) == 0)
            return;
    }
    if (r->left_count == LEFT_MAX)
        forget_left(r, 0);
    r->left[r->left_count] = srq_strdup(path);
    r->left_count += r->left[r->left_count] != NULL;
}

static void going_free(struct going_list *list, struct going *g)
{
    TAILQ_REMOVE(list, g, entry);
    srq_free(g->path);
    srq_free(g);
}

static void settle(struct removals *r, const struct srq_error *err)
{
    struct going *g;
    struct stat st;

    while ((g = TAILQ_FIRST(&r->running)) != NULL) {
        if (lstat(g->path, &st) == 0)
            removals_failed(r, g->path, err);
        going_free(&r->running, g);
    }
}

static void start_next(struct removals *r);

/* The first thing that it said, without the program's name. */
static void on_done(const struct captured *c, void *ctx)
{
    struct removals *r = ctx;
    char said[512], clean[1024];
    struct srq_error err;
    const char *text = said;

    snprintf(said, sizeof(said), "%.*s", (int)strcspn(c->err, "\n"), c->err);
    if (strncmp(said, PROGRAM ": ", sizeof(PROGRAM ": ") - 1) == 0)
        text += sizeof(PROGRAM ": ") - 1;
    srq_escape_control(text[0] != '\0' ? text : PROGRAM " was ended", clean, sizeof(clean));
    srq_fail(&err, -SRQ_EIO, "%.900s", c->failed != 0 ? c->why.text : clean);
    settle(r, &err);
    start_next(r);
}

static void start_next(struct removals *r)
{
    const char *argv[FIXED + BATCH + 1] = { PROGRAM, "-rf", "--" };
    const struct capture_wish wish = {
        .argv = argv, .uid = geteuid(), .gid = getegid(), .out_max = 4096, .timeout_s = TIMEOUT_S, .nice = 10
    };
    struct srq_error err = { 0 };
    struct going *g;

    if (!TAILQ_EMPTY(&r->running))
        return;
    for (int n = 0; n < BATCH && (g = TAILQ_FIRST(&r->waiting)) != NULL; n++) {
        TAILQ_REMOVE(&r->waiting, g, entry);
        TAILQ_INSERT_TAIL(&r->running, g, entry);
        argv[FIXED + n] = g->path;
    }
    if (!TAILQ_EMPTY(&r->running) && capture_start(r->base, r->children, &wish, on_done, r, &err) != 0)
        settle(r, &err); /* what waits is tried with the next */
}

void removals_add(struct removals *r, const char *path)
{
    struct going *g = srq_calloc(1, sizeof(*g));
    struct srq_error err;

    if (g == NULL || (g->path = srq_strdup(path)) == NULL) {
        srq_free(g);
        srq_fail(&err, -SRQ_ENOMEM, "the daemon is out of memory");
        removals_failed(r, path, &err);
        return;
    }
    TAILQ_INSERT_TAIL(&r->waiting, g, entry);
    start_next(r);
}

size_t removals_left(const struct removals *r, const char *const **paths)
{
    *paths = (const char *const *)r->left;
    return r->left_count;
}

struct removals *removals_create(struct event_base *base, struct children *children)
{
    struct removals *r = srq_calloc(1, sizeof(*r));

    if (r == NULL)
        return NULL;
    r->base = base;
    r->children = children;
    TAILQ_INIT(&r->waiting);
    TAILQ_INIT(&r->running);
    return r;
}

void removals_free(struct removals *r)
{
    if (r == NULL)
        return;
    while (!TAILQ_EMPTY(&r->waiting))
        going_free(&r->waiting, TAILQ_FIRST(&r->waiting));
    while (!TAILQ_EMPTY(&r->running))
        going_free(&r->running, TAILQ_FIRST(&r->running));
    while (r->left_count > 0)
        forget_left(r, r->left_count - 1);
    srq_free(r);
}
