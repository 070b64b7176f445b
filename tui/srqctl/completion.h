/* Completion scripts, one writer a shell. Job and plugin names are asked of a daemon that runs; none is started by
 * pressing Tab. */
#ifndef SRQ_CTL_COMPLETION_H
#define SRQ_CTL_COMPLETION_H

#include "core/base/buf.h"

void ctl_completion_bash(struct srq_buf *b);
void ctl_completion_zsh(struct srq_buf *b);
void ctl_completion_fish(struct srq_buf *b);

/* The first words of all verbs, each once, separated by blanks; the second words of those that begin with `first`. */
void ctl_verb_words(struct srq_buf *b, const char *first);

#endif
