/* Every key of srqtop is one row: what it does, the help panel, the bottom bar and the manual page come from it. */
#ifndef SRQ_TUI_SRQTOP_KEYS_H
#define SRQ_TUI_SRQTOP_KEYS_H

#include "tui/srqtop/view.h"

enum key_act {
    ACT_QUIT,
    ACT_HELP,
    ACT_NEXT_PANEL,
    ACT_PREVIOUS_PANEL,
    ACT_PANEL,
    ACT_FUNCTION,
    ACT_COMMAND,
    ACT_SEARCH,
    ACT_AGAIN,
    ACT_AGAIN_BACK,
    ACT_FILTER,
    ACT_SORT,
    ACT_FREEZE,
    ACT_REFRESH,
    ACT_SUSPEND,
    ACT_ESCAPE,
    ACT_UP,
    ACT_DOWN,
    ACT_LEFT,
    ACT_RIGHT,
    ACT_PAGE_UP,
    ACT_PAGE_DOWN,
    ACT_FIRST,
    ACT_LAST,
    ACT_ENTER,
    ACT_DIFF,
    ACT_TAG,
    ACT_TAG_MATCHING,
    ACT_UNTAG,
    ACT_MORE_BITS,
    ACT_FEWER_BITS,
    ACT_BITS,
    ACT_WHOLE_BITS,
    ACT_SCHEME,
    ACT_FOLD_ALL,
    ACT_LOG_SCALE,
    ACT_OVERLAY,
    ACT_FOLLOW,
    ACT_MEASURE,
    ACT_MEASURE_BACK,
    ACT_MORE_LEVELS,
    ACT_FEWER_LEVELS,
    ACT_CLICK,
    ACT_DOUBLE_CLICK,
    ACT_WHEEL_UP,
    ACT_WHEEL_DOWN,
    ACT_WARNINGS,
    ACT_UNDO,
    ACT_JOB_PAUSE,
    ACT_JOB_RESUME,
    ACT_JOB_FINISH,
    ACT_JOB_CANCEL,
    ACT_JOB_SOONER,
    ACT_JOB_LATER
};

#define KEY_CODES 8
#define IN(panel) (1u << TOP_PANEL_##panel)
#define IN_ALL ((1u << TOP_PANEL_COUNT) - 1)

struct key_row {
    const char *keys;     /* as people read them: "j, Down" */
    int codes[KEY_CODES]; /* ended by 0 */
    unsigned panels;      /* IN(…) or IN_ALL */
    enum key_act act;
    const char *help; /* without a full stop */
    const char *bar;  /* word in the bottom bar, NULL: not there */
    bool edits;       /* changes the plan: refused when read-only */
};

extern const struct key_row key_rows[];                         /* ends with NULL keys */
const struct key_row *key_find(int code, enum top_panel panel); /* NULL: means nothing there */
const char *panel_name(enum top_panel panel);                   /* "Queue" */
const char *panel_summary(enum top_panel panel);                /* what it shows, one sentence */

#endif
