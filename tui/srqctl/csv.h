/* Comma-separated values as RFC 4180 has them, lines ended by a line feed. */
#ifndef SRQ_CTL_CSV_H
#define SRQ_CTL_CSV_H

#include "core/base/buf.h"

/* Cells of a row; the first of a line has no comma before it. Numbers keep all their digits, NaN is empty. */
void ctl_csv_text(struct srq_buf *out, bool first, const char *text);
void ctl_csv_number(struct srq_buf *out, bool first, double v);
void ctl_csv_end(struct srq_buf *out);

#endif
