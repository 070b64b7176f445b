/* srqctl pin: decide how layers are stored, also while the job runs. */
#include "tui/srqctl/cmds.h"

#include "tui/srqctl/change.h"

const struct ctl_option ctl_pin_options[] = {
    { "untied", 'u', NULL, CTL_C_NONE, NULL, "only these, not what runtimes fuse with them", false },
    CTL_CHANGE_AFTER,
    CTL_CHANGE_OPTIONS,
};

int ctl_cmd_pin(struct ctl *ctl)
{
    const struct ctl_args *a = &ctl->args;
    struct srq_error err = { 0 };
    cJSON *pins, *p;

    if (ctl_pins(a->positional + 1, a->positional_count - 1, ctl_given(a, "untied"), &pins, &err) != 0) {
        cJSON_Delete(pins);
        return ctl_complain(ctl, CTL_USAGE, &err);
    }
    p = ctl_job_params(a->positional[0]);
    cJSON_AddItemToObject(p, "pins", pins);
    return ctl_change(ctl, "job.pin", p);
}
