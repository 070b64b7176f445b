/* Connecting, and starting a daemon when none answers. */
#include "tui/client/connect.h"

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/base/fs.h"
#include "core/base/log.h"
#include "tui/client/dial.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define START_WAIT_S 15.0 /* a daemon that re-attaches many workers answers before it has read their journals */
#define MOVE_WAIT_S 5.0   /* a daemon whose socket's folder was taken away listens again within a second or two */
#define KEPT_MAX 256

extern char **environ;

/* What a daemon and its workers may see of our environment; a trailing '*' matches any rest. */
static const char *const kept_names[] = {
    "PATH",  "HOME",  "USER",       "LOGNAME",         "LANG",         "LC_*",          "TZ", "TMPDIR", "XDG_*",
    "SRQ_*", "OMP_*", "OPENBLAS_*", "LD_LIBRARY_PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS",
};

/* In the system's absence of a service account of ours to compare with, a per-user socket must be served by the same
 * user or root: anybody can make a socket in /tmp, nobody else may receive our paths. */
static int check_peer(int fd, const struct srq_place *place, struct srq_error *err)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);

    if (place->kind != SRQ_SOCKET_RUNTIME && place->kind != SRQ_SOCKET_TMP)
        return 0;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
        return srq_fail_field(err, -SRQ_EIO, "socket", "cannot tell who serves %s: %s", place->path, strerror(errno));
    if (peer.uid != getuid() && peer.uid != 0)
        return srq_fail_field(err, -SRQ_EPERM, "socket", "%s is served by user %lu, not by you", place->path,
                              (unsigned long)peer.uid);
    return 0;
}

static bool name_kept(const char *entry)
{
    const char *eq = strchr(entry, '=');
    size_t len = eq != NULL ? (size_t)(eq - entry) : 0;

    for (size_t i = 0; i < sizeof(kept_names) / sizeof(kept_names[0]); i++) {
        size_t n = strlen(kept_names[i]);

        if (kept_names[i][n - 1] == '*' ? len >= n - 1 && strncmp(entry, kept_names[i], n - 1) == 0
                                        : len == n && strncmp(entry, kept_names[i], n) == 0)
            return true;
    }
    /* A test that interposes a library says so twice. */
    return strncmp(entry, "LD_PRELOAD=", 11) == 0 && getenv("SRQ_KEEP_PRELOAD") != NULL &&
           strcmp(getenv("SRQ_KEEP_PRELOAD"), "1") == 0;
}

static void keep_environment(char *kept[KEPT_MAX])
{
    size_t n = 0;

    for (char **e = environ; *e != NULL && n + 1 < KEPT_MAX; e++)
        if (name_kept(*e))
            kept[n++] = *e;
    kept[n] = NULL;
}

const char *srq_daemon_program(void)
{
    const char *p = getenv("SRQ_SRQD");

    return p != NULL && p[0] != '\0' ? p : SRQ_SBINDIR "/srqd";
}

/* Opens (appends to) the log that a started daemon writes; falls back to nothing where there is no state folder. */
static int open_log(char *path, size_t cap)
{
    char *state = srq_locate_state();
    int fd = -1;

    path[0] = '\0';
    if (state != NULL && srq_mkdirs(state, 0700, NULL) == 0) {
        snprintf(path, cap, "%s/srqd.log", state);
        fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    }
    srq_free(state);
    if (fd < 0) {
        path[0] = '\0';
        fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    }
    return fd;
}

/* The child's half: nothing of ours but the log stays open. Only async-signal-safe calls. */
static _Noreturn void become_daemon(const char *program, const char *socket, int log, int report, char **kept)
{
    /* Nobody looks after a daemon that was started in passing: it goes when nobody needs it any more. */
    char *argv[] = { (char *)(uintptr_t)program, (char *)(uintptr_t) "--socket", (char *)(uintptr_t)socket,
                     (char *)(uintptr_t) "--idle-exit=600", NULL };
    sigset_t none;
    int null = open("/dev/null", O_RDWR), e;

    setsid();
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (int s = 1; s < NSIG; s++)
        signal(s, SIG_DFL);
    dup2(null, 0);
    dup2(log, 1);
    dup2(log, 2);
    if (dup2(report, 3) == 3)
        fcntl(3, F_SETFD, FD_CLOEXEC);
    if (close_range(4, ~0u, 0) != 0)
        for (int fd = 4; fd < 65536; fd++)
            close(fd);
    if (chdir("/") != 0)
        _exit(126);
    execve(program, argv, kept);
    e = errno;
    if (write(3, &e, sizeof(e)) != (ssize_t)sizeof(e))
        _exit(125);
    _exit(127);
}

/* Starts the program; *pid for watching it. */
static int launch(const struct srq_place *place, pid_t *pid, char *log_path, size_t log_cap, struct srq_error *err)
{
    const char *program = srq_daemon_program();
    char *kept[KEPT_MAX];
    int report[2], log, e = 0;

    keep_environment(kept);
    log = open_log(log_path, log_cap);
    if (log < 0 || pipe2(report, O_CLOEXEC) != 0) {
        if (log >= 0)
            close(log);
        return srq_fail(err, -SRQ_EIO, "cannot start %s: %s", program, strerror(errno));
    }
    fflush(NULL);
    *pid = fork();
    if (*pid == 0)
        become_daemon(program, place->path, log, report[1], kept);
    close(log);
    close(report[1]);
    if (*pid < 0)
        e = errno;
    else if (read(report[0], &e, sizeof(e)) != (ssize_t)sizeof(e))
        e = 0; /* closed by a successful exec */
    close(report[0]);
    if (e != 0) {
        if (*pid > 0)
            waitpid(*pid, NULL, 0);
        return srq_fail(err, -SRQ_ENOENT, "cannot start %s: %s", program, strerror(e));
    }
    return 0;
}

/* The last line of the log, so that the reason of a failed start is in our sentence. */
static void last_words(const char *path, off_t since, char *out, size_t cap)
{
    char tail[1024], *line;
    ssize_t n;
    off_t end;
    int fd = path[0] != '\0' ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;

    out[0] = '\0';
    if (fd < 0)
        return;
    end = lseek(fd, 0, SEEK_END);
    if (end > since) {
        n = pread(fd, tail, sizeof(tail) - 1,
                  end - since > (off_t)sizeof(tail) - 1 ? end - (off_t)sizeof(tail) + 1 : since);
        while (n > 0 && tail[n - 1] == '\n')
            n--;
        tail[n > 0 ? n : 0] = '\0';
        line = strrchr(tail, '\n');
        srq_escape_control(line != NULL ? line + 1 : tail, out, cap);
    }
    close(fd);
}

static off_t log_size(void)
{
    char *state = srq_locate_state(), *path = state != NULL ? srq_path_join(state, "srqd.log") : NULL;
    struct stat st;
    off_t size = path != NULL && stat(path, &st) == 0 ? st.st_size : 0;

    srq_free(path);
    srq_free(state);
    return size;
}

static int start_and_wait(const struct srq_place *place, int *fd, struct srq_error *err)
{
    char log_path[PATH_MAX], words[512];
    off_t before = log_size();
    double until = srq_clock_s() + START_WAIT_S;
    bool gone = false;
    pid_t pid = -1;
    int status = 0, rc = launch(place, &pid, log_path, sizeof(log_path), err);

    if (rc != 0)
        return rc;
    for (;;) {
        const struct timespec pause = { .tv_nsec = 20 * 1000 * 1000 };

        *fd = srq_dial_unix(place->path, 0);
        if (*fd >= 0)
            return 0;
        if (gone || srq_clock_s() > until)
            break;
        nanosleep(&pause, NULL);
        /* One that puts itself into the background ends its first process with 0. */
        if (waitpid(pid, &status, WNOHANG) == pid && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
            gone = true; /* one more try: another daemon may have won */
    }
    last_words(log_path, before, words, sizeof(words));
    return srq_fail(err, gone ? -SRQ_EIO : -SRQ_ETIMEOUT, "%s did not come up at %s%s%s%s%s", srq_daemon_program(),
                    place->path, words[0] != '\0' ? ": " : "", words, log_path[0] != '\0' ? "; its log is " : "",
                    log_path);
}

static int open_lock(const struct srq_place *place, struct srq_error *err)
{
    char path[sizeof(place->path) + 8];
    int fd;

    snprintf(path, sizeof(path), "%s.start", place->path);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return srq_fail_field(err, errno == EACCES ? -SRQ_EPERM : -SRQ_EIO, "socket", "cannot make %s: %s", path,
                              strerror(errno));
    while (flock(fd, LOCK_EX) != 0)
        if (errno != EINTR) {
            close(fd);
            return srq_fail_field(err, -SRQ_EIO, "socket", "cannot lock %s: %s", path, strerror(errno));
        }
    return fd;
}

static int no_daemon(const struct srq_place *place, int error, struct srq_error *err)
{
    if (error == EACCES || error == EPERM)
        return srq_fail_field(err, -SRQ_EPERM, "socket",
                              place->kind == SRQ_SOCKET_SYSTEM
                                  ? "you may not use the system service at %s: join its group, or use --user"
                                  : "you may not use the socket %s",
                              place->path);
    if (error == ENOENT || error == ECONNREFUSED)
        return srq_fail_field(err, -SRQ_ENOENT, "socket", "no daemon answers at %s", place->path);
    return srq_fail_field(err, -SRQ_EIO, "socket", "cannot connect to %s: %s", place->path, strerror(error));
}

static bool is_absent(int error)
{
    return error == -ENOENT || error == -ECONNREFUSED;
}

static bool users_own(const struct srq_place *place)
{
    return place->kind == SRQ_SOCKET_RUNTIME || place->kind == SRQ_SOCKET_TMP;
}

/* Nobody answers where the user's own daemon should be: one that holds the lock of the state folder is asked where it
 * is, and given the time to make its socket again. -ENOENT: there is none. */
static int dial_holder(const struct srq_place *place)
{
    double until = srq_clock_s() + MOVE_WAIT_S;
    struct srq_place other;
    int fd = -ENOENT;

    while (users_own(place) && srq_locate_by_lock(&other)) {
        const struct timespec pause = { .tv_nsec = 50 * 1000 * 1000 };

        fd = srq_dial_unix(other.path, 0);
        if (!is_absent(fd) || !is_absent(fd = srq_dial_unix(place->path, 0)) || srq_clock_s() > until)
            break;
        nanosleep(&pause, NULL);
    }
    return fd;
}

int srq_connect_place(const struct srq_place *place, int *fd, struct srq_error *err)
{
    struct srq_place other;
    int rc;

    /* Such a socket is connected at once or not at all: only a full queue of the listener would make it wait. */
    *fd = srq_dial_unix(place->path, SOCK_NONBLOCK);
    if (is_absent(*fd) && users_own(place) && srq_locate_by_lock(&other))
        *fd = srq_dial_unix(other.path, SOCK_NONBLOCK);
    if (*fd < 0)
        return no_daemon(place, -*fd, err);
    rc = check_peer(*fd, place, err);
    if (rc != 0) {
        close(*fd);
        *fd = -1;
    }
    return rc;
}

int srq_connect_daemon(const struct srq_place *place, bool start, int *fd, bool *started, struct srq_error *err)
{
    int lock, rc;

    *started = false;
    rc = start ? srq_place_prepare(place, err) : 0;
    if (rc != 0)
        return rc;
    *fd = srq_dial_unix(place->path, 0);
    if (is_absent(*fd))
        *fd = dial_holder(place);
    if (*fd < 0 && start && place->kind != SRQ_SOCKET_SYSTEM && is_absent(*fd)) {
        lock = open_lock(place, err);
        if (lock < 0)
            return lock;
        *fd = srq_dial_unix(place->path, 0);
        if (*fd < 0) {
            rc = start_and_wait(place, fd, err);
            *started = rc == 0;
        }
        close(lock);
        if (rc != 0)
            return rc;
    }
    if (*fd < 0)
        return no_daemon(place, -*fd, err);
    rc = check_peer(*fd, place, err);
    if (rc != 0) {
        close(*fd);
        *fd = -1;
    }
    return rc;
}
