/* Allocation through one hook. */
#include "core/base/alloc.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

static srq_alloc_hook alloc_hook;
static void *alloc_hook_ctx;

void srq_set_alloc_hook(srq_alloc_hook hook, void *ctx)
{
    alloc_hook = hook;
    alloc_hook_ctx = ctx;
}

static bool allowed(size_t size)
{
    return alloc_hook == NULL || alloc_hook(size, alloc_hook_ctx);
}

void *srq_malloc(size_t size)
{
    return allowed(size) ? malloc(size > 0 ? size : 1) : NULL;
}

void *srq_calloc(size_t count, size_t size)
{
    size_t total;

    if (!srq_mul_size(count, size, &total) || !allowed(total))
        return NULL;
    return calloc(total > 0 ? total : 1, 1);
}

void *srq_realloc(void *p, size_t size)
{
    return allowed(size) ? realloc(p, size > 0 ? size : 1) : NULL;
}

void *srq_reallocarray(void *p, size_t count, size_t size)
{
    size_t total;

    return srq_mul_size(count, size, &total) ? srq_realloc(p, total) : NULL;
}

char *srq_strdup(const char *s)
{
    return srq_strndup(s, strlen(s));
}

char *srq_strndup(const char *s, size_t n)
{
    size_t len = strnlen(s, n);
    char *copy = srq_malloc(len + 1);

    if (copy != NULL) {
        memcpy(copy, s, len);
        copy[len] = '\0';
    }
    return copy;
}

char *srq_asprintf(const char *fmt, ...)
{
    va_list ap;
    char *text;
    int len;

    va_start(ap, fmt);
    len = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (len < 0)
        return NULL;
    text = srq_malloc((size_t)len + 1);
    if (text == NULL)
        return NULL;
    va_start(ap, fmt);
    vsnprintf(text, (size_t)len + 1, fmt, ap);
    va_end(ap);
    return text;
}

void srq_free(void *p)
{
    free(p);
}

void *srq_pages_alloc(size_t size)
{
    return srq_pages_alloc_room(size, 0);
}

void *srq_pages_alloc_room(size_t size, size_t room)
{
    void *p;

    if (size == 0)
        size = 1;
    if (!allowed(size))
        return NULL;
    p = mmap(NULL, size + room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
#ifdef MADV_HUGEPAGE
    if (size >= (size_t)4 << 20)
        (void)madvise(p, size, MADV_HUGEPAGE);
#endif
    return p;
}

void srq_heap_trim(void)
{
#ifdef __GLIBC__
    (void)malloc_trim(0);
#endif
}

void srq_pages_free(void *p, size_t size)
{
    if (p != NULL)
        munmap(p, size > 0 ? size : 1);
}
