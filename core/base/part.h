/* Bytes that belong together but lie apart: what is hashed or written as one without being copied together first. */
#ifndef SRQ_BASE_PART_H
#define SRQ_BASE_PART_H

#include <stddef.h>

struct srq_part {
    const void *data;
    size_t len; /* 0: data may be NULL */
};

#endif
