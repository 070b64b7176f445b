/* A table of text: columns as wide as their widest cell, two blanks between them. */
#ifndef SRQ_CTL_TABLE_H
#define SRQ_CTL_TABLE_H

#include "core/base/buf.h"

#include <stdbool.h>

struct ctl_table; /* rows of cells */

/* `columns`: headings separated by '|'; one that begins with '>' is aligned right. NULL when out of memory. */
struct ctl_table *ctl_table_create(const char *columns);
/* The next cell of the current row, copied, control characters escaped; after the last column a new row begins. */
void ctl_table_cell(struct ctl_table *t, const char *text);
void ctl_table_cellf(struct ctl_table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void ctl_table_text(const struct ctl_table *t, struct srq_buf *out);
void ctl_table_print(struct ctl_table *t); /* to standard output, and frees it */
void ctl_table_free(struct ctl_table *t);

/* Columns that UTF-8 text takes on a terminal; characters that are not valid count one each. */
int ctl_text_width(const char *text);
/* "→" where the locale's characters are UTF-8, else "->". */
const char *ctl_arrow(void);
/* The width of the terminal on standard output; 0 when it is none. */
int ctl_terminal_width(void);

#endif
