/* The whole picture. */
#include "tui/srqtop/screen.h"

#include "tui/srqtop/keys.h"
#include "tui/srqtop/layout.h"
#include "tui/srqtop/panels.h"
#include "tui/srqtop/prompt.h"
#include "tui/srqtop/tabs.h"

#include <stdio.h>
#include <string.h>

static void tabs(const struct draw *d, struct rect r)
{
    const struct top_model *m = d->m;
    const char *link = m->link == TOP_LINK_UP ? m->server : m->link_text;
    char label[32], state[160];
    int end = r.x;

    canvas_fill(d->c, r, ' ', ROLE_TAB, 0);
    for (int p = 0; p < TOP_PANEL_COUNT; p++) {
        struct rect at = tab_place(r, (enum top_panel)p, label);
        bool on = p == (int)d->v->panel;

        if (at.w == 0)
            continue;
        canvas_str(d->c, at.x, r.y, at.w, label, on ? ROLE_TAB_ON : ROLE_TAB, on ? ATTR_BOLD : 0);
        if (on) /* said by more than colour */
            canvas_put(d->c, at.x, r.y, d->g->cursor, ROLE_TAB_ON, ATTR_BOLD);
        end = at.x + at.w;
    }
    snprintf(state, sizeof(state), "%s%s%.100s", d->v->frozen ? "FROZEN  " : "",
             d->v->readonly || m->readonly ? "read-only  " : "",
             link != NULL             ? link
             : m->link == TOP_LINK_UP ? "connected"
                                      : "no daemon");
    if (r.x + r.w - end > 6)
        canvas_str_right(d->c, end + 1, r.y, r.x + r.w - end - 2, state, m->link == TOP_LINK_UP ? ROLE_TAB : ROLE_BAD,
                         0);
}

static void notice(const struct draw *d, struct rect r)
{
    const struct top_view *v = d->v;
    int x = r.x, before;
    const char *line = v->line;
    char head[TOP_LINE_MAX];

    if (v->prompt != TOP_PROMPT_NONE) {
        canvas_fill(d->c, r, ' ', ROLE_PROMPT, 0);
        x += canvas_str(d->c, x, r.y, r.w - 1, prompt_sign(v->prompt), ROLE_PROMPT, ATTR_BOLD);
        snprintf(head, sizeof(head), "%.*s", v->line_at, v->line);
        /* What does not fit is hidden on the left, so that the cursor is always to be seen. */
        for (before = canvas_columns(head); x + before >= r.x + r.w && *line != '\0';)
            before -= canvas_width_of(canvas_next(&line));
        canvas_str(d->c, x, r.y, r.x + r.w - x, line, ROLE_PROMPT, 0);
        d->c->cursor_x = x + before < r.x + r.w ? x + before : r.x + r.w - 1;
        d->c->cursor_y = r.y;
    } else if (v->message[0] != '\0') {
        canvas_printf(d->c, r.x, r.y, r.w, v->message_bad ? ROLE_NOTICE_BAD : ROLE_NOTICE, 0, "%s%s",
                      v->message_bad ? "! " : "", v->message);
    } else if (d->m->notice != NULL) {
        canvas_printf(d->c, r.x, r.y, r.w, d->m->notice_bad ? ROLE_NOTICE_BAD : ROLE_NOTICE, 0, "%s%s",
                      d->m->notice_bad ? "! " : "", d->m->notice);
    } else if (d->m->link != TOP_LINK_UP && d->m->link_text != NULL) {
        canvas_str(d->c, r.x, r.y, r.w, d->m->link_text, ROLE_BAD, 0);
    } else {
        if (v->filter[v->panel][0] != '\0')
            x += canvas_printf(d->c, x, r.y, r.x + r.w - x, ROLE_FAINT, 0, "filter \"%s\"  ", v->filter[v->panel]);
        if (v->search[0] != '\0')
            canvas_printf(d->c, x, r.y, r.x + r.w - x, ROLE_FAINT, 0, "search \"%s\"", v->search);
    }
}

/* First of a row's keys: "j, Down" gives "j". */
static int first_key(const struct key_row *k, char out[24])
{
    int n = (int)strcspn(k->keys, ",");

    snprintf(out, 24, "%.*s", n > 0 ? n : 1, k->keys);
    return canvas_columns(out);
}

static int bar_word(const struct draw *d, int x, int y, int end, const struct key_row *k, bool alone)
{
    char key[24];
    int w = first_key(k, key) + (alone ? 1 : canvas_columns(k->bar) + 2);

    if (x + w > end)
        return -1;
    x += canvas_str(d->c, x, y, end - x, key, ROLE_BAR_KEY, 0) + 1;
    if (!alone)
        x += canvas_str(d->c, x, y, end - x, k->bar, ROLE_BAR, 0) + 1;
    return x;
}

static bool always(const struct key_row *k)
{
    return k->act == ACT_HELP || k->act == ACT_QUIT;
}

static void bar(const struct draw *d, struct rect r)
{
    int x = r.x, end = r.x + r.w, tail = 0;
    char key[24];

    canvas_fill(d->c, r, ' ', ROLE_BAR, 0);
    if (d->v->prompt != TOP_PROMPT_NONE) {
        canvas_str(d->c, x, r.y, r.w, "Enter accept  Esc cancel  Ctrl-U clear", ROLE_BAR, 0);
        return;
    }
    for (const struct key_row *k = key_rows; k->keys != NULL; k++)
        if (always(k))
            tail += first_key(k, key) + canvas_columns(k->bar) + 2;
    /* Help and quit stand at the right end whatever else fits. */
    for (const struct key_row *k = key_rows; k->keys != NULL && x >= 0; k++) {
        const struct key_row *next;

        if (k->bar == NULL || always(k) || !(k->panels >> d->v->panel & 1))
            continue;
        for (next = k + 1; next->keys != NULL && !(next->panels >> d->v->panel & 1);)
            next++;
        x = bar_word(d, x, r.y, end - tail, k,
                     next->keys != NULL && next->bar != NULL && strcmp(next->bar, k->bar) == 0);
    }
    x = r.w > tail ? end - tail : r.x;
    for (const struct key_row *k = key_rows; k->keys != NULL && x >= 0; k++)
        if (always(k))
            x = bar_word(d, x, r.y, end, k, false);
}

typedef void draw_fn(const struct draw *d, struct rect r);

struct panel_parts {
    draw_fn *head, *main, *side;
};

static const struct panel_parts parts[TOP_PANEL_COUNT] = {
    [TOP_PANEL_QUEUE] = { panel_queue_meters, panel_queue, panel_queue_detail },
    [TOP_PANEL_JOB] = { panel_job_head, panel_job, panel_job_curves },
    [TOP_PANEL_HEATMAP] = { panel_heat_head, panel_heat, panel_heat_detail },
    [TOP_PANEL_LOG] = { panel_log_head, panel_log, NULL },
    [TOP_PANEL_DIFF] = { panel_diff_head, panel_diff, NULL },
    [TOP_PANEL_DIFFUSION] = { panel_diffusion_head, panel_diffusion, panel_diffusion_curves },
    [TOP_PANEL_HELP] = { NULL, panel_help, NULL },
};

static void part(const struct draw *d, draw_fn *fn, struct rect r)
{
    if (fn != NULL && r.w > 0 && r.h > 0)
        fn(d, r);
}

void screen_draw(struct top_model *m, struct top_view *v, struct canvas *c)
{
    struct draw d = { c, m, v, glyphs_of(v->glyphs), NULL };
    struct layout l;

    v->width = c->w;
    v->height = c->h;
    c->ascii = v->glyphs == GLYPHS_ASCII;
    canvas_clear(c);
    view_settle(m, v);
    d.job = view_job(m, v);
    l = layout(c->w, c->h, v->panel, v);
    part(&d, tabs, l.tabs);
    part(&d, parts[v->panel].head, l.head);
    part(&d, parts[v->panel].main, l.main);
    part(&d, parts[v->panel].side, l.side);
    part(&d, panel_edit, l.edit);
    part(&d, notice, l.notice);
    part(&d, bar, l.bar);
}
