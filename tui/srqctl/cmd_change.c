/* srqctl cancel, pause, resume, finish, priority, delete, gc: what changes a job, one request each. */
#include "tui/srqctl/cmds.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

const struct ctl_option ctl_cancel_options[] = {
    { "all", 'a', NULL, CTL_C_NONE, NULL, "all jobs of yours that have not ended, after a question", false },
    { "yes", 'y', NULL, CTL_C_NONE, NULL, "ask nothing", false },
    { .name = NULL },
};

const struct ctl_option ctl_gc_options[] = {
    { "dry-run", 0, NULL, CTL_C_NONE, NULL, "only say which jobs would go", false },
    { .name = NULL },
};

/* One request for one job. With --json the reply on a line; for people the id and `said`. An exit code. */
static int one_job(struct ctl *ctl, const char *method, const char *id, const char *said)
{
    cJSON *reply = NULL;
    const char *wish;
    int rc = ctl_call(ctl, method, ctl_job_params(id), &reply);

    if (rc != CTL_OK || ctl->json)
        return rc != CTL_OK ? rc : ctl_print_json(reply);
    /* A worker that runs is told, and does it in a while: until then the state is what it was. */
    wish = ctl_str(reply, "wish");
    printf("%s: %s\n", ctl_str(reply, "job"), said != NULL ? said : wish[0] != '\0' ? wish : ctl_str(reply, "state"));
    cJSON_Delete(reply);
    return CTL_OK;
}

/* The same request for every job named; goes on after a refusal and gives the first failure's exit code. */
static int each_job(struct ctl *ctl, const char *method, const char *said)
{
    int first = ctl_connect(ctl, true);

    for (int i = 0; i < ctl->args.positional_count && ctl->client != NULL; i++) {
        int rc = one_job(ctl, method, ctl->args.positional[i], said);

        first = first != CTL_OK ? first : rc;
    }
    return first != CTL_OK ? first : ctl_flush(ctl);
}

/* Ids of the caller's own jobs that have not ended: job.list without "all". NULL after having complained. */
static cJSON *open_jobs(struct ctl *ctl, int *rc)
{
    cJSON *p = cJSON_CreateObject(), *states = cJSON_AddArrayToObject(p, "states"), *reply = NULL;

    for (int s = 0; s < SRQ_JOB_DONE; s++)
        cJSON_AddItemToArray(states, cJSON_CreateString(srq_job_state_words[s]));
    *rc = ctl_call_paged(ctl, "job.list", p, &reply);
    return *rc == CTL_OK ? reply : NULL;
}

/* y or yes, typed at a terminal. */
static bool agreed(int count)
{
    char line[16] = "";

    fprintf(stderr, "cancel %d job%s for good? [y/N] ", count, count == 1 ? "" : "s");
    if (fgets(line, sizeof(line), stdin) == NULL)
        return false;
    line[strcspn(line, "\n")] = '\0';
    return strcasecmp(line, "y") == 0 || strcasecmp(line, "yes") == 0;
}

static int cancel_all(struct ctl *ctl)
{
    struct srq_error err = { 0 };
    const cJSON *job;
    cJSON *reply;
    int first, rc, count;

    if (!ctl_given(&ctl->args, "yes") && !isatty(STDIN_FILENO)) {
        srq_fail_field(&err, SRQ_EINVAL, "all", "--all asks at a terminal; without one it needs --yes");
        return ctl_complain(ctl, CTL_USAGE, &err);
    }
    first = ctl_connect(ctl, true);
    reply = first == CTL_OK ? open_jobs(ctl, &first) : NULL;
    if (reply == NULL)
        return first;
    count = cJSON_GetArraySize(ctl_get(reply, "jobs"));
    if (count == 0 && !ctl->json)
        puts("no jobs to cancel");
    if (count > 0 && !ctl_given(&ctl->args, "yes") && !agreed(count)) {
        fputs("srqctl: nothing was canceled\n", stderr);
        first = CTL_REFUSED;
    } else {
        cJSON_ArrayForEach(job, ctl_get(reply, "jobs"))
        {
            rc = one_job(ctl, "job.cancel", ctl_str(job, "job"), NULL);
            first = first != CTL_OK ? first : rc;
        }
    }
    cJSON_Delete(reply);
    return first != CTL_OK ? first : ctl_flush(ctl);
}

int ctl_cmd_cancel(struct ctl *ctl)
{
    bool all = ctl_given(&ctl->args, "all");
    struct srq_error err = { 0 };

    if (all == (ctl->args.positional_count > 0)) {
        srq_fail_field(&err, SRQ_EINVAL, "job",
                       all ? "cancel takes JOBs or --all, not both" : "cancel needs JOB... or --all");
        return ctl_complain(ctl, CTL_USAGE, &err);
    }
    return all ? cancel_all(ctl) : each_job(ctl, "job.cancel", NULL);
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
