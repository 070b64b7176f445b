/* What srqtop knows, as JSON: for --once --json. */
#ifndef SRQ_TUI_SRQTOP_JSON_H
#define SRQ_TUI_SRQTOP_JSON_H

#include "tui/srqtop/model.h"

#include <cjson/cJSON.h>

/* {"link", "server", "jobs": […]}; jobs that were opened have plan, blocks, layers, curves, evaluation and log too.
 * Unknown is null. NULL: no memory. */
cJSON *top_json(const struct top_model *m);

#endif
