/* What the user of srqtop looks at: panel, selection, filter, scales, and what a key asks for. It never talks to the
 * daemon: a key gives an action, and the app carries it out. */
#ifndef SRQ_TUI_SRQTOP_VIEW_H
#define SRQ_TUI_SRQTOP_VIEW_H

#include "tui/srqtop/glyphs.h"
#include "tui/srqtop/model.h"

enum top_panel {
    TOP_PANEL_QUEUE,
    TOP_PANEL_JOB,
    TOP_PANEL_HEATMAP,
    TOP_PANEL_LOG,
    TOP_PANEL_DIFF,
    TOP_PANEL_DIFFUSION,
    TOP_PANEL_HELP,
    TOP_PANEL_COUNT
};
/* What the app has to do after a key; everything else the view does by itself. */
enum top_action {
    TOP_DO_NOTHING, /* the view changed, draw it */
    TOP_DO_QUIT,
    TOP_DO_OPEN,       /* the job of view->job is shown: fetch plan, subscribe */
    TOP_DO_OPEN_OTHER, /* the same for view->other */
    TOP_DO_EDIT,       /* layers' `edit` changed: ask for a preview */
    TOP_DO_COMMIT,     /* send the edits */
    TOP_DO_DROP,       /* the edits were dropped: forget the preview */
    TOP_DO_COMMAND,    /* view->line holds a command line (":" was typed), without the colon */
    TOP_DO_REFRESH,    /* list again now; write the whole screen anew */
    TOP_DO_SUSPEND     /* Ctrl-Z */
};

enum top_prompt {
    TOP_PROMPT_NONE,
    TOP_PROMPT_SEARCH,
    TOP_PROMPT_FILTER,
    TOP_PROMPT_COMMAND,
    TOP_PROMPT_BITS,
    TOP_PROMPT_OTHER
};

/* What the view asks, with y or n, before it goes on. */
enum top_question { TOP_ASK_NOTHING, TOP_ASK_QUIT, TOP_ASK_DROP, TOP_ASK_COMMIT };

/* Keys: a Unicode scalar value (Ctrl-A … as 1 …), or one of these. */
enum {
    TOP_KEY_NONE = 0,
    TOP_KEY_TAB = 9,
    TOP_KEY_ENTER = 13,
    TOP_KEY_ESC = 27,
    TOP_KEY_BACKSPACE = 127,
    TOP_KEY_SPECIAL = 0x110000,
    TOP_KEY_UP,
    TOP_KEY_DOWN,
    TOP_KEY_LEFT,
    TOP_KEY_RIGHT,
    TOP_KEY_PAGE_UP,
    TOP_KEY_PAGE_DOWN,
    TOP_KEY_HOME,
    TOP_KEY_END,
    TOP_KEY_DELETE,
    TOP_KEY_INSERT,
    TOP_KEY_BACKTAB,
    TOP_KEY_F1,
    TOP_KEY_F2,
    TOP_KEY_F3,
    TOP_KEY_F4,
    TOP_KEY_F5,
    TOP_KEY_F6,
    TOP_KEY_F7,
    TOP_KEY_F8,
    TOP_KEY_F9,
    TOP_KEY_F10,
    TOP_KEY_CLICK, /* left button at x, y */
    TOP_KEY_DOUBLE_CLICK,
    TOP_KEY_WHEEL_UP,
    TOP_KEY_WHEEL_DOWN,
    TOP_KEY_RESIZE,
    TOP_KEY_PASTE, /* a paste begins: its text follows as keys that are `pasted` */
    TOP_KEY_LAST
};
struct top_key {
    int code;
    int x, y;    /* of the mouse, columns and rows from 0 */
    bool pasted; /* text of a paste, whatever the code is: never a command */
};

#define TOP_LINE_MAX 512
#define TOP_HISTORY 50
struct top_view {
    enum top_panel panel, back; /* back: the panel under help */
    enum glyph_set glyphs;
    int width, height;          /* of the screen; screen_draw sets them from its canvas */
    char job[256], other[256];  /* ids of the job shown and of the one beside it; empty: none */
    char queue_id[256];         /* job under the cursor of the queue; empty: the first */
    int queue_at, queue_top;    /* its row, and the first row on the screen */
    char tree_job[256];         /* job that the tree's members below are about */
    int tree_block, tree_layer; /* item under the cursor; layer -1: the block itself; block -1: outside the blocks */
    int tree_at, tree_top;      /* its row as shown (folded, filtered, sorted) */
    int followed;               /* block that the cursor went to last with follow, -1: none */
    bool *folded;               /* [folded_count + 1] one a block, the last for layers outside blocks */
    int folded_count;
    int heat_block, heat_module, heat_top, heat_left; /* rows and columns of the map */
    enum srq_heat heat;
    bool heat_chosen;                 /* by a key; else what exists is shown: sensitivity, or bits */
    int log_top, log_left, log_level; /* lines above log_level (model.h: 3 debug) are hidden */
    int diff_top, help_top;
    int picture;                                                      /* of a diffusion model: the first one shown */
    bool follow, frozen, log_scale, overlay;                          /* overlay: curves of all tagged rows */
    int sort[TOP_PANEL_COUNT];                                        /* of the panel's own orders */
    char filter[TOP_PANEL_COUNT][TOP_LINE_MAX], search[TOP_LINE_MAX]; /* a filter is its panel's own */
    enum top_prompt prompt;
    char line[TOP_LINE_MAX];    /* being typed at the prompt, UTF-8 */
    int line_at;                /* byte of the cursor */
    char *history[TOP_HISTORY]; /* command lines, oldest first */
    int history_count, history_at;
    char message[256]; /* the view's own answer to the last key; empty: none */
    bool message_bad;
    enum top_question question;    /* the next key answers it */
    int warning_rows, warning_top; /* lines of the preview's warnings in this width, and the first one shown */
    int edits;                     /* layers with a proposed scheme, counted by view_settle */
    bool readonly;
};

/* Queue, log scale, follow, all log levels but debug; the rest zero. */
void view_init(struct top_view *v);
void view_fini(struct top_view *v);
/* Brings cursor and scroll positions into the range of what the model holds now. */
void view_settle(struct top_model *m, struct top_view *v);
/* Takes a key, changes the view (and the edits and tags of the job's layers), and says what the app has to do. */
enum top_action view_key(struct top_model *m, struct top_view *v, const struct top_key *key);
/* Leaves, or asks first where edits would be lost: what the app has to do now. */
enum top_action view_leave(const struct top_model *m, struct top_view *v);
/* The same for sending the edits: asks first where the filter hides some of them. */
enum top_action view_commit(struct top_model *m, struct top_view *v);
/* Whether the filter keeps a layer off the screen. The map has no filter. */
bool view_hides(const struct top_view *v, const struct top_job *j, int layer);
/* Shows the job of that id (fold everything, cursor at the top). */
void view_open(struct top_view *v, const char *id);

struct top_job *view_job(const struct top_model *m, const struct top_view *v);       /* NULL: none shown */
struct top_job *view_queue_job(const struct top_model *m, const struct top_view *v); /* under the queue's cursor */
/* Layers that a command is about: the tagged ones, else those under the cursor of the tree or map (a block's cursor
 * means all its layers); never one that the filter hides, so that tags which it hides leave none. Writes at most `cap`
 * indices, returns how many there are. */
int view_selected(const struct top_model *m, const struct top_view *v, int *layers, int cap);
/* Whether a name matches what was typed for search or filter: a glob when it has * or ?, else any part of the name. */
bool view_matches(const char *name, const char *pattern);

#endif
