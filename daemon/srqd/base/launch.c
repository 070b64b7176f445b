/* fork and exec with everything dropped that the program does not need. */
#include "daemon/srqd/base/launch.h"

#include "core/base/alloc.h"
#include "daemon/srqd/base/environment.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define GROUPS_MAX 1024

/* Everything that needs a lookup, prepared before the fork. */
struct identity {
    char name[256], home[4096];
    gid_t gid;
    gid_t groups[GROUPS_MAX];
    int group_count;
};

void user_name_of(uid_t uid, char *out, size_t cap)
{
    const struct passwd *pw = getpwuid(uid);

    if (pw != NULL)
        snprintf(out, cap, "%s", pw->pw_name);
    else
        snprintf(out, cap, "%lu", (unsigned long)uid);
}

static void look_up(struct identity *id, uid_t uid, gid_t gid)
{
    const struct passwd *pw = getpwuid(uid);

    memset(id, 0, sizeof(*id));
    id->gid = pw != NULL ? pw->pw_gid : gid;
    snprintf(id->home, sizeof(id->home), "%s", pw != NULL ? pw->pw_dir : "/");
    if (pw != NULL)
        snprintf(id->name, sizeof(id->name), "%s", pw->pw_name);
    else
        snprintf(id->name, sizeof(id->name), "%lu", (unsigned long)uid);
    id->group_count = GROUPS_MAX;
    if (pw == NULL || getgrouplist(id->name, id->gid, id->groups, &id->group_count) < 0) {
        id->groups[0] = id->gid;
        id->group_count = 1;
    }
}

static bool drop_privileges(const struct launch *l, const struct identity *id)
{
    if (geteuid() == l->uid)
        return true;
    return setgroups((size_t)id->group_count, id->groups) == 0 && setresgid(id->gid, id->gid, id->gid) == 0 &&
           setresuid(l->uid, l->uid, l->uid) == 0;
}

static void write_oom_score(int score)
{
    char text[16];
    int n = snprintf(text, sizeof(text), "%d", score), fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    /* A container may forbid it: then the kernel's own judgement has to do. */
    if (fd >= 0) {
        ssize_t done = write(fd, text, (size_t)n);

        (void)done;
        close(fd);
    }
}

static int open_log(const struct launch *l, int null)
{
    int fd = openat(l->log_dir, l->log_name, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0600);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return null;
    return fd;
}

/* Puts the wanted descriptors on 0, 1, 2 and the report on 3, and closes the rest. The sources are moved above 10
 * first, so that no dup2 overwrites one still wanted. */
static bool arrange_descriptors(const struct launch *l, int report)
{
    int null = open("/dev/null", O_RDWR), fds[4];

    fds[0] = l->in >= 0 ? l->in : null;
    fds[1] = l->log_name != NULL ? open_log(l, null) : l->out >= 0 ? l->out : null;
    fds[2] = l->log_name != NULL ? fds[1] : l->err >= 0 ? l->err : null;
    fds[3] = report;
    for (int i = 0; i < 4; i++) {
        fds[i] = fcntl(fds[i], F_DUPFD, 10);
        if (fds[i] < 0)
            return false;
    }
    for (int i = 0; i < 4; i++) {
        if (dup2(fds[i], i) != i)
            return false;
    }
    if (close_range(4, ~0u, 0) != 0) {
        for (int fd = 4; fd < 65536; fd++)
            close(fd);
    }
    return fcntl(3, F_SETFD, FD_CLOEXEC) == 0;
}

static _Noreturn void run_child(const struct launch *l, const struct identity *id, char **envp, int report)
{
    struct sigaction plain = { .sa_handler = SIG_DFL };
    char *const *argv = (char *const *)(uintptr_t)l->argv;
    sigset_t none;
    int step = 1, e;

    setsid();
    for (int s = 1; s < NSIG; s++)
        sigaction(s, &plain, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    umask(l->mask);
    write_oom_score(l->oom_score_adj);
    if (l->nice > 0)
        setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + l->nice);
    if (drop_privileges(l, id) && arrange_descriptors(l, report) && chdir("/") == 0) {
        step = 2;
        report = 3;
        execve(argv[0], argv, envp);
    }
    e = errno | step << 16;
    _exit(write(report, &e, sizeof(e)) == (ssize_t)sizeof(e) ? 127 : 126);
}

static int failed_start(const struct launch *l, const char *user, int e, struct srq_error *err)
{
    const int why = e & 0xffff;
    const bool passing = why == EAGAIN || why == ENOMEM || why == EMFILE || why == ENFILE || why == ETXTBSY;

    if (e >> 16 == 1)
        return srq_fail(err, passing ? -SRQ_ELIMIT : -SRQ_EPERM, "cannot start %s as user %s: %s", l->argv[0], user,
                        strerror(why));
    return srq_fail_field(err, passing ? -SRQ_ELIMIT : -SRQ_ENOENT, l->argv[0], "cannot execute %s: %s", l->argv[0],
                          strerror(why));
}

int launch_report(const struct launch *l, int report, struct srq_error *err)
{
    char user[256];
    int e;

    if (read(report, &e, sizeof(e)) != (ssize_t)sizeof(e))
        return 0;
    user_name_of(l->uid, user, sizeof(user));
    return failed_start(l, user, e, err);
}

int launch_process(const struct launch *l, pid_t *pid, struct srq_error *err)
{
    struct identity *id = srq_malloc(sizeof(*id));
    char **envp = NULL;
    int report[2] = { -1, -1 }, e = 0, rc = 0, wstatus;

    *pid = -1;
    if (id == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory starting %s", l->argv[0]);
    look_up(id, l->uid, l->gid);
    envp = environment_for(l->uid, id->name, id->home, l->extra);
    if (envp == NULL || pipe2(report, O_CLOEXEC) != 0) {
        rc = srq_fail(err, envp == NULL ? -SRQ_ENOMEM : -SRQ_ELIMIT, "cannot start %s: %s", l->argv[0],
                      envp == NULL ? "out of memory" : strerror(errno));
        goto out;
    }
    fflush(NULL);
    *pid = fork();
    if (*pid == 0)
        run_child(l, id, envp, report[1]);
    close(report[1]);
    if (*pid < 0) {
        rc = srq_fail(err, -SRQ_ELIMIT, "cannot start %s: %s", l->argv[0], strerror(errno));
    } else if (l->report != NULL) {
        *l->report = report[0];
        report[0] = -1;
    } else if (read(report[0], &e, sizeof(e)) == (ssize_t)sizeof(e)) {
        /* Closed without a word by a successful exec. */
        rc = failed_start(l, id->name, e, err);
        waitpid(*pid, &wstatus, 0);
        *pid = -1;
    }
    if (report[0] >= 0)
        close(report[0]);
out:
    environment_free(envp);
    srq_free(id);
    return rc;
}
