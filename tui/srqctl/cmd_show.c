/* srqctl show: everything about one job. */
#include "tui/srqctl/cmds.h"

#include "core/base/log.h"
#include "tui/client/human.h"
#include "tui/srqctl/plan_text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define PLAN_WAIT_S 30.0

static void line(const char *name, const char *text)
{
    char safe[4096];

    if (text[0] != '\0')
        printf("%-10s %s\n", name, srq_escape_control(text, safe, sizeof(safe)));
}

static void show_stage(const cJSON *job)
{
    double done = ctl_num(job, "done"), total = ctl_num(job, "total"), left = ctl_num(job, "eta_s");
    char n[CTL_HUMAN];

    if (ctl_str(job, "stage")[0] == '\0')
        return;
    printf("%-10s %s", "stage", ctl_str(job, "stage"));
    if (!isnan(done))
        printf(" %.0f", floor(done));
    if (!isnan(total))
        printf("/%.0f %s", total, ctl_str(job, "unit"));
    if (!isnan(left))
        printf(", %s left", ctl_human_seconds(left, n));
    puts("");
}

static void show_time(const char *name, const cJSON *job, const char *key)
{
    char n[CTL_HUMAN];

    if (!isnan(ctl_num(job, key)))
        printf("%-10s %s\n", name, ctl_human_date(ctl_num(job, key), n));
}

static void show_worker(const cJSON *job)
{
    if (!isnan(ctl_num(job, "pid")))
        printf("%-10s process %.0f%s\n", "worker", ctl_num(job, "pid"),
               cJSON_IsTrue(ctl_get(job, "attached")) ? "" : ", not heard by the daemon");
    if (ctl_num(job, "restarts") > 0)
        printf("%-10s %.0f times after its worker died\n", "restarted", ctl_num(job, "restarts"));
    if (!isnan(ctl_num(job, "signal")))
        printf("%-10s last worker killed by signal %.0f\n", "death", ctl_num(job, "signal"));
}

/* Until the allocator has chosen, the budget is what is told of the size; it may be another than was submitted. */
static void take_budget(struct ctl *ctl, cJSON *job)
{
    cJSON *submitted = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(job, "spec"), "budget");
    cJSON *p, *plan = NULL;

    if (!cJSON_IsObject(submitted) || !isnan(ctl_num(job, "after_bytes")))
        return;
    p = ctl_job_params(ctl_str(job, "job"));
    cJSON_AddNumberToObject(p, "limit", 1);
    if (srq_client_call(ctl->client, "job.plan", p, PLAN_WAIT_S, &plan, NULL) == 0 &&
        !isnan(ctl_num(plan, "budget.bits")))
        cJSON_ReplaceItemInObjectCaseSensitive(submitted, "bits", cJSON_CreateNumber(ctl_num(plan, "budget.bits")));
    cJSON_Delete(plan);
}

int ctl_cmd_show(struct ctl *ctl)
{
    cJSON *job = NULL;
    char text[2048], n[CTL_HUMAN];
    double used;
    int rc = ctl_connect(ctl, true);

    if (rc == CTL_OK)
        rc = ctl_call(ctl, "job.get", ctl_job_params(ctl->args.positional[0]), &job);
    if (rc != CTL_OK)
        return rc;
    if (ctl->json)
        return ctl_print_json(job);
    used = ctl_num(job, "disk_used_bytes");
    line("job", ctl_str(job, "job"));
    line("name", ctl_str(job, "name"));
    snprintf(text, sizeof(text), "%s%s%s%s%.1500s", ctl_str(job, "state"), ctl_str(job, "wish")[0] != '\0' ? ", " : "",
             ctl_str(job, "wish"), ctl_str(job, "reason")[0] != '\0' ? ", " : "", ctl_str(job, "reason"));
    line("state", text);
    show_stage(job);
    line("owner", ctl_str(job, "owner"));
    line("model", ctl_str(job, "model"));
    snprintf(text, sizeof(text), "%.500s %.500s", ctl_str(job, "method"), ctl_str(job, "scheme"));
    line("method", text);
    line("output", ctl_str(job, "output"));
    snprintf(text, sizeof(text), "%.2000s%s%s", ctl_str(job, "directory"), isnan(used) ? "" : ", ",
             isnan(used) ? "" : ctl_human_bytes(used, n));
    line("directory", text);
    if (!isnan(ctl_num(job, "spec.time_limit_s")))
        printf("%-10s %s at a stretch\n", "time limit", ctl_human_seconds(ctl_num(job, "spec.time_limit_s"), n));
    printf("%-10s %.0f\n", "priority", ctl_num(job, "priority"));
    show_time("submitted", job, "submitted");
    show_time("started", job, "started");
    show_time("ended", job, "ended");
    show_worker(job);
    line("on end", ctl_str(job, "on_end_failure"));
    take_budget(ctl, job);
    ctl_print_amounts(job);
    cJSON_Delete(job);
    return ctl_flush(ctl);
}
