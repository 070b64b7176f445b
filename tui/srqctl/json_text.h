/* JSON for people: members as lines, lists of objects as tables. For answers whose members grow with the models that
 * srq reads, so that nothing is hidden because this program is older. */
#ifndef SRQ_CTL_JSON_TEXT_H
#define SRQ_CTL_JSON_TEXT_H

#include "core/base/buf.h"

#include <cjson/cJSON.h>

/* Numbers whose name ends in _bytes or _s get units. */
void ctl_json_text(const cJSON *object, struct srq_buf *out);

#endif
