/* srqctl series: a block's losses or a layer's errors over the iterations. */
#include "tui/srqctl/cmds.h"

#include "tui/srqctl/csv.h"
#include "tui/client/human.h"
#include "tui/srqctl/table.h"

#include <math.h>
#include <stdio.h>

#define CSV_MAX ((size_t)256 << 20)

const struct ctl_option ctl_series_options[] = {
    { "block", 'b', "N", CTL_C_NONE, NULL, "the losses of block N, counted from 0", false },
    { "layer", 'l', "NAME", CTL_C_NONE, NULL, "the errors of a layer", false },
    { "kind", 'k', "KIND", CTL_C_WORDS, "loss probe error", "loss (of batches), probe (fixed samples), error (layer)",
      false },
    { "csv", 0, NULL, CTL_C_NONE, NULL, "comma-separated, with all digits", false },
    { .name = NULL },
};

static void print_points(const cJSON *reply)
{
    struct ctl_table *t = ctl_table_create(">iteration|>value|>lr");
    const cJSON *p;
    char n[CTL_HUMAN];

    if (t == NULL)
        return;
    cJSON_ArrayForEach(p, ctl_get(reply, "points"))
    {
        ctl_table_cellf(t, "%.0f", ctl_num(p, "iter"));
        /* Curves are compared in their later digits. */
        if (isnan(ctl_num(p, "value")))
            ctl_table_cell(t, "-");
        else
            ctl_table_cellf(t, "%.6g", ctl_num(p, "value"));
        ctl_table_cell(t, ctl_human_number(ctl_num(p, "lr"), n));
    }
    ctl_table_print(t);
}

static int print_csv(const cJSON *reply)
{
    struct srq_buf out;
    const cJSON *p;

    srq_buf_init(&out, CSV_MAX);
    srq_buf_puts(&out, "iter,value,lr,time\n");
    cJSON_ArrayForEach(p, ctl_get(reply, "points"))
    {
        ctl_csv_number(&out, true, ctl_num(p, "iter"));
        ctl_csv_number(&out, false, ctl_num(p, "value"));
        ctl_csv_number(&out, false, ctl_num(p, "lr"));
        ctl_csv_number(&out, false, ctl_num(p, "time"));
        ctl_csv_end(&out);
    }
    return ctl_print_text(&out);
}

int ctl_cmd_series(struct ctl *ctl)
{
    const struct ctl_args *a = &ctl->args;
    struct srq_error err = { 0 };
    double block = 0;
    cJSON *p, *reply = NULL;
    int rc = ctl_number(a, "block", 0, 1e9, &block, &err);

    if (rc == 0 && ctl_given(a, "block") == ctl_given(a, "layer"))
        rc = srq_fail_field(&err, -SRQ_EINVAL, "block", "series needs either --block N or --layer NAME");
    if (rc == 0 && block != floor(block))
        rc = srq_fail_field(&err, -SRQ_EINVAL, "block", "--block %s is not a whole number", ctl_value(a, "block"));
    if (rc != 0)
        return ctl_complain(ctl, CTL_USAGE, &err);
    rc = ctl_connect(ctl, true);
    if (rc != CTL_OK)
        return rc;
    p = ctl_job_params(a->positional[0]);
    if (ctl_given(a, "block"))
        cJSON_AddNumberToObject(p, "block", block);
    else
        cJSON_AddStringToObject(p, "layer", ctl_value(a, "layer"));
    if (ctl_value(a, "kind") != NULL)
        cJSON_AddStringToObject(p, "kind", ctl_value(a, "kind"));
    rc = ctl_call_paged(ctl, "job.series", p, &reply);
    if (rc != CTL_OK)
        return rc;
    if (ctl->json)
        return ctl_print_json(reply);
    if (ctl_given(a, "csv")) {
        rc = print_csv(reply);
        cJSON_Delete(reply);
        return rc;
    }
    print_points(reply);
    cJSON_Delete(reply);
    return ctl_flush(ctl);
}
