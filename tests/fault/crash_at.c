/* Preloaded into a worker: kills it (SIGKILL) just before the Nth call that changes a file under a folder.
 *
 * SRQ_CRASH_UNDER  folder: only files in it count
 * SRQ_CRASH_AT     N, from 1; 0 or unset: never
 * SRQ_CRASH_CALL   "CALL NAME" as in the log: only such calls count for N; unset: all do
 * SRQ_CRASH_TORN   1: where the Nth call is a write, half of its bytes are written first
 * SRQ_CRASH_LOG    file to which every counted call is appended, as "CALL NAME"
 *
 * Counted are write, pwrite, fsync, fdatasync, ftruncate, rename (all forms) and unlink. */
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long count;

static long setting(const char *name)
{
    const char *v = getenv(name);

    return v != NULL ? strtol(v, NULL, 10) : 0;
}

static bool counted(const char *path)
{
    const char *under = getenv("SRQ_CRASH_UNDER");
    size_t n = under != NULL ? strlen(under) : 0;

    return n > 0 && strncmp(path, under, n) == 0 && path[n] == '/';
}

#define LINE 512

/* The last part of the name; process numbers in temporary names become '#', so that logs of two runs compare. */
static void spell(const char *call, const char *path, char line[LINE])
{
    const char *base = strrchr(path, '/');
    char *tmp;

    snprintf(line, LINE, "%s %.200s", call, base != NULL ? base + 1 : path);
    tmp = strstr(line, ".tmp");
    if (tmp != NULL)
        snprintf(tmp, LINE - (size_t)(tmp - line), ".tmp#");
}

static void note(char line[LINE])
{
    const char *log = getenv("SRQ_CRASH_LOG");
    int fd;

    if (log == NULL)
        return;
    strncat(line, "\n", LINE - strlen(line) - 1);
    fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd >= 0) {
        syscall(SYS_write, fd, line, strlen(line));
        close(fd);
    }
}

/* Whether this is the call to die at. */
static bool due(const char *call, const char *path)
{
    const char *only = getenv("SRQ_CRASH_CALL");
    char line[LINE];

    if (!counted(path))
        return false;
    spell(call, path, line);
    if (only != NULL && strcmp(line, only) != 0)
        return false;
    note(line);
    return atomic_fetch_add(&count, 1) + 1 == setting("SRQ_CRASH_AT");
}

static void die(void)
{
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

static bool name_of(int fd, char out[PATH_MAX])
{
    char link[64];
    ssize_t n;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, out, PATH_MAX - 1);
    if (n <= 0 || out[0] != '/')
        return false;
    out[n] = '\0';
    return true;
}

static bool due_fd(const char *call, int fd)
{
    char path[PATH_MAX];

    return name_of(fd, path) && due(call, path);
}

/* The torn half of a write, then the end. */
static void die_writing(int fd, const void *data, size_t len, off_t offset)
{
    if (setting("SRQ_CRASH_TORN") != 0 && len > 1) {
        if (offset >= 0)
            syscall(SYS_pwrite64, fd, data, len / 2, offset);
        else
            syscall(SYS_write, fd, data, len / 2);
    }
    die();
}

ssize_t write(int fd, const void *data, size_t len)
{
    if (due_fd("write", fd))
        die_writing(fd, data, len, -1);
    return syscall(SYS_write, fd, data, len);
}

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t offset)
{
    if (due_fd("pwrite", fd))
        die_writing(fd, data, len, offset);
    return syscall(SYS_pwrite64, fd, data, len, offset);
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t offset) __attribute__((alias("pwrite64")));

int fsync(int fd)
{
    if (due_fd("fsync", fd))
        die();
    return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    if (due_fd("fdatasync", fd))
        die();
    return (int)syscall(SYS_fdatasync, fd);
}

int ftruncate64(int fd, off64_t len)
{
    if (due_fd("ftruncate", fd))
        die();
    return (int)syscall(SYS_ftruncate, fd, len);
}

int ftruncate(int fd, off_t len) __attribute__((alias("ftruncate64")));

static bool due_at(const char *call, int dirfd, const char *name)
{
    char path[2 * PATH_MAX];

    if (name[0] == '/' || dirfd == AT_FDCWD)
        return due(call, name);
    if (!name_of(dirfd, path))
        return false;
    snprintf(path + strlen(path), PATH_MAX, "/%s", name);
    return due(call, path);
}

int renameat2(int from, const char *old, int to, const char *name, unsigned flags)
{
    if (due_at("rename", to, name))
        die();
    return (int)syscall(SYS_renameat2, from, old, to, name, flags);
}

int renameat(int from, const char *old, int to, const char *name)
{
    return renameat2(from, old, to, name, 0);
}

int rename(const char *old, const char *name)
{
    return renameat2(AT_FDCWD, old, AT_FDCWD, name, 0);
}

int unlinkat(int dirfd, const char *name, int flags)
{
    if (due_at("unlink", dirfd, name))
        die();
    return (int)syscall(SYS_unlinkat, dirfd, name, flags);
}

int unlink(const char *name)
{
    return unlinkat(AT_FDCWD, name, 0);
}
