/* Making, reading and removing job directories. */
#include "daemon/srqd/jobs/jobdir.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "core/base/log.h"
#include "core/proto/proto.h"
#include "daemon/srqd/jobs/jobs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define TAIL_BYTES 2048
#define TAIL_LINES 3

static char *path_with(const struct job *j, const char *suffix)
{
    return srq_asprintf("%s/%s%s", j->d->places.jobs, j->id, suffix);
}

char *jobdir_path(const struct job *j)
{
    return path_with(j, "");
}

static int write_in(const char *dir, const char *name, const char *text, const struct job *j, struct srq_error *err)
{
    char *path = srq_path_join(dir, name);
    int rc;

    if (path == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory");
    rc = srq_write_file_durable(path, text, strlen(text), 0600, err);
    if (rc == 0 && geteuid() != j->uid && chown(path, j->uid, j->gid) != 0)
        rc = srq_fail_field(err, -SRQ_EPERM, path, "cannot give %s to its user: %s", path, strerror(errno));
    srq_free(path);
    return rc;
}

int jobdir_prepare(const struct job *j, const char *spec, const char *plan, struct srq_error *err)
{
    char *dir = path_with(j, ".new");
    int rc;

    if (dir == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory");
    if (mkdir(dir, 0700) != 0) {
        rc = srq_fail_errno(err, "make", dir);
        srq_free(dir);
        return rc;
    }
    rc = write_in(dir, "spec.json", spec, j, err);
    if (rc == 0)
        rc = write_in(dir, "plan.json", plan, j, err);
    if (rc == 0 && geteuid() != j->uid && chown(dir, j->uid, j->gid) != 0)
        rc = srq_fail_field(err, -SRQ_EPERM, dir, "cannot give %s to its user: %s", dir, strerror(errno));
    if (rc == 0)
        rc = srq_fsync_dir(j->d->places.jobs, err);
    srq_free(dir);
    if (rc != 0)
        jobdir_abandon(j);
    return rc;
}

int jobdir_commit(const struct job *j, struct srq_error *err)
{
    char *from = path_with(j, ".new"), *to = path_with(j, "");
    int rc = 0;

    if (from == NULL || to == NULL)
        rc = srq_fail(err, -SRQ_ENOMEM, "out of memory");
    else if (rename(from, to) != 0)
        rc = srq_fail_field(err, -SRQ_EIO, to, "cannot rename %s to %s: %s", from, to, strerror(errno));
    if (rc == 0)
        rc = srq_fsync_dir(j->d->places.jobs, err);
    srq_free(from);
    srq_free(to);
    return rc;
}

void jobdir_abandon(const struct job *j)
{
    char *dir = path_with(j, ".new");

    if (dir != NULL)
        (void)srq_remove_tree(dir, NULL);
    srq_free(dir);
}

int jobdir_open(const struct job *j, struct srq_error *err)
{
    char *dir = path_with(j, "");
    int fd;

    if (dir == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory");
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        fd = srq_fail_errno(err, "open", dir);
    srq_free(dir);
    return fd;
}

int jobdir_read(const struct job *j, const char *name, size_t max, char **text, size_t *len, struct srq_error *err)
{
    int dir = jobdir_open(j, err), rc;

    if (dir < 0)
        return dir;
    rc = srq_read_file_at(dir, name, max, text, len, err);
    close(dir);
    return rc;
}

static int read_tail(int fd, size_t max, char *text, size_t *len)
{
    struct stat st;
    off_t from;
    ssize_t n;
    const char *nl;

    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return -SRQ_EFORMAT;
    from = (uint64_t)st.st_size > max ? st.st_size - (off_t)max : 0;
    n = pread(fd, text, max, from);
    if (n < 0)
        return -SRQ_EIO;
    *len = (size_t)n;
    nl = from > 0 ? memchr(text, '\n', *len) : NULL;
    if (nl != NULL) {
        *len -= (size_t)(nl + 1 - text);
        memmove(text, nl + 1, *len);
    }
    text[*len] = '\0';
    return 0;
}

int jobdir_read_tail(const struct job *j, const char *name, size_t max, char **text, size_t *len, struct srq_error *err)
{
    int dir = jobdir_open(j, err), fd, rc;

    if (dir < 0)
        return dir;
    fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    close(dir);
    if (fd < 0)
        return srq_fail_errno(err, "open", name);
    *text = srq_malloc(max + 1);
    rc = *text != NULL ? read_tail(fd, max, *text, len) : -SRQ_ENOMEM;
    close(fd);
    if (rc == 0)
        return 0;
    srq_free(*text);
    *text = NULL;
    return srq_fail_field(err, rc, name, "%s of job %s %s", name, j->id,
                          rc == -SRQ_EFORMAT  ? "is not a regular file"
                          : rc == -SRQ_ENOMEM ? "does not fit in memory"
                                              : "cannot be read");
}

void jobdir_remove(const struct job *j)
{
    char *from = path_with(j, ""), *to = path_with(j, ".del");
    struct srq_error err;

    if (from == NULL || to == NULL) {
        srq_log(SRQ_LOG_ERROR, "job %s: out of memory; its folder stays", j->id);
    } else if (rename(from, to) == 0) {
        removals_add(j->d->removals, to);
    } else if (errno != ENOENT) {
        srq_fail(&err, -SRQ_EIO, "cannot rename it to %s: %s", to, strerror(errno));
        removals_failed(j->d->removals, from, &err);
    }
    srq_free(from);
    srq_free(to);
}

static struct job *find(struct srqd *d, const char *id, size_t len)
{
    struct job *j;

    TAILQ_FOREACH(j, &d->jobs, entry)
    {
        if (strlen(j->id) == len && memcmp(j->id, id, len) == 0)
            return j;
    }
    return NULL;
}

static void tidy_one(struct srqd *d, const char *name)
{
    size_t n = strlen(name);
    struct job *j = n > 4 ? find(d, name, n - 4) : NULL;
    char *path = srq_path_join(d->places.jobs, name);

    if (path == NULL)
        return;
    if (n > 4 && strcmp(name + n - 4, ".new") == 0) {
        if (j == NULL || jobdir_commit(j, NULL) != 0)
            removals_add(d->removals, path);
    } else if (n > 4 && strcmp(name + n - 4, ".del") == 0) {
        removals_add(d->removals, path);
    } else if (find(d, name, n) == NULL) {
        srq_log(SRQ_LOG_WARN, "%s belongs to no job in the store; it is left alone", path);
    }
    srq_free(path);
}

void jobdir_tidy(struct srqd *d)
{
    DIR *dir = opendir(d->places.jobs);
    struct dirent *entry;

    if (dir == NULL)
        return;
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] != '.')
            tidy_one(d, entry->d_name);
    }
    closedir(dir);
}

void jobdir_last_words(const struct job *j, char *out, size_t cap)
{
    char tail[TAIL_BYTES + 1], clean[TAIL_BYTES * 4];
    int dir = jobdir_open(j, NULL), fd, lines = 0;
    struct stat st;
    ssize_t n = 0;
    char *p, *next;
    size_t len;

    out[0] = '\0';
    if (dir < 0)
        return;
    fd = openat(dir, "worker.log", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    close(dir);
    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        n = pread(fd, tail, TAIL_BYTES, st.st_size > TAIL_BYTES ? st.st_size - TAIL_BYTES : 0);
    close(fd);
    while (n > 0 && (tail[n - 1] == '\n' || tail[n - 1] == '\0'))
        n--;
    if (n <= 0)
        return;
    tail[n] = '\0';
    for (p = tail + n; p > tail && lines < TAIL_LINES; p--) {
        if (p[-1] == '\n' && ++lines == TAIL_LINES)
            break;
    }
    for (char *line = p; line != NULL; line = next) {
        next = strchr(line, '\n');
        if (next != NULL)
            *next++ = '\0';
        srq_escape_control(line, clean, sizeof(clean));
        len = strlen(out);
        snprintf(out + len, cap - len, "%s%s", line != p ? " | " : "", clean);
    }
}

static int parse_lock(const char *text, size_t len, struct job_lock *lock)
{
    cJSON *json;
    const cJSON *pid, *start, *host;

    if (srq_json_parse(text, len, 4, &json, NULL) != 0)
        return -SRQ_EFORMAT;
    pid = cJSON_GetObjectItemCaseSensitive(json, "pid");
    start = cJSON_GetObjectItemCaseSensitive(json, "start_time");
    host = cJSON_GetObjectItemCaseSensitive(json, "host");
    if (cJSON_IsNumber(pid) && pid->valuedouble > 0 && pid->valuedouble < 1e9)
        lock->pid = (pid_t)pid->valuedouble;
    if (cJSON_IsNumber(start) && start->valuedouble >= 0 && start->valuedouble < 1e15)
        lock->start_time = (int64_t)start->valuedouble;
    else if (cJSON_IsString(start))
        lock->start_time = strtoll(start->valuestring, NULL, 10);
    if (cJSON_IsString(host))
        snprintf(lock->host, sizeof(lock->host), "%s", host->valuestring);
    cJSON_Delete(json);
    return 0;
}

int jobdir_lock(const struct job *j, struct job_lock *lock, struct srq_error *err)
{
    int dir = jobdir_open(j, err), fd, rc = 0;
    char text[4096];
    struct stat st;
    ssize_t n;

    memset(lock, 0, sizeof(*lock));
    lock->start_time = -1;
    if (dir < 0)
        return dir;
    fd = openat(dir, "lock", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    close(dir);
    if (fd < 0)
        return errno == ENOENT ? 0 : srq_fail_field(err, -SRQ_EIO, "lock", "cannot open lock: %s", strerror(errno));
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return srq_fail_field(err, -SRQ_EFORMAT, "lock", "lock of job %s is not a regular file", j->id);
    }
    /* Taken for an instant at most. A worker that tries just then ends with code 12 and is started again. */
    if (flock(fd, LOCK_SH | LOCK_NB) != 0)
        lock->held = true;
    n = pread(fd, text, sizeof(text) - 1, 0);
    close(fd);
    if (n > 0)
        rc = parse_lock(text, (size_t)n, lock);
    return lock->held ? rc : 0;
}
