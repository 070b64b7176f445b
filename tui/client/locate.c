/* Where the daemon's socket is. */
#include "tui/client/locate.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "tui/client/dial.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *env(const char *name)
{
    const char *v = getenv(name);

    return v != NULL && v[0] != '\0' ? v : NULL;
}

/* As srqd does: what a specification wants absolute is not there otherwise (XDG Base Directory Specification,
 * "Basics"). */
static const char *absolute_env(const char *name)
{
    const char *v = env(name);

    return v != NULL && v[0] == '/' ? v : NULL;
}

static int put_path(struct srq_place *out, enum srq_socket_kind kind, struct srq_error *err, const char *dir,
                    const char *name)
{
    int n = snprintf(out->path, sizeof(out->path), "%s%s%s", dir, name != NULL ? "/" : "", name != NULL ? name : "");

    out->kind = kind;
    if (n < 0 || (size_t)n >= sizeof(out->path))
        return srq_fail_field(err, -SRQ_ELIMIT, "socket", "socket path %s%s%s is longer than %zu bytes", dir,
                              name != NULL ? "/" : "", name != NULL ? name : "", sizeof(out->path) - 1);
    return 0;
}

/* True when something accepts connections there, or would if we were allowed: a service that refuses us is still the
 * machine's service, and starting a second daemon behind its back would be a surprise. */
static bool service_listens(const char *path)
{
    int fd = srq_dial_unix(path, 0);

    if (fd >= 0) {
        close(fd);
        return true;
    }
    return fd == -EACCES || fd == -EPERM || fd == -EAGAIN;
}

int srq_locate_socket(const char *given, bool user_only, struct srq_place *out, struct srq_error *err)
{
    char tmp[64];

    if (given == NULL)
        given = env("SRQ_SOCKET");
    if (given != NULL)
        return put_path(out, SRQ_SOCKET_GIVEN, err, given, NULL);
    if (!user_only && service_listens(SRQ_SYSTEM_SOCKET))
        return put_path(out, SRQ_SOCKET_SYSTEM, err, SRQ_SYSTEM_SOCKET, NULL);
    if (absolute_env("XDG_RUNTIME_DIR") != NULL)
        return put_path(out, SRQ_SOCKET_RUNTIME, err, absolute_env("XDG_RUNTIME_DIR"), "srq/srqd.sock");
    snprintf(tmp, sizeof(tmp), "/tmp/srq-%lu", (unsigned long)getuid());
    return put_path(out, SRQ_SOCKET_TMP, err, tmp, "srqd.sock");
}

int srq_place_prepare(const struct srq_place *place, struct srq_error *err)
{
    char dir[sizeof(place->path)];
    struct stat st;
    char *slash;

    if (place->kind != SRQ_SOCKET_RUNTIME && place->kind != SRQ_SOCKET_TMP)
        return 0;
    snprintf(dir, sizeof(dir), "%s", place->path);
    slash = strrchr(dir, '/');
    *slash = '\0';
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return srq_fail_field(err, errno == EACCES ? -SRQ_EPERM : -SRQ_EIO, "socket", "cannot make %s: %s", dir,
                              strerror(errno));
    if (lstat(dir, &st) != 0)
        return srq_fail_field(err, -SRQ_EIO, "socket", "cannot look at %s: %s", dir, strerror(errno));
    if (!S_ISDIR(st.st_mode) || st.st_uid != getuid())
        return srq_fail_field(err, -SRQ_EPERM, "socket", "%s is not a folder of yours; set SRQ_SOCKET to another place",
                              dir);
    if ((st.st_mode & 077) != 0)
        return srq_fail_field(err, -SRQ_EPERM, "socket", "%s is open to others (mode %03o); run: chmod 700 %s", dir,
                              (unsigned)(st.st_mode & 0777), dir);
    return 0;
}

char *srq_locate_state(void)
{
    const struct passwd *pw;
    const char *home = absolute_env("HOME");

    if (env("SRQ_STATE_DIR") != NULL)
        return srq_strdup(env("SRQ_STATE_DIR"));
    if (absolute_env("XDG_STATE_HOME") != NULL)
        return srq_path_join(absolute_env("XDG_STATE_HOME"), "srq");
    if (home == NULL && (pw = getpwuid(getuid())) != NULL)
        home = pw->pw_dir;
    return home != NULL ? srq_path_join(home, ".local/state/srq") : NULL;
}

/* srqd's state folder has the host's name below it, but where somebody chose the folder. */
static char *lock_path(void)
{
    char host[256] = "", *state = srq_locate_state(), *path = NULL;

    if (state == NULL)
        return NULL;
    if (env("SRQ_STATE_DIR") != NULL)
        path = srq_path_join(state, "srqd.lock");
    else if (gethostname(host, sizeof(host) - 1) == 0 && host[0] != '\0' && strchr(host, '/') == NULL)
        path = srq_asprintf("%s/%s/srqd.lock", state, host);
    srq_free(state);
    return path;
}

bool srq_locate_by_lock(struct srq_place *out)
{
    char *path = lock_path(), text[sizeof(out->path) + 32];
    int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
    ssize_t n = fd >= 0 ? pread(fd, text, sizeof(text) - 1, 0) : -1;
    bool held = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    char *space;

    if (fd >= 0)
        close(fd);
    srq_free(path);
    if (!held || n <= 0 || text[n - 1] != '\n')
        return false;
    text[n - 1] = '\0';
    space = strchr(text, ' ');
    if (space == NULL || space[1] != '/' || strlen(space + 1) >= sizeof(out->path))
        return false;
    snprintf(out->path, sizeof(out->path), "%s", space + 1);
    out->kind = SRQ_SOCKET_TMP; /* whoever answers there must be us */
    return true;
}

const char *srq_socket_kind_name(enum srq_socket_kind kind)
{
    switch (kind) {
    case SRQ_SOCKET_GIVEN:
        return "given";
    case SRQ_SOCKET_SYSTEM:
        return "system service";
    default:
        return "per user";
    }
}
