/* What the proposed changes would do, from the daemon's dry run. */
#include "tui/srqtop/panels.h"

#include "tui/srqtop/figures.h"

#include <stdio.h>

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

    x = part(d, x, y, end, "predicted loss", figure_change(p->forecast_now, p->forecast, figure_number, d->g->arrow, text),
             worse ? ROLE_LOSS_BAD : ROLE_TEXT);
    if (p->missing != NULL)
        x = part(d, x, y, end, "", p->missing, ROLE_FAINT);
    if (p->restarts >= 0) {
        snprintf(more, sizeof(more), "block %d", p->restarts);
        x = part(d, x, y, end, "restarts", more, ROLE_STALE);
    }
    if (p->retunes > 0) {
        snprintf(more, sizeof(more), "%d block%s in %s", p->retunes, p->retunes == 1 ? "" : "s", figure_seconds(p->cost_s, text));
        x = part(d, x, y, end, "tunes again", more, ROLE_STALE);
    }
    return x;
}

static void answer(const struct draw *d, struct rect r, int x, int y, const struct top_preview *p)
{
    int end = r.x + r.w;
    char text[FIGURE];

    x = part(d, x, y, end, "size", figure_change(p->before_bytes, p->after_bytes, figure_bytes, d->g->arrow, text), ROLE_TEXT);
    x = part(d, x, y, end, "bits", figure_change(p->average_bits_now, p->average_bits, figure_bits, d->g->arrow, text), ROLE_TEXT);
    if (r.h >= 2)
        consequences(d, r.x, y + 1, end, p);
    else
        x = consequences(d, x, y, end, p);
    canvas_str(d->c, x, y, end - x, "Enter commits, Esc drops", ROLE_FAINT, 0);
}

void panel_edit(const struct draw *d, struct rect r)
{
    struct rect old = canvas_clip(d->c, r);
    const struct top_preview *p = &d->m->preview;
    int x = r.x;

    x += canvas_printf(d->c, x, r.y, r.w, ROLE_EDITED, 0, "%d edit%s", d->v->edits, d->v->edits == 1 ? "" : "s") + 2;
    if (p->known && p->refused == NULL && p->moved > 0)
        x += canvas_printf(d->c, x, r.y, r.x + r.w - x, ROLE_EDITED, 0, "%d more to keep the budget", p->moved) + 2;
    if (p->refused != NULL) {
        canvas_printf(d->c, x, r.y, r.x + r.w - x, ROLE_BAD, 0, "refused: %s", p->refused);
        canvas_str(d->c, r.x, r.y + 1, r.w, "change them, or Esc drops", ROLE_FAINT, 0);
    } else if (p->known) {
        answer(d, r, x, r.y, p);
    } else {
        canvas_str(d->c, x, r.y, r.x + r.w - x, p->waiting ? "asking the daemon what they would do" : "- no forecast", ROLE_FAINT, 0);
        canvas_str(d->c, r.x, r.y + 1, r.w, "Enter commits, Esc drops", ROLE_FAINT, 0);
    }
    canvas_unclip(d->c, old);
}
