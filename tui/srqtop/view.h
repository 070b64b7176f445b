/* What the user of srqtop looks at: panel, selection, filter, scales, and what a key asks for. It never talks to the
 * daemon: a key gives an action, and the app carries it out. */
#ifndef SRQ_TUI_SRQTOP_VIEW_H
#define SRQ_TUI_SRQTOP_VIEW_H

#include "tui/srqtop/model.h"

enum top_panel { TOP_PANEL_QUEUE, TOP_PANEL_JOB, TOP_PANEL_HEATMAP, TOP_PANEL_LOG, TOP_PANEL_DIFF, TOP_PANEL_HELP,
                 TOP_PANEL_COUNT };
enum top_heat { TOP_HEAT_SENSITIVITY, TOP_HEAT_BITS, TOP_HEAT_LOSS, TOP_HEAT_GAIN, TOP_HEAT_SATURATION,
                TOP_HEAT_COUNT };

/* What the app has to do after a key; everything else the view does by itself. */
enum top_action {
    TOP_DO_NOTHING,   /* the view changed, draw it */
    TOP_DO_QUIT,
    TOP_DO_OPEN,      /* the job of view->job is shown: fetch plan, subscribe */
    TOP_DO_EDIT,      /* layers' `edit` changed: ask for a preview */
    TOP_DO_COMMIT,    /* send the edits */
    TOP_DO_DROP,      /* forget the edits */
    TOP_DO_COMMAND,   /* view->line holds a command line (":" was typed), without the colon */
    TOP_DO_REFRESH    /* list again now */
};

enum top_prompt { TOP_PROMPT_NONE, TOP_PROMPT_SEARCH, TOP_PROMPT_FILTER, TOP_PROMPT_COMMAND, TOP_PROMPT_BITS };

#define TOP_LINE_MAX 512
struct top_view {
    enum top_panel panel, back; /* back: the panel under help */
    char job[256], other[256];  /* ids of the job shown and of the one beside it; empty: none */
    int queue_at, queue_top;
    int tree_at, tree_top;      /* row of the tree of blocks and layers as shown (folded, filtered, sorted) */
    bool *folded;               /* one a block of the job shown */
    int folded_count;
    int heat_block, heat_module, heat_top, heat_left;
    enum top_heat heat;
    int log_top;
    bool follow, paused, log_scale, overlay; /* overlay: curves of all tagged rows */
    int sort;                   /* of the panel's own orders */
    char filter[TOP_LINE_MAX], search[TOP_LINE_MAX];
    enum top_prompt prompt;
    char line[TOP_LINE_MAX];    /* being typed at the prompt */
    int line_at;
    bool readonly;
};

#endif
