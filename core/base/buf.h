/* A growing byte buffer that declares its maximum. Always NUL-terminated once something was added. */
#ifndef SRQ_BASE_BUF_H
#define SRQ_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct srq_buf {
    char *data;
    size_t len, cap, max;
    bool failed; /* an addition did not fit or memory ran out; later ones do nothing */
};

void srq_buf_init(struct srq_buf *b, size_t max);
void srq_buf_fini(struct srq_buf *b);
bool srq_buf_add(struct srq_buf *b, const void *data, size_t len);
bool srq_buf_puts(struct srq_buf *b, const char *s);
bool srq_buf_printf(struct srq_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void srq_buf_drop(struct srq_buf *b, size_t n); /* removes the first n bytes */
void srq_buf_clear(struct srq_buf *b);
char *srq_buf_take(struct srq_buf *b); /* the caller owns the text (srq_free); b is empty again; NULL when failed */

#endif
