/* The ':' command line: words of srqctl that make sense inside, about the job shown unless another is named. */
#ifndef SRQ_TUI_SRQTOP_COMMAND_H
#define SRQ_TUI_SRQTOP_COMMAND_H

#include "tui/srqtop/edits.h"
#include "tui/srqtop/view.h"

/* What the app has to do. */
enum top_command_kind {
    TOP_CMD_NOTHING, /* empty line */
    TOP_CMD_REFUSED, /* `text` says why */
    TOP_CMD_REQUEST, /* send `method` with `params` */
    TOP_CMD_OPEN,    /* show job `job` */
    TOP_CMD_DIFF,    /* show job `job` beside the one shown; empty: none any more */
    TOP_CMD_PANEL,   /* show `panel` */
    TOP_CMD_COMMIT,  /* send the edits with `options` */
    TOP_CMD_DROP,
    TOP_CMD_UNDO,  /* find the last own change of job `job` and take it back */
    TOP_CMD_THEME, /* `text`: its name */
    TOP_CMD_QUIT
};

struct top_command {
    enum top_command_kind kind;
    const char *verb;   /* of the table */
    const char *method; /* of core/proto's table */
    cJSON *params;      /* the holder's */
    bool change;        /* the reply is that of a change of plan */
    bool confirm;       /* ask `text` first */
    char job[256], text[600];
    enum top_panel panel;
    struct top_edit_options options;
};

/* Reads a line. Nothing is sent or changed. */
void top_command_read(const struct top_model *m, const struct top_view *v, const char *line, struct top_command *out);
void top_command_fini(struct top_command *c);

/* One line about the reply to a request. */
void top_command_answer(const struct top_command *c, const cJSON *result, char *out, size_t cap);

/* Completes the word before the cursor in view->line as far as it is clear (view->line_at moves). The candidates go
 * into `hint`, separated by two blanks, when there are several; else it becomes empty. True when the line changed. */
bool top_command_complete(const struct top_model *m, struct top_view *v, char *hint, size_t cap);

/* The verbs, for help and manual: name, arguments, one line. False: `at` is behind the last. */
bool top_command_row(int at, const char **name, const char **args, const char **help);

#endif
