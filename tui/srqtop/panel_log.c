/* Log of the job shown. */
#include "tui/srqtop/panels.h"

#include "core/base/alloc.h"
#include "core/base/log.h"
#include "tui/srqtop/figures.h"

#include <math.h>
#include <string.h>

enum { LEVELS = 4 };
static const enum role level_roles[LEVELS] = { ROLE_LOG_ERROR, ROLE_LOG_WARNING, ROLE_LOG_INFO, ROLE_LOG_DEBUG };

static int level_of(const struct top_line *l)
{
    return l->level < 0 ? 0 : l->level >= LEVELS ? LEVELS - 1 : l->level;
}

int panel_log_lines(const struct top_job *j, const struct top_view *v, int **lines)
{
    int n = 0, *at = srq_calloc((size_t)j->line_count + 1, sizeof(*at));

    *lines = at;
    for (int i = 0; at != NULL && i < j->line_count; i++)
        if (level_of(&j->lines[i]) <= v->log_level &&
            (v->filter[TOP_PANEL_LOG][0] == '\0' ||
             (j->lines[i].text != NULL && view_matches(j->lines[i].text, v->filter[TOP_PANEL_LOG]))))
            at[n++] = i;
    return n;
}

void panel_log_head(const struct draw *d, struct rect r)
{
    struct rect old = canvas_clip(d->c, r);
    int x = r.x, end = r.x + r.w;

    if (d->job != NULL) {
        x += canvas_printf(d->c, x, r.y, end - x, ROLE_TEXT, 0, "%d line%s", d->job->line_count,
                           d->job->line_count == 1 ? "" : "s") +
             2;
        x += canvas_printf(d->c, x, r.y, end - x, ROLE_TEXT, 0, "up to %s", srq_log_level_words[d->v->log_level & 3]) +
             2;
        x += canvas_str(d->c, x, r.y, end - x, d->v->follow ? "following" : "not following",
                        d->v->follow ? ROLE_RUNNING : ROLE_FAINT, 0) +
             2;
        if (d->job->skipped > 0)
            canvas_printf(d->c, x, r.y, end - x, ROLE_FAINT, 0, "%lld samples left out", (long long)d->job->skipped);
    }
    if (r.h >= 2)
        canvas_fill(d->c, (struct rect){ r.x, r.y + 1, r.w, 1 }, d->g->hline, ROLE_AXIS, 0);
    canvas_unclip(d->c, old);
}

/* The text from its column `skip` on. */
static const char *from_column(const char *text, int skip)
{
    while (skip > 0 && *text != '\0')
        skip -= canvas_width_of(canvas_next(&text));
    return text;
}

static void line(const struct draw *d, struct rect r, int y, const struct top_line *l)
{
    int level = level_of(l), x = r.x;
    char date[CTL_HUMAN];
    bool match = d->v->search[0] != '\0' && l->text != NULL && view_matches(l->text, d->v->search);

    if (r.w >= 40) {
        ctl_human_date(l->time > 0 ? l->time : NAN, date);
        x += canvas_str(d->c, x, y, 8, strlen(date) > 11 ? date + 11 : date, ROLE_FAINT, 0);
        x = r.x + 9;
    }
    canvas_str(d->c, x, y, 1, (const char *const[LEVELS]){ "E", "W", "I", "D" }[level], level_roles[level], ATTR_BOLD);
    x += 2;
    if (l->text != NULL)
        canvas_str(d->c, x, y, r.x + r.w - x, from_column(l->text, d->v->log_left),
                   match ? ROLE_MATCH : level_roles[level], 0);
}

void panel_log(const struct draw *d, struct rect r)
{
    struct rect old = canvas_clip(d->c, r);
    int n, *lines;

    if (d->job == NULL) {
        canvas_str(d->c, r.x, r.y + r.h / 2, r.w, "no job is open: choose one in the queue and press Enter", ROLE_FAINT,
                   0);
        canvas_unclip(d->c, old);
        return;
    }
    n = panel_log_lines(d->job, d->v, &lines);
    for (int y = 0; y < r.h && d->v->log_top + y < n; y++)
        line(d, r, r.y + y, &d->job->lines[lines[d->v->log_top + y]]);
    if (n == 0)
        canvas_str(d->c, r.x, r.y, r.w, "no lines", ROLE_FAINT, 0);
    srq_free(lines);
    canvas_unclip(d->c, old);
}
