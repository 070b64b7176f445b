/* Requests of srqtop and what becomes of their answers. */
#include "tui/srqtop/session.h"

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "tui/client/async.h"
#include "tui/srqtop/feed.h"
#include "tui/srqtop/feed_value.h"
#include "tui/srqtop/undo.h"

#include <event2/event.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>

#define LIST_EVERY_S 10.0
#define CHORES_S 0.3 /* news are gathered that long before the list or a plan is asked for again */
#define CALL_WAIT_S 60.0
/* Lines about the job's state are not sent again, so the last line that comes need not be the journal's last. */
#define QUIET_S 0.7 /* a journal that brings nothing for that long is at its end */
#define BEGIN_S 2.0 /* and one that has not begun by then is empty */
#define QUEUE_EVENTS "job.state stage.progress"

enum ask_kind { ASK_LIST, ASK_FIND, ASK_PLAN, ASK_LENGTH, ASK_PREVIEW, ASK_COMMIT, ASK_COMMAND, ASK_HISTORY, ASK_INFO };

/* One request under way. */
struct ask {
    TAILQ_ENTRY(ask) entry;
    struct top_session *s;
    enum ask_kind kind;
    char job[256];
    bool beside, typed; /* typed: by the user, who wants to see it */
    struct top_command command;
    cJSON *sent; /* pins of a commit */
    bool untied; /* it leaves what is fused with them as it is */
};

struct top_session {
    struct event_base *base;
    struct top_session_options o;
    struct top_model *m;
    struct top_view *v;
    struct srq_async *link;
    struct event *chores, *list_timer, *preview_timer;
    bool chores_due, listed;
    char wanted[256]; /* job of the command line, until it is found */
    TAILQ_HEAD(, ask) asks;
    struct top_edit_clock clock;
    struct top_edit_options options;
    char preview_job[256];
    bool again_after_plan; /* a preview of the plan as it is now */
    struct srq_error failure;
    double last_event_s;
    double target_seq; /* journal line that the job shown had when it was subscribed to; NaN: not known */
};

static struct timeval in_seconds(double s)
{
    struct timeval t = { .tv_sec = (time_t)s };

    t.tv_usec = (suseconds_t)((s - (double)t.tv_sec) * 1e6);
    return t;
}

static void changed(struct top_session *s)
{
    s->m->changed = true;
    if (s->o.changed != NULL)
        s->o.changed(s->o.ctx);
}

static void plan_chores(struct top_session *s)
{
    struct timeval t = in_seconds(CHORES_S);
    bool due = s->m->list_stale;

    for (int i = 0; i < s->m->job_count; i++)
        due = due || (s->m->jobs[i].opened && s->m->jobs[i].plan_stale);
    if (!due || s->chores_due || !srq_async_up(s->link))
        return;
    s->chores_due = true;
    evtimer_add(s->chores, &t);
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

static void answered(void *ctx, const cJSON *result, const struct srq_error *err);

static struct ask *new_ask(struct top_session *s, enum ask_kind kind, const char *job)
{
    struct ask *a = srq_calloc(1, sizeof(*a));

    if (a == NULL) {
        top_model_say(s->m, true, "out of memory");
        return NULL;
    }
    a->s = s;
    a->kind = kind;
    snprintf(a->job, sizeof(a->job), "%s", job != NULL ? job : "");
    TAILQ_INSERT_TAIL(&s->asks, a, entry);
    return a;
}

static void ask_free(struct ask *a)
{
    TAILQ_REMOVE(&a->s->asks, a, entry);
    cJSON_Delete(a->sent);
    top_command_fini(&a->command);
    srq_free(a);
}

static bool under_way(const struct top_session *s, enum ask_kind kind, const char *job)
{
    const struct ask *a;

    TAILQ_FOREACH(a, &s->asks, entry)
    {
        if (a->kind == kind && (job == NULL || strcmp(a->job, job) == 0))
            return true;
    }
    return false;
}

static cJSON *job_params(const char *job)
{
    cJSON *p = cJSON_CreateObject();

    cJSON_AddStringToObject(p, "job", job);
    return p;
}

/* For the meters; the list comes beside it. */
static void ask_info(struct top_session *s)
{
    struct ask *a;

    if (under_way(s, ASK_INFO, NULL) || (a = new_ask(s, ASK_INFO, NULL)) == NULL)
        return;
    srq_async_call(s->link, "daemon.info", cJSON_CreateObject(), CALL_WAIT_S, answered, a);
}

static void ask_list(struct top_session *s)
{
    cJSON *p;
    struct ask *a;

    if (under_way(s, ASK_LIST, NULL) || (a = new_ask(s, ASK_LIST, NULL)) == NULL)
        return;
    s->m->list_stale = false;
    p = cJSON_CreateObject();
    cJSON_AddTrueToObject(p, "all");
    srq_async_call(s->link, "job.list", p, CALL_WAIT_S, answered, a);
    ask_info(s);
}

static void ask_plan(struct top_session *s, const char *job)
{
    struct ask *a;

    if (under_way(s, ASK_PLAN, job) || (a = new_ask(s, ASK_PLAN, job)) == NULL)
        return;
    srq_async_call(s->link, "job.plan", job_params(job), CALL_WAIT_S, answered, a);
}

static void ask_find(struct top_session *s, const char *job, bool beside, bool typed)
{
    struct ask *a;

    if (under_way(s, ASK_FIND, job) || (a = new_ask(s, ASK_FIND, job)) == NULL)
        return;
    a->beside = beside;
    a->typed = typed;
    srq_async_call(s->link, "job.get", job_params(job), CALL_WAIT_S, answered, a);
}

static void on_chores(evutil_socket_t fd, short what, void *ctx)
{
    struct top_session *s = ctx;

    (void)fd;
    (void)what;
    s->chores_due = false;
    if (!srq_async_up(s->link))
        return;
    if (s->m->list_stale)
        ask_list(s);
    for (int i = 0; i < s->m->job_count; i++)
        if (s->m->jobs[i].opened && s->m->jobs[i].plan_stale)
            ask_plan(s, s->m->jobs[i].id);
}

static void on_list_timer(evutil_socket_t fd, short what, void *ctx)
{
    struct top_session *s = ctx;

    (void)fd;
    (void)what;
    if (srq_async_up(s->link))
        ask_list(s);
}

/* ---- the jobs shown ---------------------------------------------------------------------------------------------- */

static void open_job(struct top_session *s, const char *id)
{
    struct top_job *j = top_model_job(s->m, id);

    if (id[0] == '\0' || !srq_async_up(s->link))
        return;
    if (j == NULL) {
        ask_find(s, id, strcmp(id, s->v->other) == 0, false);
        return;
    }
    if (j->opened)
        return;
    j->opened = true;
    s->last_event_s = srq_clock_s();
    ask_plan(s, id); /* the journal comes after the plan: its events are about layers */
}

static bool is_shown(const struct top_session *s, const struct top_job *j)
{
    return strcmp(j->id, s->v->job) == 0 || strcmp(j->id, s->v->other) == 0;
}

void top_session_follow(struct top_session *s)
{
    for (int i = 0; i < s->m->job_count; i++) {
        struct top_job *j = &s->m->jobs[i];

        if (!j->opened || is_shown(s, j) || top_edits_count(j) > 0)
            continue;
        srq_async_unsubscribe(s->link, j->id);
        top_job_close(j);
    }
    open_job(s, s->v->job);
    open_job(s, s->v->other);
    if (s->preview_job[0] != '\0' && strcmp(s->preview_job, s->v->job) != 0) {
        top_preview_reset(&s->m->preview);
        s->preview_job[0] = '\0';
        top_session_edited(s);
    }
}

void top_session_find(struct top_session *s, const char *typed, bool beside)
{
    if (typed[0] == '\0' && beside) {
        s->v->other[0] = '\0';
        top_session_follow(s);
    } else if (srq_async_up(s->link)) {
        ask_find(s, typed, beside, true);
    } else {
        top_model_say(s->m, true, "not connected to a daemon");
    }
}

/* How long the journal is that now comes. */
static void ask_length(struct top_session *s, const char *job)
{
    struct ask *a = new_ask(s, ASK_LENGTH, job);

    if (a != NULL)
        srq_async_call(s->link, "job.get", job_params(job), CALL_WAIT_S, answered, a);
}

static void length_came(struct top_session *s, const struct ask *a, const cJSON *result)
{
    struct top_job *j = top_model_job(s->m, a->job);

    s->last_event_s = srq_clock_s();
    if (j != NULL && result != NULL)
        top_feed_spec(j, result);
    if (strcmp(a->job, s->v->job) == 0)
        s->target_seq = srq_member_number(result, "last_seq");
}

/* A job that was shown is gone: deleted, or never there. */
static void forget_job(struct top_session *s, const char *job)
{
    srq_async_unsubscribe(s->link, job);
    if (strcmp(s->v->other, job) == 0)
        s->v->other[0] = '\0';
    if (strcmp(s->v->job, job) == 0) {
        s->v->job[0] = '\0';
        s->v->panel = TOP_PANEL_QUEUE;
    }
}

static void found(struct top_session *s, struct ask *a, const cJSON *result, const struct srq_error *err)
{
    struct top_job *j = result != NULL ? top_feed_job(s->m, result) : NULL;
    bool asked_for = strcmp(a->job, s->wanted) == 0;

    if (j == NULL) {
        if (err != NULL && asked_for && err->code != SRQ_EIO)
            s->failure = *err;
        if (err != NULL && err->code != SRQ_EIO) {
            top_model_say(s->m, true, "%s", err->text);
            s->wanted[0] = '\0';
        }
        if (err != NULL && err->code == SRQ_ENOENT)
            forget_job(s, a->job);
        return;
    }
    if (asked_for)
        s->wanted[0] = '\0';
    if (a->beside) {
        snprintf(s->v->other, sizeof(s->v->other), "%s", j->id);
        if (a->typed)
            s->v->panel = TOP_PANEL_DIFF;
    } else {
        if (strcmp(s->v->job, j->id) != 0)
            view_open(s->v, j->id);
        if (a->typed && (s->v->panel == TOP_PANEL_QUEUE || s->v->panel == TOP_PANEL_HELP))
            s->v->panel = TOP_PANEL_JOB;
    }
    top_session_follow(s);
}

static void plan_came(struct top_session *s, struct ask *a, const cJSON *result, const struct srq_error *err)
{
    struct top_job *j = top_model_job(s->m, a->job);

    if (j == NULL || !j->opened || (result == NULL && err->code == SRQ_EIO))
        return;
    if (result != NULL) {
        top_feed_plan(s->m, j, result);
    } else {
        j->plan_stale = false;
        top_model_say(s->m, true, "%s", err->text);
    }
    if (srq_async_seen(s->link, j->id) < 0) {
        (void)srq_async_subscribe(s->link, j->id, NULL, j->last_seq, NULL);
        ask_length(s, j->id);
    }
    if (s->again_after_plan && strcmp(j->id, s->v->job) == 0) {
        s->again_after_plan = false;
        top_session_edited(s);
    }
}

/* ---- edits ------------------------------------------------------------------------------------------------------- */

static void ask_preview(struct top_session *s)
{
    const struct top_job *j = top_model_job(s->m, s->v->job);
    cJSON *p = j != NULL ? top_edits_params(j, &s->options, true) : NULL;
    struct ask *a;

    s->clock.wanted = false;
    if (p == NULL) {
        top_preview_reset(&s->m->preview);
        s->preview_job[0] = '\0';
        changed(s);
        return;
    }
    a = new_ask(s, ASK_PREVIEW, j->id);
    if (a == NULL) {
        cJSON_Delete(p);
        return;
    }
    snprintf(s->preview_job, sizeof(s->preview_job), "%s", j->id);
    s->clock.asked = true;
    s->clock.last_s = srq_clock_s();
    srq_async_call(s->link, "job.pin", p, CALL_WAIT_S, answered, a);
}

static void schedule_preview(struct top_session *s)
{
    double due = top_edit_due(&s->clock, srq_clock_s());
    struct timeval t = in_seconds(due);

    if (due >= 0)
        evtimer_add(s->preview_timer, &t);
}

static void on_preview_timer(evutil_socket_t fd, short what, void *ctx)
{
    struct top_session *s = ctx;

    (void)fd;
    (void)what;
    if (top_edit_due(&s->clock, srq_clock_s()) == 0)
        ask_preview(s);
    else
        schedule_preview(s);
}

void top_session_edited(struct top_session *s)
{
    const struct top_job *j = top_model_job(s->m, s->v->job);

    s->clock.wanted = true;
    s->m->preview.waiting = j != NULL && top_edits_count(j) > 0;
    schedule_preview(s);
}

void top_session_drop(struct top_session *s)
{
    struct top_job *j = top_model_job(s->m, s->v->job);

    if (j != NULL)
        top_edits_drop(j);
    s->clock.wanted = false;
    top_preview_reset(&s->m->preview);
    s->preview_job[0] = '\0';
    changed(s);
}

/* Somebody else was faster: says who, keeps the edits, and looks at the plan again. */
static void overtaken(struct top_session *s, struct top_job *j, const struct srq_error *err)
{
    if (j->changed_by != NULL && j->change != NULL)
        top_model_say(s->m, true, "%s changed the plan meanwhile (%s); your edits are kept, look again and commit",
                      j->changed_by, j->change);
    else
        top_model_say(s->m, true, "%s; your edits are kept, look again and commit", err->text);
    j->plan_stale = true;
    s->again_after_plan = true;
}

static void preview_came(struct top_session *s, struct ask *a, const cJSON *result, const struct srq_error *err)
{
    struct top_job *j = top_model_job(s->m, a->job);

    s->clock.asked = false;
    if (s->clock.wanted) {
        schedule_preview(s);
        if (strcmp(a->job, s->v->job) != 0)
            return;
    }
    if (j == NULL || strcmp(a->job, s->v->job) != 0 || top_edits_count(j) == 0) {
        top_preview_reset(&s->m->preview);
    } else if (result == NULL && top_is_stale_revision(err)) {
        overtaken(s, j, err);
    } else {
        top_preview_take(&s->m->preview, result, err);
        s->m->preview.waiting = s->clock.wanted;
    }
}

void top_session_commit(struct top_session *s, const struct top_edit_options *options)
{
    const struct top_job *j = top_model_job(s->m, s->v->job);
    cJSON *p;
    struct ask *a;

    if (s->m->readonly || j == NULL) {
        top_model_say(s->m, true, j == NULL ? "no job is shown" : "nothing is changed with --readonly");
        return;
    }
    p = top_edits_params(j, options, false);
    if (p == NULL || under_way(s, ASK_COMMIT, j->id)) {
        top_model_say(s->m, true, p == NULL ? "nothing is edited" : "the edits are on their way");
        cJSON_Delete(p);
        return;
    }
    a = new_ask(s, ASK_COMMIT, j->id);
    if (a == NULL) {
        cJSON_Delete(p);
        return;
    }
    a->sent = cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(p, "pins"), true);
    a->untied = options->untied;
    srq_async_call(s->link, "job.pin", p, CALL_WAIT_S, answered, a);
}

static void commit_came(struct top_session *s, struct ask *a, const cJSON *result, const struct srq_error *err)
{
    struct top_job *j = top_model_job(s->m, a->job);
    char text[700];
    const cJSON *pin;

    if (j == NULL)
        return;
    if (result == NULL) {
        if (top_is_stale_revision(err))
            overtaken(s, j, err);
        else
            top_model_say(s->m, true, "%s", err->text);
        return;
    }
    top_change_text(result, text, sizeof(text));
    top_model_say(s->m, false, "%s", text);
    cJSON_ArrayForEach(pin, a->sent)
    {
        struct top_layer *l = top_job_layer(j, srq_member_text(pin, "pattern"));
        const char *scheme = srq_member_text(pin, "scheme");

        if (l != NULL && scheme != NULL && strcmp(l->edit, scheme) == 0)
            l->edit[0] = '\0'; /* edited further meanwhile: that stays */
    }
    for (int i = 0; a->untied && i < j->layer_count; i++) /* what would have gone along with those */
        if (j->layers[i].along)
            j->layers[i].edit[0] = '\0';
    j->plan_stale = true;
    top_preview_reset(&s->m->preview);
    top_session_edited(s);
}

/* ---- commands ---------------------------------------------------------------------------------------------------- */

void top_session_send(struct top_session *s, struct top_command *c)
{
    cJSON *p = c->params;
    struct ask *a;

    c->params = NULL;
    a = new_ask(s, ASK_COMMAND, c->job);
    if (a == NULL) {
        cJSON_Delete(p);
        return;
    }
    a->command = *c;
    srq_async_call(s->link, c->method, p, CALL_WAIT_S, answered, a);
}

static void command_came(struct top_session *s, struct ask *a, const cJSON *result, const struct srq_error *err)
{
    struct top_job *j = top_model_job(s->m, a->job);
    char text[700];

    s->m->list_stale = true;
    if (result != NULL && j != NULL && srq_word_place(srq_wish_words, srq_member_text(result, "wish")) >= 0)
        j->wish = srq_wish_words[srq_word_place(srq_wish_words, srq_member_text(result, "wish"))];
    if (result == NULL && j != NULL && a->command.change && top_is_stale_revision(err)) {
        overtaken(s, j, err);
        return;
    }
    if (result != NULL)
        top_command_answer(&a->command, result, text, sizeof(text));
    top_model_say(s->m, result == NULL, "%s", result != NULL ? text : err->text);
    if (j != NULL && a->command.change)
        j->plan_stale = true;
}

/* All revisions that are kept fit in one page. */
#define HISTORY_PAGE 1000

void top_session_undo(struct top_session *s, const char *job)
{
    cJSON *p;
    struct ask *a;

    if (under_way(s, ASK_HISTORY, job) || under_way(s, ASK_COMMAND, job) || (a = new_ask(s, ASK_HISTORY, job)) == NULL)
        return;
    p = job_params(job);
    cJSON_AddNumberToObject(p, "limit", HISTORY_PAGE);
    srq_async_call(s->link, "job.history", p, CALL_WAIT_S, answered, a);
}

static void history_came(struct top_session *s, const struct ask *a, const cJSON *result, const struct srq_error *err)
{
    struct top_command c = { .kind = TOP_CMD_REQUEST, .verb = "undo", .method = "job.revert", .change = true };
    char why[400];
    int64_t to = 0;

    if (result == NULL) {
        top_model_say(s->m, true, "%s", err->text);
    } else if (!top_undo_target(result, s->m->uid, &to, why, sizeof(why))) {
        top_model_say(s->m, true, "%s", why);
    } else {
        snprintf(c.job, sizeof(c.job), "%s", a->job);
        c.params = job_params(a->job);
        cJSON_AddNumberToObject(c.params, "to", (double)to);
        cJSON_AddNumberToObject(c.params, "revision", srq_member_number(result, "revision"));
        top_session_send(s, &c);
    }
}

static void answered(void *ctx, const cJSON *result, const struct srq_error *err)
{
    struct ask *a = ctx;
    struct top_session *s = a->s;

    switch (a->kind) {
    case ASK_LIST:
        if (result != NULL) {
            top_feed_list(s->m, result);
            s->listed = true;
            top_session_follow(s);
        } else if (err->code != SRQ_EIO) {
            top_model_say(s->m, true, "%s", err->text);
        }
        break;
    case ASK_FIND:
        found(s, a, result, err);
        break;
    case ASK_PLAN:
        plan_came(s, a, result, err);
        break;
    case ASK_LENGTH:
        length_came(s, a, result);
        break;
    case ASK_PREVIEW:
        preview_came(s, a, result, err);
        break;
    case ASK_COMMIT:
        commit_came(s, a, result, err);
        break;
    case ASK_COMMAND:
        command_came(s, a, result, err);
        break;
    case ASK_INFO:
        if (result != NULL)
            top_feed_info(s->m, result);
        break;
    case ASK_HISTORY:
        history_came(s, a, result, err);
        break;
    }
    ask_free(a);
    plan_chores(s);
    changed(s);
}

/* ---- the link ---------------------------------------------------------------------------------------------------- */

/* Somebody else changed the plan while ours is being edited: what the preview says is old. */
static void plan_moved(struct top_session *s, const cJSON *params)
{
    const struct top_job *j = top_model_job(s->m, srq_member_text(params, "job"));

    if (j == NULL || strcmp(j->id, s->v->job) != 0 || top_edits_count(j) == 0 || under_way(s, ASK_COMMIT, j->id) ||
        under_way(s, ASK_COMMAND, j->id))
        return;
    top_model_say(s->m, true, "%s changed the plan: %s; your edits are kept",
                  j->changed_by != NULL ? j->changed_by : "somebody", j->change != NULL ? j->change : "?");
    top_session_edited(s);
}

static void on_event(void *ctx, const char *event, const cJSON *params)
{
    struct top_session *s = ctx;

    top_feed_event(s->m, event, params);
    if (strcmp(event, "plan.changed") == 0)
        plan_moved(s, params);
    s->last_event_s = srq_clock_s();
    plan_chores(s);
    if (s->m->changed)
        changed(s);
}

static void came_up(struct top_session *s)
{
    s->m->link = TOP_LINK_UP;
    top_set_text(&s->m->link_text, NULL);
    s->failure = (struct srq_error){ 0 };
    top_feed_hello(s->m, srq_async_hello(s->link));
    (void)srq_async_subscribe(s->link, NULL, QUEUE_EVENTS, 0, NULL);
    ask_list(s);
    for (int i = 0; i < s->m->job_count; i++) /* what happened meanwhile */
        s->m->jobs[i].plan_stale = s->m->jobs[i].opened;
    if (s->wanted[0] != '\0')
        ask_find(s, s->wanted, false, true);
    top_session_follow(s);
    top_session_edited(s);
    plan_chores(s);
}

static void on_state(void *ctx, enum srq_async_state state, const struct srq_error *why, double retry_s)
{
    struct top_session *s = ctx;
    char text[1200];

    if (state == SRQ_ASYNC_UP) {
        came_up(s);
    } else {
        s->m->link = s->listed ? TOP_LINK_LOST : TOP_LINK_CONNECTING;
        s->failure = *why;
        snprintf(text, sizeof(text), "%s: trying again in %.2g s", why->text, retry_s);
        top_set_text(&s->m->link_text, text);
        s->clock.asked = false;
    }
    changed(s);
}

void top_session_refresh(struct top_session *s)
{
    srq_async_retry(s->link);
    if (srq_async_up(s->link))
        ask_list(s);
    for (int i = 0; i < s->m->job_count; i++)
        s->m->jobs[i].plan_stale = s->m->jobs[i].opened;
    plan_chores(s);
}

static bool journal_is_here(const struct top_session *s, const char *id)
{
    const struct top_job *j = top_model_job(s->m, id);

    if (id[0] == '\0')
        return true;
    if (j == NULL || srq_async_seen(s->link, id) < 0)
        return false;
    if (strcmp(id, s->v->job) == 0 && (double)j->last_seq >= s->target_seq) /* NaN is never reached */
        return true;
    return srq_clock_s() - s->last_event_s > (j->last_seq > 0 ? QUIET_S : BEGIN_S);
}

bool top_session_settled(const struct top_session *s)
{
    if (!srq_async_up(s->link) || !TAILQ_EMPTY(&s->asks) || !s->listed || s->wanted[0] != '\0' || s->chores_due)
        return false;
    return journal_is_here(s, s->v->job) && journal_is_here(s, s->v->other);
}

const struct srq_error *top_session_failure(const struct top_session *s)
{
    return &s->failure;
}

int top_session_create(struct event_base *base, const struct top_session_options *options, struct top_session **out,
                       struct srq_error *err)
{
    struct timeval every = in_seconds(LIST_EVERY_S);
    struct srq_async_options o = { .socket = options->socket,
                                   .user_only = options->user_only,
                                   .name = "srqtop " PACKAGE_VERSION,
                                   .state = on_state,
                                   .event = on_event };
    struct top_session *s = srq_calloc(1, sizeof(*s));
    int rc;

    *out = NULL;
    if (s == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory");
    s->base = base;
    s->o = *options;
    s->m = options->model;
    s->v = options->view;
    s->target_seq = (double)NAN;
    TAILQ_INIT(&s->asks);
    snprintf(s->wanted, sizeof(s->wanted), "%s", options->job != NULL ? options->job : "");
    o.ctx = s;
    s->chores = evtimer_new(base, on_chores, s);
    s->list_timer = event_new(base, -1, EV_PERSIST, on_list_timer, s);
    s->preview_timer = evtimer_new(base, on_preview_timer, s);
    rc = s->chores != NULL && s->list_timer != NULL && s->preview_timer != NULL && event_add(s->list_timer, &every) == 0
             ? srq_async_create(base, &o, &s->link, err)
             : srq_fail(err, -SRQ_ENOMEM, "out of memory");
    if (rc != 0) {
        top_session_free(s);
        return rc;
    }
    *out = s;
    return 0;
}

void top_session_free(struct top_session *s)
{
    struct event *timers[3];

    if (s == NULL)
        return;
    srq_async_free(s->link);
    while (!TAILQ_EMPTY(&s->asks))
        ask_free(TAILQ_FIRST(&s->asks));
    timers[0] = s->chores;
    timers[1] = s->list_timer;
    timers[2] = s->preview_timer;
    for (int i = 0; i < 3; i++)
        if (timers[i] != NULL)
            event_free(timers[i]);
    srq_free(s);
}
