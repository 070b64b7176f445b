/* srqctl series: a block's losses or a layer's errors over the iterations. */
#include "tui/srqctl/cmds.h"

#include "core/base/alloc.h"
#include "tui/srqctl/chart.h"
#include "tui/srqctl/csv.h"
#include "tui/client/human.h"
#include "tui/srqctl/table.h"

#include <math.h>
#include <stdio.h>

#define CSV_MAX ((size_t)256 << 20)

const struct ctl_option ctl_series_options[] = {
    { "block", 0, "N", CTL_C_NONE, NULL, "the losses of block N, counted from 0", false },
    { "layer", 'l', "NAME", CTL_C_LAYER, NULL, "the errors of a layer", false },
    { "kind", 'k', "KIND", CTL_C_CHOICE, "loss probe error transform transform_probe",
      "loss, probe, error, transform, transform_probe", false },
    { "csv", 0, NULL, CTL_C_NONE, NULL, "comma-separated, with all digits", false },
    { "png", 0, "FILE", CTL_C_FILE, NULL, "draw the curve into FILE", false },
    { "log", 0, NULL, CTL_C_NONE, NULL, "with a logarithmic scale, for --png", false },
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

static int draw(struct ctl *ctl, const cJSON *reply, const char *of)
{
    struct srq_error err = { 0 };
    struct ctl_curve curve = { .name = NULL };
    struct ctl_picture p;
    char title[CTL_PICTURE_LABEL];
    double *x, *y;
    int rc;

    if (!ctl_chart_points(reply, &x, &y, &curve.count))
        return ctl_complain(ctl, CTL_REFUSED, (srq_fail(&err, -SRQ_ENOMEM, "out of memory drawing a curve"), &err));
    curve.x = x;
    curve.y = y;
    snprintf(title, sizeof(title), "%.10s of %.100s", ctl_str(reply, "kind"), of);
    ctl_picture_init(&p, 1000, 500);
    ctl_chart_curves(&p, title, "iteration", ctl_str(reply, "kind"), &curve, 1, ctl_given(&ctl->args, "log"));
    rc = ctl_picture_png(&p, ctl_value(&ctl->args, "png"), &err);
    ctl_picture_fini(&p);
    srq_free(x);
    srq_free(y);
    return rc == 0 ? CTL_OK : ctl_complain(ctl, CTL_REFUSED, &err);
}

int ctl_cmd_series(struct ctl *ctl)
{
    const struct ctl_args *a = &ctl->args;
    struct srq_error err = { 0 };
    double block = 0;
    cJSON *p, *reply = NULL;
    int rc = ctl_whole(a, "block", 0, 1e9, &block, &err);

    bool transform = ctl_value(a, "kind") != NULL && strncmp(ctl_value(a, "kind"), "transform", 9) == 0;

    if (rc == 0 && !transform && ctl_given(a, "block") == ctl_given(a, "layer"))
        rc = srq_fail_field(&err, -SRQ_EINVAL, "block", "series needs either --block N or --layer NAME");
    if (rc != 0)
        return ctl_complain(ctl, CTL_USAGE, &err);
    rc = ctl_connect(ctl, true);
    if (rc != CTL_OK)
        return rc;
    p = ctl_job_params(a->positional[0]);
    if (ctl_given(a, "block"))
        cJSON_AddNumberToObject(p, "block", block);
    if (ctl_given(a, "layer"))
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
    if (ctl_value(a, "png") != NULL) {
        char of[CTL_PICTURE_LABEL];

        if (ctl_given(a, "block"))
            snprintf(of, sizeof(of), "block %.0f", block);
        else if (transform)
            snprintf(of, sizeof(of), "scales");
        else
            snprintf(of, sizeof(of), "%s", ctl_value(a, "layer"));
        rc = draw(ctl, reply, of);
        cJSON_Delete(reply);
        return rc;
    }
    print_points(reply);
    cJSON_Delete(reply);
    return ctl_flush(ctl);
}
