/* Memory in use and memory allowed, from proc(5) and cgroups(7). */
#include "core/job/usage.h"

#include "core/base/alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define EVERY_MS 20

struct srq_usage {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stop;
    uint64_t baseline;
    _Atomic uint64_t peak;
};

/* Files of proc and cgroup have no size: one bounded read. */
static bool read_small(const char *path, char *out, size_t cap)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, out, cap - 1) : -1;

    if (fd >= 0)
        close(fd);
    if (n < 0)
        return false;
    out[n] = '\0';
    return true;
}

static uint64_t kib_of(const char *text, const char *key)
{
    const char *p = strstr(text, key);

    return p != NULL ? strtoull(p + strlen(key), NULL, 10) : 0;
}

uint64_t srq_usage_now(void)
{
    char text[4096];

    if (!read_small("/proc/self/status", text, sizeof(text)))
        return 0;
    return (kib_of(text, "RssAnon:") + kib_of(text, "RssShmem:")) * 1024;
}

static void look(struct srq_usage *u)
{
    uint64_t now = srq_usage_now();

    now = now > u->baseline ? now - u->baseline : 0;
    if (now > atomic_load(&u->peak))
        atomic_store(&u->peak, now);
}

static void *watch(void *arg)
{
    struct srq_usage *u = arg;

    pthread_mutex_lock(&u->lock);
    while (!u->stop) {
        struct timespec until;

        look(u);
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += EVERY_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        pthread_cond_timedwait(&u->wake, &u->lock, &until);
    }
    pthread_mutex_unlock(&u->lock);
    return NULL;
}

int srq_usage_start(uint64_t baseline, struct srq_usage **out, struct srq_error *err)
{
    struct srq_usage *u = srq_calloc(1, sizeof(*u));
    sigset_t all, old;
    int e;

    if (u == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory starting the memory watch");
    pthread_mutex_init(&u->lock, NULL);
    pthread_cond_init(&u->wake, NULL);
    u->baseline = baseline;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    e = pthread_create(&u->thread, NULL, watch, u);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (e != 0) {
        srq_free(u);
        return srq_fail(err, -SRQ_EIO, "cannot start the memory watch: %s", strerror(e));
    }
    *out = u;
    return 0;
}

uint64_t srq_usage_peak(struct srq_usage *u)
{
    look(u);
    return atomic_load(&u->peak);
}

uint64_t srq_usage_most(struct srq_usage *u)
{
    return u != NULL ? atomic_load(&u->peak) : 0;
}

void srq_usage_stop(struct srq_usage *u)
{
    if (u == NULL)
        return;
    pthread_mutex_lock(&u->lock);
    u->stop = true;
    pthread_cond_signal(&u->wake);
    pthread_mutex_unlock(&u->lock);
    pthread_join(u->thread, NULL);
    pthread_cond_destroy(&u->wake);
    pthread_mutex_destroy(&u->lock);
    srq_free(u);
}

/* The limit in one file of a control group; UINT64_MAX where there is none. */
static uint64_t limit_in(const char *folder, const char *group, const char *file)
{
    char path[1024], text[64], *end;
    uint64_t v;

    if ((size_t)snprintf(path, sizeof(path), "%s%s/%s", folder, group, file) >= sizeof(path) ||
        !read_small(path, text, sizeof(text)))
        return UINT64_MAX;
    errno = 0;
    v = strtoull(text, &end, 10);
    return end == text || errno != 0 ? UINT64_MAX : v;
}

/* The least of the limits of `group` and of all groups around it. */
static uint64_t limit_up(const char *folder, char *group, const char *file)
{
    uint64_t least = UINT64_MAX;

    for (;;) {
        uint64_t v = limit_in(folder, group, file);
        char *slash = strrchr(group, '/');

        least = v < least ? v : least;
        if (slash == NULL)
            return least;
        *slash = '\0';
    }
}

uint64_t srq_usage_limit(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    uint64_t least = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : UINT64_MAX;
    char text[4096], *line, *next;

    if (!read_small("/proc/self/cgroup", text, sizeof(text)))
        return least;
    for (line = text; line != NULL && *line != '\0'; line = next) {
        char *newline = strchr(line, '\n'), *group;
        uint64_t v = UINT64_MAX;

        next = newline != NULL ? newline + 1 : NULL;
        if (newline != NULL)
            *newline = '\0';
        group = strrchr(line, ':');
        if (group == NULL)
            continue;
        if (strncmp(line, "0::", 3) == 0)
            v = limit_up("/sys/fs/cgroup", group + 1, "memory.max");
        else if (strstr(line, ":memory:") != NULL)
            v = limit_up("/sys/fs/cgroup/memory", group + 1, "memory.limit_in_bytes");
        least = v < least ? v : least;
    }
    return least;
}
