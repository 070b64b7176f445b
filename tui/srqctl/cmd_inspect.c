/* srqctl inspect: what a model is. srq-worker reads it; no daemon is needed. */
#include "tui/srqctl/cmds.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "tui/srqctl/json_text.h"
#include "tui/srqctl/plan_text.h"
#include "tui/srqctl/worker_run.h"

#include <stdio.h>

int ctl_cmd_inspect(struct ctl *ctl)
{
    struct srq_error err = { 0 };
    char *model = srq_path_absolute(ctl->args.positional[0]);
    const char *args[] = { "--inspect", model, NULL };
    struct srq_buf text;
    cJSON *answer = NULL, *layers;
    int rc = model != NULL ? ctl_worker_run(args, NULL, NULL, NULL, &answer, &err)
                           : srq_fail(&err, -SRQ_ENOMEM, "out of memory");

    srq_free(model);
    if (rc != 0)
        return ctl_refused(ctl, &err);
    if (ctl->json)
        return ctl_print_json(answer);
    /* Thirty blocks alike make one row a module; --json has every layer. */
    layers = cJSON_DetachItemFromObjectCaseSensitive(answer, "layers");
    srq_buf_init(&text, (size_t)1 << 20);
    ctl_json_text(answer, &text);
    fputs(text.data != NULL ? text.data : "", stdout);
    srq_buf_fini(&text);
    if (layers != NULL) {
        puts("");
        ctl_print_layers(layers, "dtype|tie");
    }
    cJSON_Delete(layers);
    cJSON_Delete(answer);
    return ctl_flush(ctl);
}
