/* srqctl watch: progress of a job until it has ended. */
#include "tui/srqctl/cmds.h"

#include "tui/srqctl/follow.h"

const struct ctl_option ctl_watch_options[] = {
    { "timeout", 't', "TIME", CTL_C_NONE, NULL, "stop watching after so long (90, 15m), with exit code 6", false },
    { .name = NULL },
};

int ctl_cmd_watch(struct ctl *ctl)
{
    cJSON *job;
    int rc = ctl_follow_named(ctl, ctl->json ? CTL_SHOW_EVENTS : CTL_SHOW_PROGRESS, &job);

    if (job != NULL && !ctl->json)
        rc = ctl_print_end(ctl, job, rc);
    cJSON_Delete(job);
    return rc;
}
