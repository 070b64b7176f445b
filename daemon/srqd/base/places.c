/* Where things are. */
#include "daemon/srqd/base/places.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef SRQ_LIBEXECDIR
#define SRQ_LIBEXECDIR "/usr/local/libexec"
#endif
#ifndef SRQ_SYSCONFDIR
#define SRQ_SYSCONFDIR "/usr/local/etc"
#endif

static const char *env(const char *name)
{
    const char *v = getenv(name);

    return v != NULL && v[0] != '\0' ? v : NULL;
}

/* What a specification wants absolute is not there otherwise (XDG Base Directory Specification, "Basics"). */
static const char *absolute_env(const char *name)
{
    const char *v = env(name);

    return v != NULL && v[0] == '/' ? v : NULL;
}

/* Whether only we can change what is there: who can put another file in the place of ours has jobs run as us. */
static int check_own(const char *path, const struct stat *st, struct srq_error *err)
{
    unsigned mode = st->st_mode & 0777;

    if (st->st_uid != geteuid())
        return srq_fail_field(err, -SRQ_EPERM, path, "%s belongs to uid %lu, not to us (uid %lu); run: chown %lu %s",
                              path, (unsigned long)st->st_uid, (unsigned long)geteuid(), (unsigned long)geteuid(),
                              path);
    if ((mode & 022) != 0)
        return srq_fail_field(err, -SRQ_EPERM, path, "others can write in %s (mode %03o); run: chmod go-w %s", path,
                              mode, path);
    return 0;
}

/* A folder of ours, made 0700 where it is missing. In /tmp anybody may have made the name before us. */
static int own_dir(const char *path, struct srq_error *err)
{
    struct stat st;
    int rc = srq_mkdirs(path, 0700, err);

    if (rc != 0)
        return rc;
    if (lstat(path, &st) != 0)
        return srq_fail_field(err, -SRQ_EIO, path, "cannot look at %s: %s", path, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return srq_fail_field(err, -SRQ_EPERM, path, "%s is not a folder of ours", path);
    return check_own(path, &st, err);
}

/* A folder of ours, perhaps one that others may pass through, made so where it is missing; our umask would close it. It
 * may be a link to where there is more room: the link is ours if what it is in is. */
static int open_dir(const char *path, mode_t mode, struct srq_error *err)
{
    bool there = srq_path_exists(path);
    struct stat st;
    int rc = srq_mkdirs(path, mode, err);

    if (rc != 0)
        return rc;
    if (!there && chmod(path, mode) != 0)
        return srq_fail_field(err, -SRQ_EPERM, path, "cannot set the mode of %s: %s", path, strerror(errno));
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
        return srq_fail_field(err, -SRQ_EIO, path, "%s is no folder", path);
    return check_own(path, &st, err);
}

/* A file in one of our folders, where it is there. */
static int check_file(const char *dir, const char *name, struct srq_error *err)
{
    char *path = srq_path_join(dir, name);
    struct stat st;
    int rc = path != NULL ? 0 : srq_fail(err, -SRQ_ENOMEM, "out of memory");

    if (rc == 0 && lstat(path, &st) == 0)
        rc = check_own(path, &st, err);
    srq_free(path);
    return rc;
}

static char *home_dir(void)
{
    const struct passwd *pw;

    if (absolute_env("HOME") != NULL)
        return srq_strdup(absolute_env("HOME"));
    pw = getpwuid(geteuid());
    return srq_strdup(pw != NULL ? pw->pw_dir : "/");
}

/* $NAME/rest, else ~/fallback/rest. */
static char *xdg(const char *name, const char *fallback, const char *rest)
{
    char *home, *path;

    if (absolute_env(name) != NULL)
        return srq_path_join(absolute_env(name), rest);
    home = home_dir();
    path = home != NULL ? srq_asprintf("%s/%s/%s", home, fallback, rest) : NULL;
    srq_free(home);
    return path;
}

/* The per-user runtime folder: $XDG_RUNTIME_DIR/srq, else /tmp/srq-UID. */
static char *user_runtime(void)
{
    return absolute_env("XDG_RUNTIME_DIR") != NULL ? srq_path_join(absolute_env("XDG_RUNTIME_DIR"), "srq")
                                                   : srq_asprintf("/tmp/srq-%lu", (unsigned long)geteuid());
}

/* Folders that are ours by rule only. */
struct naming {
    char *socket_dir; /* NULL: the socket was given, and its folder is another's affair */
    char *above;      /* of a user's state folder */
};

static void naming_fini(struct naming *n)
{
    srq_free(n->socket_dir);
    srq_free(n->above);
}

static int name_socket(struct places *p, const char *given, struct naming *n, struct srq_error *err)
{
    int rc = 0;

    if (given == NULL)
        given = env("SRQ_SOCKET");
    if (given != NULL) {
        rc = srq_make_absolute(given, &p->socket, err);
    } else {
        n->socket_dir = p->system ? srq_strdup("/run/srq") : user_runtime();
        p->socket = n->socket_dir != NULL ? srq_path_join(n->socket_dir, "srqd.sock") : NULL;
        if (p->socket == NULL)
            rc = srq_fail(err, -SRQ_ENOMEM, "out of memory");
    }
    if (rc == 0 && strlen(p->socket) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
        return srq_fail_field(err, -SRQ_ELIMIT, "socket", "socket path %s is longer than %zu bytes", p->socket,
                              sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1);
    return rc;
}

static int name_runtime(struct places *p, struct srq_error *err)
{
    const char *given = env("SRQ_RUNTIME_DIR");

    if (given != NULL)
        return srq_make_absolute(given, &p->runtime, err);
    p->runtime = p->system ? srq_strdup("/run/srq/workers") : user_runtime();
    return p->runtime != NULL ? 0 : srq_fail(err, -SRQ_ENOMEM, "out of memory");
}

/* A per-user state folder lies below the host's name, because a home may be shared between machines. */
static int name_state(struct places *p, const char *given, struct naming *n, struct srq_error *err)
{
    int rc = 0;

    if (given == NULL)
        given = env("SRQ_STATE_DIR");
    if (given != NULL) {
        rc = srq_make_absolute(given, &p->state, err);
    } else if (p->system) {
        p->state = srq_strdup("/var/lib/srq");
    } else {
        n->above = xdg("XDG_STATE_HOME", ".local/state", "srq");
        p->state = n->above != NULL ? srq_path_join(n->above, p->host) : NULL;
    }
    if (rc == 0 && (p->state == NULL || (p->jobs = srq_path_join(p->state, "jobs")) == NULL))
        rc = srq_fail(err, -SRQ_ENOMEM, "out of memory");
    return rc;
}

static int name_config(struct places *p, const char *given, struct srq_error *err)
{
    if (given == NULL)
        given = env("SRQ_CONFIG");
    p->config_asked = given != NULL;
    if (given != NULL)
        return srq_make_absolute(given, &p->config, err);
    p->config =
        p->system ? srq_strdup(SRQ_SYSCONFDIR "/srq/srqd.conf") : xdg("XDG_CONFIG_HOME", ".config", "srq/srqd.conf");
    return p->config != NULL ? 0 : srq_fail(err, -SRQ_ENOMEM, "out of memory");
}

const char *places_config(const struct places *p)
{
    return p->config_asked || srq_path_exists(p->config) ? p->config : NULL;
}

/* The folder of the socket itself; what is above it is not ours to make. */
static int renew_socket_dir(const struct places *p, struct srq_error *err)
{
    char *dir = srq_strdup(p->socket), *slash = dir != NULL ? strrchr(dir, '/') : NULL;
    struct stat st;
    int rc = 0;

    if (slash == NULL || slash == dir) {
        srq_free(dir);
        return 0;
    }
    *slash = '\0';
    if (lstat(dir, &st) != 0) {
        if (mkdir(dir, p->system ? 0755 : 0700) != 0)
            rc = srq_fail_field(err, -SRQ_EIO, dir, "cannot make %s: %s", dir, strerror(errno));
        else if (p->system && chmod(dir, 0755) != 0)
            rc = srq_fail_field(err, -SRQ_EPERM, dir, "cannot set the mode of %s: %s", dir, strerror(errno));
    } else if (st.st_uid != geteuid() && st.st_uid != 0) {
        rc = srq_fail_field(err, -SRQ_EPERM, dir, "%s is somebody else's", dir);
    }
    srq_free(dir);
    return rc;
}

int places_renew(struct places *p, struct srq_error *err)
{
    int rc = renew_socket_dir(p, err);

    if (rc != 0 || srq_path_exists(p->runtime))
        return rc;
    if (mkdir(p->runtime, 0700) != 0 && errno != EEXIST)
        return srq_fail_field(err, -SRQ_EIO, p->runtime, "cannot make %s: %s", p->runtime, strerror(errno));
    if (p->system && chmod(p->runtime, 0711) != 0)
        return srq_fail_field(err, -SRQ_EPERM, p->runtime, "cannot set the mode of %s: %s", p->runtime,
                              strerror(errno));
    return p->system ? 0 : own_dir(p->runtime, err);
}

char *places_second_socket(void)
{
    char *dir = srq_asprintf("/tmp/srq-%lu", (unsigned long)geteuid());
    char *path = dir != NULL && own_dir(dir, NULL) == 0 ? srq_path_join(dir, "srqd.sock") : NULL;

    srq_free(dir);
    return path;
}

static int name_all(struct places *p, const struct place_wishes *w, struct naming *n, struct srq_error *err)
{
    int rc;

    memset(p, 0, sizeof(*p));
    p->system = w->system;
    if (gethostname(p->host, sizeof(p->host) - 1) != 0 || p->host[0] == '\0' || strchr(p->host, '/') != NULL)
        memcpy(p->host, "localhost", 10);
    rc = name_socket(p, w->socket, n, err);
    if (rc == 0)
        rc = name_state(p, w->state_dir, n, err);
    if (rc == 0)
        rc = name_runtime(p, err);
    if (rc == 0)
        rc = name_config(p, w->config, err);
    if (rc == 0) {
        p->worker = srq_strdup(env("SRQ_WORKER") != NULL ? env("SRQ_WORKER") : SRQ_LIBEXECDIR "/srq-worker");
        if (p->worker == NULL)
            rc = srq_fail(err, -SRQ_ENOMEM, "out of memory");
    }
    return rc;
}

/* Our folders in the order in which they are made. */
#define FOLDERS 5
struct folder {
    const char *path; /* NULL: not ours */
    mode_t mode;      /* 0: only we may pass, and no link leads there */
};

static void list_folders(const struct places *p, const struct naming *n, struct folder out[FOLDERS])
{
    const mode_t state = p->system ? 0711 : 0700;

    out[0] = (struct folder){ n->socket_dir, p->system ? 0755 : 0 };
    out[1] = (struct folder){ n->above, state };
    out[2] = (struct folder){ p->state, state };
    out[3] = (struct folder){ p->jobs, state };
    out[4] = (struct folder){ p->runtime, p->system ? 0711 : 0 };
}

int places_find(struct places *p, const struct place_wishes *w, struct srq_error *err)
{
    struct folder folders[FOLDERS];
    struct naming n = { 0 };
    int rc = name_all(p, w, &n, err);

    list_folders(p, &n, folders);
    for (int i = 0; rc == 0 && i < FOLDERS; i++) {
        const struct folder *f = &folders[i];

        if (f->path != NULL)
            rc = f->mode == 0 ? own_dir(f->path, err) : open_dir(f->path, f->mode, err);
    }
    if (rc == 0)
        rc = check_file(p->state, "srqd.db", err);
    naming_fini(&n);
    if (rc != 0)
        places_free(p);
    return rc;
}

/* One that is not there: the nearest folder above it lets us make it. */
static int check_makeable(const char *path, struct srq_error *err)
{
    char *above = srq_strdup(path), *slash;
    int rc = 0;

    while (above != NULL && !srq_path_exists(above) && (slash = strrchr(above, '/')) != NULL)
        slash[slash == above] = '\0';
    if (above == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory");
    if (faccessat(AT_FDCWD, above, W_OK | X_OK, AT_EACCESS) != 0)
        rc = srq_fail_field(err, -SRQ_EPERM, path, "%s is not there and cannot be made in %s: %s", path, above,
                            strerror(errno));
    srq_free(above);
    return rc;
}

static int check_folder(const struct folder *f, struct srq_error *err)
{
    struct stat st;

    if ((f->mode == 0 ? lstat(f->path, &st) : stat(f->path, &st)) != 0)
        return errno == ENOENT
                   ? check_makeable(f->path, err)
                   : srq_fail_field(err, -SRQ_EIO, f->path, "cannot look at %s: %s", f->path, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return srq_fail_field(err, -SRQ_EIO, f->path, "%s is no folder", f->path);
    return check_own(f->path, &st, err);
}

int places_look(struct places *p, const struct place_wishes *w, places_wrong wrong, void *ctx, struct srq_error *err)
{
    struct folder folders[FOLDERS];
    struct naming n = { 0 };
    struct srq_error why;
    int rc = name_all(p, w, &n, err);

    if (rc == 0) {
        list_folders(p, &n, folders);
        for (int i = 0; i < FOLDERS; i++) {
            bool again = i > 0 && folders[0].path != NULL &&
                         strcmp(folders[i].path ? folders[i].path : "", folders[0].path) == 0;

            if (folders[i].path != NULL && !again && check_folder(&folders[i], &why) != 0)
                wrong(ctx, &why);
        }
        if (check_file(p->state, "srqd.db", &why) != 0)
            wrong(ctx, &why);
        if (access(p->worker, X_OK) != 0) {
            srq_fail_errno(&why, "execute", p->worker);
            wrong(ctx, &why);
        }
    } else {
        places_free(p);
    }
    naming_fini(&n);
    return rc;
}

void places_free(struct places *p)
{
    srq_free(p->socket);
    srq_free(p->state);
    srq_free(p->jobs);
    srq_free(p->runtime);
    srq_free(p->config);
    srq_free(p->worker);
    memset(p, 0, sizeof(*p));
}
