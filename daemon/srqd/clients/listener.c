/* Listening. */
#include "daemon/srqd/clients/listener.h"

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/base/fs.h"
#include "core/base/log.h"

#include <errno.h>
#include <event2/listener.h>
#include <fcntl.h>
#include <grp.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct listener {
    struct evconnlistener *ev;
    int socket_lock, state_lock;
    char *path;   /* where it listens: the socket's place, or the second one */
    dev_t device; /* of the socket's file, by which another of its name is told from it */
    ino_t inode;
    bool complained;
};

/* A daemon that was killed while it started a program leaves the lock to that for a moment, until it has become it. */
#define LOCK_TRIES 12
#define REFUSED_EVERY_S 10.0

static int take_lock(const char *path, const char *what, int *out, struct srq_error *err)
{
    *out = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*out < 0)
        return srq_fail_field(err, errno == EACCES ? -SRQ_EPERM : -SRQ_EIO, path, "cannot open %s: %s", path,
                              strerror(errno));
    for (int i = 0; i < LOCK_TRIES; i++) {
        const struct timespec pause = { 0, 50000000 };

        if (flock(*out, LOCK_EX | LOCK_NB) == 0)
            return 0;
        (void)nanosleep(&pause, NULL);
    }
    close(*out);
    *out = -1;
    return srq_fail_field(err, -SRQ_EBUSY, path, "another srqd has %s (%s is locked)", what, path);
}

static int lock_socket(const char *socket, int *out, struct srq_error *err)
{
    char *path = srq_asprintf("%s.lock", socket);
    int rc = path != NULL ? take_lock(path, "this socket", out, err) : srq_fail(err, -SRQ_ENOMEM, "out of memory");

    srq_free(path);
    return rc;
}

static int take_locks(struct srqd *d, struct listener *l, struct srq_error *err)
{
    int rc = lock_socket(d->places.socket, &l->socket_lock, err);
    char *path;

    if (rc != 0)
        return rc;
    path = srq_path_join(d->places.state, "srqd.lock");
    rc = path != NULL ? take_lock(path, "this state folder", &l->state_lock, err)
                      : srq_fail(err, -SRQ_ENOMEM, "out of memory");
    srq_free(path);
    return rc;
}

/* Whoever knocks without end does not fill the log. */
static void tell_refused(struct clients *all, const struct srq_error *err)
{
    double now = srq_clock_s();

    all->refused++;
    if (all->told_refused > 0 && now - all->told_refused < REFUSED_EVERY_S)
        return;
    srq_log(SRQ_LOG_WARN, "client refused: %s (%d since the last such line)", err->text, all->refused);
    all->told_refused = now;
    all->refused = 0;
}

static void on_accept(struct evconnlistener *ev, evutil_socket_t fd, struct sockaddr *sa, int len, void *ctx)
{
    struct srq_error err = { 0 };

    (void)ev;
    (void)sa;
    (void)len;
    if (client_accept(ctx, fd, &err) != 0)
        tell_refused(ctx, &err);
}

/* Out of descriptors: the connection stays in the backlog and the loop must not spin on it. */
static void listen_again(evutil_socket_t fd, short what, void *ctx)
{
    struct clients *all = ctx;

    (void)fd;
    (void)what;
    if (all->listener != NULL)
        evconnlistener_enable(all->listener->ev);
}

static void on_accept_error(struct evconnlistener *ev, void *ctx)
{
    const struct timeval pause = { .tv_usec = 200000 };
    struct clients *all = ctx;

    srq_log(SRQ_LOG_ERROR, "cannot accept: %s", strerror(errno));
    evconnlistener_disable(ev);
    event_base_once(all->d->base, -1, EV_TIMEOUT, listen_again, all, &pause);
}

/* A system service's socket is for a group; a user's for that user. */
static int set_access(struct srqd *d, const char *path, struct srq_error *err)
{
    const char *name = d->config.socket_group;
    const struct group *g;
    mode_t mode = 0600;

    if (d->places.system && strcmp(name, "*") == 0) {
        mode = 0666;
    } else if (d->places.system) {
        g = getgrnam(name);
        if (g == NULL)
            srq_log(SRQ_LOG_WARN, "there is no group %s: only root can use %s", name, path);
        else if (chown(path, (uid_t)-1, g->gr_gid) != 0)
            return srq_fail_field(err, -SRQ_EPERM, path, "cannot give %s to group %s: %s", path, name, strerror(errno));
        else
            mode = 0660;
    }
    if (chmod(path, mode) != 0)
        return srq_fail_field(err, -SRQ_EPERM, path, "cannot set the mode of %s: %s", path, strerror(errno));
    return 0;
}

static int bind_socket(const char *path, int *out, struct srq_error *err)
{
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    struct stat st;
    mode_t old;
    int fd, e;

    memcpy(sa.sun_path, path, strlen(path) + 1);
    /* We hold the lock: a socket that is there belongs to a daemon that died. */
    if (lstat(path, &st) == 0) {
        if (!S_ISSOCK(st.st_mode))
            return srq_fail_field(err, -SRQ_EEXIST, path, "%s is there and is not a socket", path);
        unlink(path);
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return srq_fail(err, -SRQ_ELIMIT, "cannot make a socket: %s", strerror(errno));
    old = umask(0177);
    e = bind(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0 ? 0 : errno;
    umask(old);
    if (e == 0 && listen(fd, SOMAXCONN) != 0)
        e = errno;
    if (e != 0) {
        close(fd);
        return srq_fail_field(err, e == EACCES ? -SRQ_EPERM : -SRQ_EIO, path, "cannot listen on %s: %s", path,
                              strerror(e));
    }
    *out = fd;
    return 0;
}

/* "PID SOCKET" in the lock of the state folder: clients that look elsewhere find us by it. */
static void tell_place(struct listener *l)
{
    char text[256];
    int n = snprintf(text, sizeof(text), "%ld %s\n", (long)getpid(), l->path);

    if (ftruncate(l->state_lock, 0) != 0 || pwrite(l->state_lock, text, (size_t)n, 0) != n)
        srq_log(SRQ_LOG_WARN, "clients cannot be told where the socket is: %s", strerror(errno));
}

/* Listens at `path`, whose lock is ours, instead of wherever it did before. */
static int listen_at(struct clients *all, struct listener *l, const char *path, struct srq_error *err)
{
    char *kept = srq_strdup(path);
    struct evconnlistener *ev = NULL;
    struct stat st;
    int fd = -1, rc = kept != NULL ? bind_socket(path, &fd, err) : srq_fail(err, -SRQ_ENOMEM, "out of memory");

    if (rc == 0)
        rc = set_access(all->d, path, err);
    if (rc == 0 && lstat(path, &st) != 0)
        rc = srq_fail_field(err, -SRQ_EIO, path, "cannot look at %s: %s", path, strerror(errno));
    if (rc == 0) {
        ev = evconnlistener_new(all->d->base, on_accept, all, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
        rc = ev != NULL ? 0 : srq_fail(err, -SRQ_ENOMEM, "out of memory");
    }
    if (rc != 0) {
        if (fd >= 0)
            close(fd);
        srq_free(kept);
        return rc;
    }
    evconnlistener_set_error_cb(ev, on_accept_error);
    if (l->ev != NULL)
        evconnlistener_free(l->ev);
    srq_free(l->path);
    l->ev = ev;
    l->path = kept;
    l->device = st.st_dev;
    l->inode = st.st_ino;
    tell_place(l);
    return 0;
}

int listener_open(struct clients *all, struct srq_error *err)
{
    struct listener *l = srq_calloc(1, sizeof(*l));
    int rc;

    if (l == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory");
    l->socket_lock = l->state_lock = -1;
    all->listener = l;
    rc = take_locks(all->d, l, err);
    return rc == 0 ? listen_at(all, l, all->d->places.socket, err) : rc;
}

/* ---- a name that is gone ----------------------------------------------------------------------------------------- */

static bool in_place(const struct listener *l)
{
    struct stat st;

    return lstat(l->path, &st) == 0 && st.st_dev == l->device && st.st_ino == l->inode;
}

static int move_to(struct clients *all, struct listener *l, const char *path, struct srq_error *err)
{
    int lock = -1, rc = lock_socket(path, &lock, err);

    if (rc == 0)
        rc = listen_at(all, l, path, err);
    if (rc != 0) {
        if (lock >= 0)
            close(lock);
        return rc;
    }
    if (l->socket_lock >= 0)
        close(l->socket_lock);
    l->socket_lock = lock;
    l->complained = false;
    srq_log(SRQ_LOG_WARN, "the socket's name was gone; listens on %s again", path);
    return 0;
}

static int move_to_second(struct clients *all, struct listener *l, struct srq_error *err)
{
    char *path = all->d->places.system ? NULL : places_second_socket();
    int rc = path != NULL ? move_to(all, l, path, err) : -SRQ_EIO;

    srq_free(path);
    return rc;
}

void listener_look_after(struct clients *all)
{
    struct listener *l = all->listener;
    struct srqd *d = all->d;
    struct srq_error err = { 0 };
    bool there, at_home;

    if (l == NULL || l->ev == NULL)
        return;
    there = in_place(l);
    at_home = strcmp(l->path, d->places.socket) == 0;
    if (there && at_home)
        return;
    if (places_renew(&d->places, &err) == 0 && move_to(all, l, d->places.socket, &err) == 0)
        return;
    if (there || move_to_second(all, l, NULL) == 0 || l->complained)
        return;
    l->complained = true;
    srq_log(SRQ_LOG_ERROR, "no client can connect: %s", err.text);
}

void listener_close(struct clients *all)
{
    struct listener *l = all->listener;

    if (l == NULL)
        return;
    all->listener = NULL;
    if (l->ev != NULL) {
        if (in_place(l))
            unlink(l->path);
        evconnlistener_free(l->ev);
    }
    /* The lock files stay: removing one would let two daemons lock different files of one name. */
    if (l->socket_lock >= 0)
        close(l->socket_lock);
    if (l->state_lock >= 0)
        close(l->state_lock);
    srq_free(l->path);
    srq_free(l);
}
