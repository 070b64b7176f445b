/* The report as a page. */
#include "tui/srqctl/report_html.h"

#include "tui/srqctl/summary.h"

#include "core/base/alloc.h"
#include "tui/srqctl/chart.h"
#include "tui/client/human.h"
#include "tui/srqctl/verb.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char style[] =
    "body{font:15px/1.45 system-ui,sans-serif;margin:2em auto;max-width:72em;padding:0 1em;color:#222}"
    "h1{font-size:1.5em}h2{font-size:1.15em;margin-top:2em;border-bottom:1px solid #ccc}"
    "table{border-collapse:collapse}td,th{padding:.15em .8em .15em 0;text-align:left;vertical-align:top}"
    "td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}"
    "svg{width:100%;height:auto;font:13px sans-serif}details>summary{cursor:pointer}code{overflow-wrap:anywhere}";

static void cell(struct srq_buf *b, const char *text)
{
    srq_buf_puts(b, "<td>");
    ctl_xml_text(b, text);
    srq_buf_puts(b, "</td>");
}

static void number_cell(struct srq_buf *b, const char *text)
{
    srq_buf_puts(b, "<td class='n'>");
    ctl_xml_text(b, text);
    srq_buf_puts(b, "</td>");
}

static void fact(struct srq_buf *b, const char *name, const char *value)
{
    if (value[0] == '\0')
        return;
    srq_buf_printf(b, "<tr><th>%s</th><td><code>", name);
    ctl_xml_text(b, value);
    srq_buf_puts(b, "</code></td></tr>\n");
}

static void head(struct srq_buf *b, const char *title)
{
    srq_buf_puts(b, CTL_PAGE_BEGIN "<html lang='en'><head><meta charset='utf-8'>"
                                   "<meta name='viewport' content='width=device-width,initial-scale=1'><title>");
    ctl_xml_text(b, title);
    srq_buf_printf(b, "</title><style>%s</style></head>\n<body><h1>", style);
    ctl_xml_text(b, title);
    srq_buf_puts(b, "</h1>\n");
}

/* ---- evaluation and settings ------------------------------------------------------------------------------------- */

static void eval_row(struct srq_buf *b, const cJSON *report, const char *name, const char *key,
                     char *(*human)(double, char *))
{
    char path[64], n[CTL_HUMAN];

    srq_buf_printf(b, "<tr><th>%s</th>", name);
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof(path), "eval.%s.%s", srq_measured_words[i], key);
        number_cell(b, human(ctl_num(report, path), n));
    }
    srq_buf_puts(b, "</tr>\n");
}

static void evaluation(struct srq_buf *b, const cJSON *report)
{
    char before[CTL_HUMAN], after[CTL_HUMAN], bits[CTL_HUMAN];
    struct srq_buf told;

    ctl_human_bytes(ctl_num(report, "size.before_bytes"), before);
    ctl_human_bytes(ctl_num(report, "size.after_bytes"), after);
    ctl_human_number(ctl_num(report, "size.average_bits"), bits);
    srq_buf_puts(
        b, "<h2>Result</h2><table><tr><th></th><th class='n'>original</th><th class='n'>rounded</th><th class='n'>");
    srq_buf_printf(b, "%s</th></tr>\n", ctl_result_name(report));
    eval_row(b, report, "perplexity", "perplexity", ctl_human_number);
    eval_row(b, report, "KL to the original, nats", "kl", ctl_human_number);
    eval_row(b, report, "same most likely token", "top1", ctl_human_percent);
    srq_buf_puts(b, "<tr><th>size</th>");
    number_cell(b, before);
    number_cell(b, after);
    number_cell(b, after);
    srq_buf_puts(b, "</tr>\n<tr><th>average bits</th>");
    number_cell(b, "");
    number_cell(b, bits);
    number_cell(b, bits);
    srq_buf_puts(b, "</tr></table>\n");
    srq_buf_init(&told, 4096);
    ctl_finish_text(report, &told);
    if (told.len > 0) {
        srq_buf_puts(b, "<p>");
        ctl_xml_text(b, told.data);
        srq_buf_puts(b, "</p>\n");
    }
    srq_buf_fini(&told);
}

static void settings(struct srq_buf *b, const struct ctl_report_parts *parts)
{
    static const char *const named[][2] = {
        { "model", "model" },   { "output", "output" }, { "method", "method" },
        { "scheme", "scheme" }, { "owner", "owner" },
    };
    const cJSON *r = parts->report, *options = ctl_get(parts->job, "spec.options"), *o;
    char a[CTL_HUMAN], c[CTL_HUMAN], line[2 * CTL_HUMAN + 16];

    srq_buf_puts(b, "<h2>Settings</h2><table>\n");
    for (size_t i = 0; parts->job != NULL && i < sizeof(named) / sizeof(named[0]); i++)
        fact(b, named[i][0], ctl_str(parts->job, named[i][1]));
    if (ctl_str(r, "embedding")[0] != '\0')
        fact(b, "embedding", ctl_str(r, "embedding"));
    fact(b, "time", ctl_human_seconds(ctl_num(r, "timing.total_s"), a));
    snprintf(line, sizeof(line), "%s planned, %s at most", ctl_human_bytes(ctl_num(r, "memory.planned_bytes"), a),
             ctl_human_bytes(ctl_num(r, "memory.peak_rss_bytes"), c));
    fact(b, "memory", line);
    if (ctl_num(r, "memory.over_plan_bytes") > 0) {
        snprintf(line, sizeof(line), "%s in stage %s", ctl_human_bytes(ctl_num(r, "memory.over_plan_bytes"), a),
                 ctl_str(r, "memory.over_plan_stage"));
        fact(b, "over the plan", line);
    }
    fact(b, "products", ctl_str(r, "gemm_backend"));
    fact(b, "threads", ctl_human_count(ctl_num(r, "threads"), a));
    fact(b, "seed", ctl_human_count(ctl_num(r, "seed"), a));
    fact(b, "srq", ctl_str(r, "version"));
    srq_buf_puts(b, "</table>\n");
    if (options == NULL)
        return;
    srq_buf_puts(b, "<details><summary>all options</summary><table>\n");
    cJSON_ArrayForEach(o, options)
    {
        char *text = cJSON_PrintUnformatted(o);

        fact(b, o->string != NULL ? o->string : "", text != NULL ? text : "");
        cJSON_free(text);
    }
    srq_buf_puts(b, "</table></details>\n");
}

/* ---- curves ------------------------------------------------------------------------------------------------------ */

/* Every block's probe loss as a share of its first, so that all fit one picture. */
static void losses(struct srq_buf *b, const struct ctl_report_parts *parts)
{
    struct ctl_curve *curves = srq_calloc((size_t)parts->blocks + 1, sizeof(*curves));
    struct ctl_picture p;
    int count = 0;

    for (int i = 0; curves != NULL && i < parts->blocks; i++) {
        double *x, *y, first;
        int n;

        if (parts->probe[i] == NULL || !ctl_chart_points(parts->probe[i], &x, &y, &n))
            continue;
        first = n > 0 ? y[0] : NAN;
        for (int k = 0; k < n; k++)
            y[k] = first > 0 ? y[k] / first : (double)NAN;
        curves[count++] = (struct ctl_curve){ .x = x, .y = y, .count = n };
    }
    if (count > 0) {
        ctl_picture_init(&p, 1000, 420);
        ctl_chart_curves(&p, "probe loss of every block, as a share of its first", "iteration", "share", curves, count,
                         false);
        srq_buf_puts(b, "<h2>Losses</h2>\n");
        ctl_picture_svg(&p, "Probe loss of every block over the iterations", b);
        ctl_picture_fini(&p);
    }
    for (int i = 0; i < count; i++) {
        srq_free((void *)(uintptr_t)curves[i].x);
        srq_free((void *)(uintptr_t)curves[i].y);
    }
    srq_free(curves);
}

static void blocks(struct srq_buf *b, const cJSON *report)
{
    char n[CTL_HUMAN];
    const cJSON *block;

    srq_buf_puts(b, "<details><summary>table of blocks</summary><table><tr><th>block</th><th class='n'>loss first</th>"
                    "<th class='n'>loss best</th><th class='n'>gain</th><th class='n'>at iteration</th></tr>\n");
    cJSON_ArrayForEach(block, ctl_get(report, "blocks"))
    {
        double first = ctl_num(block, "loss_first"), best = ctl_num(block, "loss_best");

        srq_buf_puts(b, "<tr>");
        cell(b, ctl_str(block, "name"));
        number_cell(b, ctl_human_number(first, n));
        number_cell(b, ctl_human_number(best, n));
        number_cell(b, ctl_human_percent(first > 0 ? 1 - best / first : (double)NAN, n));
        number_cell(b, ctl_human_count(ctl_num(block, "best_iteration"), n));
        srq_buf_puts(b, "</tr>\n");
    }
    srq_buf_puts(b, "</table></details>\n");
}

static void front(struct srq_buf *b, const cJSON *allocation)
{
    const cJSON *points = ctl_get(allocation, "front"), *point;
    size_t n = (size_t)cJSON_GetArraySize(points);
    double *x = srq_calloc(2 * n + 1, sizeof(*x)), *y = x != NULL ? x + n : NULL, chosen_x, chosen_y;
    struct ctl_curve curves[2] = { { .name = "best plans", .x = x, .y = y, .dots = true },
                                   { .name = "chosen", .count = 1, .dots = true } };
    struct ctl_picture p;
    char line[200], bits[CTL_HUMAN], gap[CTL_HUMAN];

    if (x == NULL || n == 0) {
        srq_free(x);
        return;
    }
    cJSON_ArrayForEach(point, points)
    {
        x[curves[0].count] = ctl_num(point, "average_bits");
        y[curves[0].count++] = ctl_num(point, "loss");
    }
    chosen_x = ctl_num(allocation, "average_bits");
    chosen_y = ctl_num(allocation, "loss");
    curves[1].x = &chosen_x;
    curves[1].y = &chosen_y;
    ctl_picture_init(&p, 1000, 420);
    ctl_chart_curves(&p, "predicted loss against size", "average bits", "loss", curves, 2, true);
    srq_buf_puts(b, "<h2>Allocation</h2>\n");
    snprintf(line, sizeof(line), "%s average bits chosen; no plan of that size is better by more than %s.",
             ctl_human_number(chosen_x, bits), ctl_human_number(ctl_num(allocation, "gap"), gap));
    srq_buf_printf(b, "<p>%s</p>\n", line);
    ctl_picture_svg(&p, "Pareto front of predicted loss against average bits", b);
    ctl_picture_fini(&p);
    srq_free(x);
}

/* ---- layers ------------------------------------------------------------------------------------------------------ */

static void heatmaps(struct srq_buf *b, const struct ctl_report_parts *parts)
{
    bool any = false;

    for (size_t i = 0; i < sizeof(parts->heat) / sizeof(parts->heat[0]); i++) {
        const cJSON *c;
        bool known = false;
        struct ctl_picture p;

        cJSON_ArrayForEach(c, ctl_get(parts->heat[i], "cells")) known = known || cJSON_IsNumber(ctl_get(c, "value"));
        if (!known)
            continue;
        if (!any)
            srq_buf_puts(b, "<h2>Heatmaps</h2>\n");
        any = true;
        ctl_chart_heatmap(&p, parts->heat[i]);
        ctl_picture_svg(&p, ctl_str(parts->heat[i], "by"), b);
        ctl_picture_fini(&p);
    }
}

static void layers(struct srq_buf *b, const cJSON *rows)
{
    char n[CTL_HUMAN];
    const cJSON *l;

    srq_buf_puts(b, "<h2>Layers</h2><table><tr><th>layer</th><th>scheme</th><th>source</th>"
                    "<th class='n'>error first</th><th class='n'>error best</th><th class='n'>gain</th></tr>\n");
    cJSON_ArrayForEach(l, rows)
    {
        double first = ctl_num(l, "error_first"), best = ctl_num(l, "error_best");

        srq_buf_puts(b, "<tr>");
        cell(b, ctl_str(l, "name"));
        cell(b, ctl_str(l, "scheme"));
        cell(b, ctl_str(l, "source"));
        number_cell(b, ctl_human_number(first, n));
        number_cell(b, ctl_human_number(best, n));
        number_cell(b, ctl_human_percent(first > 0 ? 1 - best / first : (double)NAN, n));
        srq_buf_puts(b, "</tr>\n");
    }
    srq_buf_puts(b, "</table>\n");
}

void ctl_report_html(const struct ctl_report_parts *parts, struct srq_buf *out)
{
    const char *model = ctl_str(parts->job, "model"), *slash = strrchr(model, '/');
    char title[400];

    snprintf(title, sizeof(title), "%s by %s, %s", slash != NULL && slash[1] != '\0' ? slash + 1 : model,
             ctl_str(parts->job, "method"), ctl_str(parts->job, "scheme"));
    head(out, title);
    evaluation(out, parts->report);
    losses(out, parts);
    blocks(out, parts->report);
    front(out, ctl_get(parts->report, "allocation"));
    heatmaps(out, parts);
    settings(out, parts);
    layers(out, parts->layers);
    srq_buf_puts(out, "</body></html>\n");
}
