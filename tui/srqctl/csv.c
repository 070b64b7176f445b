/* Comma-separated values. */
#include "tui/srqctl/csv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ctl_csv_text(struct srq_buf *out, bool first, const char *text)
{
    srq_buf_puts(out, first ? "" : ",");
    if (strpbrk(text, ",\"\r\n") == NULL) {
        srq_buf_puts(out, text);
        return;
    }
    srq_buf_puts(out, "\"");
    for (const char *quote; (quote = strchr(text, '"')) != NULL; text = quote + 1) {
        srq_buf_add(out, text, (size_t)(quote - text));
        srq_buf_puts(out, "\"\"");
    }
    srq_buf_printf(out, "%s\"", text);
}

void ctl_csv_number(struct srq_buf *out, bool first, double v)
{
    char text[40];

    snprintf(text, sizeof(text), "%.15g", v);
    if (strtod(text, NULL) != v)
        snprintf(text, sizeof(text), "%.17g", v);
    ctl_csv_text(out, first, isnan(v) ? "" : text);
}

void ctl_csv_end(struct srq_buf *out)
{
    srq_buf_puts(out, "\n");
}
