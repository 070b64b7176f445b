/* Into the background. */
#include "daemon/srqd/base/background.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Waits for the word of the background process and ends as it went. */
static _Noreturn void stay_behind(int ready, pid_t pid)
{
    char word;
    ssize_t n;
    int status;

    while ((n = read(ready, &word, 1)) < 0 && errno == EINTR)
        continue;
    if (n == 1)
        _exit(0);
    if (waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) != 0)
        _exit(WEXITSTATUS(status));
    _exit(1);
}

int background_enter(struct background *b, const char *state, struct srq_error *err)
{
    char *path = srq_path_join(state, "srqd.log");
    int ready[2], log;
    pid_t pid;

    log = path != NULL ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600) : -1;
    srq_free(path);
    if (log < 0)
        return srq_fail(err, -SRQ_EIO, "cannot open srqd.log in %s: %s", state, strerror(errno));
    close(log);
    if (pipe2(ready, O_CLOEXEC) != 0 || (pid = fork()) < 0)
        return srq_fail(err, -SRQ_ELIMIT, "cannot go into the background: %s", strerror(errno));
    if (pid > 0) {
        close(ready[1]);
        stay_behind(ready[0], pid);
    }
    close(ready[0]);
    setsid();
    b->ready = ready[1];
    b->state = srq_strdup(state);
    return 0;
}

void background_ready(struct background *b)
{
    char *path;
    int null, log;
    ssize_t n;

    if (b->ready <= 0)
        return;
    path = b->state != NULL ? srq_path_join(b->state, "srqd.log") : NULL;
    log = path != NULL ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600) : -1;
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) {
        dup2(null, 0);
        dup2(null, 1);
        dup2(log >= 0 ? log : null, 2);
        close(null);
    }
    if (log >= 0)
        close(log);
    n = write(b->ready, "r", 1);
    (void)n;
    close(b->ready);
    b->ready = 0;
    srq_free(path);
    srq_free(b->state);
    b->state = NULL;
}
