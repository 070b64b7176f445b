/* srqctl plan: the scheme of every layer. */
#include "tui/srqctl/cmds.h"

#include "tui/client/human.h"
#include "tui/srqctl/plan_text.h"
#include "tui/srqctl/table.h"

#include <math.h>
#include <stdio.h>

const struct ctl_option ctl_plan_options[] = {
    { "layers", 0, NULL, CTL_C_NONE, NULL, "one row a layer, not grouped", false },
    { .name = NULL },
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

int ctl_cmd_plan(struct ctl *ctl)
{
    cJSON *reply = NULL;
    int rc = ctl_connect(ctl, true);

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
