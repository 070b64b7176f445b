/* Names of the panels in the top line. */
#include "tui/srqtop/tabs.h"

#include "tui/srqtop/keys.h"

#include <stdio.h>
#include <string.h>

/* Letters of a name shown: all, four, or none, as all of them fit. */
static int letters(int width)
{
    int whole = 0;

    for (int p = 0; p < TOP_PANEL_COUNT; p++)
        whole += (int)strlen(panel_name((enum top_panel)p)) + 4;
    return whole <= width ? 31 : 8 * TOP_PANEL_COUNT <= width ? 4 : 0;
}

static int put_label(enum top_panel panel, int most, char *label)
{
    return most > 0 ? snprintf(label, 32, " %d %.*s ", (int)panel + 1, most, panel_name(panel))
                    : snprintf(label, 32, " %d", (int)panel + 1);
}

struct rect tab_place(struct rect tabs, enum top_panel panel, char *label)
{
    int most = letters(tabs.w), x = tabs.x, w;

    for (int p = 0; p < (int)panel; p++)
        x += put_label((enum top_panel)p, most, label);
    w = put_label(panel, most, label);
    if (tabs.h == 0 || x + w > tabs.x + tabs.w)
        return (struct rect){ 0, 0, 0, 0 };
    return (struct rect){ x, tabs.y, w, 1 };
}

enum top_panel tab_at(struct rect tabs, int x, int y)
{
    char label[32];

    for (int p = 0; p < TOP_PANEL_COUNT; p++) {
        struct rect r = tab_place(tabs, (enum top_panel)p, label);

        if (r.w > 0 && y == r.y && x >= r.x && x < r.x + r.w)
            return (enum top_panel)p;
    }
    return TOP_PANEL_COUNT;
}
