/* Help: the keys of every panel, from their table. */
#include "tui/srqtop/panels.h"

#include "tui/srqtop/keys.h"

#include <string.h>

enum { KEYS = 15 }; /* columns of the keys' names */

/* One line of the help text: a heading with what its panel shows, a key, the rest of either, or blank. */
struct help_line {
    const char *heading;
    const struct key_row *row;
    const char *text; /* this line's part */
    int len;
    bool rest;
};

/* Where the lines are being counted, or one of them looked for. */
struct walk {
    int n, want;
    struct help_line *line;
};

static bool belongs(const struct key_row *k, int panel)
{
    return panel < 0 ? k->panels == IN_ALL : k->panels != IN_ALL && (k->panels >> panel & 1);
}

static int keys_width(int width)
{
    return width > 3 * KEYS ? KEYS : width / 3;
}

/* Length of the beginning of `text` that fits `width` columns, cut between words where there are any (it is ASCII). */
static int fitting(const char *text, int width)
{
    int len = (int)strlen(text), at = width > 1 ? width : 1;

    if (len <= at)
        return len;
    while (at > 0 && text[at] != ' ')
        at--;
    return at > 0 ? at : width > 1 ? width : 1;
}

static void add(struct walk *w, const char *heading, const struct key_row *row, const char *text, int width)
{
    bool rest = false;

    do {
        int len = fitting(text, width);

        if (w->n++ == w->want)
            *w->line = (struct help_line){ heading, row, text, len, rest };
        text += len;
        text += *text == ' ';
        rest = true;
    } while (*text != '\0');
}

static int count(int width, int want, struct help_line *line)
{
    struct walk w = { 0, want, line };
    int room = width - keys_width(width) - 1;

    for (int p = -1; p < TOP_PANEL_COUNT; p++) {
        bool any = p < 0;

        if (p >= 0)
            add(&w, panel_name((enum top_panel)p), NULL, panel_summary((enum top_panel)p), room);
        else
            add(&w, "Everywhere", NULL, "Keys of all panels", room);
        for (const struct key_row *k = key_rows; k->keys != NULL; k++)
            if (belongs(k, p)) {
                add(&w, NULL, k, k->help, room);
                any = true;
            }
        w.n += any || p + 1 < TOP_PANEL_COUNT; /* a blank line */
    }
    return w.n;
}

int panel_help_rows(int width)
{
    return count(width, -1, NULL);
}

void panel_help(const struct draw *d, struct rect r)
{
    struct rect old = canvas_clip(d->c, r);
    int n = panel_help_rows(r.w), keys = keys_width(r.w);

    for (int y = 0; y < r.h && d->v->help_top + y < n; y++) {
        struct help_line line = { NULL, NULL, "", 0, false };

        count(r.w, d->v->help_top + y, &line);
        if (line.heading != NULL && !line.rest)
            canvas_str(d->c, r.x, r.y + y, keys, line.heading, ROLE_HEAD, 0);
        if (line.row != NULL && !line.rest)
            canvas_str(d->c, r.x + 1, r.y + y, keys - 1, line.row->keys, ROLE_TEXT, ATTR_BOLD);
        canvas_printf(d->c, r.x + keys + 1, r.y + y, r.w - keys - 1, line.row != NULL ? ROLE_TEXT : ROLE_FAINT, 0,
                      "%.*s", line.len, line.text);
    }
    canvas_unclip(d->c, old);
}
