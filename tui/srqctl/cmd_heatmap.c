/* srqctl heatmap: one number for every layer, blocks by modules. */
#include "tui/srqctl/cmds.h"

#include "tui/srqctl/chart.h"
#include "tui/srqctl/heatmap_text.h"

#include <langinfo.h>
#include <stdio.h>
#include <string.h>

#define TEXT_MAX ((size_t)256 << 20)

const struct ctl_option ctl_heatmap_options[] = {
    { "by", 0, "WHAT", CTL_C_CHOICE, "sensitivity bits loss gain saturation", "what is shown (bits)", false },
    { "numbers", 0, NULL, CTL_C_NONE, NULL, "values instead of shades", false },
    { "ascii", 0, NULL, CTL_C_NONE, NULL, "shades in ASCII", false },
    { "csv", 0, NULL, CTL_C_NONE, NULL, "a line a layer, comma-separated", false },
    { "png", 0, "FILE", CTL_C_FILE, NULL, "draw it into FILE", false },
    { .name = NULL },
};

static int draw(struct ctl *ctl, const cJSON *reply)
{
    struct srq_error err = { 0 };
    struct ctl_picture p;
    int rc;

    ctl_chart_heatmap(&p, reply);
    rc = ctl_picture_png(&p, ctl_value(&ctl->args, "png"), &err);
    ctl_picture_fini(&p);
    return rc == 0 ? CTL_OK : ctl_complain(ctl, CTL_REFUSED, &err);
}

int ctl_cmd_heatmap(struct ctl *ctl)
{
    const char *by = ctl_value(&ctl->args, "by");
    bool utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0 && !ctl_given(&ctl->args, "ascii");
    cJSON *p = ctl_job_params(ctl->args.positional[0]), *reply = NULL;
    struct srq_buf text;
    int rc = ctl_connect(ctl, true);

    if (rc != CTL_OK) {
        cJSON_Delete(p);
        return rc;
    }
    cJSON_AddStringToObject(p, "by", by != NULL ? by : "bits");
    rc = ctl_call_paged(ctl, "job.heatmap", p, &reply);
    if (rc != CTL_OK)
        return rc;
    if (ctl->json)
        return ctl_print_json(reply);
    if (ctl_value(&ctl->args, "png") != NULL) {
        rc = draw(ctl, reply);
        cJSON_Delete(reply);
        return rc;
    }
    srq_buf_init(&text, TEXT_MAX);
    if (ctl_given(&ctl->args, "csv"))
        ctl_heatmap_csv(reply, &text);
    else
        ctl_heatmap_text(reply, ctl_given(&ctl->args, "numbers"), utf8, &text);
    cJSON_Delete(reply);
    return ctl_print_text(&text);
}
