/* Parts of the screen from its size. */
#include "tui/srqtop/layout.h"

/* Columns from which curves stand beside the tree, and those that the tree keeps then: state and sparkline fit. */
enum { WIDE = 116, TREE = 80 };
/* The same beside pictures. */
enum { NARROW = 72, PICTURES = 46 };

static int head_rows(int height, enum top_panel panel)
{
    if (panel == TOP_PANEL_HELP || height < 8)
        return 0;
    if (panel == TOP_PANEL_QUEUE)
        return 1;
    if (panel == TOP_PANEL_JOB)
        return height >= 18 ? 3 : height >= 12 ? 2 : 1;
    if (panel == TOP_PANEL_DIFF)
        return height >= 18 ? 4 : 2;
    return height >= 12 ? 2 : 1;
}

/* Takes `rows` off the top or bottom of `*rest` for a part, leaving at least one row. */
static struct rect take(struct rect *rest, int rows, bool top)
{
    struct rect r = *rest;

    if (rows <= 0 || rest->h - rows < 1)
        return (struct rect){ rest->x, rest->y, 0, 0 };
    r.h = rows;
    rest->h -= rows;
    if (top)
        rest->y += rows;
    else
        r.y = rest->y + rest->h;
    return r;
}

/* Divides what is left between the main part and curves or details. */
static void split(struct layout *l, struct rect rest, enum top_panel panel)
{
    int rows = 0;

    l->side = (struct rect){ rest.x, rest.y, 0, 0 };
    if (panel == TOP_PANEL_JOB && rest.w >= WIDE && rest.h >= 8) {
        int w = rest.w * 2 / 5 < rest.w - TREE ? rest.w * 2 / 5 : rest.w - TREE;

        l->side = (struct rect){ rest.x + rest.w - w, rest.y, w, rest.h };
        rest.w -= w;
    } else if (panel == TOP_PANEL_DIFFUSION && rest.w >= NARROW && rest.h >= 8) {
        int w = rest.w * 2 / 5 < rest.w - PICTURES ? rest.w * 2 / 5 : rest.w - PICTURES;

        l->side = (struct rect){ rest.x + rest.w - w, rest.y, w, rest.h };
        rest.w -= w;
    } else if (panel == TOP_PANEL_DIFFUSION && rest.h >= 16) {
        rows = rest.h * 2 / 5;
    } else if (panel == TOP_PANEL_JOB && rest.h >= 13 && rest.w >= 30) {
        rows = rest.h * 2 / 5;
    } else if (panel == TOP_PANEL_QUEUE && rest.h >= 14 && rest.w >= 30) {
        rows = 7;
    } else if (panel == TOP_PANEL_HEATMAP && rest.h >= 6) {
        rows = rest.h >= 10 ? 3 : 2;
    }
    if (rows > 0)
        l->side = take(&rest, rows, false);
    l->main = rest;
}

int layout_warning_rows(int height, const struct top_view *view)
{
    int most = height >= 8 ? (height / 4 > 1 ? height / 4 : 1) : 0;

    return view->warning_rows < most ? view->warning_rows : most;
}

struct layout layout(int width, int height, enum top_panel panel, const struct top_view *view)
{
    struct layout l;
    struct rect rest = { 0, 0, width > 0 ? width : 1, height > 0 ? height : 1 };
    bool edits = view->edits > 0 && panel != TOP_PANEL_HELP;

    /* The bottom from below: keys, then the prompt, which has precedence, then what edits would do. */
    l.bar = take(&rest, height >= 5 ? 1 : 0, false);
    l.notice = take(&rest, view->prompt != TOP_PROMPT_NONE || height >= 4 ? 1 : 0, false);
    l.edit = take(&rest, !edits || height < 6 ? 0 : (height >= 12 ? 2 : 1) + layout_warning_rows(height, view), false);
    l.tabs = take(&rest, height >= 4 ? 1 : 0, true);
    l.head = take(&rest, head_rows(height, panel), true);
    split(&l, rest, panel);
    return l;
}
