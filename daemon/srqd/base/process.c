/* Reading /proc. */
#include "daemon/srqd/base/process.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static bool read_small(const char *path, char *buf, size_t cap)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return false;
    n = read(fd, buf, cap - 1);
    close(fd);
    buf[n > 0 ? n : 0] = '\0';
    return n > 0;
}

int64_t process_start_time(pid_t pid)
{
    char path[64], buf[2048], *p;

    snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
    if (pid <= 0 || !read_small(path, buf, sizeof(buf)))
        return -1;
    /* The name in parentheses may hold anything; fields are counted after its end: 3 is the state, 22 the start. */
    p = strrchr(buf, ')');
    if (p == NULL || p[1] != ' ' || p[2] == 'Z' || p[2] == 'X')
        return -1;
    p += 2;
    for (int field = 3; field < 22 && p != NULL; field++) {
        p = strchr(p, ' ');
        if (p != NULL)
            p++;
    }
    return p != NULL ? strtoll(p, NULL, 10) : -1;
}

uid_t process_uid(pid_t pid)
{
    char path[64], buf[4096], *p;

    snprintf(path, sizeof(path), "/proc/%ld/status", (long)pid);
    if (!read_small(path, buf, sizeof(buf)) || (p = strstr(buf, "\nUid:")) == NULL)
        return (uid_t)-1;
    return (uid_t)strtoul(p + 5, NULL, 10);
}

int64_t process_oom_kills(void)
{
    char group[512], path[600], buf[1024], *p, *end;

    if (!read_small("/proc/self/cgroup", group, sizeof(group)) || (p = strstr(group, "0::/")) == NULL)
        return -1;
    p += 3;
    end = strchr(p, '\n');
    if (end != NULL)
        *end = '\0';
    snprintf(path, sizeof(path), "/sys/fs/cgroup%s/memory.events", p);
    if (!read_small(path, buf, sizeof(buf)) || (p = strstr(buf, "oom_kill ")) == NULL)
        return -1;
    return strtoll(p + 9, NULL, 10);
}

void process_status_text(int status, char *out, size_t cap)
{
    if (WIFSIGNALED(status))
        snprintf(out, cap, "killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(out, cap, "exit code %d", WEXITSTATUS(status));
}

int process_watch_fd(pid_t pid)
{
#ifdef SYS_pidfd_open
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);

    if (fd >= 0)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    return fd;
#else
    (void)pid;
    return -1;
#endif
}
