/* Growing buffer with a declared maximum. */
#include "core/base/buf.h"

#include "core/base/alloc.h"

#include <stdio.h>
#include <string.h>

void srq_buf_init(struct srq_buf *b, size_t max)
{
    memset(b, 0, sizeof(*b));
    b->max = max;
}

void srq_buf_fini(struct srq_buf *b)
{
    srq_free(b->data);
    srq_buf_init(b, b->max);
}

static bool reserve(struct srq_buf *b, size_t extra)
{
    size_t need, cap;
    char *data;

    if (b->failed || !srq_add_size(b->len, extra, &need) || need > b->max) {
        b->failed = true;
        return false;
    }
    if (need < b->cap)
        return true;
    cap = b->cap > 0 ? b->cap : 256;
    while (cap <= need)
        cap += cap / 2;
    data = srq_realloc(b->data, cap);
    if (data == NULL) {
        b->failed = true;
        return false;
    }
    b->data = data;
    b->cap = cap;
    return true;
}

bool srq_buf_add(struct srq_buf *b, const void *data, size_t len)
{
    if (!reserve(b, len))
        return false;
    if (len > 0)
        memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = '\0';
    return true;
}

bool srq_buf_puts(struct srq_buf *b, const char *s)
{
    return srq_buf_add(b, s, strlen(s));
}

bool srq_buf_printf(struct srq_buf *b, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0 || !reserve(b, (size_t)n))
        return false;
    va_start(ap, fmt);
    vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n;
    return true;
}

void srq_buf_drop(struct srq_buf *b, size_t n)
{
    if (n >= b->len) {
        srq_buf_clear(b);
        return;
    }
    memmove(b->data, b->data + n, b->len - n);
    b->len -= n;
    b->data[b->len] = '\0';
}

void srq_buf_clear(struct srq_buf *b)
{
    b->len = 0;
    if (b->data != NULL)
        b->data[0] = '\0';
}

char *srq_buf_take(struct srq_buf *b)
{
    char *data = b->data;

    if (b->failed || (data == NULL && (data = srq_strdup("")) == NULL)) {
        srq_buf_fini(b);
        return NULL;
    }
    srq_buf_init(b, b->max);
    return data;
}
