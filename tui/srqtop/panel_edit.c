/* What the proposed changes would do, from the daemon's dry run. */
#include "tui/srqtop/panels.h"

#include "tui/srqtop/figures.h"
#include "tui/srqtop/layout.h"

#include <stdio.h>
#include <string.h>

/* ---- warnings, wrapped between words ----------------------------------------------------------------------------- */

/* Bytes of `text` that go on one line. */
static size_t line_bytes(const char *text, int width)
{
    const char *at = text, *blank = NULL, *next;
    int used = 0;

    while (*at != '\0') {
        next = at;
        used += canvas_width_of(canvas_next(&next));
        if (used > width && at > text)
            return blank != NULL ? (size_t)(blank - text) : (size_t)(at - text);
        if (*at == ' ')
            blank = at;
        at = next;
    }
    return (size_t)(at - text);
}

/* Lines of one text; line `want` of it goes to `out`. */
static int wrap(const char *text, int width, int want, char *out, size_t cap)
{
    int n = 0;

    while (text != NULL && *text != '\0') {
        size_t len = line_bytes(text, width > 1 ? width : 1);

        if (n++ == want)
            snprintf(out, cap, "%.*s", (int)len, text);
        text += len;
        text += strspn(text, " ");
    }
    return n;
}

/* Each begins with a sign; why a change would be refused comes first. */
static int walk(const struct top_preview *p, int width, int want, char *out, size_t cap)
{
    char text[1200];
    int n = 0;

    for (int i = p->refused != NULL ? -1 : 0; i < p->warning_count; i++) {
        const char *what = i < 0 ? p->refused : p->warnings[i];

        snprintf(text, sizeof(text), "! %.1100s", what != NULL ? what : "(out of memory)");
        n += wrap(text, width, want - n, out, cap);
    }
    return n;
}

int panel_edit_warning_rows(const struct top_preview *p, int width)
{
    return walk(p, width, -1, NULL, 0);
}

void panel_edit_warning(const struct top_preview *p, int width, int row, char *out, size_t cap)
{
    out[0] = '\0';
    walk(p, width, row, out, cap);
}

/* ---- the rest ---------------------------------------------------------------------------------------------------- */

static int part(const struct draw *d, int x, int y, int end, const char *label, const char *value, enum role role)
{
    if (label[0] != '\0')
        x += canvas_printf(d->c, x, y, end - x, ROLE_FAINT, 0, "%s ", label);
    return x + canvas_str(d->c, x, y, end - x, value, role, 0) + 2;
}

static int consequences(const struct draw *d, int x, int y, int end, const struct top_preview *p)
{
    char text[FIGURE], more[3 * FIGURE];
    bool worse = p->forecast.known && p->forecast_now.known && p->forecast.v > p->forecast_now.v;

    x = part(d, x, y, end, "predicted loss",
             figure_change(p->forecast_now, p->forecast, figure_number, d->g->arrow, text),
             worse ? ROLE_LOSS_BAD : ROLE_TEXT);
    if (p->missing != NULL)
        x = part(d, x, y, end, "", p->missing, ROLE_FAINT);
    if (p->restarts >= 0) {
        snprintf(more, sizeof(more), "block %d", p->restarts);
        x = part(d, x, y, end, "restarts", more, ROLE_STALE);
    }
    if (p->retunes > 0) {
        snprintf(more, sizeof(more), "%d block%s in %s", p->retunes, p->retunes == 1 ? "" : "s",
                 figure_seconds(p->cost_s, text));
        x = part(d, x, y, end, "tunes again", more, ROLE_STALE);
    }
    return x;
}

static void answer(const struct draw *d, struct rect r, int x, int y, const struct top_preview *p)
{
    int end = r.x + r.w;
    char text[FIGURE];

    if (p->warning_count > 0) { /* first, so that a narrow screen has it */
        snprintf(text, sizeof(text), "%d warning%s", p->warning_count, p->warning_count == 1 ? "" : "s");
        x = part(d, x, y, end, "", text, ROLE_BAD);
    }
    x = part(d, x, y, end, "size", figure_change(p->before_bytes, p->after_bytes, figure_bytes, d->g->arrow, text),
             ROLE_TEXT);
    x = part(d, x, y, end, "bits", figure_change(p->average_bits_now, p->average_bits, figure_bits, d->g->arrow, text),
             ROLE_TEXT);
    if (r.h >= 2)
        consequences(d, r.x, y + 1, end, p);
    else
        x = consequences(d, x, y, end, p);
    canvas_str(d->c, x, y, end - x, "Enter commits, Esc drops", ROLE_FAINT, 0);
}

/* As many lines as there is room for, and at the end of the last how many are left. */
static void warnings(const struct draw *d, struct rect r)
{
    int n = d->v->warning_rows, hidden = n - d->v->warning_top - r.h;
    char line[1200], more[64];

    for (int y = 0; y < r.h && d->v->warning_top + y < n; y++) {
        panel_edit_warning(&d->m->preview, d->v->width, d->v->warning_top + y, line, sizeof(line));
        canvas_str(d->c, r.x, r.y + y, r.w, line, ROLE_BAD, 0);
    }
    if (n > r.h) {
        snprintf(more, sizeof(more), hidden > 0 ? " w: %d more line%s" : " w: again from the first", hidden,
                 hidden == 1 ? "" : "s");
        canvas_str_right(d->c, r.x, r.y + r.h - 1, r.w, more, ROLE_FAINT, 0);
    }
}

void panel_edit(const struct draw *d, struct rect r)
{
    struct rect old = canvas_clip(d->c, r);
    const struct top_preview *p = &d->m->preview;
    bool current = p->known && !p->waiting; /* numbers of other edits are none of these */
    int x = r.x, rows = layout_warning_rows(d->v->height, d->v);

    rows = rows < r.h ? rows : r.h - 1;
    x += canvas_printf(d->c, x, r.y, r.w, ROLE_EDITED, 0, "%d edit%s", d->v->edits, d->v->edits == 1 ? "" : "s") + 2;
    if (current && p->refused == NULL && p->moved > 0)
        x += canvas_printf(d->c, x, r.y, r.x + r.w - x, ROLE_EDITED, 0, "%d more to keep the budget", p->moved) + 2;
    if (rows > 0)
        warnings(d, (struct rect){ r.x, r.y + r.h - rows, r.w, rows });
    r.h -= rows;
    if (current && p->refused != NULL) {
        canvas_printf(d->c, x, r.y, r.x + r.w - x, ROLE_BAD, 0, "refused%s", rows > 0 ? "" : ": w shows why");
        if (r.h >= 2)
            canvas_str(d->c, r.x, r.y + 1, r.w, "change them, or Esc drops", ROLE_FAINT, 0);
    } else if (current) {
        answer(d, r, x, r.y, p);
    } else {
        canvas_str(d->c, x, r.y, r.x + r.w - x, p->waiting ? "asking the daemon what they would do" : "- no forecast",
                   ROLE_FAINT, 0);
        if (r.h >= 2)
            canvas_str(d->c, r.x, r.y + 1, r.w, "Enter commits, Esc drops", ROLE_FAINT, 0);
    }
    canvas_unclip(d->c, old);
}
