/* srqctl daemon info, drain, reload, stop. None of them starts a daemon. */
#include "tui/srqctl/cmds.h"

#include "core/base/log.h"
#include "tui/client/human.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define INFO_WAIT_S 30.0

const struct ctl_option ctl_drain_options[] = {
    { "off", 0, NULL, CTL_C_NONE, NULL, "take it back: start jobs again", false },
    { .name = NULL },
};
const struct ctl_option ctl_stop_options[] = {
    { "jobs", 0, NULL, CTL_C_NONE, NULL, "checkpoint and end the workers too", false },
    { .name = NULL },
};

static void line(const cJSON *info, const char *name, const char *key)
{
    char safe[4096];

    if (ctl_str(info, key)[0] != '\0')
        printf("%-9s %s\n", name, srq_escape_control(ctl_str(info, key), safe, sizeof(safe)));
}

static void limit_text(const cJSON *info, const char *what, const char *used_key, const char *limit_key, bool bytes)
{
    char a[CTL_HUMAN], b[CTL_HUMAN], path[64];
    double used, limit;

    snprintf(path, sizeof(path), "in_use.%s", used_key);
    used = ctl_num(info, path);
    snprintf(path, sizeof(path), "limits.%s", limit_key);
    limit = ctl_num(info, path);
    printf("%-9s %s", what, bytes ? ctl_human_bytes(used, a) : ctl_human_count(used, a));
    if (isnan(limit))
        puts(" in use, no limit");
    else
        printf(" in use of %s\n", bytes ? ctl_human_bytes(limit, b) : ctl_human_count(limit, b));
}

static void print_info(const cJSON *info)
{
    const cJSON *n;
    char t[CTL_HUMAN];
    const char *gap = "";

    printf("srqd %s, process %.0f, %s, up %s%s\n", ctl_str(info, "version"), ctl_num(info, "pid"),
           strcmp(ctl_str(info, "mode"), "system") == 0 ? "system service" : "one user's",
           ctl_human_seconds(ctl_num(info, "uptime_s"), t),
           cJSON_IsTrue(ctl_get(info, "draining")) ? ", draining" : "");
    line(info, "refusing", "refusing");
    line(info, "socket", "socket");
    line(info, "state", "state_dir");
    line(info, "config", "config");
    line(info, "worker", "worker");
    printf("%-9s ", "jobs");
    cJSON_ArrayForEach(n, ctl_get(info, "jobs"))
    {
        if (cJSON_IsNumber(n) && n->valuedouble > 0) {
            printf("%s%.0f %s", gap, n->valuedouble, n->string);
            gap = ", ";
        }
    }
    puts(gap[0] == '\0' ? "none" : "");
    limit_text(info, "running", "running", "max_running", false);
    limit_text(info, "threads", "threads", "max_threads", false);
    limit_text(info, "memory", "memory_bytes", "max_memory_bytes", true);
    printf("%-9s %s by jobs' folders", "disk", ctl_human_bytes(ctl_num(info, "in_use.disk_bytes"), t));
    printf(", %s", ctl_human_bytes(ctl_num(info, "disk.free_bytes"), t));
    printf(" free of %s\n", ctl_human_bytes(ctl_num(info, "disk.total_bytes"), t));
}

/* Calls without starting a daemon; CTL_OK with the reply when it is to be printed for people. */
static int ask(struct ctl *ctl, const char *method, cJSON *params, cJSON **reply)
{
    int rc = ctl_connect(ctl, false);

    if (rc != CTL_OK) {
        cJSON_Delete(params);
        return rc;
    }
    return ctl_call(ctl, method, params, reply);
}

int ctl_cmd_daemon_info(struct ctl *ctl)
{
    cJSON *reply = NULL;
    int rc = ask(ctl, "daemon.info", NULL, &reply);

    if (rc != CTL_OK)
        return rc;
    if (ctl->json)
        return ctl_print_json(reply);
    print_info(reply);
    cJSON_Delete(reply);
    return ctl_flush(ctl);
}

int ctl_cmd_daemon_drain(struct ctl *ctl)
{
    bool on = !ctl_given(&ctl->args, "off");
    cJSON *p = cJSON_CreateObject(), *reply = NULL;
    int rc;

    cJSON_AddBoolToObject(p, "on", on);
    rc = ask(ctl, "daemon.drain", p, &reply);
    if (rc != CTL_OK)
        return rc;
    if (ctl->json)
        return ctl_print_json(reply);
    puts(cJSON_IsTrue(ctl_get(reply, "draining")) ? "draining: running jobs go on, no other starts"
                                                  : "jobs are started again");
    cJSON_Delete(reply);
    return ctl_flush(ctl);
}

int ctl_cmd_daemon_reload(struct ctl *ctl)
{
    cJSON *reply = NULL;
    int rc = ask(ctl, "daemon.reload", NULL, &reply);

    if (rc != CTL_OK)
        return rc;
    if (ctl->json)
        return ctl_print_json(reply);
    printf("read %s\n",
           ctl_str(reply, "config")[0] != '\0' ? ctl_str(reply, "config") : "no configuration: there is no file");
    cJSON_Delete(reply);
    return ctl_flush(ctl);
}

/* A descriptor that becomes readable when the daemon's process ends; -1 where the system gives none, or where the
 * process that it names is not the one behind the socket (another one listens for it, or it lives among other ids). */
static int watch_process(struct ctl *ctl)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);
    cJSON *info = NULL;
    int fd = -1;

    if (getsockopt(srq_client_fd(ctl->client), SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0 ||
        srq_client_call(ctl->client, "daemon.info", NULL, INFO_WAIT_S, &info, NULL) != 0)
        return -1;
    if (ctl_num(info, "pid") == (double)peer.pid)
        fd = (int)syscall(SYS_pidfd_open, peer.pid, 0);
    cJSON_Delete(info);
    return fd;
}

/* Until that process has ended, or else until the daemon hangs up; whatever comes next finds it gone. */
static int wait_for_end(struct ctl *ctl, int process)
{
    struct srq_error err = { 0 };
    struct srq_message m;

    while (!ctl_interrupted && process >= 0) {
        struct pollfd p = { .fd = process, .events = POLLIN };
        int n = poll(&p, 1, 250);

        if (n > 0)
            return CTL_OK;
        if (n < 0 && errno != EINTR)
            break;
    }
    while (!ctl_interrupted && srq_client_event(ctl->client, -1, &m, &err) > 0)
        srq_message_fini(&m);
    return ctl_interrupted ? CTL_INTERRUPTED : CTL_OK;
}

int ctl_cmd_daemon_stop(struct ctl *ctl)
{
    bool jobs = ctl_given(&ctl->args, "jobs");
    cJSON *p, *reply = NULL;
    double workers;
    const char *many;
    int rc = ctl_connect(ctl, false), process;

    if (rc != CTL_OK)
        return rc;
    p = cJSON_CreateObject();
    if (jobs)
        cJSON_AddTrueToObject(p, "jobs");
    process = watch_process(ctl);
    rc = ctl_call(ctl, "daemon.stop", p, &reply);
    workers = ctl_num(reply, "workers");
    many = workers == 1 ? "" : "s";
    if (rc == CTL_OK && jobs && workers > 0 && !ctl->json) {
        printf("stopping; %.0f worker%s checkpoint%s and end%s first\n", workers, many, workers == 1 ? "s" : "",
               workers == 1 ? "s" : "");
        rc = ctl_flush(ctl);
    }
    if (rc == CTL_OK)
        rc = wait_for_end(ctl, process);
    if (process >= 0)
        close(process);
    if (rc == CTL_OK && ctl->json)
        return ctl_print_json(reply);
    cJSON_Delete(reply);
    if (rc != CTL_OK)
        return rc;
    if (jobs || workers == 0)
        puts("stopped");
    else
        printf("stopped; %.0f worker%s go%s on and will be found again\n", workers, many, workers == 1 ? "es" : "");
    return ctl_flush(ctl);
}
