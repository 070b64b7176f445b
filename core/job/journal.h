/* A job's journal: an append-only file of checksummed lines, the one truth about its progress. */
#ifndef SRQ_JOB_JOURNAL_H
#define SRQ_JOB_JOURNAL_H

#include "core/proto/journal_line.h"

struct srq_journal;

/* Opens or creates `path`. Every line is checked; what follows the last good one is cut off and its size given in *cut
 * (0: nothing was cut). Good lines behind a bad one mean that the file was damaged, not torn: -SRQ_EFORMAT. */
int srq_journal_open(const char *path, struct srq_journal **out, uint64_t *cut, struct srq_error *err);
void srq_journal_close(struct srq_journal *j);

/* Appends one event. `data` is consumed, NULL means {}. sync: on the disk before this returns. From any thread. A line
 * that could not be written whole is taken back. */
int srq_journal_append(struct srq_journal *j, const char *event, cJSON *data, bool sync, struct srq_error *err);

int64_t srq_journal_seq(struct srq_journal *j);    /* of the last line; 0: empty */
uint64_t srq_journal_bytes(struct srq_journal *j); /* of all whole lines */

/* Called for every appended event, under the journal's lock: must be short and may not append. `data` is the
 * writer's. */
typedef void (*srq_journal_watch)(void *ctx, int64_t seq, double time, const char *event, const cJSON *data);
void srq_journal_watch_set(struct srq_journal *j, srq_journal_watch watch, void *ctx);

/* Calls fn for every line from byte `*offset` on, and moves `*offset` behind the last one given. fn returning other
 * than 0 stops, before the offset moves over that line. */
int srq_journal_read(struct srq_journal *j, uint64_t *offset, int (*fn)(void *ctx, const struct srq_journal_line *line),
                     void *ctx, struct srq_error *err);

#endif
