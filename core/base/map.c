/* Read-only file mappings that survive a file shrinking under them.
 *
 * A page beyond the end of a shrunken file raises SIGBUS. The guard maps zeros over the page that was hit, so that the
 * reader goes on with zeros, and remembers it; srq_map_check then reports the file. */
#include "core/base/fs.h"

#include "core/base/alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define GUARD_MAX 4096

static struct {
    const uint8_t *base;
    size_t size;
} guarded[GUARD_MAX];
static pthread_mutex_t guard_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t guard_once = PTHREAD_ONCE_INIT;
static struct sigaction guard_previous;
static size_t page_size;

static void guard_handler(int signo, siginfo_t *info, void *context)
{
    uint8_t *addr = info->si_addr;

    for (size_t i = 0; i < GUARD_MAX; i++) {
        const uint8_t *base = guarded[i].base;

        if (base != NULL && addr >= base && addr < base + guarded[i].size) {
            void *page = (void *)((uintptr_t)addr & ~(uintptr_t)(page_size - 1));

            if (mmap(page, page_size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED)
                return;
        }
    }
    (void)context;
    sigaction(signo, &guard_previous, NULL);
}

static void guard_install(void)
{
    struct sigaction sa;

    page_size = (size_t)sysconf(_SC_PAGESIZE);
    memset(&sa, 0, sizeof(sa));
    sa.sa_sigaction = guard_handler;
    sa.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&sa.sa_mask);
    sigaction(SIGBUS, &sa, &guard_previous);
}

static bool guard_set(const uint8_t *was, const uint8_t *base, size_t size)
{
    bool done = false;

    pthread_once(&guard_once, guard_install);
    pthread_mutex_lock(&guard_lock);
    for (size_t i = 0; i < GUARD_MAX && !done; i++) {
        if (guarded[i].base == was) {
            guarded[i].size = size;
            guarded[i].base = base;
            done = true;
        }
    }
    pthread_mutex_unlock(&guard_lock);
    return done;
}

int srq_map_open(const char *path, struct srq_map *map, struct srq_error *err)
{
    struct stat st;
    void *p = NULL;

    memset(map, 0, sizeof(*map));
    map->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (map->fd < 0)
        return srq_fail_field(err,
                              errno == ENOENT   ? -SRQ_ENOENT
                              : errno == EACCES ? -SRQ_EPERM
                                                : -SRQ_EIO,
                              path, "cannot open %s: %s", path, strerror(errno));
    if (fstat(map->fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        srq_fail_field(err, -SRQ_EFORMAT, path, "%s is not a regular file", path);
        goto fail;
    }
    map->size = (size_t)st.st_size;
    map->path = srq_strdup(path);
    if (map->path == NULL) {
        srq_fail_field(err, -SRQ_ENOMEM, path, "out of memory opening %s", path);
        goto fail;
    }
    if (map->size > 0) {
        p = mmap(NULL, map->size, PROT_READ, MAP_PRIVATE, map->fd, 0);
        if (p == MAP_FAILED) {
            srq_fail_field(err, -SRQ_EIO, path, "cannot map %s (%zu bytes): %s", path, map->size, strerror(errno));
            goto fail;
        }
        map->data = p;
        if (!guard_set(NULL, p, map->size)) {
            srq_fail_field(err, -SRQ_ELIMIT, path, "more than %d files mapped", GUARD_MAX);
            goto fail;
        }
    }
    if (srq_map_check(map, err) != 0)
        goto fail;
    return 0;
fail:
    srq_map_close(map);
    return err != NULL && err->code != 0 ? -err->code : -SRQ_EIO;
}

int srq_map_check(const struct srq_map *map, struct srq_error *err)
{
    struct stat st;

    if (fstat(map->fd, &st) != 0 || (size_t)st.st_size < map->size)
        return srq_fail_field(err, -SRQ_EIO, map->path, "%s shrank from %zu bytes while it was read", map->path,
                              map->size);
    return 0;
}

void srq_map_release(const struct srq_map *map, const void *p, size_t len)
{
    uintptr_t mask = (uintptr_t)sysconf(_SC_PAGESIZE) - 1;
    uintptr_t begin = ((uintptr_t)p + mask) & ~mask;
    uintptr_t end = ((uintptr_t)p + len) & ~mask;

    if (map->data != NULL && begin < end)
        (void)madvise((void *)begin, end - begin, MADV_DONTNEED);
}

void srq_map_close(struct srq_map *map)
{
    if (map->data != NULL) {
        guard_set(map->data, NULL, 0);
        munmap((void *)(uintptr_t)map->data, map->size);
    }
    if (map->fd >= 0 && (map->path != NULL || map->size > 0 || map->data != NULL || map->fd > 0))
        close(map->fd);
    srq_free(map->path);
    memset(map, 0, sizeof(*map));
    map->fd = -1;
}
