/* Following a job to its end. */
#include "tui/srqctl/follow.h"

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/base/fs.h"
#include "tui/srqctl/progress.h"
#include "tui/srqctl/table.h"

#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define REDRAW_S 0.1     /* a line redrawn faster than this flickers */
#define TICK_S 0.5       /* and slower looks dead */
#define RECONNECT_S 60.0 /* a stopped daemon may be back after an upgrade; then we say so and leave */
#define SETTLE_S 3.0     /* how long after a job's end its last events may still come */
#define LINES_MAX ((size_t)8 << 20)
#define LOOK_S 1.0 /* between looks whether anybody still reads */

struct follow {
    struct ctl *ctl;
    const char *id;
    enum ctl_follow_show show;
    struct ctl_progress progress;
    double last_seq; /* of the job's journal */
    double until, drawn_s;
    void (*tell)(void *ctx, const char *event, const cJSON *params); /* of CTL_SHOW_LOG */
    void *tell_ctx;
    bool live; /* a terminal line */
    bool line_shown;
    bool check;    /* something says that the job may have ended */
    bool told_end; /* the last event printed says how it ended */
};

static bool ended(const char *state)
{
    return srq_word_place(srq_job_state_words, state) >= SRQ_JOB_DONE;
}

static void erase_line(struct follow *f)
{
    if (f->line_shown)
        fputs("\r\033[K", stdout);
    f->line_shown = false;
}

/* Permanent lines above the one that moves. */
static void print_lines(struct follow *f, struct srq_buf *lines)
{
    if (lines->len == 0)
        return;
    erase_line(f);
    fputs(lines->data, stdout);
    fflush(stdout);
    srq_buf_clear(lines);
}

static void draw(struct follow *f, double now)
{
    struct srq_buf b;
    int width = ctl_terminal_width();

    if (!f->live)
        return;
    srq_buf_init(&b, 4096);
    ctl_progress_line(&f->progress, now, srq_wall_s(), width > 1 ? width - 1 : 0, &b);
    /* One write: text first, then the rest of the old line; nothing blinks. */
    printf("\r%s\033[K", b.len > 0 ? b.data : "");
    fflush(stdout);
    srq_buf_fini(&b);
    f->line_shown = true;
    f->drawn_s = now;
}

static void print_event(const struct srq_message *m)
{
    cJSON *line = cJSON_CreateObject(), *item;

    cJSON_AddStringToObject(line, "event", m->method);
    while (m->params != NULL && (item = m->params->child) != NULL) {
        cJSON_DetachItemViaPointer(m->params, item);
        cJSON_AddItemToObject(line, item->string, item);
    }
    ctl_print_json(line);
}

static void take_event(struct follow *f, struct srq_message *m, struct srq_buf *lines)
{
    double seq = ctl_num(m->params, "seq"), now = srq_clock_s();
    bool over;

    if (strcmp(ctl_str(m->params, "job"), f->id) != 0)
        return;
    if (!isnan(seq)) {
        if (seq <= f->last_seq)
            return; /* seen before the connection was lost */
        f->last_seq = seq;
    }
    over = strcmp(m->method, "job.state") == 0 && ended(ctl_str(m->params, "state"));
    f->check = f->check || over;
    if (f->show == CTL_SHOW_LOG) {
        f->tell(f->tell_ctx, m->method, m->params);
        return;
    }
    if (f->show == CTL_SHOW_EVENTS) {
        f->told_end = over;
        print_event(m);
        return;
    }
    ctl_progress_event(&f->progress, m->method, m->params, now, f->live, lines);
    if (f->show == CTL_SHOW_NOTHING)
        srq_buf_clear(lines);
}

static int subscribe(struct follow *f, struct srq_error *err)
{
    static const char *const wanted[] = { "log", "job.state" };
    cJSON *p = ctl_job_params(f->id);

    cJSON_AddNumberToObject(p, "since_seq", f->last_seq);
    if (f->show == CTL_SHOW_LOG)
        cJSON_AddItemToObject(p, "events", cJSON_CreateStringArray(wanted, 2));
    return srq_client_call(f->ctl->client, "events.subscribe", p, 60, NULL, err);
}

/* Asks for the job itself: events tell news, this tells the truth. */
static int get_job(struct follow *f, cJSON **job, struct srq_error *err)
{
    return srq_client_call(f->ctl->client, "job.get", ctl_job_params(f->id), 60, job, err);
}

static void sleep_s(double s)
{
    struct timespec t = { .tv_sec = (time_t)s, .tv_nsec = (long)((s - floor(s)) * 1e9) };

    nanosleep(&t, NULL);
}

static int timed_out(struct follow *f, struct srq_error *err)
{
    return srq_fail(err, -SRQ_ETIMEOUT, "%s has not ended in time; it goes on", f->id);
}

/* A daemon that was stopped took its socket's name away: somebody meant it, and we wait for it to come back. One that
 * died left the name behind: we start it again, as any other verb would. */
static int reconnect(struct follow *f, struct srq_error *err)
{
    struct ctl *ctl = f->ctl;
    struct srq_place place = *srq_client_place(ctl->client);
    struct srq_client_options o = { .socket = place.path,
                                    .user_only = ctl->user_only,
                                    .name = "srqctl " PACKAGE_VERSION,
                                    .interrupted = &ctl_interrupted };
    double until = srq_clock_s() + RECONNECT_S;
    int rc = -SRQ_EIO;

    srq_client_close(ctl->client);
    ctl->client = NULL;
    while (srq_clock_s() < until && srq_clock_s() < f->until && !ctl_interrupted) {
        o.start = place.kind != SRQ_SOCKET_SYSTEM && srq_path_exists(place.path);
        rc = srq_client_open(&o, &ctl->client, err);
        if (rc == 0)
            rc = subscribe(f, err);
        if (rc == 0 || (ctl->client != NULL && !srq_client_lost(ctl->client)))
            return rc;
        srq_client_close(ctl->client);
        ctl->client = NULL;
        draw(f, srq_clock_s());
        sleep_s(0.25);
    }
    if (ctl_interrupted)
        return srq_fail(err, -SRQ_ECANCELED, "interrupted");
    if (srq_clock_s() >= f->until)
        return timed_out(f, err);
    return srq_fail(err, -SRQ_EIO,
                    "the daemon at %s went away and did not come back; %s goes on without it, return to "
                    "it with: srqctl watch %s",
                    place.path, f->id, f->id);
}

/* Sets the state from the job itself, as an event would have. */
static void take_state(struct follow *f, const cJSON *job, struct srq_buf *lines)
{
    cJSON *e = cJSON_CreateObject();

    cJSON_AddStringToObject(e, "state", ctl_str(job, "state"));
    cJSON_AddStringToObject(e, "reason", ctl_str(job, "reason"));
    ctl_progress_event(&f->progress, "job.state", e, srq_clock_s(), f->live, lines);
    if (f->show != CTL_SHOW_PROGRESS)
        srq_buf_clear(lines);
    cJSON_Delete(e);
    if (isnan(f->progress.started))
        f->progress.started = ctl_num(job, "started");
}

/* After the end: what the journal still holds, so that no last line is lost. */
static void settle(struct follow *f, const cJSON *job, struct srq_buf *lines)
{
    double until = srq_clock_s() + SETTLE_S, last = ctl_num(job, "last_seq");
    struct srq_message m = { 0 };
    struct srq_error err;
    int rc;

    while (f->show != CTL_SHOW_NOTHING && f->show != CTL_SHOW_LOG && !ctl_interrupted && !isnan(last) &&
           f->last_seq < last && srq_clock_s() < until) {
        rc = srq_client_event(f->ctl->client, 0.2, &m, &err);
        if (rc < 0)
            return;
        if (rc == 0)
            continue;
        take_event(f, &m, lines);
        srq_message_fini(&m);
        print_lines(f, lines);
    }
}

/* The events of a job that ended before we came need not say how: so that the last line always does. */
static void tell_end(struct follow *f, const cJSON *job)
{
    cJSON *line;

    if (f->show != CTL_SHOW_EVENTS || f->told_end)
        return;
    line = cJSON_CreateObject();
    cJSON_AddStringToObject(line, "event", "job.state");
    cJSON_AddStringToObject(line, "job", f->id);
    cJSON_AddNullToObject(line, "seq");
    cJSON_AddItemToObject(line, "time", cJSON_Duplicate(ctl_get(job, "ended"), true));
    cJSON_AddStringToObject(line, "state", ctl_str(job, "state"));
    cJSON_AddItemToObject(line, "reason", cJSON_Duplicate(ctl_get(job, "reason"), true));
    ctl_print_json(line);
}

/* Looks at the job; 1 when it has ended (*job is set), 0 when not. */
static int look(struct follow *f, cJSON **job, struct srq_buf *lines, struct srq_error *err)
{
    int rc = get_job(f, job, err);

    f->check = false;
    if (rc != 0)
        return rc;
    take_state(f, *job, lines);
    print_lines(f, lines);
    if (ended(ctl_str(*job, "state"))) {
        settle(f, *job, lines);
        tell_end(f, *job);
        return 1;
    }
    cJSON_Delete(*job);
    *job = NULL;
    return 0;
}

/* Who reads a pipe of ours may leave, as grep -m does: then we end as if we had written to it, without having to wait
 * for something to write. */
static int leave_with_reader(const struct follow *f, struct srq_error *err)
{
    struct pollfd out = { .fd = STDOUT_FILENO };

    if (f->show == CTL_SHOW_NOTHING || poll(&out, 1, 0) <= 0 || (out.revents & POLLERR) == 0)
        return 0;
    raise(SIGPIPE);
    return srq_fail(err, -SRQ_EIO, "nobody reads what %s tells any more", f->id); /* where the signal is ignored */
}

static int follow(struct follow *f, cJSON **job, struct srq_error *err)
{
    struct srq_message m = { 0 };
    struct srq_buf lines;
    int rc;

    srq_buf_init(&lines, LINES_MAX);
    rc = subscribe(f, err);
    f->check = true;
    for (;;) {
        double now = srq_clock_s();

        if (rc >= 0 && f->check)
            rc = look(f, job, &lines, err);
        else if (rc >= 0)
            rc = 0;
        if (rc > 0)
            break;
        if (rc == 0)
            rc = now >= f->until ? timed_out(f, err) : leave_with_reader(f, err);
        if (rc == 0)
            rc = srq_client_event(f->ctl->client, fmin(f->live ? TICK_S : LOOK_S, f->until - now), &m, err);
        if (rc > 0) {
            take_event(f, &m, &lines);
            srq_message_fini(&m);
            print_lines(f, &lines);
        } else if (rc < 0 && !ctl_interrupted && srq_client_lost(f->ctl->client)) {
            rc = reconnect(f, err);
            f->check = true;
        }
        if (rc < 0)
            break;
        now = srq_clock_s();
        if (f->live && now - f->drawn_s >= (rc > 0 ? REDRAW_S : TICK_S / 2))
            draw(f, now);
    }
    print_lines(f, &lines);
    erase_line(f);
    fflush(stdout);
    srq_buf_fini(&lines);
    return rc;
}

/* An exit code, complained of where it is no job's end. */
static int follow_to_end(struct follow *f, cJSON **job)
{
    struct ctl *ctl = f->ctl;
    struct srq_error err = { 0 };
    cJSON *found = NULL;
    int rc, code;

    ctl_progress_init(&f->progress);
    ctl_catch_signals();
    rc = follow(f, &found, &err);
    if (rc > 0)
        code = strcmp(ctl_str(found, "state"), "done") == 0 ? CTL_OK : CTL_JOB_FAILED;
    else if (ctl_interrupted)
        code = CTL_INTERRUPTED;
    else if (ctl->client == NULL || srq_client_lost(ctl->client))
        code = ctl_complain(ctl, CTL_NO_DAEMON, &err);
    else
        code = ctl_refused(ctl, &err);
    if (job != NULL)
        *job = found;
    else
        cJSON_Delete(found);
    return code;
}

int ctl_follow(struct ctl *ctl, const char *id, enum ctl_follow_show show, double timeout_s, cJSON **job)
{
    struct follow f = { .ctl = ctl,
                        .id = id,
                        .show = show,
                        .until = timeout_s > 0 ? srq_clock_s() + timeout_s : INFINITY,
                        .live = show == CTL_SHOW_PROGRESS && ctl->tty };

    return follow_to_end(&f, job);
}

int ctl_say_goes_on(int ended, const char *id)
{
    if (ended == CTL_INTERRUPTED)
        fprintf(stderr, "srqctl: %s goes on; return to it with: srqctl watch %s\n", id, id);
    return ended;
}

int ctl_follow_log(struct ctl *ctl, const char *id, double *seq,
                   void (*tell)(void *ctx, const char *event, const cJSON *params), void *ctx)
{
    struct follow f = {
        .ctl = ctl, .id = id, .show = CTL_SHOW_LOG, .last_seq = *seq, .until = INFINITY, .tell = tell, .tell_ctx = ctx
    };
    int code = ctl_say_goes_on(follow_to_end(&f, NULL), id);

    *seq = f.last_seq;
    return code;
}

bool ctl_follow_pause(double s)
{
    if (!ctl_interrupted)
        sleep_s(s); /* a signal ends it */
    return ctl_interrupted != 0;
}

int ctl_follow_named(struct ctl *ctl, enum ctl_follow_show show, cJSON **job)
{
    struct srq_error err = { 0 };
    cJSON *found = NULL;
    double timeout = 0;
    int rc;

    *job = NULL;
    if (ctl_duration(&ctl->args, "timeout", 0.001, 1e9, &timeout, &err) != 0)
        return ctl_complain(ctl, CTL_USAGE, &err);
    rc = ctl_connect(ctl, true);
    if (rc == CTL_OK)
        rc = ctl_call(ctl, "job.get", ctl_job_params(ctl->args.positional[0]), &found);
    if (rc == CTL_OK)
        rc = ctl_say_goes_on(ctl_follow(ctl, ctl_str(found, "job"), show, timeout, job), ctl_str(found, "job"));
    cJSON_Delete(found);
    return rc;
}
