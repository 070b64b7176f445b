/* What srqtop asks the daemon and when: fills the model through feed.h, sends edits and commands.
 *
 * The list of jobs is asked for when something says that it changed, and every ten seconds. A job that is shown has its
 * plan fetched and its journal replayed from the beginning; after a reconnection, from the last line seen. */
#ifndef SRQ_TUI_SRQTOP_SESSION_H
#define SRQ_TUI_SRQTOP_SESSION_H

#include "tui/srqtop/command.h"

struct event_base;
struct top_session;

struct top_session_options {
    const char *socket; /* as srq_locate_socket takes it */
    bool user_only;
    const char *job; /* shown as soon as it is found: an id, a beginning of one, "@last"; NULL: none */
    struct top_model *model;
    struct top_view *view;
    void (*changed)(void *ctx); /* the model changed: draw soon */
    void *ctx;
};

int top_session_create(struct event_base *base, const struct top_session_options *options, struct top_session **out,
                       struct srq_error *err);
void top_session_free(struct top_session *s);

/* Finds the job that was typed and shows it (view_open), or, `beside`, beside the one shown. */
void top_session_find(struct top_session *s, const char *typed, bool beside);
/* The jobs of view->job and view->other are shown now: fetches what is missing, lets others go. */
void top_session_follow(struct top_session *s);
void top_session_refresh(struct top_session *s); /* list again, or try to connect again, now */

void top_session_edited(struct top_session *s); /* ask for a preview, not too often */
void top_session_commit(struct top_session *s, const struct top_edit_options *options);
void top_session_undo(struct top_session *s, const char *job);       /* take the user's last change back */
void top_session_drop(struct top_session *s);                        /* forget edits and preview */
void top_session_send(struct top_session *s, struct top_command *c); /* a TOP_CMD_REQUEST; its params are consumed */

/* Nothing is under way any more: list, plans and journals are here. For --once. */
bool top_session_settled(const struct top_session *s);
/* The last failure of connecting or of finding the job asked for; code 0: none. */
const struct srq_error *top_session_failure(const struct top_session *s);

#endif
