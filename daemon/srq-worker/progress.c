/* Events as lines for people. */
#include "daemon/srq-worker/commands.h"

#include "core/base/log.h"
#include "core/proto/members.h"

#include <math.h>
#include <stdio.h>

static const char *text(const cJSON *data, const char *key)
{
    const char *v = srq_member_text(data, key);

    return v != NULL ? v : "";
}

static void show_progress(const cJSON *d)
{
    double done = srq_member_number(d, "done"), total = srq_member_number(d, "total"),
           eta = srq_member_number(d, "eta_s"), rate = srq_member_number(d, "rate");
    char detail[128];

    fprintf(stderr, "%-9s", text(d, "stage"));
    if (isnan(total))
        fprintf(stderr, " %s", text(d, "unit"));
    else
        fprintf(stderr, " %.3g of %.3g %s (%.0f %%)", done, total, text(d, "unit"), 100 * done / total);
    if (!isnan(rate))
        fprintf(stderr, ", %.3g/s", rate);
    if (!isnan(eta))
        fprintf(stderr, ", %.3g s left", eta);
    srq_escape_control(text(d, "detail"), detail, sizeof(detail));
    fprintf(stderr, "%s%s\n", detail[0] != '\0' ? "  " : "", detail);
}

static void show_block(const cJSON *d)
{
    char name[128];

    srq_escape_control(text(d, "name"), name, sizeof(name));
    fprintf(stderr, "block %.0f  %s", srq_member_number(d, "block"), name);
    if (!isnan(srq_member_number(d, "loss_first")))
        fprintf(stderr, "  loss %.4g -> %.4g at iteration %.0f", srq_member_number(d, "loss_first"),
                srq_member_number(d, "loss_best"), srq_member_number(d, "best_iteration"));
    fprintf(stderr, "  %.3g s\n", srq_member_number(d, "elapsed_s"));
}

static void show_evaluation(const cJSON *d)
{
    fprintf(stderr, "%-9s perplexity %.5g", text(d, "which"), srq_member_number(d, "perplexity"));
    if (!isnan(srq_member_number(d, "kl")))
        fprintf(stderr, "  KL %.4g  top-1 %.2f %%", srq_member_number(d, "kl"), 100 * srq_member_number(d, "top1"));
    fprintf(stderr, "  %.0f tokens\n", srq_member_number(d, "tokens"));
}

void worker_show_event(void *ctx, int64_t seq, double time, const char *event, const cJSON *data)
{
    char line[1024];

    (void)ctx;
    (void)seq;
    (void)time;
    if (strcmp(event, "stage.progress") == 0) {
        show_progress(data);
    } else if (strcmp(event, "block.end") == 0) {
        show_block(data);
    } else if (strcmp(event, "eval.result") == 0) {
        show_evaluation(data);
    } else if (strcmp(event, "job.state") == 0) {
        fprintf(stderr, "job is %s\n", text(data, "state"));
    } else if (strcmp(event, "log") == 0) {
        srq_escape_control(text(data, "text"), line, sizeof(line));
        fprintf(stderr, "%s: %s\n", text(data, "level"), line);
    }
}
