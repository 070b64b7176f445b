/* Where the daemon's socket is. */
#include "tui/client/locate.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "tui/client/dial.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *env(const char *name)
{
    const char *v = getenv(name);

    return v != NULL && v[0] != '\0' ? v : NULL;
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
    if (env("XDG_RUNTIME_DIR") != NULL)
        return put_path(out, SRQ_SOCKET_RUNTIME, err, env("XDG_RUNTIME_DIR"), "srq/srqd.sock");
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
    const char *home = env("HOME");

    if (env("SRQ_STATE_DIR") != NULL)
        return srq_strdup(env("SRQ_STATE_DIR"));
    if (env("XDG_STATE_HOME") != NULL)
        return srq_path_join(env("XDG_STATE_HOME"), "srq");
    if (home == NULL && (pw = getpwuid(getuid())) != NULL)
        home = pw->pw_dir;
    return home != NULL ? srq_path_join(home, ".local/state/srq") : NULL;
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
