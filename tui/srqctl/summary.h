/* The table at a job's end: original, rounded and tuned side by side. */
#ifndef SRQ_CTL_SUMMARY_H
#define SRQ_CTL_SUMMARY_H

#include "core/base/buf.h"

#include <cjson/cJSON.h>

/* What the last column holds: "tuned", "partly tuned" where some blocks were rounded plainly, "quantized" where nothing
 * was tuned at all. */
const char *ctl_result_name(const cJSON *report);
/* A sentence about a job that was told to finish before its end, without a newline; nothing of one that was not. */
void ctl_finish_text(const cJSON *report, struct srq_buf *out);

/* From report.json (without its layers will do) and where the output is. Unknown figures are "-". */
void ctl_summary(const cJSON *report, const char *output, struct srq_buf *out);

#endif
