/* A change of a plan in words. */
#include "tui/srqctl/change.h"

#include "core/base/log.h"
#include "tui/client/human.h"
#include "tui/srqctl/table.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define SHOWN 5      /* layers named; a few say which, the rest is a number */
#define NAME_MAX 400 /* bytes of a name, escaped */

static const char *plural(double n)
{
    return n == 1 ? "" : "s";
}

static void heading(const cJSON *reply, struct srq_buf *out)
{
    double changed = ctl_num(reply, "changed"), matched = ctl_num(reply, "matched"),
           revision = ctl_num(reply, "revision");
    bool again = cJSON_GetArraySize(ctl_get(reply, "retunes")) > 0 || cJSON_IsNumber(ctl_get(reply, "restarts"));

    if (cJSON_IsTrue(ctl_get(reply, "applied")))
        srq_buf_printf(out, "revision %.0f: %.0f layer%s changed\n", revision, changed, plural(changed));
    else if (cJSON_IsFalse(ctl_get(reply, "effect")))
        srq_buf_printf(out, "revision %.0f: nothing changes\n", revision);
    else if (cJSON_IsTrue(ctl_get(reply, "effect")) || changed > 0 || again)
        srq_buf_printf(out, "dry run at revision %.0f: %.0f layer%s would change\n", revision, changed,
                       plural(changed));
    else
        srq_buf_printf(out, "revision %.0f: nothing to change in %.0f layer%s\n", revision, matched, plural(matched));
    if (ctl_num(reply, "moved") > 0)
        srq_buf_printf(out, "%.0f of them to keep the budget\n", ctl_num(reply, "moved"));
}

static void layers(const cJSON *reply, struct srq_buf *out)
{
    double changed = ctl_num(reply, "changed");
    int width = 0, n = 0;
    char name[NAME_MAX];
    const cJSON *row;

    cJSON_ArrayForEach(row, ctl_get(reply, "changes"))
    {
        int w = ctl_text_width(srq_escape_control(ctl_str(row, "layer"), name, sizeof(name)));

        if (n++ == SHOWN)
            break;
        width = w > width ? w : width;
    }
    n = 0;
    cJSON_ArrayForEach(row, ctl_get(reply, "changes"))
    {
        const char *old = ctl_str(row, "old");

        if (n == SHOWN)
            break;
        n++;
        srq_escape_control(ctl_str(row, "layer"), name, sizeof(name));
        srq_buf_printf(out, "  %s%*s  %s %s %s, %s\n", name, width - ctl_text_width(name), "",
                       old[0] != '\0' ? old : "-", ctl_arrow(), ctl_str(row, "new"), ctl_str(row, "state"));
    }
    if (changed > n)
        srq_buf_printf(out, "  and %.0f more\n", changed - n);
}

static void line(struct srq_buf *out, const char *what, double now, double then, char *(*human)(double, char *))
{
    char a[CTL_HUMAN], b[CTL_HUMAN];

    if (isnan(then))
        return;
    srq_buf_printf(out, "%-15s %s %s %s\n", what, human(now, a), ctl_arrow(), human(then, b));
}

/* Numbers of blocks in ascending order, runs as "3-7". */
static void ranges(const cJSON *list, struct srq_buf *out)
{
    const cJSON *item = list != NULL ? list->child : NULL;
    const char *gap = "";

    while (item != NULL) {
        double first = item->valuedouble, last = first;

        for (item = item->next; item != NULL && item->valuedouble == last + 1; item = item->next)
            last = item->valuedouble;
        srq_buf_printf(out, last > first ? "%s%.0f-%.0f" : "%s%.0f", gap, first, last);
        gap = ", ";
    }
}

static void work(const cJSON *reply, struct srq_buf *out)
{
    const cJSON *retunes = ctl_get(reply, "retunes");
    int n = cJSON_GetArraySize(retunes);
    char s[CTL_HUMAN];

    if (cJSON_IsNumber(ctl_get(reply, "restarts")))
        srq_buf_printf(out, "%-15s block %.0f, from its first iteration\n", "restarts", ctl_num(reply, "restarts"));
    if (n > 0) {
        srq_buf_printf(out, "%-15s block%s ", "tuned again", plural(n));
        ranges(retunes, out);
        srq_buf_puts(out, "\n");
    }
    if (ctl_num(reply, "cost_s") > 0)
        srq_buf_printf(out, "%-15s about %s\n", "takes", ctl_human_seconds(ctl_num(reply, "cost_s"), s));
}

/* Those that are not as submitted. */
static void options(const cJSON *list, struct srq_buf *out)
{
    const cJSON *item;
    const char *gap = "";

    cJSON_ArrayForEach(item, list) if (cJSON_IsNumber(item))
    {
        srq_buf_printf(out, gap[0] == '\0' ? "%-15s %s %g" : "%s%s %g", gap[0] == '\0' ? "options" : gap, item->string,
                       item->valuedouble);
        gap = ", ";
    }
    srq_buf_puts(out, gap[0] != '\0' ? "\n" : "");
}

void ctl_change_text(const cJSON *reply, struct srq_buf *out)
{
    char text[2048];
    bool idle = cJSON_IsFalse(ctl_get(reply, "effect"));
    const cJSON *w;

    heading(reply, out);
    cJSON_ArrayForEach(w, ctl_get(reply, "warnings")) if (idle && cJSON_IsString(w))
        srq_buf_printf(out, "%s\n", srq_escape_control(w->valuestring, text, sizeof(text)));
    if (idle)
        return;
    layers(reply, out);
    options(ctl_get(reply, "options"), out);
    line(out, "size", ctl_num(reply, "size_now.after_bytes"), ctl_num(reply, "size.after_bytes"), ctl_human_bytes);
    line(out, "bits a weight", ctl_num(reply, "size_now.average_bits"), ctl_num(reply, "size.average_bits"),
         ctl_human_number);
    line(out, "predicted loss", ctl_num(reply, "forecast.now"), ctl_num(reply, "forecast.then"), ctl_human_number);
    if (ctl_str(reply, "forecast_missing")[0] != '\0')
        srq_buf_printf(out, "%-15s not known: %s\n", "predicted loss",
                       srq_escape_control(ctl_str(reply, "forecast_missing"), text, sizeof(text)));
    work(reply, out);
    cJSON_ArrayForEach(w, ctl_get(reply, "warnings")) if (cJSON_IsString(w))
        srq_buf_printf(out, "warning: %s\n", srq_escape_control(w->valuestring, text, sizeof(text)));
}
