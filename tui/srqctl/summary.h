/* The table at a job's end: original, rounded and tuned side by side. */
#ifndef SRQ_CTL_SUMMARY_H
#define SRQ_CTL_SUMMARY_H

#include "core/base/buf.h"

#include <cjson/cJSON.h>

/* From report.json (without its layers will do) and where the output is. Unknown figures are "-". */
void ctl_summary(const cJSON *report, const char *output, struct srq_buf *out);

#endif
