/* srqctl plan: the scheme of every layer, how it came to be so, and the way back. */
#include "tui/srqctl/cmds.h"

#include "core/base/log.h"
#include "tui/client/human.h"
#include "tui/srqctl/change.h"
#include "tui/srqctl/plan_text.h"
#include "tui/srqctl/table.h"

#include <math.h>
#include <stdio.h>

const struct ctl_option ctl_plan_options[] = {
    { "layers", 0, NULL, CTL_C_NONE, NULL, "one row a layer, not grouped", false },
    { "history", 0, NULL, CTL_C_NONE, NULL, "what each revision changed, when and by whom", false },
    { "revert", 0, "REVISION", CTL_C_NONE, NULL, "decide again as at REVISION; makes a new one", false },
    CTL_CHANGE_AFTER,
    CTL_CHANGE_OPTIONS,
};

static void print_all(const cJSON *layers)
{
    struct ctl_table *t = ctl_table_create("layer|shape|scheme|source|state");
    const cJSON *l;

    if (t == NULL)
        return;
    cJSON_ArrayForEach(l, layers)
    {
        ctl_table_cell(t, ctl_str(l, "name"));
        ctl_table_cellf(t, "%.0fx%.0f", ctl_num(l, "out"), ctl_num(l, "in"));
        ctl_table_cell(t, ctl_str(l, "scheme"));
        ctl_table_cell(t, ctl_str(l, "source"));
        ctl_table_cell(t, ctl_str(l, "state"));
    }
    ctl_table_print(t);
}

static void print_head(const cJSON *reply)
{
    int pins = cJSON_GetArraySize(ctl_get(reply, "pins"));
    char a[CTL_HUMAN], b[CTL_HUMAN];

    printf("revision %.0f, %d layers", ctl_num(reply, "revision"), cJSON_GetArraySize(ctl_get(reply, "layers")));
    if (pins > 0)
        printf(", %d pin%s", pins, pins == 1 ? "" : "s");
    if (!isnan(ctl_num(reply, "size.after_bytes")))
        printf(", %s %s %s", ctl_human_bytes(ctl_num(reply, "size.before_bytes"), a), ctl_arrow(),
               ctl_human_bytes(ctl_num(reply, "size.after_bytes"), b));
    if (!isnan(ctl_num(reply, "size.average_bits")))
        printf(", %s bits a weight", ctl_human_number(ctl_num(reply, "size.average_bits"), a));
    if (!isnan(ctl_num(reply, "budget.bits")))
        printf(", budget %s", ctl_human_number(ctl_num(reply, "budget.bits"), a));
    puts("");
}

/* "pin *.o_proj=w8", "submitted". */
static void put_asked(struct ctl_table *t, const cJSON *r)
{
    const char *op = ctl_str(r, "op"), *what = ctl_str(r, "what");

    ctl_table_cellf(t, "%s%s%.100s", op[0] != '\0' ? op : "submitted", what[0] != '\0' ? " " : "", what);
}

/* "3 layers: a w4 -> w8, and 2 more"; a revision may change decisions only. */
static void put_changed(struct ctl_table *t, const cJSON *r)
{
    double changed = ctl_num(r, "changed");
    const cJSON *first = cJSON_GetArrayItem(ctl_get(r, "changes"), 0);
    char more[40] = "";

    if (isnan(changed) || first == NULL) {
        ctl_table_cell(t, isnan(changed) ? "" : "no scheme");
        return;
    }
    if (changed > 1)
        snprintf(more, sizeof(more), ", and %.0f more", changed - 1);
    ctl_table_cellf(t, "%.100s %s %s %s%s", ctl_str(first, "layer"), ctl_str(first, "old"), ctl_arrow(),
                    ctl_str(first, "new"), more);
}

static int show_history(struct ctl *ctl)
{
    cJSON *reply = NULL;
    const cJSON *r;
    struct ctl_table *t;
    char date[CTL_HUMAN];
    int rc = ctl_call_paged(ctl, "job.history", ctl_job_params(ctl->args.positional[0]), &reply);

    if (rc != CTL_OK || ctl->json)
        return rc != CTL_OK ? rc : ctl_print_json(reply);
    t = ctl_table_create(">revision|when|who|asked|changed");
    cJSON_ArrayForEach(r, ctl_get(reply, "revisions"))
    {
        ctl_table_cellf(t, "%.0f", ctl_num(r, "revision"));
        ctl_table_cell(t, isnan(ctl_num(r, "time")) ? "" : ctl_human_date(ctl_num(r, "time"), date));
        ctl_table_cell(t, ctl_str(r, "by"));
        put_asked(t, r);
        put_changed(t, r);
    }
    ctl_table_print(t);
    cJSON_Delete(reply);
    return ctl_flush(ctl);
}

static int revert(struct ctl *ctl, double to)
{
    cJSON *p = ctl_job_params(ctl->args.positional[0]);

    cJSON_AddNumberToObject(p, "to", to);
    return ctl_change(ctl, "job.revert", p);
}

/* Options of a change say nothing without one; -SRQ_EINVAL then. */
static int check(const struct ctl_args *a, double *to, struct srq_error *err)
{
    static const char *const of_revert[] = { "after", "propagate", "revision", "dry-run" };
    char flag[CTL_FLAG];
    int rc = ctl_whole(a, "revert", 0, 9007199254740992.0, to, err);

    for (size_t i = 0; rc == 0 && i < 4 && !ctl_given(a, "revert"); i++)
        if (ctl_given(a, of_revert[i]))
            rc = srq_fail_field(err, -SRQ_EINVAL, of_revert[i], "%s goes with --revert REVISION",
                                ctl_flag(a, of_revert[i], flag));
    if (rc == 0 && ctl_given(a, "history") && ctl_given(a, "revert"))
        rc = srq_fail_field(err, -SRQ_EINVAL, "history", "--history and --revert do not go together");
    return rc;
}

int ctl_cmd_plan(struct ctl *ctl)
{
    struct srq_error err = { 0 };
    cJSON *reply = NULL;
    double to = 0;
    int rc;

    if (check(&ctl->args, &to, &err) != 0)
        return ctl_complain(ctl, CTL_USAGE, &err);
    if (ctl_given(&ctl->args, "revert"))
        return revert(ctl, to);
    rc = ctl_connect(ctl, true);
    if (rc == CTL_OK && ctl_given(&ctl->args, "history"))
        return show_history(ctl);
    if (rc == CTL_OK)
        rc = ctl_call_paged(ctl, "job.plan", ctl_job_params(ctl->args.positional[0]), &reply);
    if (rc != CTL_OK)
        return rc;
    if (ctl->json)
        return ctl_print_json(reply);
    print_head(reply);
    if (ctl_given(&ctl->args, "layers"))
        print_all(ctl_get(reply, "layers"));
    else
        ctl_print_layers(ctl_get(reply, "layers"), "scheme|source|state");
    cJSON_Delete(reply);
    return ctl_flush(ctl);
}
