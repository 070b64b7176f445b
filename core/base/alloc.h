/* Allocation through one hook, so that a test can fail the Nth one and a plan can be compared with what was used. */
#ifndef SRQ_BASE_ALLOC_H
#define SRQ_BASE_ALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Called before every allocation with its size; returning false makes it fail. NULL (the default): never fails. */
typedef bool (*srq_alloc_hook)(size_t size, void *ctx);
void srq_set_alloc_hook(srq_alloc_hook hook, void *ctx);

void *srq_malloc(size_t size);               /* NULL when out of memory; size 0 gives a valid pointer */
void *srq_calloc(size_t count, size_t size); /* checks the product */
void *srq_realloc(void *p, size_t size);
void *srq_reallocarray(void *p, size_t count, size_t size);
char *srq_strdup(const char *s);
char *srq_strndup(const char *s, size_t n);
char *srq_asprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void srq_free(void *p);

/* Page-aligned zeroed anonymous memory (huge pages advised), for arenas. Freed with srq_pages_free. */
void *srq_pages_alloc(size_t size);
/* With address space of `room` bytes behind it, for what is seldom reached (no huge pages there); freed with
 * srq_pages_free(p, size + room). */
void *srq_pages_alloc_room(size_t size, size_t room);
void srq_pages_free(void *p, size_t size);

/* Gives freed memory that malloc still holds back to the system, where the C library can. */
void srq_heap_trim(void);

/* a*b and a+b in size_t/int64 with overflow check: true when it fits. */
static inline bool srq_mul_size(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}
static inline bool srq_add_size(size_t a, size_t b, size_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

#endif
