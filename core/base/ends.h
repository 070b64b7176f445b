/* How a name ends. */
#ifndef SRQ_BASE_ENDS_H
#define SRQ_BASE_ENDS_H

#include <stdbool.h>
#include <string.h>

static inline bool srq_ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);

    return n >= m && strcmp(name + n - m, end) == 0;
}

#endif
