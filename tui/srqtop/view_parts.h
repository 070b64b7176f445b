/* Parts of what keys do, shared by view_key.c and view_edit.c. */
#ifndef SRQ_TUI_SRQTOP_VIEW_PARTS_H
#define SRQ_TUI_SRQTOP_VIEW_PARTS_H

#include "tui/srqtop/view.h"

/* The view's own answer to the key. */
void view_say(struct top_view *v, bool bad, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Whether the plan of the job shown may be changed; says why not. */
bool view_may_edit(const struct top_model *m, struct top_view *v);

/* What is proposed: a scheme, or bits, or a step. */
struct view_proposal {
    const char *scheme;
    int bits, step;
};
enum top_action view_propose(struct top_model *m, struct top_view *v, struct view_proposal p); /* for the selection */

const char *view_count_edits(int n, char out[40]); /* "3 edits" */
/* The key after a question: only y does what was asked about. */
enum top_action view_answer(struct top_model *m, struct top_view *v, int code);

#endif
