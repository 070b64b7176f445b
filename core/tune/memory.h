/* Memory by purpose, as the parts of core/tune plan it from shapes alone. */
#ifndef SRQ_TUNE_MEMORY_H
#define SRQ_TUNE_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#define SRQ_MEMORY_ROWS 16
struct srq_memory_rows {
    struct {
        const char *name; /* for people */
        uint64_t bytes;
    } row[SRQ_MEMORY_ROWS];
    int count;
};

/* 0 bytes: no row. */
static inline void srq_memory_add(struct srq_memory_rows *m, const char *name, uint64_t bytes)
{
    if (bytes == 0 || m->count == SRQ_MEMORY_ROWS)
        return;
    m->row[m->count].name = name;
    m->row[m->count++].bytes = bytes;
}

#endif
