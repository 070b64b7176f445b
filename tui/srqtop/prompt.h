/* The line being typed at the bottom: editing and history. */
#ifndef SRQ_TUI_SRQTOP_PROMPT_H
#define SRQ_TUI_SRQTOP_PROMPT_H

#include "tui/srqtop/view.h"

enum prompt_end { PROMPT_GOES_ON, PROMPT_ACCEPTED, PROMPT_CANCELED };

/* Opens a prompt with `text` typed already. */
void prompt_open(struct top_view *v, enum top_prompt prompt, const char *text);
/* Takes a key; when it ends the prompt, view->prompt is TOP_PROMPT_NONE and view->line is what was typed. */
enum prompt_end prompt_key(struct top_view *v, int code);
/* Takes a character of a paste as text: line ends and control characters become blanks, and nothing ends the prompt. */
void prompt_paste(struct top_view *v, int code);
const char *prompt_sign(enum top_prompt prompt); /* ":", "search /" … */

#endif
