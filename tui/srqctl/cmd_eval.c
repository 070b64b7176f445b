/* srqctl eval: perplexity of a model, and KL and top-1 against another. srq-worker does it; no daemon is needed. */
#include "tui/srqctl/cmds.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "tui/srqctl/jobspec.h"
#include "tui/srqctl/json_text.h"
#include "tui/srqctl/worker_run.h"
#include "tui/srqctl/worker_view.h"

#include <stdio.h>
#include <string.h>

const struct ctl_option ctl_eval_options[] = {
    { "eval", 'e', "FILE", CTL_C_FILE, NULL, "text to measure on", true },
    { "reference", 0, "MODEL", CTL_C_DIR, NULL, "also KL and top-1 agreement against this model", false },
    { "logits", 0, "OUT.npy", CTL_C_FILE, NULL, "write the logits there", false },
    { "set", 0, "KEY=VALUE", CTL_C_SET, NULL, "an option, e.g. eval.seqlen=256, eval.windows=64", true },
    { .name = NULL },
};

static int add_path(cJSON *spec, const char *name, const char *path, struct srq_error *err)
{
    char *absolute;
    int rc;

    if (path == NULL)
        return 0;
    if (path[0] == '\0')
        return srq_fail_field(err, -SRQ_EINVAL, name, "the path of --%s is empty", name);
    rc = srq_make_absolute(path, &absolute, err);
    if (rc != 0)
        return rc;
    cJSON_AddStringToObject(spec, name, absolute);
    srq_free(absolute);
    return 0;
}

int ctl_cmd_eval(struct ctl *ctl)
{
    static const char *const args[] = { "--eval", NULL };
    struct ctl_worker_view view;
    struct srq_error err = { 0 };
    struct srq_buf out;
    cJSON *spec = NULL, *answer = NULL;
    char *text = NULL;
    int rc;

    if (!ctl_given(&ctl->args, "eval")) {
        srq_fail_field(&err, SRQ_EINVAL, "eval", "eval needs a text: --eval FILE");
        return ctl_complain(ctl, CTL_USAGE, &err);
    }
    rc = ctl_jobspec(&ctl->args, &spec, &err);
    if (rc == 0)
        rc = add_path(spec, "reference", ctl_value(&ctl->args, "reference"), &err);
    if (rc == 0)
        rc = add_path(spec, "logits", ctl_value(&ctl->args, "logits"), &err);
    if (rc != 0) {
        cJSON_Delete(spec);
        return ctl_complain(ctl, CTL_USAGE, &err);
    }
    text = cJSON_PrintUnformatted(spec);
    cJSON_Delete(spec);
    ctl_worker_view_init(&view, ctl);
    ctl_catch_signals();
    rc = text != NULL ? ctl_worker_run(args, text, ctl_worker_view_line, &view, &answer, &err)
                      : srq_fail(&err, -SRQ_ENOMEM, "out of memory");
    cJSON_free(text);
    ctl_worker_view_end(&view);
    if (rc != 0)
        return ctl_refused(ctl, &err);
    if (ctl->json)
        return ctl_print_json(answer);
    srq_buf_init(&out, (size_t)16 << 20);
    ctl_json_text(answer, &out);
    fputs(out.data != NULL ? out.data : "", stdout);
    srq_buf_fini(&out);
    cJSON_Delete(answer);
    return ctl_flush(ctl);
}
