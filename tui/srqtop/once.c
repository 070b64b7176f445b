/* One look, printed. */
#include "tui/srqtop/once.h"

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/proto/proto.h"
#include "tui/srqtop/json.h"
#include "tui/srqtop/screen.h"
#include "tui/srqtop/session.h"
#include "tui/srqtop/terminal.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define LOOK_S 0.05
#define WAIT_S 30.0 /* for a long journal, or a daemon that is busy */

struct once {
    struct event_base *base;
    struct top_session *session;
    double until;
    bool settled;
};

/* Leaves the loop when all is here, or when it will not come. */
static void look(evutil_socket_t fd, short what, void *ctx)
{
    struct once *o = ctx;

    (void)fd;
    (void)what;
    o->settled = top_session_settled(o->session);
    if (o->settled || top_session_failure(o->session)->code != 0 || srq_clock_s() > o->until)
        event_base_loopbreak(o->base);
}

static int exit_of(const struct top_model *m, const struct srq_error *err)
{
    if (m->link != TOP_LINK_UP)
        return err->code == SRQ_EPERM ? TOP_DENIED : TOP_NO_DAEMON;
    return err->code == SRQ_ENOENT ? TOP_NO_JOB : err->code == SRQ_EPERM ? TOP_DENIED : TOP_REFUSED;
}

static int variable(const char *name)
{
    const char *text = getenv(name);
    long n = text != NULL ? strtol(text, NULL, 10) : 0;

    return n > 0 && n <= 1000 ? (int)n : 0;
}

/* What was asked for, else the terminal's size, else COLUMNS and LINES, else 80 by 24. */
static void find_size(const struct top_options *o, int *w, int *h)
{
    struct winsize ws = { 0 };

    if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) != 0)
        ws = (struct winsize){ 0 };
    *w = o->width != 0 ? o->width : ws.ws_col != 0 ? ws.ws_col : variable("COLUMNS") != 0 ? variable("COLUMNS") : 80;
    *h = o->height != 0 ? o->height : ws.ws_row != 0 ? ws.ws_row : variable("LINES") != 0 ? variable("LINES") : 24;
}

static char *picture(const struct top_options *o, struct top_model *m, struct top_view *v)
{
    struct canvas c;
    char *text = NULL;
    int w, h;

    find_size(o, &w, &h);
    m->now = srq_wall_s();
    canvas_init(&c);
    if (canvas_resize(&c, w, h)) {
        c.ascii = v->glyphs == GLYPHS_ASCII;
        screen_draw(m, v, &c);
        text = canvas_text(&c);
    }
    canvas_fini(&c);
    return text;
}

static char *as_json(const struct top_model *m)
{
    cJSON *json = top_json(m);
    char *printed = cJSON_PrintUnformatted(json), *text = printed != NULL ? srq_asprintf("%s\n", printed) : NULL;

    cJSON_free(printed);
    cJSON_Delete(json);
    return text;
}

static int show(const struct top_options *o, struct top_model *m, struct top_view *v)
{
    char *text = o->json ? as_json(m) : picture(o, m, v);
    int rc = text != NULL && fputs(text, stdout) >= 0 && fflush(stdout) == 0 ? TOP_OK : TOP_REFUSED;

    if (rc != TOP_OK)
        fprintf(stderr, "srqtop: cannot write the picture\n");
    srq_free(text);
    return rc;
}

static int complain(const struct top_options *o, int code, const struct srq_error *err)
{
    cJSON *json;
    char *text;

    if (!o->json) {
        fprintf(stderr, "srqtop: %s\n", err->text);
        return code;
    }
    json = srq_proto_error(err);
    text = cJSON_PrintUnformatted(json);
    printf("%s\n", text != NULL ? text : "{}");
    cJSON_free(text);
    cJSON_Delete(json);
    return code;
}

int top_once(const struct top_options *o)
{
    const struct timeval every = { .tv_usec = (suseconds_t)(LOOK_S * 1e6) };
    struct top_model model;
    struct top_view view;
    struct once once = { .base = event_base_new(), .until = srq_clock_s() + WAIT_S };
    struct top_session_options so = {
        .socket = o->socket, .user_only = o->user_only, .job = o->job, .model = &model, .view = &view
    };
    struct event *timer = once.base != NULL ? event_new(once.base, -1, EV_PERSIST, look, &once) : NULL;
    struct srq_error err = { 0 };
    int rc;

    top_model_init(&model);
    view_init(&view);
    model.readonly = view.readonly = o->readonly;
    view.panel = o->panel >= 0 ? (enum top_panel)o->panel : view.panel;
    view.glyphs = top_options_glyphs(o, terminal_utf8());
    if (timer == NULL || event_add(timer, &every) != 0)
        rc = srq_fail(&err, -SRQ_ENOMEM, "out of memory");
    else
        rc = top_session_create(once.base, &so, &once.session, &err);
    if (rc == 0) {
        event_base_dispatch(once.base);
        err = *top_session_failure(once.session);
        if (!once.settled && err.code == 0)
            srq_fail(&err, SRQ_ETIMEOUT, "the daemon did not tell everything within %.0f s", WAIT_S);
    }
    rc = err.code != 0 ? complain(o, exit_of(&model, &err), &err) : show(o, &model, &view);
    top_session_free(once.session);
    if (timer != NULL)
        event_free(timer);
    if (once.base != NULL)
        event_base_free(once.base);
    view_fini(&view);
    top_model_fini(&model);
    return rc;
}
