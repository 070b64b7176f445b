/* Tables of memory and disk that a job will need (design 6). */
#ifndef SRQ_JOB_NEEDS_H
#define SRQ_JOB_NEEDS_H

#include <srq/error.h>

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

struct srq_memory_rows;

/* One use. Memory of a stage is given back at its end, so the footprint is that of the stage with the most, beside what
 * stays all the time (stage "all"). */
struct srq_need {
    char name[64];
    const char *stage;
    uint64_t bytes;
};

#define SRQ_NEEDS_MAX 64
struct srq_needs {
    struct srq_need rows[SRQ_NEEDS_MAX];
    int count;
};

void srq_needs_add(struct srq_needs *n, const char *stage, const char *name, uint64_t bytes); /* 0 bytes: no row */
/* A stage's rows as the parts of core/tune plan them. */
void srq_needs_add_all(struct srq_needs *n, const char *stage, const struct srq_memory_rows *rows);
uint64_t srq_needs_peak(const struct srq_needs *n); /* of the largest stage, with "all" */
/* Bytes by which `used` is above what was planned with what is allowed to it (3 % and 2 MiB: measurement and the
 * allocator); 0: within. */
uint64_t srq_needs_over(uint64_t planned, uint64_t used);
uint64_t srq_needs_sum(const struct srq_needs *n);
/* {"rows":[{name, bytes, stage}], "planned_bytes"} */
cJSON *srq_needs_json(const struct srq_needs *n, uint64_t planned);
/* The table as one text for people, "name 12.3 MiB, …", largest first, at most cap bytes. Returns out. */
char *srq_needs_text(const struct srq_needs *n, char *out, size_t cap);

#endif
