/* Completion scripts, one writer a shell. Jobs, plugins and layers are asked of a daemon that runs, by srqctl
 * completion jobs and its like; none is started by pressing Tab. */
#ifndef SRQ_CTL_COMPLETION_H
#define SRQ_CTL_COMPLETION_H

#include "tui/srqctl/verb.h"

#include "core/base/buf.h"

void ctl_completion_bash(struct srq_buf *b);
void ctl_completion_zsh(struct srq_buf *b);
void ctl_completion_fish(struct srq_buf *b);

/* What ctl_print_candidates knows, separated by blanks. "layers" needs a job, the others none (NULL). An exit code. */
extern const char ctl_candidate_words[];
int ctl_print_candidates(struct ctl *ctl, const char *what, const char *job);

/* The first words of all verbs and their aliases, each once, separated by blanks; the second words of those that begin
 * with `first`. */
void ctl_verb_words(struct srq_buf *b, const char *first);

#endif
