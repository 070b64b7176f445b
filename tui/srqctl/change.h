/* Changes of a job's plan as pin, unpin, budget and retune ask for them and show them. */
#ifndef SRQ_CTL_CHANGE_H
#define SRQ_CTL_CHANGE_H

#include "tui/srqctl/verb.h"

#include "core/base/buf.h"

/* Options that every change has; the macro stands at the end of a verb's own table. */
#define CTL_CHANGE_GUARDS                                                                          \
    { "revision", 'r', "N", CTL_C_NONE, NULL, "refuse unless the plan has this revision", false }, \
    {                                                                                              \
        "dry-run", 0, NULL, CTL_C_NONE, NULL, "only say what would change", false                  \
    }
#define CTL_CHANGE_OPTIONS                                                                                    \
    { "propagate", 0, NULL, CTL_C_NONE, NULL, "tune every later block again too", false }, CTL_CHANGE_GUARDS, \
    {                                                                                                         \
        .name = NULL                                                                                          \
    }
#define CTL_CHANGE_AFTER                                                                                       \
    {                                                                                                          \
        "after", 0, NULL, CTL_C_NONE, NULL, "let the block being tuned finish first (else it restarts)", false \
    }

/* Asks for `method` with `params` (consumed) and what the options above add, and shows the answer. An exit code. */
int ctl_change(struct ctl *ctl, const char *method, cJSON *params);

/* "PATTERN SCHEME", or any number of "PATTERN=SCHEME", as the pins of job.pin: -SRQ_EINVAL when a word is neither. */
int ctl_pins(const char *const *words, int count, bool untied, cJSON **pins, struct srq_error *err);
/* {"job": words[0], "patterns": the others}. */
cJSON *ctl_pattern_params(const struct ctl_args *a);

/* What a reply of a change says to people. */
void ctl_change_text(const cJSON *reply, struct srq_buf *out);

#endif
