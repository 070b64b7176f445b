/* Diff: two jobs side by side. */
#include "tui/srqtop/panels.h"

#include "core/base/alloc.h"
#include "tui/srqtop/columns.h"
#include "tui/srqtop/figures.h"

#include <string.h>

enum { MARK, NAME, SCHEME_A, SCHEME_B, ERROR_A, ERROR_B, CHANGE, COLUMNS };

static const struct column columns[COLUMNS] = {
    [MARK] = { "", 1, 1, 0, false },           [NAME] = { "layer", 10, 60, 0, false },
    [SCHEME_A] = { "A", 7, 10, 1, false },     [SCHEME_B] = { "B", 7, 10, 1, false },
    [ERROR_A] = { "error A", 8, 10, 2, true }, [ERROR_B] = { "error B", 8, 10, 2, true },
    [CHANGE] = { "B vs A", 8, 10, 3, true },
};

struct pair {
    const struct top_layer *a, *b; /* NULL: that job has no such layer */
};

static bool same_name(const struct top_layer *a, const struct top_layer *b)
{
    return a->name != NULL && b->name != NULL && strcmp(a->name, b->name) == 0;
}

/* Two jobs of one model list their layers alike, so that the same place is tried first. */
static const struct top_layer *partner(const struct top_job *j, const struct top_layer *l, int place)
{
    if (place < j->layer_count && same_name(&j->layers[place], l))
        return &j->layers[place];
    for (int i = 0; i < j->layer_count; i++)
        if (same_name(&j->layers[i], l))
            return &j->layers[i];
    return NULL;
}

static bool wanted(const struct top_view *v, struct pair p)
{
    const struct top_layer *l = p.a != NULL ? p.a : p.b;

    if (v->filter[TOP_PANEL_DIFF][0] != '\0' && (l->name == NULL || !view_matches(l->name, v->filter[TOP_PANEL_DIFF])))
        return false;
    return v->sort[TOP_PANEL_DIFF] == 0 || p.a == NULL || p.b == NULL || strcmp(p.a->scheme, p.b->scheme) != 0;
}

/* Layers of the job shown in their order, then those that only the other has. Freed with srq_free. */
static int pairs(const struct top_view *v, const struct top_job *a, const struct top_job *b, struct pair **out)
{
    struct pair *all = srq_calloc((size_t)(a->layer_count + b->layer_count) + 1, sizeof(*all));
    int n = 0;

    *out = all;
    if (all == NULL)
        return 0;
    for (int i = 0; i < a->layer_count; i++) {
        all[n] = (struct pair){ &a->layers[i], partner(b, &a->layers[i], i) };
        n += wanted(v, all[n]);
    }
    for (int i = 0; i < b->layer_count; i++)
        if (partner(a, &b->layers[i], i) == NULL) {
            all[n] = (struct pair){ NULL, &b->layers[i] };
            n += wanted(v, all[n]);
        }
    return n;
}

int panel_diff_rows(const struct top_model *m, const struct top_view *v)
{
    const struct top_job *a = view_job(m, v), *b = top_model_job(m, v->other);
    struct pair *all;
    int n;

    if (a == NULL || b == NULL)
        return 0;
    n = pairs(v, a, b, &all);
    srq_free(all);
    return n;
}

static void head_line(const struct draw *d, struct rect r, int y, char letter, const struct top_job *j, bool evals)
{
    int x = r.x, end = r.x + r.w;
    char text[FIGURE];

    x += canvas_printf(d->c, x, y, end - x, ROLE_HEAD, 0, "%c", letter) + 1;
    x +=
        canvas_str(d->c, x, y, r.w / 3, j->name != NULL && j->name[0] != '\0' ? j->name : j->id, ROLE_TEXT, ATTR_BOLD) +
        2;
    x += canvas_str(d->c, x, y, end - x, figure_job_state(j), figure_job_role(j->state), 0) + 2;
    x += canvas_printf(d->c, x, y, end - x, ROLE_TEXT, 0, "%s bits", figure_bits(j->average_bits, text)) + 2;
    canvas_str(d->c, x, y, end - x, figure_change(j->before_bytes, j->after_bytes, figure_bytes, d->g->arrow, text),
               ROLE_TEXT, 0);
    if (!evals)
        return;
    x = r.x + 2;
    x += canvas_printf(d->c, x, y + 1, end - x, ROLE_TEXT, 0, "perplexity %s",
                       figure_change(j->before.perplexity, j->after.perplexity, figure_number, d->g->arrow, text)) +
         2;
    x += canvas_printf(d->c, x, y + 1, end - x, ROLE_TEXT, 0, "KL %s", figure_number(j->after.kl, text)) + 2;
    x += canvas_printf(d->c, x, y + 1, end - x, ROLE_TEXT, 0, "top-1 %s", figure_percent(j->after.top1, text)) + 2;
    canvas_printf(d->c, x, y + 1, end - x, ROLE_FAINT, 0, "%s %s", j->method != NULL ? j->method : "-",
                  j->scheme != NULL ? j->scheme : "-");
}

void panel_diff_head(const struct draw *d, struct rect r)
{
    struct rect old = canvas_clip(d->c, r);
    const struct top_job *b = top_model_job(d->m, d->v->other);
    bool evals = r.h >= 4;

    if (d->job != NULL)
        head_line(d, r, r.y, 'A', d->job, evals);
    if (b != NULL)
        head_line(d, r, r.y + (evals ? 2 : 1), 'B', b, evals);
    canvas_unclip(d->c, old);
}

static void number(const struct draw *d, const struct column_place *p, int y, struct metric m,
                   char *(*figure)(struct metric, char *), enum role role)
{
    char text[FIGURE];

    canvas_str_right(d->c, p->x, y, p->w, figure(m, text), m.known ? role : ROLE_FAINT, 0);
}

static void scheme(const struct draw *d, const struct column_place *p, int y, const struct top_layer *l)
{
    canvas_str(d->c, p->x, y, p->w, l != NULL && l->scheme[0] != '\0' ? l->scheme : "-",
               l == NULL ? ROLE_FAINT
               : l->pin  ? ROLE_PINNED
                         : ROLE_TEXT,
               0);
}

static void row(const struct draw *d, const struct column_place *p, int y, struct pair at)
{
    const struct metric none = { false, 0 };
    struct metric a = at.a != NULL ? at.a->error_best : none, b = at.b != NULL ? at.b->error_best : none;
    struct metric change = top_gain(a, b);
    const char *name = at.a != NULL ? at.a->name : at.b->name;
    bool differs = at.a == NULL || at.b == NULL || strcmp(at.a->scheme, at.b->scheme) != 0;

    change.v = -change.v;
    canvas_put(d->c, p[MARK].x, y, differs ? d->g->differs : ' ', ROLE_EDITED, 0);
    canvas_str_tail(d->c, p[NAME].x, y, p[NAME].w, name != NULL ? name : "-", differs ? ROLE_EDITED : ROLE_TEXT, 0);
    scheme(d, &p[SCHEME_A], y, at.a);
    scheme(d, &p[SCHEME_B], y, at.b);
    number(d, &p[ERROR_A], y, a, figure_number, ROLE_TEXT);
    number(d, &p[ERROR_B], y, b, figure_number, ROLE_TEXT);
    number(d, &p[CHANGE], y, change, figure_percent, change.v > 0 ? ROLE_LOSS_BAD : ROLE_LOSS_GOOD);
}

void panel_diff(const struct draw *d, struct rect r)
{
    struct rect old = canvas_clip(d->c, r);
    const struct top_job *b = top_model_job(d->m, d->v->other);
    struct column_place place[COLUMNS];
    struct pair *all;
    int n, title = r.h > 1;

    if (d->job == NULL || b == NULL) {
        canvas_str(d->c, r.x, r.y + r.h / 2, r.w,
                   d->job == NULL ? "no job is open: choose one in the queue and press Enter"
                                  : "press d and type the other job's id or name",
                   ROLE_FAINT, 0);
        canvas_unclip(d->c, old);
        return;
    }
    n = pairs(d->v, d->job, b, &all);
    columns_fit(columns, COLUMNS, r.x, r.w, place);
    if (title)
        columns_titles(d->c, r.y, columns, COLUMNS, place);
    for (int y = 0; y + title < r.h && d->v->diff_top + y < n; y++)
        row(d, place, r.y + title + y, all[d->v->diff_top + y]);
    if (n == 0)
        canvas_str(d->c, r.x, r.y + title, r.w,
                   d->v->sort[TOP_PANEL_DIFF] != 0 ? "no layer differs" : "- no plan known yet", ROLE_FAINT, 0);
    srq_free(all);
    canvas_unclip(d->c, old);
}
