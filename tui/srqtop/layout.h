/* Where the parts of the screen are: a pure function of its size and of what is shown. */
#ifndef SRQ_TUI_SRQTOP_LAYOUT_H
#define SRQ_TUI_SRQTOP_LAYOUT_H

#include "tui/srqtop/canvas.h"
#include "tui/srqtop/view.h"

/* Parts lie inside the screen and never overlap; one that has no room is absent (w and h 0). `main` is always there. */
struct layout {
    struct rect tabs;   /* names of panels, state of the link */
    struct rect head;   /* of the job shown: name, phase, evaluation */
    struct rect main;   /* table, tree, map, lines */
    struct rect side;   /* curves; details of the job selected */
    struct rect edit;   /* what the edits would do */
    struct rect notice; /* prompt or last message */
    struct rect bar;    /* keys */
};
#define LAYOUT_PARTS 7

/* Rows of the edit part that are for warnings; 0 where there is no room for any. */
int layout_warning_rows(int height, const struct top_view *view);

struct layout layout(int width, int height, enum top_panel panel, const struct top_view *view);

#endif
