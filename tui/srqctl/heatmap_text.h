/* A heatmap as text: a row a block, a column a module, darker for more. */
#ifndef SRQ_CTL_HEATMAP_TEXT_H
#define SRQ_CTL_HEATMAP_TEXT_H

#include "core/base/buf.h"

#include <cjson/cJSON.h>
#include <stdbool.h>

/* `reply` of job.heatmap. `numbers`: values instead of shades. `utf8`: block characters, else ASCII ones; neither needs
 * colour. A pinned layer has '!' behind it, a value that is not known is '-'. */
void ctl_heatmap_text(const cJSON *reply, bool numbers, bool utf8, struct srq_buf *out);
/* A line a layer: layer, block, module, value, scheme, pin, state. */
void ctl_heatmap_csv(const cJSON *reply, struct srq_buf *out);

#endif
