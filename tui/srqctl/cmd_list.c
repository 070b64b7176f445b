/* srqctl list: the jobs, newest first. */
#include "tui/srqctl/cmds.h"

#include "tui/client/human.h"
#include "tui/srqctl/table.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const struct ctl_option ctl_list_options[] = {
    { "states", 0, "LIST", CTL_C_CHOICE, "queued starting running paused done failed canceled",
      "only jobs in these states", true },
    { "all", 'a', NULL, CTL_C_NONE, NULL, "other users' jobs too, where the configuration opens them", false },
    { "limit", 'n', "N", CTL_C_NONE, NULL, "only the newest N", false },
    { .name = NULL },
};

/* "quantize 12/30", or why it does not run. */
static void put_doing(struct ctl_table *t, const cJSON *job)
{
    const char *stage = ctl_str(job, "stage"), *state = ctl_str(job, "state");
    double done = ctl_num(job, "done"), total = ctl_num(job, "total");

    if ((strcmp(state, "running") != 0 && strcmp(state, "paused") != 0) || stage[0] == '\0')
        ctl_table_cellf(t, "%.60s", ctl_str(job, "reason"));
    else if (isnan(done) || isnan(total))
        ctl_table_cell(t, stage);
    else
        ctl_table_cellf(t, "%s %.0f/%.0f", stage, floor(done), total);
}

static void put_job(struct ctl_table *t, const cJSON *job, bool names, bool owners)
{
    const char *name = strrchr(ctl_str(job, "model"), '/');
    char n[CTL_HUMAN];

    ctl_table_cell(t, ctl_str(job, "job"));
    if (names)
        ctl_table_cell(t, ctl_str(job, "name"));
    if (owners)
        ctl_table_cell(t, ctl_str(job, "owner"));
    ctl_table_cell(t, ctl_str(job, "wish")[0] != '\0' ? ctl_str(job, "wish") : ctl_str(job, "state"));
    ctl_table_cell(t, ctl_human_seconds(ctl_num(job, "eta_s"), n));
    ctl_table_cell(t, ctl_human_number(ctl_num(job, "average_bits"), n));
    ctl_table_cell(t, ctl_human_bytes(ctl_num(job, "after_bytes"), n));
    ctl_table_cell(t, name != NULL ? name + 1 : ctl_str(job, "model"));
    ctl_table_cellf(t, "%s %s", ctl_str(job, "method"), ctl_str(job, "scheme"));
    put_doing(t, job);
}

int ctl_cmd_list(struct ctl *ctl)
{
    bool all = ctl_given(&ctl->args, "all"), names = false;
    char heads[100];
    struct srq_error err = { 0 };
    cJSON *p = cJSON_CreateObject(), *reply = NULL, *states = NULL;
    const cJSON *job;
    struct ctl_table *t;
    double limit = 0;
    int rc = ctl_names(&ctl->args, "states", &states, &err);

    if (states != NULL)
        cJSON_AddItemToObject(p, "states", states);
    if (all)
        cJSON_AddTrueToObject(p, "all");
    if (rc == 0)
        rc = ctl_whole(&ctl->args, "limit", 1, 10000, &limit, &err);
    if (rc != 0) {
        cJSON_Delete(p);
        return ctl_complain(ctl, CTL_USAGE, &err);
    }
    if (limit > 0)
        cJSON_AddNumberToObject(p, "limit", limit);
    rc = ctl_connect(ctl, true);
    if (rc != CTL_OK) {
        cJSON_Delete(p);
        return rc;
    }
    rc = limit > 0 ? ctl_call(ctl, "job.list", p, &reply) : ctl_call_paged(ctl, "job.list", p, &reply);
    if (rc != CTL_OK)
        return rc;
    if (ctl->json)
        return ctl_print_json(reply);
    if (cJSON_GetArraySize(ctl_get(reply, "jobs")) == 0) {
        puts(states != NULL ? "no such jobs" : "no jobs; submit one with: srqctl submit MODEL ... -o OUT");
        cJSON_Delete(reply);
        return ctl_flush(ctl);
    }
    cJSON_ArrayForEach(job, ctl_get(reply, "jobs")) names = names || ctl_str(job, "name")[0] != '\0';
    snprintf(heads, sizeof(heads), "job%s%s|state|>left|>bits|>size|model|method|doing", names ? "|name" : "",
             all ? "|owner" : "");
    t = ctl_table_create(heads);
    cJSON_ArrayForEach(job, ctl_get(reply, "jobs")) put_job(t, job, names, all);
    ctl_table_print(t);
    cJSON_Delete(reply);
    return ctl_flush(ctl);
}
