/* srqctl inspect: what a model is. srq-worker reads it; no daemon is needed. */
#include "tui/srqctl/cmds.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "tui/srqctl/json_text.h"
#include "tui/srqctl/plan_text.h"
#include "tui/srqctl/worker_run.h"

#include <stdio.h>

/* For people: what a model of its kind has, its pictures in one line. */
static void shorten(cJSON *answer)
{
    static const char *const widths[] = { "architecture", "hidden", "intermediate",  "heads",     "kv_heads",
                                          "head_dim",     "vocab",  "max_positions", "tied_head", "pictures" };
    const cJSON *p = ctl_get(answer, "pictures");
    double channels = ctl_num(p, "channels"), out = ctl_num(p, "out_channels");
    char line[160], given[48] = "";

    for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++)
        if (cJSON_IsNull(ctl_get(answer, widths[i])))
            cJSON_DeleteItemFromObjectCaseSensitive(answer, widths[i]);
    if (!cJSON_IsObject(p))
        return;
    if (out != channels)
        snprintf(given, sizeof(given), ", %.0f given", out);
    snprintf(line, sizeof(line), "%.0f x %.0f, %.0f channel%s%s", ctl_num(p, "width"), ctl_num(p, "height"), channels,
             channels == 1 ? "" : "s", given);
    cJSON_ReplaceItemInObjectCaseSensitive(answer, "pictures", cJSON_CreateString(line));
}

int ctl_cmd_inspect(struct ctl *ctl)
{
    struct srq_error err = { 0 };
    char *model = NULL;
    const char *args[] = { "--inspect", NULL, NULL };
    struct srq_buf text;
    cJSON *answer = NULL, *layers;
    bool pictures;
    int rc = srq_make_absolute(ctl->args.positional[0], &model, &err);

    args[1] = model;
    if (rc == 0)
        rc = ctl_worker_run(args, NULL, NULL, NULL, &answer, &err);
    srq_free(model);
    if (rc != 0)
        return ctl_refused(ctl, &err);
    if (ctl->json)
        return ctl_print_json(answer);
    /* Thirty blocks alike make one row a module; --json has every layer. */
    layers = cJSON_DetachItemFromObjectCaseSensitive(answer, "layers");
    pictures = cJSON_IsObject(ctl_get(answer, "pictures"));
    shorten(answer);
    srq_buf_init(&text, (size_t)1 << 20);
    ctl_json_text(answer, &text);
    fputs(text.data != NULL ? text.data : "", stdout);
    srq_buf_fini(&text);
    if (layers != NULL) {
        puts("");
        ctl_print_layers(layers, pictures ? "dtype" : "dtype|tie");
    }
    cJSON_Delete(layers);
    cJSON_Delete(answer);
    return ctl_flush(ctl);
}
