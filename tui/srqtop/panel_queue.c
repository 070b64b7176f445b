/* Queue: the table of jobs. */
#include "tui/srqtop/panels.h"

#include "core/base/alloc.h"
#include "tui/srqtop/columns.h"
#include "tui/srqtop/figures.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MARK, NAME, ID, STATE, STAGE, PROGRESS, ETA, BITS, SIZE, MEMORY, OWNER, COLUMNS };

static const struct column columns[COLUMNS] = {
    [MARK] = { "", 1, 1, 0, false },        [NAME] = { "job", 8, 32, 0, false },
    [ID] = { "id", 6, 8, 9, false },        [STATE] = { "state", 10, 10, 1, false },
    [STAGE] = { "stage", 9, 28, 5, false }, [PROGRESS] = { "progress", 12, 22, 2, false },
    [ETA] = { "left", 6, 7, 3, true },      [BITS] = { "bits", 5, 5, 4, true },
    [SIZE] = { "size", 19, 23, 6, true },   [MEMORY] = { "memory", 8, 9, 7, true },
    [OWNER] = { "owner", 6, 12, 8, false },
};

static const char *const sorts[QUEUE_SORTS] = { "as listed", "name", "state", "owner", "progress" };

const char *panel_queue_sort_name(int sort)
{
    return sorts[sort >= 0 && sort < QUEUE_SORTS ? sort : 0];
}

static const char *name_of(const struct top_job *j)
{
    return j->name != NULL && j->name[0] != '\0' ? j->name : j->id != NULL ? j->id : "-";
}

static const char *or_dash(const char *s)
{
    return s != NULL && s[0] != '\0' ? s : "-";
}

static int text_order(const char *a, const char *b)
{
    return strcmp(a != NULL ? a : "", b != NULL ? b : "");
}

static double progress_of(const struct top_job *j)
{
    struct metric share = figure_share(j->done, j->total);

    return share.known ? share.v : -1;
}

static bool before(const struct top_job *a, const struct top_job *b, int sort)
{
    switch (sort) {
    case 1:
        return text_order(name_of(a), name_of(b)) < 0;
    case 2:
        return a->state < b->state;
    case 3:
        return text_order(a->owner, b->owner) < 0;
    case 4:
        return progress_of(a) > progress_of(b);
    default:
        return false;
    }
}

static bool passes(const struct top_job *j, const char *filter)
{
    return filter[0] == '\0' || view_matches(name_of(j), filter) || (j->id != NULL && view_matches(j->id, filter)) ||
           (j->owner != NULL && view_matches(j->owner, filter)) ||
           view_matches(srq_job_state_words[j->state], filter) || (j->model != NULL && view_matches(j->model, filter));
}

int panel_queue_order(const struct top_model *m, const struct top_view *v, int **order)
{
    int n = 0, *at = srq_calloc((size_t)m->job_count + 1, sizeof(*at));

    *order = at;
    if (at == NULL)
        return 0;
    /* Insertion keeps equal jobs as the daemon lists them. */
    for (int i = 0; i < m->job_count; i++) {
        int k = n;

        if (!passes(&m->jobs[i], v->filter[TOP_PANEL_QUEUE]))
            continue;
        while (k > 0 && before(&m->jobs[i], &m->jobs[at[k - 1]], v->sort[TOP_PANEL_QUEUE])) {
            at[k] = at[k - 1];
            k--;
        }
        at[k] = i;
        n++;
    }
    return n;
}

/* Stage of a running job, why another one waits or how it ended. */
static void stage(const struct draw *d, const struct top_job *j, const struct column_place *p, int y)
{
    char text[512], position[FIGURE];

    if (j->state == SRQ_JOB_QUEUED && j->position.known)
        snprintf(text, sizeof(text), "#%s %s", figure_count(j->position, position), j->reason != NULL ? j->reason : "");
    else if (j->state == SRQ_JOB_RUNNING || j->state == SRQ_JOB_STARTING)
        snprintf(text, sizeof(text), "%s", or_dash(j->stage));
    else if (j->state == SRQ_JOB_PAUSED && j->stage != NULL)
        snprintf(text, sizeof(text), "%s%s%.400s", j->stage, j->reason != NULL ? ", " : "",
                 j->reason != NULL ? j->reason : "");
    else
        snprintf(text, sizeof(text), "%s", or_dash(j->reason));
    canvas_str(d->c, p->x, y, p->w, text, strcmp(text, "-") == 0 ? ROLE_FAINT : ROLE_TEXT, 0);
}

static void progress(const struct draw *d, const struct top_job *j, const struct column_place *p, int y)
{
    struct metric share = figure_share(j->done, j->total);
    char text[FIGURE];

    if (j->state == SRQ_JOB_DONE) /* the last stage's numbers stay behind */
        share = known(1);
    if (!share.known) {
        canvas_put(d->c, p->x, y, '-', ROLE_FAINT, 0);
        return;
    }
    share.v = share.v > 1 ? 1 : share.v;
    figure_bar(d->c, p->x, y, p->w - 7, share, d->v->glyphs);
    canvas_str_right(d->c, p->x + p->w - 6, y, 6, figure_percent(share, text), ROLE_TEXT, 0);
}

static void right(const struct draw *d, const struct column_place *p, int y, const char *text)
{
    canvas_str_right(d->c, p->x, y, p->w, text, strcmp(text, "-") == 0 ? ROLE_FAINT : ROLE_TEXT, 0);
}

static void row(const struct draw *d, const struct top_job *j, const struct column_place *p, int y, bool here)
{
    char text[FIGURE];

    canvas_put(d->c, p[MARK].x, y, here ? d->g->cursor : ' ', ROLE_TEXT, 0);
    canvas_str(d->c, p[NAME].x, y, p[NAME].w, name_of(j), ROLE_TEXT, 0);
    if (p[ID].w > 0)
        canvas_str(d->c, p[ID].x, y, p[ID].w, or_dash(j->id), ROLE_TEXT, 0);
    canvas_str(d->c, p[STATE].x, y, p[STATE].w, figure_job_state(j), figure_job_role(j->state), 0);
    if (p[STAGE].w > 0)
        stage(d, j, &p[STAGE], y);
    if (p[PROGRESS].w > 0)
        progress(d, j, &p[PROGRESS], y);
    right(d, &p[ETA], y, figure_seconds(j->eta_s, text));
    right(d, &p[BITS], y, figure_bits(j->average_bits, text));
    right(d, &p[SIZE], y, figure_change(j->before_bytes, j->after_bytes, figure_bytes, d->g->arrow, text));
    right(d, &p[MEMORY], y, figure_bytes(j->memory_bytes, text));
    canvas_str(d->c, p[OWNER].x, y, p[OWNER].w, or_dash(j->owner), ROLE_TEXT, 0);
}

void panel_queue(const struct draw *d, struct rect r)
{
    struct rect old = canvas_clip(d->c, r);
    struct column_place place[COLUMNS];
    int *order, n = panel_queue_order(d->m, d->v, &order), title = r.h > 1;

    columns_fit(columns, COLUMNS, r.x, r.w, place);
    if (title)
        columns_titles(d->c, r.y, columns, COLUMNS, place);
    for (int y = 0; y + title < r.h && d->v->queue_top + y < n; y++) {
        int at = d->v->queue_top + y;

        row(d, &d->m->jobs[order[at]], place, r.y + title + y, at == d->v->queue_at);
        if (at == d->v->queue_at)
            canvas_mark(d->c, (struct rect){ r.x, r.y + title + y, r.w, 1 }, ROLE_SELECTED, 0);
    }
    if (n == 0)
        canvas_str(d->c, r.x, r.y + title + (r.h > 3), r.w,
                   d->m->link != TOP_LINK_UP                  ? "- no word from the daemon yet"
                   : d->v->filter[TOP_PANEL_QUEUE][0] != '\0' ? "no job matches the filter"
                                                              : "no jobs: srqctl submit MODEL ... -o OUT queues one",
                   ROLE_FAINT, 0);
    srq_free(order);
    canvas_unclip(d->c, old);
}

/* "label value" at column x; returns the column behind it. */
static int field(const struct draw *d, int x, int y, int end, const char *label, const char *value)
{
    x += canvas_printf(d->c, x, y, end - x, ROLE_FAINT, 0, "%s ", label);
    x += canvas_str(d->c, x, y, end - x, value, strcmp(value, "-") == 0 ? ROLE_FAINT : ROLE_TEXT, 0);
    return x + 2;
}

static void date(struct metric when, char *out)
{
    char text[CTL_HUMAN];

    snprintf(out, FIGURE, "%s", ctl_human_date(when.known ? when.v : NAN, text));
}

void panel_queue_detail(const struct draw *d, struct rect r)
{
    const struct top_job *j = view_queue_job(d->m, d->v);
    struct rect old = canvas_clip(d->c, r);
    int x, y = r.y, end = r.x + r.w;
    char text[2 * FIGURE], more[FIGURE], done[FIGURE];

    canvas_fill(d->c, (struct rect){ r.x, y, r.w, 1 }, d->g->hline, ROLE_AXIS, 0);
    if (j == NULL) {
        canvas_unclip(d->c, old);
        return;
    }
    canvas_printf(d->c, r.x + 2, y++, r.w - 4, ROLE_HEAD, 0, " %s ", or_dash(j->id));
    field(d, r.x, y++, end, "model", or_dash(j->model));
    x = field(d, r.x, y, end, "method", or_dash(j->method));
    x = field(d, x, y, end, "scheme", or_dash(j->scheme));
    field(d, x, y++, end, "threads", figure_count(j->threads, text));
    field(d, r.x, y++, end, "output", or_dash(j->output));
    date(j->submitted, text);
    x = field(d, r.x, y, end, "submitted", text);
    date(j->started, text);
    x = field(d, x, y, end, "started", text);
    date(j->ended, text);
    field(d, x, y++, end, "ended", text);
    x = field(d, r.x, y, end, "priority", figure_count(known(j->priority), text));
    x = field(d, x, y, end, "restarts", figure_count(known(j->restarts), text));
    snprintf(text, sizeof(text), "%.20s of %.20s %.16s", figure_count(j->done, done), figure_count(j->total, more),
             j->unit != NULL ? j->unit : "");
    x = field(d, x, y, end, "done", j->done.known ? text : "-");
    field(d, x, y++, end, "rate", figure_number(j->rate, more));
    x = field(d, r.x, y, end, "elapsed", figure_seconds(figure_elapsed(j, d->m->now), text));
    if (j->after.perplexity.known)
        x = field(d, x, y, end, "perplexity",
                  figure_change(j->before.perplexity, j->after.perplexity, figure_number, d->g->arrow, text));
    if (j->reason != NULL)
        field(d, x, y, end, "why", j->reason);
    canvas_unclip(d->c, old);
}

/* "threads 8/16": what is in use, and the most where there is a limit. */
static int meter(const struct draw *d, int x, const struct rect *r, const char *label, struct metric now,
                 struct metric most, char *(*figure)(struct metric, char *))
{
    int end = r->x + r->w;
    char text[FIGURE], limit[FIGURE], both[2 * FIGURE + 2];

    snprintf(both, sizeof(both), "%s%s%s", figure(now, text), most.known ? "/" : "",
             most.known ? figure(most, limit) : "");
    x = field(d, x, r->y, end, label, both) - 1;
    if (most.known && r->w >= 100) {
        figure_bar(d->c, x, r->y, 6, figure_share(now, most), d->v->glyphs);
        x += 7;
    }
    return x + 1;
}

void panel_queue_meters(const struct draw *d, struct rect r)
{
    const struct top_meter *m = &d->m->meter;
    struct rect old = canvas_clip(d->c, r);
    const struct metric none = { 0 };
    char text[FIGURE];
    int x = r.x;

    if (!m->known) {
        canvas_str(d->c, x, r.y, r.w, "- what is in use is not known yet", ROLE_FAINT, 0);
        canvas_unclip(d->c, old);
        return;
    }
    x = meter(d, x, &r, "running", m->running, m->most_running, figure_count);
    x = meter(d, x, &r, "waiting", m->waiting, none, figure_count);
    x = meter(d, x, &r, "threads", m->threads, m->most_threads, figure_count);
    x = meter(d, x, &r, "memory", m->memory_bytes, m->most_memory_bytes, figure_bytes);
    if (m->disk_free_bytes.known)
        field(d, x, r.y, r.x + r.w, "disk free", figure_bytes(m->disk_free_bytes, text));
    canvas_unclip(d->c, old);
}
