/* Help: the keys of every panel, from their table. */
#include "tui/srqtop/panels.h"

#include "tui/srqtop/keys.h"

#include <stddef.h>

enum { KEYS = 15 }; /* columns of the keys' names */

/* Line `at` of the help text: a heading (row NULL), a key, or blank (both NULL). */
struct help_line {
    const char *heading, *summary;
    const struct key_row *row;
};

static bool belongs(const struct key_row *k, int panel)
{
    return panel < 0 ? k->panels == IN_ALL : k->panels != IN_ALL && (k->panels >> panel & 1);
}

/* Counts all lines; fills *line with line `want`. Panels without keys of their own are left out. */
static int walk(int want, struct help_line *line)
{
    int n = 0;

    for (int p = -1; p < TOP_PANEL_COUNT; p++) {
        int keys = 0;

        for (const struct key_row *k = key_rows; k->keys != NULL; k++)
            keys += belongs(k, p);
        if (keys == 0)
            continue;
        if (n++ == want)
            *line = (struct help_line){ p < 0 ? "Everywhere" : panel_name((enum top_panel)p),
                                        p < 0 ? NULL : panel_summary((enum top_panel)p), NULL };
        for (const struct key_row *k = key_rows; k->keys != NULL; k++)
            if (belongs(k, p) && n++ == want)
                *line = (struct help_line){ NULL, NULL, k };
        n++;
    }
    return n > 0 ? n - 1 : 0;
}

int panel_help_rows(void)
{
    return walk(-1, NULL);
}

void panel_help(const struct draw *d, struct rect r)
{
    struct rect old = canvas_clip(d->c, r);
    int n = panel_help_rows(), keys = r.w > 3 * KEYS ? KEYS : r.w / 3;

    for (int y = 0; y < r.h && d->v->help_top + y < n; y++) {
        struct help_line line = { NULL, NULL, NULL };

        walk(d->v->help_top + y, &line);
        if (line.heading != NULL) {
            int x = canvas_str(d->c, r.x, r.y + y, r.w, line.heading, ROLE_HEAD, 0) + 2;

            canvas_str(d->c, r.x + x, r.y + y, r.w - x, line.summary, ROLE_FAINT, 0);
        } else if (line.row != NULL) {
            canvas_str(d->c, r.x + 1, r.y + y, keys - 1, line.row->keys, ROLE_TEXT, ATTR_BOLD);
            canvas_str(d->c, r.x + 1 + keys, r.y + y, r.w - keys - 1, line.row->help, ROLE_TEXT, 0);
        }
    }
    canvas_unclip(d->c, old);
}
