/* srqctl daemon info, drain, reload, stop. None of them starts a daemon. */
#include "tui/srqctl/cmds.h"

#include "core/base/log.h"
#include "tui/client/human.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

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

int ctl_cmd_daemon_stop(struct ctl *ctl)
{
    bool jobs = ctl_given(&ctl->args, "jobs");
    cJSON *p = cJSON_CreateObject(), *reply = NULL;
    double workers;
    int rc;

    if (jobs)
        cJSON_AddTrueToObject(p, "jobs");
    rc = ask(ctl, "daemon.stop", p, &reply);
    if (rc != CTL_OK)
        return rc;
    if (ctl->json)
        return ctl_print_json(reply);
    workers = ctl_num(reply, "workers");
    if (workers == 0)
        puts("stopped");
    else if (jobs)
        printf("stopping; %.0f worker%s checkpoint%s and end%s first\n", workers, workers == 1 ? "" : "s",
               workers == 1 ? "s" : "", workers == 1 ? "s" : "");
    else
        printf("stopped; %.0f worker%s go%s on and will be found again\n", workers, workers == 1 ? "" : "s",
               workers == 1 ? "es" : "");
    cJSON_Delete(reply);
    return ctl_flush(ctl);
}
