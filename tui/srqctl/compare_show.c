/* A comparison as a table, JSON, CSV, a page and a picture. */
#include "tui/srqctl/compare.h"
#include "tui/srqctl/report_html.h"

#include "core/base/alloc.h"
#include "core/proto/members.h"
#include "tui/client/human.h"
#include "tui/srqctl/chart.h"
#include "tui/srqctl/csv.h"
#include "tui/srqctl/table.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MIB 1048576.0

static const char *const state_names[] = { "done", "reused", "refused", "failed", "stopped" };

/* What the runs of a row came to: the worst of them, and why. */
static enum ctl_run_state state_of(const struct ctl_compare_row *row, const char **reason)
{
    enum ctl_run_state state = CTL_RUN_REUSED;

    *reason = "";
    for (int i = 0; i < row->count; i++) {
        const struct ctl_compare_run *r = &row->runs[i];

        if (r->state == CTL_RUN_DONE && state == CTL_RUN_REUSED)
            state = CTL_RUN_DONE;
        if (r->state >= CTL_RUN_REFUSED) {
            state = r->state;
            *reason = r->reason != NULL ? r->reason : "";
        }
    }
    return state;
}

static char *fixed(double v, char out[CTL_HUMAN])
{
    if (isnan(v))
        snprintf(out, CTL_HUMAN, "-");
    else
        snprintf(out, CTL_HUMAN, fabs(v) < 10000 ? "%.3f" : "%.4g", v);
    return out;
}

static const double NONE = (double)NAN;

/* The original's perplexity under the first scheme that was measured. */
static const cJSON *some_report(const struct ctl_compare *c)
{
    for (int i = 0; i < c->count; i++)
        for (int k = 0; k < c->rows[i].count; k++)
            if (c->rows[i].runs[k].report != NULL)
                return c->rows[i].runs[k].report;
    return NULL;
}

/* ---- a table ----------------------------------------------------------------------------------------------------- */

static void add_row(struct ctl_table *t, const struct ctl_compare_row *row)
{
    struct ctl_compare_figures f;
    char a[CTL_HUMAN], b[CTL_HUMAN], interval[2 * CTL_HUMAN + 8];

    ctl_compare_figures(row, &f);
    snprintf(interval, sizeof(interval), "%s", isnan(f.low) ? "-" : "");
    if (!isnan(f.low))
        snprintf(interval, sizeof(interval), "%s to %s", fixed(f.low, a), fixed(f.high, b));
    ctl_table_cell(t, row->label);
    ctl_table_cell(t, row->scheme);
    ctl_table_cell(t, fixed(f.perplexity, a));
    ctl_table_cell(t, interval);
    ctl_table_cell(t, isnan(f.deviation) ? "-" : fixed(f.deviation, a));
    ctl_table_cell(t, ctl_human_number(f.kl, a));
    ctl_table_cell(t, ctl_human_percent(f.top1, a));
    ctl_table_cell(t, fixed(f.bits, a));
    ctl_table_cell(t, ctl_human_bytes(f.bytes, a));
    ctl_table_cell(t, ctl_human_seconds(f.seconds, a));
    ctl_table_cell(t, ctl_human_bytes(f.memory, a));
    ctl_table_cell(t, ctl_compare_verdict(&f));
}

void ctl_compare_table(const struct ctl_compare *c)
{
    struct ctl_table *t = ctl_table_create("METHOD|SCHEME|>PERPLEXITY|>95 %|>SEEDS "
                                           "±|>KL|>TOP-1|>BITS|>SIZE|>TIME|>MEMORY|TO ROUNDING");
    const cJSON *any = some_report(c);
    char size[CTL_HUMAN];

    if (t == NULL)
        return;
    for (int i = 0; i < c->count; i++)
        add_row(t, &c->rows[i]);
    if (any != NULL)
        printf("original: perplexity %.4f, %s\n", ctl_num(any, "eval.before.perplexity"),
               ctl_human_bytes(ctl_num(any, "size.before_bytes"), size));
    ctl_table_print(t);
    for (int i = 0; i < c->count; i++) {
        const char *reason;
        enum ctl_run_state s = state_of(&c->rows[i], &reason);

        if (s >= CTL_RUN_REFUSED)
            printf("%s %s %s: %s\n", c->rows[i].label, c->rows[i].scheme, state_names[s], reason);
    }
}

/* ---- JSON and CSV ------------------------------------------------------------------------------------------------ */

cJSON *ctl_compare_json(const struct ctl_compare *c)
{
    cJSON *root = cJSON_CreateObject(), *rows = cJSON_AddArrayToObject(root, "rows");
    const cJSON *any = some_report(c);

    srq_put_number(root, "original_perplexity", any != NULL ? ctl_num(any, "eval.before.perplexity") : NONE);
    srq_put_number(root, "original_bytes", any != NULL ? ctl_num(any, "size.before_bytes") : NONE);
    for (int i = 0; i < c->count; i++) {
        const struct ctl_compare_row *row = &c->rows[i];
        cJSON *o = cJSON_CreateObject(), *runs;
        struct ctl_compare_figures f;
        const char *reason;

        ctl_compare_figures(row, &f);
        cJSON_AddStringToObject(o, "label", row->label);
        cJSON_AddStringToObject(o, "method", row->method);
        cJSON_AddStringToObject(o, "scheme", row->scheme);
        cJSON_AddStringToObject(o, "state", state_names[state_of(row, &reason)]);
        cJSON_AddStringToObject(o, "reason", reason);
        srq_put_number(o, "perplexity", f.perplexity);
        srq_put_number(o, "perplexity_low", f.low);
        srq_put_number(o, "perplexity_high", f.high);
        srq_put_number(o, "perplexity_deviation", f.deviation);
        srq_put_number(o, "kl", f.kl);
        srq_put_number(o, "top1", f.top1);
        srq_put_number(o, "average_bits", f.bits);
        srq_put_number(o, "bytes", f.bytes);
        srq_put_number(o, "seconds", f.seconds);
        srq_put_number(o, "peak_rss_bytes", f.memory);
        srq_put_number(o, "loss_to_rounding", f.against_rtn);
        srq_put_number(o, "loss_to_rounding_low", f.rtn_low);
        srq_put_number(o, "loss_to_rounding_high", f.rtn_high);
        cJSON_AddStringToObject(o, "to_rounding", ctl_compare_verdict(&f));
        runs = cJSON_AddArrayToObject(o, "runs");
        for (int k = 0; k < row->count; k++) {
            cJSON *run = cJSON_CreateObject();

            cJSON_AddNumberToObject(run, "seed", (double)row->runs[k].seed);
            cJSON_AddStringToObject(run, "state", state_names[row->runs[k].state]);
            cJSON_AddStringToObject(run, "folder", row->runs[k].folder);
            srq_put_number(run, "perplexity",
                           row->runs[k].report != NULL ? ctl_num(row->runs[k].report, "eval.after.perplexity") : NONE);
            cJSON_AddItemToArray(runs, run);
        }
        cJSON_AddItemToArray(rows, o);
    }
    return root;
}

void ctl_compare_csv(const struct ctl_compare *c, struct srq_buf *out)
{
    cJSON *root = ctl_compare_json(c), *row;
    static const char *const names[] = { "label",
                                         "method",
                                         "scheme",
                                         "state",
                                         "perplexity",
                                         "perplexity_low",
                                         "perplexity_high",
                                         "perplexity_deviation",
                                         "kl",
                                         "top1",
                                         "average_bits",
                                         "bytes",
                                         "seconds",
                                         "peak_rss_bytes",
                                         "loss_to_rounding",
                                         "loss_to_rounding_low",
                                         "loss_to_rounding_high",
                                         "to_rounding",
                                         "reason" };
    const size_t count = sizeof(names) / sizeof(names[0]);

    for (size_t i = 0; i < count; i++)
        ctl_csv_text(out, i == 0, names[i]);
    ctl_csv_end(out);
    cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(root, "rows"))
    {
        for (size_t i = 0; i < count; i++) {
            const cJSON *v = cJSON_GetObjectItemCaseSensitive(row, names[i]);

            if (cJSON_IsString(v))
                ctl_csv_text(out, i == 0, v->valuestring);
            else
                ctl_csv_number(out, i == 0, cJSON_IsNumber(v) ? v->valuedouble : NONE);
        }
        ctl_csv_end(out);
    }
    cJSON_Delete(root);
}

/* ---- a picture --------------------------------------------------------------------------------------------------- */

/* One curve a label, its schemes by size. Free with fini_curves. */
static int make_curves(const struct ctl_compare *c, struct ctl_curve **out)
{
    struct ctl_curve *curves = srq_calloc((size_t)c->count + 1, sizeof(*curves));
    int n = 0;

    *out = curves;
    for (int i = 0; curves != NULL && i < c->count; i++) {
        double *x, *y;
        int rows = 0;

        if (i > 0 && strcmp(c->rows[i].label, c->rows[i - 1].label) == 0)
            continue;
        x = srq_calloc((size_t)c->count, sizeof(*x));
        y = srq_calloc((size_t)c->count, sizeof(*y));
        curves[n] = (struct ctl_curve){ .name = c->rows[i].label, .x = x, .y = y, .dots = true };
        for (int k = i; x != NULL && y != NULL && k < c->count && strcmp(c->rows[k].label, c->rows[i].label) == 0;
             k++) {
            struct ctl_compare_figures f;
            int at = rows;

            ctl_compare_figures(&c->rows[k], &f);
            if (isnan(f.perplexity) || isnan(f.bytes))
                continue;
            while (at > 0 && x[at - 1] > f.bytes / MIB) {
                x[at] = x[at - 1];
                y[at] = y[at - 1];
                at--;
            }
            x[at] = f.bytes / MIB;
            y[at] = f.perplexity;
            rows++;
        }
        curves[n++].count = rows;
    }
    return n;
}

static void fini_curves(struct ctl_curve *curves, int count)
{
    for (int i = 0; curves != NULL && i < count; i++) {
        srq_free((double *)(uintptr_t)curves[i].x);
        srq_free((double *)(uintptr_t)curves[i].y);
    }
    srq_free(curves);
}

static void draw(const struct ctl_compare *c, struct ctl_picture *p)
{
    struct ctl_curve *curves;
    int n = make_curves(c, &curves);

    ctl_picture_init(p, 1000, 600);
    ctl_chart_curves(p, "quality against size", "MiB", "perplexity", curves, n, true);
    fini_curves(curves, n);
}

int ctl_compare_png(const struct ctl_compare *c, const char *path, struct srq_error *err)
{
    struct ctl_picture p;
    int rc;

    draw(c, &p);
    rc = ctl_picture_png(&p, path, err);
    ctl_picture_fini(&p);
    return rc;
}

/* ---- a page ------------------------------------------------------------------------------------------------------ */

static void cell(struct srq_buf *b, bool numeric, const char *text)
{
    srq_buf_puts(b, numeric ? "<td class='n'>" : "<td>");
    ctl_xml_text(b, text);
    srq_buf_puts(b, "</td>");
}

static void page_row(struct srq_buf *b, const struct ctl_compare_row *row)
{
    struct ctl_compare_figures f;
    char n[CTL_HUMAN], m[CTL_HUMAN], interval[2 * CTL_HUMAN + 8];
    const char *reason;
    enum ctl_run_state s = state_of(row, &reason);

    ctl_compare_figures(row, &f);
    snprintf(interval, sizeof(interval), "%s to %s", fixed(f.low, n), fixed(f.high, m));
    srq_buf_puts(b, "<tr>");
    cell(b, false, row->label);
    cell(b, false, row->scheme);
    cell(b, true, fixed(f.perplexity, n));
    cell(b, true, isnan(f.low) ? "-" : interval);
    cell(b, true, fixed(f.deviation, n));
    cell(b, true, ctl_human_number(f.kl, n));
    cell(b, true, ctl_human_percent(f.top1, n));
    cell(b, true, fixed(f.bits, n));
    cell(b, true, ctl_human_bytes(f.bytes, n));
    cell(b, true, ctl_human_seconds(f.seconds, n));
    cell(b, true, ctl_human_bytes(f.memory, n));
    cell(b, false, s >= CTL_RUN_REFUSED ? reason : ctl_compare_verdict(&f));
    srq_buf_puts(b, "</tr>\n");
}

void ctl_compare_html(const struct ctl_compare *c, const char *model, struct srq_buf *out)
{
    static const char *const heads[] = { "method", "scheme", "perplexity", "95 %", "seeds ±", "KL",
                                         "top-1",  "bits",   "size",       "time", "memory",  "to plain rounding" };
    const cJSON *any = some_report(c);
    char size[CTL_HUMAN];
    struct ctl_picture p;

    srq_buf_puts(out, CTL_PAGE_BEGIN
                 "<html lang='en'><head><meta charset='utf-8'><meta name='viewport' "
                 "content='width=device-width,initial-scale=1'><title>Comparison</title><style>body{font:15px/1.45 "
                 "system-ui,sans-serif;margin:2em auto;max-width:80em;padding:0 "
                 "1em;color:#222}table{border-collapse:collapse}td,th{padding:.15em .8em .15em "
                 "0;text-align:left}td.n{text-align:right;font-variant-numeric:tabular-nums}svg{width:100%;height:auto}"
                 "</style></head>\n"
                 "<body><h1>Comparison of methods on ");
    ctl_xml_text(out, model);
    srq_buf_puts(out, "</h1>\n");
    if (any != NULL)
        srq_buf_printf(out,
                       "<p>Original: perplexity %.4f, %s. Intervals are over windows of the text; the last "
                       "column compares each window with plain rounding of the same scheme.</p>\n",
                       ctl_num(any, "eval.before.perplexity"),
                       ctl_human_bytes(ctl_num(any, "size.before_bytes"), size));
    srq_buf_puts(out, "<table><tr>");
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
        srq_buf_printf(out, "<th>%s</th>", heads[i]);
    srq_buf_puts(out, "</tr>\n");
    for (int i = 0; i < c->count; i++)
        page_row(out, &c->rows[i]);
    srq_buf_puts(out, "</table>\n");
    draw(c, &p);
    ctl_picture_svg(&p, "Perplexity against size", out);
    ctl_picture_fini(&p);
    srq_buf_puts(out, "</body></html>\n");
}
