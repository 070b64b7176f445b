/* srqctl report: the report of a job that is done. */
#include "tui/srqctl/cmds.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "tui/client/human.h"
#include "tui/srqctl/report_html.h"
#include "tui/srqctl/summary.h"
#include "tui/srqctl/table.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>

#define PAGE_MAX ((size_t)256 << 20)

const struct ctl_option ctl_report_options[] = {
    { "blocks", 0, NULL, CTL_C_NONE, NULL, "the losses of every block too", false },
    { "layers", 0, NULL, CTL_C_NONE, NULL, "the errors of every layer too", false },
    { "output", 'o', "FILE", CTL_C_FILE, NULL, "write it as a page of HTML, with curves and heatmaps", false },
    { .name = NULL },
};

static void print_blocks(const cJSON *report)
{
    struct ctl_table *t = ctl_table_create("block|>loss first|>loss best|>gain|>at iteration");
    const cJSON *b;
    char n[CTL_HUMAN];

    if (t == NULL)
        return;
    cJSON_ArrayForEach(b, ctl_get(report, "blocks"))
    {
        double first = ctl_num(b, "loss_first"), best = ctl_num(b, "loss_best"), at = ctl_num(b, "best_iteration");

        ctl_table_cell(t, ctl_str(b, "name"));
        ctl_table_cell(t, ctl_human_number(first, n));
        ctl_table_cell(t, ctl_human_number(best, n));
        ctl_table_cell(t, ctl_human_percent(first > 0 ? 1 - best / first : (double)NAN, n));
        if (isnan(at))
            ctl_table_cell(t, "-");
        else
            ctl_table_cellf(t, "%.0f", at);
    }
    puts("");
    ctl_table_print(t);
}

static void print_layers(const cJSON *layers)
{
    struct ctl_table *t = ctl_table_create("layer|scheme|source|>error first|>error best");
    const cJSON *l;
    char n[CTL_HUMAN];

    if (t == NULL)
        return;
    cJSON_ArrayForEach(l, layers)
    {
        ctl_table_cell(t, ctl_str(l, "name"));
        ctl_table_cell(t, ctl_str(l, "scheme"));
        ctl_table_cell(t, ctl_str(l, "source"));
        ctl_table_cell(t, ctl_human_number(ctl_num(l, "error_first"), n));
        ctl_table_cell(t, ctl_human_number(ctl_num(l, "error_best"), n));
    }
    puts("");
    ctl_table_print(t);
}

static void print_facts(const cJSON *r)
{
    char a[CTL_HUMAN], b[CTL_HUMAN], c[CTL_HUMAN], d[CTL_HUMAN];

    printf("load %s, tune %s, eval %s, export %s\n", ctl_human_seconds(ctl_num(r, "timing.load_s"), a),
           ctl_human_seconds(ctl_num(r, "timing.tune_s"), b), ctl_human_seconds(ctl_num(r, "timing.eval_s"), c),
           ctl_human_seconds(ctl_num(r, "timing.export_s"), d));
    printf("memory planned %s, peak %s; %s on %.0f threads; seed %.0f; srq %s\n",
           ctl_human_bytes(ctl_num(r, "memory.planned_bytes"), a),
           ctl_human_bytes(ctl_num(r, "memory.peak_rss_bytes"), b), ctl_str(r, "gemm_backend"), ctl_num(r, "threads"),
           ctl_num(r, "seed"), ctl_str(r, "version"));
    if (ctl_num(r, "memory.over_plan_bytes") > 0)
        printf("memory was %s over the plan in stage %s\n", ctl_human_bytes(ctl_num(r, "memory.over_plan_bytes"), a),
               ctl_str(r, "memory.over_plan_stage"));
}

/* ---- the page ---------------------------------------------------------------------------------------------------- */

static int fetch_series(struct ctl *ctl, const char *job, int blocks, const cJSON ***out)
{
    cJSON **all = srq_calloc((size_t)blocks + 1, sizeof(*all));
    int rc = all != NULL ? CTL_OK : CTL_REFUSED;

    for (int i = 0; rc == CTL_OK && i < blocks; i++) {
        cJSON *p = ctl_job_params(job);

        cJSON_AddNumberToObject(p, "block", i);
        cJSON_AddStringToObject(p, "kind", "probe");
        rc = ctl_call_paged(ctl, "job.series", p, &all[i]);
    }
    *out = (const cJSON **)(void *)all;
    return rc;
}

static int fetch_heat(struct ctl *ctl, const char *job, const cJSON *out[3])
{
    static const char *const by[] = { "bits", "loss", "sensitivity" };
    int rc = CTL_OK;

    for (int i = 0; rc == CTL_OK && i < 3; i++) {
        cJSON *p = ctl_job_params(job), *reply = NULL;

        cJSON_AddStringToObject(p, "by", by[i]);
        rc = ctl_call_paged(ctl, "job.heatmap", p, &reply);
        out[i] = reply;
    }
    return rc;
}

static int write_page(struct ctl *ctl, const char *path, const cJSON *job, const cJSON *report, const cJSON *layers)
{
    struct ctl_report_parts parts = {
        .job = job, .report = report, .layers = layers, .blocks = cJSON_GetArraySize(ctl_get(report, "blocks"))
    };
    struct srq_error err = { 0 };
    struct srq_buf page;
    int rc = srq_check_replaced(path, CTL_PAGE_BEGIN, "page of HTML", &err);

    if (rc != 0)
        return ctl_complain(ctl, CTL_REFUSED, &err);
    rc = fetch_series(ctl, ctl_str(job, "job"), parts.blocks, &parts.probe);

    if (rc == CTL_OK)
        rc = fetch_heat(ctl, ctl_str(job, "job"), parts.heat);
    srq_buf_init(&page, PAGE_MAX);
    if (rc == CTL_OK) {
        ctl_report_html(&parts, &page);
        if (page.failed)
            rc = ctl_complain(ctl, CTL_REFUSED, (srq_fail(&err, -SRQ_ENOMEM, "out of memory writing the page"), &err));
        else if (srq_write_file_durable(path, page.data, page.len, 0666, &err) != 0)
            rc = ctl_complain(ctl, CTL_REFUSED, &err);
    }
    srq_buf_fini(&page);
    for (int i = 0; i < 3; i++)
        cJSON_Delete((cJSON *)(uintptr_t)parts.heat[i]);
    for (int i = 0; parts.probe != NULL && i < parts.blocks; i++)
        cJSON_Delete((cJSON *)(uintptr_t)parts.probe[i]);
    srq_free(parts.probe);
    return rc;
}

int ctl_cmd_report(struct ctl *ctl)
{
    cJSON *reply = NULL, *job = NULL, *report;
    struct srq_buf text;
    int rc = ctl_connect(ctl, true);

    if (rc == CTL_OK)
        rc = ctl_call(ctl, "job.get", ctl_job_params(ctl->args.positional[0]), &job);
    if (rc == CTL_OK)
        rc = ctl_call_paged(ctl, "job.report", ctl_job_params(ctl_str(job, "job")), &reply);
    if (rc != CTL_OK) {
        cJSON_Delete(job);
        return rc;
    }
    report = cJSON_DetachItemFromObjectCaseSensitive(reply, "report");
    if (ctl->json) { /* as report.json has it */
        cJSON_DeleteItemFromObjectCaseSensitive(report, "layers");
        cJSON_AddItemToObject(report, "layers", cJSON_DetachItemFromObjectCaseSensitive(reply, "layers"));
        cJSON_Delete(reply);
        cJSON_Delete(job);
        return ctl_print_json(report);
    }
    if (ctl_value(&ctl->args, "output") != NULL) {
        rc = write_page(ctl, ctl_value(&ctl->args, "output"), job, report, ctl_get(reply, "layers"));
        cJSON_Delete(report);
        cJSON_Delete(reply);
        cJSON_Delete(job);
        return rc;
    }
    srq_buf_init(&text, 1 << 20);
    ctl_summary(report, ctl_str(job, "output"), &text);
    fputs(text.data != NULL ? text.data : "", stdout);
    srq_buf_fini(&text);
    print_facts(report);
    if (ctl_given(&ctl->args, "blocks"))
        print_blocks(report);
    if (ctl_given(&ctl->args, "layers"))
        print_layers(ctl_get(reply, "layers"));
    cJSON_Delete(report);
    cJSON_Delete(reply);
    cJSON_Delete(job);
    return ctl_flush(ctl);
}
