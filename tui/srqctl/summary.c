/* The table at a job's end. */
#include "tui/srqctl/summary.h"

#include "core/base/log.h"
#include "tui/client/human.h"
#include "tui/srqctl/table.h"
#include "tui/srqctl/verb.h"

#include <stdio.h>

static const char *const columns[] = { "before", "rtn", "after" };

static void row(struct ctl_table *t, const cJSON *report, const char *name, const char *key,
                char *(*human)(double, char *))
{
    char path[64], n[CTL_HUMAN];

    ctl_table_cell(t, name);
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof(path), "eval.%s.%s", columns[i], key);
        ctl_table_cell(t, human(ctl_num(report, path), n));
    }
}

void ctl_summary(const cJSON *report, const char *output, struct srq_buf *out)
{
    struct ctl_table *t = ctl_table_create("|>original|>rounded|>tuned");
    char a[CTL_HUMAN], b[CTL_HUMAN], path[4096];

    if (t == NULL)
        return;
    row(t, report, "perplexity", "perplexity", ctl_human_number);
    row(t, report, "KL to the original", "kl", ctl_human_number);
    row(t, report, "top-1 agreement", "top1", ctl_human_percent);
    ctl_human_bytes(ctl_num(report, "size.before_bytes"), a);
    ctl_human_bytes(ctl_num(report, "size.after_bytes"), b);
    ctl_table_cell(t, "size");
    ctl_table_cell(t, a);
    ctl_table_cell(t, b);
    ctl_table_cell(t, b);
    ctl_human_number(ctl_num(report, "size.average_bits"), b);
    ctl_table_cell(t, "average bits");
    ctl_table_cell(t, "");
    ctl_table_cell(t, b);
    ctl_table_cell(t, b);
    ctl_table_text(t, out);
    ctl_table_free(t);
    srq_buf_printf(out, "time %s", ctl_human_seconds(ctl_num(report, "timing.total_s"), a));
    if (output != NULL && output[0] != '\0')
        srq_buf_printf(out, ", output %s", srq_escape_control(output, path, sizeof(path)));
    srq_buf_puts(out, "\n");
}
