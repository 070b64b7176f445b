/* Bounded reading and durable writing of files. */
#include "core/base/fs.h"

#include "core/base/alloc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static int code_of_errno(int e)
{
    switch (e) {
    case ENOENT:
    case ENOTDIR:
        return -SRQ_ENOENT;
    case EACCES:
    case EPERM:
    case EROFS:
        return -SRQ_EPERM;
    case ENOSPC:
    case EDQUOT:
        return -SRQ_ENOSPC;
    case EEXIST:
    case EISDIR:
    case ENOTEMPTY:
        return -SRQ_EEXIST;
    case ENOMEM:
        return -SRQ_ENOMEM;
    case ENAMETOOLONG:
    case ELOOP:
        return -SRQ_EINVAL;
    case EFBIG:
        return -SRQ_ELIMIT;
    case EXDEV:
    case EOPNOTSUPP:
    case ENOSYS:
        return -SRQ_EUNSUPPORTED;
    default:
        return -SRQ_EIO;
    }
}

int srq_fail_errno(struct srq_error *err, const char *doing, const char *path)
{
    int e = errno;

    return srq_fail_field(err, code_of_errno(e), path, "cannot %s %s: %s", doing, path, strerror(e));
}

static int check_kind(const struct stat *st, const char *name, size_t max, struct srq_error *err)
{
    if (!S_ISREG(st->st_mode))
        return srq_fail_field(err, -SRQ_EFORMAT, name, "%s is not a regular file", name);
    if ((uint64_t)st->st_size > max)
        return srq_fail_field(err, -SRQ_ELIMIT, name, "%s has %lld bytes, more than the %zu allowed", name,
                              (long long)st->st_size, max);
    return 0;
}

static int read_open_file(int fd, const char *name, size_t max, char **data, size_t *len, struct srq_error *err)
{
    struct stat st;
    size_t done = 0, size;
    char *buf;
    int rc = fstat(fd, &st) == 0 ? check_kind(&st, name, max, err) : srq_fail_errno(err, "read", name);

    if (rc != 0)
        return rc;
    size = (size_t)st.st_size;
    buf = srq_malloc(size + 1);
    if (buf == NULL)
        return srq_fail_field(err, -SRQ_ENOMEM, name, "out of memory reading %s (%zu bytes)", name, size);
    while (done < size) {
        ssize_t n = read(fd, buf + done, size - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            srq_free(buf);
            return srq_fail_errno(err, "read", name);
        }
        if (n == 0)
            break;
        done += (size_t)n;
    }
    buf[done] = '\0';
    *data = buf;
    *len = done;
    return 0;
}

static int read_at(int dirfd, const char *name, int flags, size_t max, char **data, size_t *len, struct srq_error *err)
{
    int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | flags);
    int rc;

    if (fd < 0)
        return srq_fail_errno(err, "open", name);
    rc = read_open_file(fd, name, max, data, len, err);
    close(fd);
    return rc;
}

int srq_read_file(const char *path, size_t max, char **data, size_t *len, struct srq_error *err)
{
    return read_at(AT_FDCWD, path, 0, max, data, len, err);
}

int srq_read_file_at(int dirfd, const char *name, size_t max, char **data, size_t *len, struct srq_error *err)
{
    return read_at(dirfd, name, O_NOFOLLOW, max, data, len, err);
}

int srq_write_all(int fd, const void *data, size_t len)
{
    const char *p = data;

    while (len > 0) {
        ssize_t n = write(fd, p, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

int srq_write_at(int fd, const void *data, size_t len, uint64_t at)
{
    const char *p = data;

    while (len > 0) {
        ssize_t n = pwrite(fd, p, len, (off_t)at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return -ENOSPC;
        p += n;
        len -= (size_t)n;
        at += (uint64_t)n;
    }
    return 0;
}

int srq_reserve(int fd, uint64_t bytes)
{
    if (fallocate(fd, 0, 0, (off_t)bytes) == 0)
        return 0;
    if (errno != EOPNOTSUPP && errno != ENOSYS)
        return -errno;
    return ftruncate(fd, (off_t)bytes) == 0 ? 0 : -errno;
}

int srq_fsync_dir(const char *path, struct srq_error *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = 0;

    if (fd < 0)
        return srq_fail_errno(err, "open", path);
    if (fsync(fd) != 0 && errno != EINVAL)
        rc = srq_fail_errno(err, "sync", path);
    close(fd);
    return rc;
}

static char *parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (slash == NULL)
        return srq_strdup(".");
    return slash == path ? srq_strdup("/") : srq_strndup(path, (size_t)(slash - path));
}

/* Fills and syncs the temporary file; 0 or -errno, the file being gone again then. */
static int write_temporary(const char *tmp, const struct srq_part *parts, size_t count, mode_t mode)
{
    int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode), e = 0;

    if (fd < 0)
        return -errno;
    for (size_t i = 0; e == 0 && i < count; i++)
        e = srq_write_all(fd, parts[i].data, parts[i].len);
    if (e == 0 && fsync(fd) != 0)
        e = -errno;
    if (close(fd) != 0 && e == 0)
        e = -errno;
    if (e != 0)
        unlink(tmp);
    return e;
}

int srq_write_parts_durable(const char *path, const char *temporary, const struct srq_part *parts, size_t count,
                            mode_t mode, struct srq_error *err)
{
    char *parent = parent_of(path), *tmp = NULL;
    int rc, e;

    if (parent != NULL)
        tmp = temporary != NULL ? srq_path_join(parent, temporary) : srq_asprintf("%s.tmp%ld", path, (long)getpid());
    if (tmp == NULL) {
        rc = srq_fail_field(err, -SRQ_ENOMEM, path, "out of memory writing %s", path);
        goto out;
    }
    e = write_temporary(tmp, parts, count, mode);
    if (e == 0 && rename(tmp, path) != 0) {
        e = -errno;
        unlink(tmp);
    }
    errno = -e;
    rc = e == 0 ? srq_fsync_dir(parent, err) : srq_fail_errno(err, "write", path);
out:
    srq_free(tmp);
    srq_free(parent);
    return rc;
}

int srq_write_file_durable(const char *path, const void *data, size_t len, mode_t mode, struct srq_error *err)
{
    const struct srq_part part = { data, len };

    return srq_write_parts_durable(path, NULL, &part, 1, mode, err);
}

int srq_mkdirs(const char *path, mode_t mode, struct srq_error *err)
{
    char *copy = srq_strdup(path);
    int rc = 0;

    if (copy == NULL)
        return srq_fail_field(err, -SRQ_ENOMEM, path, "out of memory creating %s", path);
    for (char *p = copy + 1;; p++) {
        char keep = *p;

        if (keep != '/' && keep != '\0')
            continue;
        *p = '\0';
        if (mkdir(copy, mode) != 0 && errno != EEXIST && !(keep == '/' && srq_path_exists(copy))) {
            rc = srq_fail_errno(err, "create directory", copy);
            break;
        }
        *p = keep;
        if (keep == '\0')
            break;
    }
    if (rc == 0) {
        struct stat st;

        if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
            rc = srq_fail_field(err, -SRQ_EEXIST, path, "%s exists and is not a directory", path);
    }
    srq_free(copy);
    return rc;
}

static int remove_at(int dirfd, const char *name, int depth)
{
    int fd, rc = 0;
    DIR *dir;
    struct dirent *entry;

    if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return -errno;
    if (depth > 64)
        return -ELOOP;
    fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    dir = fdopendir(fd);
    if (dir == NULL) {
        close(fd);
        return -ENOMEM;
    }
    while (rc == 0 && (entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            rc = remove_at(fd, entry->d_name, depth + 1);
    }
    closedir(dir);
    if (rc == 0 && unlinkat(dirfd, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
        rc = -errno;
    return rc;
}

int srq_remove_tree(const char *path, struct srq_error *err)
{
    int e = remove_at(AT_FDCWD, path, 0);

    if (e == 0)
        return 0;
    errno = -e;
    return srq_fail_errno(err, "remove", path);
}

bool srq_path_exists(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0;
}

char *srq_path_ancestor(const char *path)
{
    char *at = parent_of(path);

    while (at != NULL && !srq_path_exists(at)) {
        char *up = parent_of(at);

        srq_free(at);
        at = up;
    }
    return at;
}

int srq_path_fits(const char *path, size_t more, struct srq_error *err)
{
    char *above = srq_path_ancestor(path);
    long most = above != NULL ? pathconf(above, _PC_NAME_MAX) : -1;
    size_t limit = most > 0 ? (size_t)most : NAME_MAX, len = strlen(path);

    srq_free(above);
    if (len + more >= PATH_MAX)
        return srq_fail(err, -SRQ_EINVAL, "the path %.60s... has %zu bytes, and %zu are possible", path, len,
                        (size_t)PATH_MAX - 1 - more);
    for (const char *p = path; *p != '\0';) {
        size_t n = strcspn(p, "/"), room = p[n] == '\0' ? limit - more : limit;

        if (n > room)
            return srq_fail(err, -SRQ_EINVAL, "the name %.60s... has %zu bytes, and %zu are possible there", p, n,
                            room);
        p += n + strspn(p + n, "/");
    }
    return 0;
}

char *srq_path_join(const char *dir, const char *name)
{
    size_t n = strlen(dir);

    return srq_asprintf(n > 0 && dir[n - 1] == '/' ? "%s%s" : "%s/%s", dir, name);
}

char *srq_path_absolute(const char *path)
{
    char cwd[PATH_MAX];

    if (path[0] == '/')
        return srq_strdup(path);
    if (getcwd(cwd, sizeof(cwd)) == NULL)
        return NULL;
    return srq_path_join(cwd, path);
}

int srq_make_absolute(const char *path, char **out, struct srq_error *err)
{
    errno = ENOMEM; /* what allocations do not set */
    *out = srq_path_absolute(path);
    if (*out != NULL)
        return 0;
    if (errno == ENOENT)
        return srq_fail_field(err, -SRQ_ENOENT, path,
                              "cannot tell where %s is: the working directory was removed; go into another one", path);
    return srq_fail_errno(err, "find the working directory for", path);
}

/* Adds the components of `rest` to the canonical `at`, in place of which the result is returned; both are freed. */
static char *add_components(char *at, char *rest)
{
    char *save = NULL;

    for (char *c = strtok_r(rest, "/", &save); at != NULL && c != NULL; c = strtok_r(NULL, "/", &save)) {
        char *next;

        if (strcmp(c, ".") == 0)
            continue;
        next = strcmp(c, "..") == 0 ? parent_of(at) : srq_path_join(at, c);
        srq_free(at);
        at = next;
    }
    srq_free(rest);
    return at;
}

static char *real(const char *path)
{
    char resolved[PATH_MAX];

    return realpath(path, resolved) != NULL ? srq_strdup(resolved) : NULL;
}

char *srq_path_canonical(const char *path)
{
    char *whole = srq_path_absolute(path), *prefix = whole != NULL ? srq_strdup(whole) : NULL, *at = NULL;

    /* The longest beginning that exists; what comes behind it is only names. */
    while (prefix != NULL && (at = real(prefix)) == NULL && strcmp(prefix, "/") != 0) {
        char *slash = strrchr(prefix, '/');

        slash[slash == prefix ? 1 : 0] = '\0';
    }
    if (at != NULL)
        at = add_components(at, srq_strdup(whole + strlen(prefix)));
    srq_free(prefix);
    srq_free(whole);
    return at;
}

bool srq_path_within(const char *inner, const char *outer)
{
    size_t n = strlen(outer);

    return strncmp(inner, outer, n) == 0 && (inner[n] == '\0' || inner[n] == '/' || (n == 1 && outer[0] == '/'));
}

bool srq_is_lfs_pointer(const char *data, size_t len)
{
    static const char start[] = "version https://git-lfs.github.com/spec/";

    return len >= sizeof(start) - 1 && len < 2048 && memcmp(data, start, sizeof(start) - 1) == 0;
}

bool srq_file_is_lfs_pointer(const char *path)
{
    char start[64];
    struct stat st;
    bool small = stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size < 2048;
    int fd = small ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
    ssize_t n = fd >= 0 ? read(fd, start, sizeof(start)) : -1;

    if (fd >= 0)
        close(fd);
    return n > 0 && srq_is_lfs_pointer(start, (size_t)n);
}

int srq_file_check(const char *path, size_t max, int64_t *bytes, struct srq_error *err)
{
    struct stat st;
    int rc = stat(path, &st) == 0 ? check_kind(&st, path, max, err) : srq_fail_errno(err, "open", path);

    if (rc == 0 && srq_file_is_lfs_pointer(path))
        rc = srq_fail_field(err, -SRQ_EFORMAT, path, SRQ_LFS_SENTENCE, path);
    *bytes = rc == 0 ? (int64_t)st.st_size : 0;
    return rc;
}

char *srq_dangling_link(const char *path)
{
    char target[PATH_MAX];
    struct stat st;
    ssize_t n =
        stat(path, &st) != 0 && (errno == ENOENT || errno == ELOOP) ? readlink(path, target, sizeof(target)) : -1;

    return n >= 0 ? srq_strndup(target, (size_t)n) : NULL;
}

int srq_refuse_dangling(const char *path, struct srq_error *err)
{
    char *target = srq_dangling_link(path);
    int rc = target == NULL
                 ? 0
                 : srq_fail_field(err, -SRQ_ENOENT, path, "%s is a link to %s, which is not there", path, target);

    srq_free(target);
    return rc;
}

int srq_check_replaced(const char *path, const char *begin, const char *kind, struct srq_error *err)
{
    size_t len = strlen(begin), got;
    struct stat st;
    char head[64];
    FILE *f;

    if (stat(path, &st) != 0)
        return 0;
    if (S_ISDIR(st.st_mode))
        return srq_fail_field(err, -SRQ_EINVAL, path, "%s is a folder, not a file to be written", path);
    if (S_ISREG(st.st_mode) && st.st_size == 0)
        return 0;
    f = S_ISREG(st.st_mode) ? fopen(path, "rbe") : NULL;
    got = f != NULL ? fread(head, 1, len < sizeof(head) ? len : sizeof(head), f) : 0;
    if (f != NULL)
        fclose(f);
    if (got == len && memcmp(head, begin, len) == 0)
        return 0;
    return srq_fail_field(err, -SRQ_EEXIST, path, "%s exists and is no %s: it is not replaced", path, kind);
}

bool srq_is_base_name(const char *name)
{
    size_t len = strlen(name);

    if (len == 0 || len > 255 || name[0] == '.')
        return false;
    for (const unsigned char *p = (const unsigned char *)name; *p != '\0'; p++) {
        if (*p == '/' || *p == '\\' || *p < 0x20 || *p == 0x7f)
            return false;
    }
    return true;
}

int srq_disk_free(const char *path, uint64_t *bytes, struct srq_error *err)
{
    struct statvfs vfs;

    if (statvfs(path, &vfs) != 0)
        return srq_fail_errno(err, "look at the file system of", path);
    *bytes = (uint64_t)vfs.f_bavail * vfs.f_frsize;
    return 0;
}
