/* Job directory: lock, announcement, sweeping. */
#include "daemon/srq-worker/jobdir.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "core/proto/members.h"

#include <cjson/cJSON.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_MAX 4096

static void this_host(char *out, size_t cap)
{
    if (gethostname(out, cap) != 0)
        snprintf(out, cap, "unknown");
    out[cap - 1] = '\0';
}

/* Field 22 of /proc/self/stat; the command in field 2 may hold blanks and parentheses. One bounded read: files of
 * proc(5) have no size. */
static double process_start(void)
{
    char text[2048], *p;
    int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;

    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    p = strrchr(text, ')');
    for (int field = 2; p != NULL && field < 22; field++) {
        p = strchr(p, ' ');
        p = p != NULL ? p + 1 : NULL;
    }
    return p != NULL ? strtod(p, NULL) : 0;
}

/* Who wrote the lock file: pid 0 when it is empty or unreadable. */
static void lock_holder(int fd, double *pid, char *host, size_t cap)
{
    char text[LOCK_MAX];
    ssize_t n = pread(fd, text, sizeof(text), 0);
    cJSON *json = n > 0 ? cJSON_ParseWithLength(text, (size_t)n) : NULL;
    const cJSON *p = cJSON_GetObjectItemCaseSensitive(json, "pid");
    const char *h = srq_member_text(json, "host");

    *pid = cJSON_IsNumber(p) ? p->valuedouble : 0;
    snprintf(host, cap, "%s", h != NULL ? h : "");
    cJSON_Delete(json);
}

static int take_lock(struct worker_jobdir *d, struct srq_error *err)
{
    char *name = srq_path_join(d->path, "lock"), host[256], here[256];
    double pid;
    int rc = 0;

    if (name == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory opening %s", d->path);
    d->lock = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (d->lock < 0) {
        rc = srq_fail_errno(err, "open", name);
        srq_free(name);
        return rc;
    }
    lock_holder(d->lock, &pid, host, sizeof(host));
    this_host(here, sizeof(here));
    if (flock(d->lock, LOCK_EX | LOCK_NB) != 0)
        rc = srq_fail_field(err, -SRQ_EBUSY, d->path, "job directory %s is in use by process %.0f on %s", d->path, pid,
                            host[0] != '\0' ? host : "this host");
    else if (host[0] != '\0' && strcmp(host, here) != 0)
        rc = srq_fail_field(err, -SRQ_EBUSY, d->path,
                            "job directory %s is locked by process %.0f on host %s; if that is gone, remove %s",
                            d->path, pid, host, name);
    srq_free(name);
    return rc;
}

static int make_dirs(struct worker_jobdir *d, bool create, struct srq_error *err)
{
    char *ckpt = srq_path_join(d->path, "ckpt");
    int rc = 0;

    if (ckpt == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory opening %s", d->path);
    if (!create && access(d->path, F_OK) != 0)
        rc = errno == ENOENT ? srq_fail_field(err, -SRQ_ENOENT, d->path, "there is no job directory %s", d->path)
                             : srq_fail_errno(err, "open job directory", d->path);
    else
        rc = srq_mkdirs(ckpt, 0755, err);
    srq_free(ckpt);
    return rc;
}

static void sweep_folder(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *e;

    if (dir == NULL)
        return;
    while ((e = readdir(dir)) != NULL) {
        const char *tmp = strstr(e->d_name, ".tmp");

        if (tmp != NULL && strspn(tmp + 4, "0123456789") == strlen(tmp + 4))
            unlinkat(dirfd(dir), e->d_name, 0);
    }
    closedir(dir);
}

static void sweep(const struct worker_jobdir *d)
{
    char *ckpt = srq_path_join(d->path, "ckpt");

    sweep_folder(d->path);
    if (ckpt != NULL)
        sweep_folder(ckpt);
    srq_free(ckpt);
}

int worker_jobdir_open(const char *path, bool create, struct worker_jobdir *out, struct srq_error *err)
{
    const char *base;
    size_t n;
    int rc;

    memset(out, 0, sizeof(*out));
    out->lock = -1;
    rc = srq_make_absolute(path, &out->path, err);
    if (rc != 0)
        return rc;
    for (n = strlen(out->path); n > 1 && out->path[n - 1] == '/'; n--)
        out->path[n - 1] = '\0';
    base = strrchr(out->path, '/') + 1;
    out->id = srq_strdup(base);
    rc = out->id != NULL ? make_dirs(out, create, err) : srq_fail(err, -SRQ_ENOMEM, "out of memory opening %s", path);
    if (rc == 0)
        rc = take_lock(out, err);
    if (rc != 0) {
        if (out->lock >= 0)
            close(out->lock);
        out->lock = -1;
        worker_jobdir_close(out);
        return rc;
    }
    sweep(out);
    return 0;
}

int worker_jobdir_announce(struct worker_jobdir *d, const char *socket, struct srq_error *err)
{
    char host[256], *name, *text = NULL;
    cJSON *json = cJSON_CreateObject();
    int rc = 0;

    this_host(host, sizeof(host));
    if (json != NULL && srq_put_number(json, "pid", (double)getpid()) && srq_put_text(json, "host", host) &&
        srq_put_number(json, "start_time", process_start()) && srq_put_text(json, "socket", socket))
        text = cJSON_PrintUnformatted(json);
    cJSON_Delete(json);
    name = srq_path_join(d->path, "control");
    if (text == NULL || name == NULL)
        rc = srq_fail(err, -SRQ_ENOMEM, "out of memory locking %s", d->path);
    else if (ftruncate(d->lock, 0) != 0 || pwrite(d->lock, text, strlen(text), 0) != (ssize_t)strlen(text) ||
             fsync(d->lock) != 0)
        rc = srq_fail_errno(err, "write the lock of", d->path);
    else
        rc = srq_write_file_durable(name, socket, strlen(socket), 0644, err);
    srq_free(name);
    cJSON_free(text);
    return rc;
}

void worker_jobdir_close(struct worker_jobdir *d)
{
    if (d->lock >= 0) {
        char *control = srq_path_join(d->path, "control");

        if (control != NULL)
            unlink(control);
        srq_free(control);
        if (ftruncate(d->lock, 0) == 0)
            fsync(d->lock);
        close(d->lock);
    }
    srq_free(d->path);
    srq_free(d->id);
    memset(d, 0, sizeof(*d));
    d->lock = -1;
}

int worker_runtime_dir(char **out, struct srq_error *err)
{
    const char *own = getenv("SRQ_RUNTIME_DIR"), *xdg = getenv("XDG_RUNTIME_DIR");
    struct stat st;
    char *path;

    if (own != NULL && own[0] == '/')
        path = srq_strdup(own);
    else if (xdg != NULL && xdg[0] == '/')
        path = srq_path_join(xdg, "srq");
    else
        path = srq_asprintf("/tmp/srq-%ld", (long)getuid());
    if (path == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory naming the runtime folder");
    if (mkdir(path, 0700) != 0 && errno == ENOENT && xdg != NULL) { /* taken away at logout: until the next login */
        srq_free(path);
        path = srq_asprintf("/tmp/srq-%ld", (long)getuid());
        if (path == NULL)
            return srq_fail(err, -SRQ_ENOMEM, "out of memory naming the runtime folder");
    }
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        int rc = srq_fail_errno(err, "make runtime folder", path);

        srq_free(path);
        return rc;
    }
    if (lstat(path, &st) != 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022) != 0) {
        int rc = srq_fail_field(err, -SRQ_EPERM, path, "runtime folder %s is not a folder of this user alone", path);

        srq_free(path);
        return rc;
    }
    *out = path;
    return 0;
}
