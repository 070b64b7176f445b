/* The loop: keys become actions, events become a new picture.
 *
 * Drawn at most ten times a second when the daemon tells something, sooner after a key. While nothing happens nothing
 * runs but a look at the list every ten seconds, and a clock once a second while a job runs. */
#include "tui/srqtop/app.h"

#include "core/base/clock.h"
#include "tui/srqtop/deadly.h"
#include "tui/srqtop/once.h"
#include "tui/srqtop/screen.h"
#include "tui/srqtop/session.h"
#include "tui/srqtop/terminal.h"

#include <event2/event.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DRAW_S 0.1
#define DRAW_KEY_S 0.03
#define CLOCK_S 1.0

enum { SIG_RESIZE, SIG_CONTINUE, SIG_STOP, SIG_TERMINATE, SIG_HANGUP, SIG_INTERRUPT, SIG_OUR_COUNT };

struct app {
    struct event_base *base;
    struct top_session *session;
    struct top_model model;
    struct top_view view;
    struct canvas canvas;
    bool notify, progress;
    struct event *input, *key_timer, *draw_timer, *clock, *signals[SIG_OUR_COUNT];
    double drawn_s, due_s;
    bool scheduled;
    struct top_command asked; /* a command that waits for y or n; kind TOP_CMD_NOTHING: none */
    int died;                 /* signal that ended us; 0: none */
};

/* ---- drawing ----------------------------------------------------------------------------------------------------- */

static bool something_runs(const struct app *a)
{
    for (int i = 0; i < a->model.job_count; i++)
        if (a->model.jobs[i].state == SRQ_JOB_RUNNING || a->model.jobs[i].state == SRQ_JOB_STARTING)
            return true;
    return false;
}

/* How far the job shown is, or else the first that runs; -1: none does. */
static int percent_done(const struct app *a)
{
    const struct top_job *j = view_job(&a->model, &a->view);

    for (int i = 0; i < a->model.job_count && (j == NULL || j->state != SRQ_JOB_RUNNING); i++)
        j = &a->model.jobs[i];
    if (j == NULL || j->state != SRQ_JOB_RUNNING || !j->done.known || !j->total.known || j->total.v <= 0)
        return -1;
    return (int)(100 * (j->done.v < j->total.v ? j->done.v / j->total.v : 1));
}

static void tell_window(struct app *a)
{
    char text[300];

    if (a->progress)
        terminal_progress(percent_done(a));
    if (a->notify && a->model.ended != NULL) {
        snprintf(text, sizeof(text), "srqtop: %.280s", a->model.ended);
        terminal_notify(text);
    }
    top_set_text(&a->model.ended, NULL);
}

static void draw(struct app *a)
{
    const struct timeval tick = { .tv_sec = (time_t)CLOCK_S };
    int w, h;

    a->scheduled = false;
    a->drawn_s = srq_clock_s();
    a->model.now = srq_wall_s();
    a->model.changed = false;
    terminal_size(&w, &h);
    if ((a->canvas.w != w || a->canvas.h != h) && !canvas_resize(&a->canvas, w, h))
        return;
    a->canvas.ascii = a->view.glyphs == GLYPHS_ASCII;
    a->canvas.pixels = terminal_colours() >= 256;
    screen_draw(&a->model, &a->view, &a->canvas);
    terminal_flush(&a->canvas);
    tell_window(a);
    if (something_runs(a) && !a->view.frozen)
        evtimer_add(a->clock, &tick);
}

static void on_draw(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    draw(ctx);
}

/* Draws soon: not sooner than `gap` after the last time. */
static void draw_soon(struct app *a, double gap)
{
    double now = srq_clock_s(), due = a->drawn_s + gap > now ? a->drawn_s + gap : now;
    struct timeval t = { .tv_sec = (time_t)(due - now) };

    if (a->scheduled && a->due_s <= due)
        return;
    t.tv_usec = (suseconds_t)((due - now - (double)t.tv_sec) * 1e6);
    a->scheduled = true;
    a->due_s = due;
    evtimer_add(a->draw_timer, &t);
}

/* A picture that is held still changes only by keys, and when the daemon is lost or found. */
static void on_changed(void *ctx)
{
    struct app *a = ctx;

    if (a->view.frozen) /* what is told beside the picture goes on */
        tell_window(a);
    if (!a->view.frozen || a->model.link != TOP_LINK_UP)
        draw_soon(a, DRAW_S);
}

static void on_clock(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    draw_soon(ctx, DRAW_S);
}

/* ---- commands ---------------------------------------------------------------------------------------------------- */

static void leave(struct app *a)
{
    event_base_loopbreak(a->base);
}

static void set_theme(struct app *a, const char *name)
{
    const struct theme *t = theme_find(name);

    if (t == NULL)
        top_model_say(&a->model, true, "there is no theme \"%.60s\"", name);
    else
        terminal_set_theme(t);
    terminal_redraw();
}

static void obey(struct app *a, struct top_command *c)
{
    switch (c->kind) {
    case TOP_CMD_NOTHING:
        break;
    case TOP_CMD_REFUSED:
        top_model_say(&a->model, true, "%s", c->text);
        break;
    case TOP_CMD_REQUEST:
        top_session_send(a->session, c);
        break;
    case TOP_CMD_OPEN:
        top_session_find(a->session, c->job, false);
        break;
    case TOP_CMD_DIFF:
        top_session_find(a->session, c->job, true);
        break;
    case TOP_CMD_PANEL:
        if (c->panel == TOP_PANEL_HELP && a->view.panel != TOP_PANEL_HELP)
            a->view.back = a->view.panel;
        a->view.panel = c->panel;
        break;
    case TOP_CMD_COMMIT:
        top_session_commit(a->session, &c->options);
        break;
    case TOP_CMD_DROP:
        top_session_drop(a->session);
        break;
    case TOP_CMD_UNDO:
        top_session_undo(a->session, c->job);
        break;
    case TOP_CMD_THEME:
        set_theme(a, c->text);
        break;
    case TOP_CMD_QUIT:
        if (view_leave(&a->model, &a->view) == TOP_DO_QUIT)
            leave(a);
        break;
    }
}

static void command(struct app *a)
{
    struct top_command c;

    top_command_read(&a->model, &a->view, a->view.line, &c);
    if (c.kind != TOP_CMD_REFUSED && c.confirm) {
        a->asked = c; /* its params are ours now */
        top_model_say(&a->model, true, "%s", c.text);
        return;
    }
    obey(a, &c);
    top_command_fini(&c);
}

/* The answer to a question: y does it, any other key does not; a paste is none. */
static void confirm(struct app *a, const struct top_key *key)
{
    if (key->pasted || key->code == TOP_KEY_PASTE || key->code == TOP_KEY_NONE || key->code == TOP_KEY_RESIZE)
        return;
    if (key->code == 'y' || key->code == 'Y')
        obey(a, &a->asked);
    else
        top_model_say(&a->model, false, "%s: not done", a->asked.verb);
    top_command_fini(&a->asked);
    a->asked = (struct top_command){ .kind = TOP_CMD_NOTHING };
}

static void complete(struct app *a)
{
    char hint[400];

    (void)top_command_complete(&a->model, &a->view, hint, sizeof(hint));
    snprintf(a->view.message, sizeof(a->view.message), "%.255s", hint);
    a->view.message_bad = false;
}

/* ---- keys -------------------------------------------------------------------------------------------------------- */

/* Stops as a shell's job does: the terminal is given back first and taken again afterwards. */
static void stop(struct app *a)
{
    terminal_suspend();
    raise(SIGSTOP);
    terminal_resume();
    draw_soon(a, 0);
}

static void refresh(struct app *a)
{
    terminal_redraw();
    top_session_refresh(a->session);
}

static void act(struct app *a, enum top_action action)
{
    const struct top_edit_options plain = { 0 };

    switch (action) {
    case TOP_DO_NOTHING:
        break;
    case TOP_DO_QUIT:
        leave(a);
        break;
    case TOP_DO_OPEN:
    case TOP_DO_OPEN_OTHER:
        top_session_follow(a->session);
        break;
    case TOP_DO_EDIT:
        top_session_edited(a->session);
        break;
    case TOP_DO_COMMIT:
        top_session_commit(a->session, &plain);
        break;
    case TOP_DO_DROP:
        top_session_drop(a->session);
        break;
    case TOP_DO_COMMAND:
        command(a);
        break;
    case TOP_DO_REFRESH:
        refresh(a);
        break;
    case TOP_DO_SUSPEND:
        stop(a);
        break;
    }
}

static void take_key(struct app *a, const struct top_key *key)
{
    if (a->asked.kind != TOP_CMD_NOTHING) {
        confirm(a, key);
        return;
    }
    if (key->code == TOP_KEY_TAB && !key->pasted && a->view.prompt == TOP_PROMPT_COMMAND) {
        complete(a);
        return;
    }
    if (a->model.notice != NULL) { /* said, and seen */
        top_set_text(&a->model.notice, NULL);
        a->model.notice_bad = false;
    }
    act(a, view_key(&a->model, &a->view, key));
}

static void end_by(struct app *a, int number)
{
    a->died = number;
    leave(a);
}

/* Keys that are there; what may still become one, an ESC above all, is looked at again when its time is over. */
static void on_input(evutil_socket_t fd, short what, void *ctx)
{
    struct app *a = ctx;
    struct top_key key;
    struct timeval t;
    double wait;
    bool any = false;

    (void)fd;
    (void)what;
    while (a->died == 0 && !event_base_got_break(a->base) && terminal_key(&key)) {
        any = true;
        take_key(a, &key);
    }
    if (any)
        draw_soon(a, DRAW_KEY_S);
    if (terminal_gone())
        end_by(a, SIGHUP);
    wait = terminal_key_wait();
    if (wait < 0) {
        evtimer_del(a->key_timer);
        return;
    }
    wait += 0.001; /* not just before */
    t.tv_sec = (time_t)wait;
    t.tv_usec = (suseconds_t)((wait - (double)t.tv_sec) * 1e6);
    evtimer_add(a->key_timer, &t);
}

/* ---- signals ----------------------------------------------------------------------------------------------------- */

static void on_signal(evutil_socket_t number, short what, void *ctx)
{
    struct app *a = ctx;

    (void)what;
    if (number == SIGWINCH) {
        terminal_resized();
        draw_soon(a, 0);
    } else if (number == SIGCONT) {
        terminal_resume();
        draw_soon(a, 0);
    } else if (number == SIGTSTP) {
        stop(a);
    } else {
        end_by(a, (int)number);
    }
}

static int catch_signals(struct app *a)
{
    static const int numbers[SIG_OUR_COUNT] = { SIGWINCH, SIGCONT, SIGTSTP, SIGTERM, SIGHUP, SIGINT };

    for (int i = 0; i < SIG_OUR_COUNT; i++) {
        a->signals[i] = evsignal_new(a->base, numbers[i], on_signal, a);
        if (a->signals[i] == NULL || event_add(a->signals[i], NULL) != 0)
            return -1;
    }
    return 0;
}

/* ---- begin and end ----------------------------------------------------------------------------------------------- */

static int begin(struct app *a, const struct top_options *o, struct srq_error *err)
{
    struct top_session_options so = { .socket = o->socket,
                                      .user_only = o->user_only,
                                      .job = o->job,
                                      .model = &a->model,
                                      .view = &a->view,
                                      .changed = on_changed,
                                      .ctx = a };
    int rc;

    a->base = event_base_new();
    if (a->base == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory");
    a->input = event_new(a->base, STDIN_FILENO, EV_READ | EV_PERSIST, on_input, a);
    a->key_timer = evtimer_new(a->base, on_input, a);
    a->draw_timer = evtimer_new(a->base, on_draw, a);
    a->clock = evtimer_new(a->base, on_clock, a);
    if (a->input == NULL || a->key_timer == NULL || a->draw_timer == NULL || a->clock == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory");
    rc = terminal_open(o->theme != NULL ? theme_find(o->theme) : &themes[0], o->mono, err);
    if (rc != 0)
        return rc;
    /* After the terminal's own handlers, so that ours are in force. */
    (void)deadly_catch(terminal_restore);
    if (catch_signals(a) != 0 || event_add(a->input, NULL) != 0)
        return srq_fail(err, -SRQ_EIO, "cannot watch signals and keys: %s", strerror(errno));
    return top_session_create(a->base, &so, &a->session, err);
}

static void end(struct app *a)
{
    struct event *events[] = { a->input, a->key_timer, a->draw_timer, a->clock };

    top_session_free(a->session);
    for (int i = 0; i < SIG_OUR_COUNT; i++)
        if (a->signals[i] != NULL)
            event_free(a->signals[i]);
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
        if (events[i] != NULL)
            event_free(events[i]);
    if (a->base != NULL)
        event_base_free(a->base);
    terminal_close();
    top_command_fini(&a->asked);
    canvas_fini(&a->canvas);
    view_fini(&a->view);
    top_model_fini(&a->model);
}

int top_run(const struct top_options *o)
{
    static struct app app;
    struct srq_error err = { 0 };
    int rc;

    top_model_init(&app.model);
    view_init(&app.view);
    canvas_init(&app.canvas);
    app.notify = o->notify;
    app.progress = o->progress;
    app.model.readonly = app.view.readonly = o->readonly;
    app.view.panel = o->panel >= 0 ? (enum top_panel)o->panel : app.view.panel;
    app.view.glyphs = top_options_glyphs(o, terminal_utf8());
    rc = begin(&app, o, &err);
    if (rc == 0) {
        draw(&app);
        event_base_dispatch(app.base);
    }
    end(&app);
    if (rc != 0) {
        fprintf(stderr, "srqtop: %s\n", err.text);
        return TOP_REFUSED;
    }
    if (app.died != 0)
        deadly_die(app.died);
    return TOP_OK;
}
