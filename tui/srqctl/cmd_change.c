/* srqctl cancel, pause, resume, finish, priority, delete, gc: what changes a job, one request each. */
#include "tui/srqctl/cmds.h"

#include <stdio.h>
#include <string.h>

const struct ctl_option ctl_gc_options[] = {
    { "dry-run", 'n', NULL, CTL_C_NONE, NULL, "only say which jobs would go", false },
    { .name = NULL },
};

/* The same request for every job named; goes on after a refusal and gives the first failure's exit code. With --json
 * one line a job. `say` is for people: its %s is the id, then the state where the reply has one. */
static int each_job(struct ctl *ctl, const char *method, const char *said)
{
    int first = ctl_connect(ctl, true);

    for (int i = 0; i < ctl->args.positional_count && ctl->client != NULL; i++) {
        cJSON *reply = NULL;
        int rc = ctl_call(ctl, method, ctl_job_params(ctl->args.positional[i]), &reply);

        first = first != CTL_OK ? first : rc;
        if (rc != CTL_OK)
            continue;
        if (ctl->json) {
            ctl_print_json(reply);
            continue;
        }
        printf("%s: %s\n", ctl_str(reply, "job"), said != NULL ? said : ctl_str(reply, "state"));
        cJSON_Delete(reply);
    }
    return first != CTL_OK ? first : ctl_flush(ctl);
}

int ctl_cmd_cancel(struct ctl *ctl)
{
    return each_job(ctl, "job.cancel", NULL);
}

int ctl_cmd_pause(struct ctl *ctl)
{
    return each_job(ctl, "job.pause", NULL);
}

int ctl_cmd_resume(struct ctl *ctl)
{
    return each_job(ctl, "job.resume", NULL);
}

int ctl_cmd_finish(struct ctl *ctl)
{
    return each_job(ctl, "job.finish", "rounds what is left and exports");
}

int ctl_cmd_delete(struct ctl *ctl)
{
    return each_job(ctl, "job.delete", "deleted");
}

int ctl_cmd_priority(struct ctl *ctl)
{
    const char *text = ctl->args.positional[1];
    struct srq_error err = { 0 };
    cJSON *p, *reply = NULL;
    char extra;
    int n, rc;

    if (sscanf(text, "%d%c", &n, &extra) != 1 || n < -1000 || n > 1000) {
        srq_fail_field(&err, SRQ_EINVAL, "priority", "priority %s is not a whole number between -1000 and 1000", text);
        return ctl_complain(ctl, CTL_USAGE, &err);
    }
    rc = ctl_connect(ctl, true);
    if (rc != CTL_OK)
        return rc;
    p = ctl_job_params(ctl->args.positional[0]);
    cJSON_AddNumberToObject(p, "priority", n);
    rc = ctl_call(ctl, "job.priority", p, &reply);
    if (rc != CTL_OK)
        return rc;
    if (ctl->json)
        return ctl_print_json(reply);
    printf("%s: priority %.0f\n", ctl_str(reply, "job"), ctl_num(reply, "priority"));
    cJSON_Delete(reply);
    return ctl_flush(ctl);
}

int ctl_cmd_gc(struct ctl *ctl)
{
    bool dry = ctl_given(&ctl->args, "dry-run");
    cJSON *p, *reply = NULL;
    const cJSON *id;
    int rc = ctl_connect(ctl, true);

    if (rc != CTL_OK)
        return rc;
    p = cJSON_CreateObject();
    if (dry)
        cJSON_AddTrueToObject(p, "dry_run");
    rc = ctl_call(ctl, "job.gc", p, &reply);
    if (rc != CTL_OK)
        return rc;
    if (ctl->json)
        return ctl_print_json(reply);
    cJSON_ArrayForEach(id, ctl_get(reply, "deleted")) printf("%s: %s\n", id->valuestring, dry ? "would go" : "deleted");
    if (cJSON_GetArraySize(ctl_get(reply, "deleted")) == 0)
        puts(dry ? "nothing would go" : "nothing to delete");
    cJSON_Delete(reply);
    return ctl_flush(ctl);
}
