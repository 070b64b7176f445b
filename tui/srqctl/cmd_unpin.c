/* srqctl unpin: take decisions about layers back. */
#include "tui/srqctl/cmds.h"

#include "tui/srqctl/change.h"

const struct ctl_option ctl_unpin_options[] = {
    CTL_CHANGE_AFTER,
    CTL_CHANGE_OPTIONS,
};

int ctl_cmd_unpin(struct ctl *ctl)
{
    return ctl_change(ctl, "job.unpin", ctl_pattern_params(&ctl->args));
}
