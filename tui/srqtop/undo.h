/* Which revision of a plan takes the user's own last change back. */
#ifndef SRQ_TUI_SRQTOP_UNDO_H
#define SRQ_TUI_SRQTOP_UNDO_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* From a reply of job.history. A change that was gone back behind is undone already, so that asking again takes back
 * the one before. False, with a sentence in `why`: there is none of user `uid` that is not undone, or somebody else
 * changed the plan after it. */
bool top_undo_target(const cJSON *history, int64_t uid, int64_t *to, char *why, size_t cap);

#endif
