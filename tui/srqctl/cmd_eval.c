/* srqctl eval: perplexity of a model, and KL and top-1 against another. srq-worker does it; no daemon is needed. */
#include "tui/srqctl/cmds.h"

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/base/fs.h"
#include "tui/srqctl/jobspec.h"
#include "tui/srqctl/json_text.h"
#include "tui/srqctl/progress.h"
#include "tui/srqctl/table.h"
#include "tui/srqctl/worker_run.h"

#include <stdio.h>
#include <string.h>

const struct ctl_option ctl_eval_options[] = {
    { "eval", 'e', "FILE", CTL_C_FILE, NULL, "text to measure on", true },
    { "reference", 'r', "MODEL", CTL_C_DIR, NULL, "also KL and top-1 agreement against this model", false },
    { "logits", 0, "OUT.npy", CTL_C_FILE, NULL, "write the logits there", false },
    { "set", 0, "KEY=VALUE", CTL_C_NONE, NULL, "an option, e.g. eval.seqlen=256, eval.windows=64", true },
    { .name = NULL },
};

struct eval_view {
    bool live, shown;
    struct ctl_progress progress;
    double drawn_s;
};

/* Event lines become the moving line on a terminal; anything else is passed on. */
static void take_line(const char *line, void *ctx)
{
    struct eval_view *v = ctx;
    cJSON *e = NULL;
    struct srq_buf text;
    double now = srq_clock_s();

    if (line[0] != '{' || srq_json_parse(line, strlen(line), SRQ_DEPTH_MAX, &e, NULL) != 0) {
        fprintf(stderr, "%s%s\n", v->shown ? "\r\033[K" : "", line);
        v->shown = false;
        return;
    }
    if (v->live && strcmp(ctl_str(e, "event"), "stage.progress") == 0 && now - v->drawn_s >= 0.1) {
        const cJSON *data = ctl_get(e, "data");
        int width = ctl_terminal_width();

        srq_buf_init(&text, 1 << 16);
        snprintf(v->progress.state, sizeof(v->progress.state), "running");
        ctl_progress_event(&v->progress, "stage.progress", data != NULL ? data : e, now, true, &text);
        srq_buf_clear(&text);
        ctl_progress_line(&v->progress, now, srq_wall_s(), width > 1 ? width - 1 : 0, &text);
        fprintf(stderr, "\r%s\033[K", text.data != NULL ? text.data : "");
        srq_buf_fini(&text);
        v->shown = true;
        v->drawn_s = now;
    }
    cJSON_Delete(e);
}

static int add_path(cJSON *spec, const char *name, const char *path, struct srq_error *err)
{
    char *absolute;

    if (path == NULL)
        return 0;
    absolute = path[0] != '\0' ? srq_path_absolute(path) : NULL;
    if (absolute == NULL)
        return srq_fail_field(err, -SRQ_EINVAL, name, "the path of --%s is empty", name);
    cJSON_AddStringToObject(spec, name, absolute);
    srq_free(absolute);
    return 0;
}

int ctl_cmd_eval(struct ctl *ctl)
{
    static const char *const args[] = { "--eval", NULL };
    struct eval_view view = { .live = ctl->tty && !ctl->json };
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
    ctl_progress_init(&view.progress);
    rc = text != NULL ? ctl_worker_run(args, text, take_line, &view, &answer, &err)
                      : srq_fail(&err, -SRQ_ENOMEM, "out of memory");
    cJSON_free(text);
    if (view.shown)
        fputs("\r\033[K", stderr);
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
