/* Lines of a worker on the screen. */
#include "tui/srqctl/worker_view.h"

#include "core/base/clock.h"
#include "tui/srqctl/table.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DRAW_EVERY_S 0.1

void ctl_worker_view_init(struct ctl_worker_view *v, const struct ctl *ctl)
{
    memset(v, 0, sizeof(*v));
    v->live = !ctl->json && ctl->tty && isatty(STDERR_FILENO);
    v->plain = !ctl->json && !v->live;
    ctl_progress_init(&v->progress);
    snprintf(v->progress.state, sizeof(v->progress.state), "running");
}

static void draw(struct ctl_worker_view *v, double now, struct srq_buf *text)
{
    int width = ctl_terminal_width();

    if (now - v->drawn_s < DRAW_EVERY_S)
        return;
    srq_buf_clear(text);
    ctl_progress_line(&v->progress, now, srq_wall_s(), width > 1 ? width - 1 : 0, text);
    fprintf(stderr, "\r%s\033[K", text->data != NULL ? text->data : "");
    v->shown = true;
    v->drawn_s = now;
}

void ctl_worker_view_line(const char *line, void *ctx)
{
    struct ctl_worker_view *v = ctx;
    cJSON *e = NULL;
    struct srq_buf text;
    double now = srq_clock_s();

    if (line[0] != '{' || srq_json_parse(line, strlen(line), SRQ_DEPTH_MAX, &e, NULL) != 0) {
        ctl_worker_view_end(v);
        fprintf(stderr, "%s\n", line);
        return;
    }
    srq_buf_init(&text, 1 << 16);
    if (ctl_get(e, "data") != NULL && (v->live || v->plain)) {
        ctl_progress_event(&v->progress, ctl_str(e, "event"), ctl_get(e, "data"), now, v->live, &text);
        if (v->live)
            draw(v, now, &text);
        else if (text.data != NULL)
            fputs(text.data, stderr);
    }
    srq_buf_fini(&text);
    cJSON_Delete(e);
}

void ctl_worker_view_end(struct ctl_worker_view *v)
{
    if (v->shown)
        fputs("\r\033[K", stderr);
    v->shown = false;
}
