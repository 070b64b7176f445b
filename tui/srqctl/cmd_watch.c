/* srqctl watch: progress of a job until it has ended. */
#include "tui/srqctl/cmds.h"

#include "tui/srqctl/follow.h"

const struct ctl_option ctl_watch_options[] = {
    { "timeout", 't', "S", CTL_C_NONE, NULL, "stop watching after so many seconds, with exit code 6", false },
    { .name = NULL },
};

int ctl_cmd_watch(struct ctl *ctl)
{
    struct srq_error err = { 0 };
    cJSON *found = NULL, *job = NULL;
    double timeout = 0;
    int rc;

    if (ctl_number(&ctl->args, "timeout", 0.001, 1e9, &timeout, &err) != 0)
        return ctl_complain(ctl, CTL_USAGE, &err);
    rc = ctl_connect(ctl, true);
    if (rc == CTL_OK)
        rc = ctl_call(ctl, "job.get", ctl_job_params(ctl->args.positional[0]), &found);
    if (rc != CTL_OK)
        return rc;
    rc = ctl_follow(ctl, ctl_str(found, "job"), ctl->json ? CTL_SHOW_EVENTS : CTL_SHOW_PROGRESS, timeout, &job);
    if (job != NULL && !ctl->json)
        rc = ctl_print_end(ctl, job, rc);
    cJSON_Delete(found);
    cJSON_Delete(job);
    return rc;
}
