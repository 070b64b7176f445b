/* srqctl retune: have the blocks of layers tuned again. */
#include "tui/srqctl/cmds.h"

#include "tui/srqctl/change.h"

const struct ctl_option ctl_retune_options[] = {
    CTL_CHANGE_OPTIONS,
};

int ctl_cmd_retune(struct ctl *ctl)
{
    return ctl_change(ctl, "job.retune", ctl_pattern_params(&ctl->args));
}
