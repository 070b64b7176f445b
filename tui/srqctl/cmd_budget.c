/* srqctl budget: set the average bits, and have the plan solved again around its pins. */
#include "tui/srqctl/cmds.h"

#include "tui/srqctl/change.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const struct ctl_option ctl_budget_options[] = {
    { "release", 0, NULL, CTL_C_NONE, NULL, "let finished layers change too", false },
    CTL_CHANGE_AFTER,
    CTL_CHANGE_OPTIONS,
};

int ctl_cmd_budget(struct ctl *ctl)
{
    const char *text = ctl->args.positional[1];
    struct srq_error err = { 0 };
    char *end;
    double bits = strtod(text, &end);
    cJSON *p;

    if (strcmp(text, "none") != 0 && (end == text || *end != '\0' || !(bits > 0 && bits <= 32))) {
        srq_fail_field(&err, SRQ_EINVAL, "bits", "%s is neither a number of bits above 0, at most 32, nor none", text);
        return ctl_complain(ctl, CTL_USAGE, &err);
    }
    p = ctl_job_params(ctl->args.positional[0]);
    if (strcmp(text, "none") == 0)
        cJSON_AddNullToObject(p, "bits");
    else
        cJSON_AddNumberToObject(p, "bits", bits);
    if (ctl_given(&ctl->args, "release"))
        cJSON_AddTrueToObject(p, "release");
    return ctl_change(ctl, "job.budget", p);
}
