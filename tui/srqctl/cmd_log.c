/* srqctl log: a job's messages. */
#include "tui/srqctl/cmds.h"

#include "core/base/log.h"
#include "tui/client/human.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const struct ctl_option ctl_log_options[] = {
    { "lines", 'n', "N", CTL_C_NONE, NULL, "only the last N", false },
    { "worker", 'w', NULL, CTL_C_NONE, NULL, "what its worker printed, instead", false },
    { .name = NULL },
};

static void print_line(const cJSON *l)
{
    char date[CTL_HUMAN], text[8192];

    if (!isnan(ctl_num(l, "time")))
        printf("%s ", ctl_human_date(ctl_num(l, "time"), date));
    if (ctl_str(l, "level")[0] != '\0')
        printf("%-7s ", ctl_str(l, "level"));
    puts(srq_escape_control(ctl_str(l, "text"), text, sizeof(text)));
}

int ctl_cmd_log(struct ctl *ctl)
{
    struct srq_error err = { 0 };
    double lines = 0;
    cJSON *p, *reply = NULL;
    const cJSON *l;
    int rc;

    if (ctl_number(&ctl->args, "lines", 1, 10000, &lines, &err) != 0)
        return ctl_complain(ctl, CTL_USAGE, &err);
    rc = ctl_connect(ctl, true);
    if (rc != CTL_OK)
        return rc;
    p = ctl_job_params(ctl->args.positional[0]);
    cJSON_AddStringToObject(p, "source", ctl_given(&ctl->args, "worker") ? "worker" : "events");
    if (lines > 0) {
        cJSON_AddNumberToObject(p, "offset", -floor(lines));
        cJSON_AddNumberToObject(p, "limit", floor(lines));
    }
    rc = lines > 0 ? ctl_call(ctl, "job.log", p, &reply) : ctl_call_paged(ctl, "job.log", p, &reply);
    if (rc != CTL_OK)
        return rc;
    if (ctl->json)
        return ctl_print_json(reply);
    cJSON_ArrayForEach(l, ctl_get(reply, "lines")) print_line(l);
    cJSON_Delete(reply);
    return ctl_flush(ctl);
}
