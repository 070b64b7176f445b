/* The table of candidates of the layer under the cursor. */
#include "tui/srqtop/panels.h"

#include "tui/srqtop/candidates.h"
#include "tui/srqtop/columns.h"
#include "tui/srqtop/figures.h"

#include <stdio.h>
#include <string.h>

enum { MARK, SCHEME, BITS, SIZE, LOSS, PERPLEXITY, COLUMNS };

static const struct column columns[COLUMNS] = {
    [MARK] = { "", 1, 1, 0, false },
    [SCHEME] = { "could be", 9, 12, 0, false },
    [BITS] = { "bits", 6, 6, 0, true },
    [SIZE] = { "size", 8, 9, 1, true },
    [LOSS] = { "+nats/token", 11, 11, 0, true },
    [PERPLEXITY] = { "perplexity", 10, 10, 2, true },
};

static void right(const struct draw *d, const struct column_place *p, int y, const char *text)
{
    canvas_str_right(d->c, p->x, y, p->w, text, strcmp(text, "-") == 0 ? ROLE_FAINT : ROLE_TEXT, 0);
}

static void row(const struct draw *d, const struct top_candidate *c, const struct column_place *p, int y)
{
    char text[FIGURE], factor[FIGURE + 4];

    canvas_put(d->c, p[MARK].x, y, c->now ? d->g->cursor : ' ', ROLE_TEXT, 0);
    canvas_str(d->c, p[SCHEME].x, y, p[SCHEME].w, c->scheme, ROLE_TEXT, c->now ? ATTR_BOLD : 0);
    right(d, &p[BITS], y, figure_bits(c->bits, text));
    right(d, &p[SIZE], y, figure_bytes(c->bytes, text));
    right(d, &p[LOSS], y, figure_number(c->loss, text));
    if (p[PERPLEXITY].w == 0)
        return;
    if (c->perplexity.known)
        snprintf(factor, sizeof(factor), "x%.4g", c->perplexity.v);
    else
        snprintf(factor, sizeof(factor), "-");
    right(d, &p[PERPLEXITY], y, factor);
}

int panel_candidates_rows(const struct top_job *j, const struct top_layer *l)
{
    struct top_candidate all[TOP_CANDIDATES];

    return top_candidates(j, l, all, TOP_CANDIDATES) + 1 + (top_unscored_why(j) != NULL);
}

void panel_candidates(const struct draw *d, struct rect r, const struct top_layer *l)
{
    struct rect old = canvas_clip(d->c, r);
    struct top_candidate all[TOP_CANDIDATES];
    struct column_place place[COLUMNS];
    int n = top_candidates(d->job, l, all, TOP_CANDIDATES), y = r.y, end = r.y + r.h;
    const char *why = top_unscored_why(d->job);

    columns_fit(columns, COLUMNS, r.x, r.w, place);
    columns_titles(d->c, y++, columns, COLUMNS, place);
    end -= why != NULL;
    for (int i = 0; i < n && y < end; i++, y++)
        row(d, &all[i], place, y);
    if (why != NULL)
        canvas_printf(d->c, r.x, y, r.w, ROLE_FAINT, 0, "- %s", why);
    canvas_unclip(d->c, old);
}

void panel_candidates_line(const struct draw *d, int x, int y, int w, const struct top_layer *l)
{
    struct top_candidate all[TOP_CANDIDATES];
    int n = top_candidates(d->job, l, all, TOP_CANDIDATES), end = x + w;
    char text[FIGURE], size[FIGURE];

    x += canvas_str(d->c, x, y, w, "could be ", ROLE_FAINT, 0);
    for (int i = 0; i < n && x < end; i++) {
        x += canvas_str(d->c, x, y, end - x, all[i].scheme, ROLE_TEXT, all[i].now ? ATTR_BOLD : 0);
        x += canvas_printf(d->c, x, y, end - x, ROLE_FAINT, 0, " %s", figure_bytes(all[i].bytes, size));
        if (all[i].loss.known)
            x += canvas_printf(d->c, x, y, end - x, ROLE_FAINT, 0, " +%s nats", figure_number(all[i].loss, text));
        x += 2;
    }
}
