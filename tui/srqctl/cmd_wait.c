/* srqctl wait: until a job has ended; the exit code says how. */
#include "tui/srqctl/cmds.h"

#include "tui/srqctl/follow.h"

const struct ctl_option ctl_wait_options[] = {
    { "timeout", 't', "TIME", CTL_C_NONE, NULL, "give up after so long (90, 15m, 2h), with exit code 6", false },
    { .name = NULL },
};

int ctl_cmd_wait(struct ctl *ctl)
{
    cJSON *job;
    int rc = ctl_follow_named(ctl, CTL_SHOW_NOTHING, &job);

    if (job == NULL)
        return rc;
    if (ctl->json)
        return ctl_print_json(job) == CTL_OK ? rc : CTL_REFUSED;
    rc = ctl_print_end(ctl, job, rc);
    cJSON_Delete(job);
    return rc;
}
