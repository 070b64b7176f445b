/* A finished job as one page of HTML that needs nothing else: no script, no other file. */
#ifndef SRQ_CTL_REPORT_HTML_H
#define SRQ_CTL_REPORT_HTML_H

#include "core/base/buf.h"

#include <cjson/cJSON.h>

#define CTL_PAGE_BEGIN "<!DOCTYPE html>\n" /* of every page that srqctl writes */

/* What the page is made of; any but `report` may be NULL. */
struct ctl_report_parts {
    const cJSON *job;     /* reply of job.get */
    const cJSON *report;  /* report.json without its layers */
    const cJSON *layers;  /* its layers */
    const cJSON *plan;    /* reply of job.plan, all pages */
    const cJSON *heat[3]; /* replies of job.heatmap: bits, loss, sensitivity */
    const cJSON **probe;  /* replies of job.series, one a block: probe losses */
    int blocks;
};

void ctl_report_html(const struct ctl_report_parts *parts, struct srq_buf *out);

#endif
