/* How a job ended, for people. */
#include "tui/srqctl/follow.h"

#include "core/base/log.h"
#include "tui/srqctl/summary.h"

#include <stdio.h>
#include <string.h>

int ctl_print_end(struct ctl *ctl, const cJSON *job, int ended)
{
    struct srq_error err = { 0 };
    struct srq_buf text;
    cJSON *report = NULL;
    char reason[1024];
    int rc;

    if (ended == CTL_JOB_FAILED) {
        const char *why = ctl_str(job, "reason"), *state = ctl_str(job, "state");

        fflush(stdout);
        fprintf(stderr, "srqctl: %s %s%s%s\n", ctl_str(job, "job"),
                strcmp(state, "canceled") == 0 ? "was canceled" : "failed", why[0] != '\0' ? ": " : "",
                srq_escape_control(why, reason, sizeof(reason)));
        return ended;
    }
    rc = srq_client_call(ctl->client, "job.report", ctl_job_params(ctl_str(job, "job")), 60, &report, &err);
    if (rc != 0) { /* it is done; a missing report does not change that */
        fprintf(stderr, "srqctl: no report: %s\n", srq_escape_control(err.text, reason, sizeof(reason)));
        return ended;
    }
    srq_buf_init(&text, 1 << 20);
    ctl_summary(ctl_get(report, "report"), ctl_str(job, "output"), &text);
    fputs(text.data != NULL ? text.data : "", stdout);
    srq_buf_fini(&text);
    cJSON_Delete(report);
    return ctl_flush(ctl) == CTL_OK ? ended : CTL_REFUSED;
}
