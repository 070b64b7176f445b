/* srqctl plan: the scheme of every layer. */
#include "tui/srqctl/cmds.h"

#include "tui/srqctl/plan_text.h"
#include "tui/srqctl/table.h"

#include <stdio.h>

const struct ctl_option ctl_plan_options[] = {
    { "layers", 'l', NULL, CTL_C_NONE, NULL, "one row a layer, not grouped", false },
    { .name = NULL },
};

static void print_all(const cJSON *layers)
{
    struct ctl_table *t = ctl_table_create("layer|shape|scheme|source");
    const cJSON *l;

    if (t == NULL)
        return;
    cJSON_ArrayForEach(l, layers)
    {
        ctl_table_cell(t, ctl_str(l, "name"));
        ctl_table_cellf(t, "%.0fx%.0f", ctl_num(l, "out"), ctl_num(l, "in"));
        ctl_table_cell(t, ctl_str(l, "scheme"));
        ctl_table_cell(t, ctl_str(l, "source"));
    }
    ctl_table_print(t);
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
    printf("revision %.0f, %d layers\n", ctl_num(reply, "revision"), cJSON_GetArraySize(ctl_get(reply, "layers")));
    if (ctl_given(&ctl->args, "layers"))
        print_all(ctl_get(reply, "layers"));
    else
        ctl_print_layers(ctl_get(reply, "layers"), "scheme", "source");
    cJSON_Delete(reply);
    return ctl_flush(ctl);
}
