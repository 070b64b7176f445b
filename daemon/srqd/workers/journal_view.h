/* Reading a job's journal for clients. The file is hostile input: sizes are capped, lines that are no event of the
 * table are left out, a torn tail ends it. */
#ifndef SRQD_JOURNAL_VIEW_H
#define SRQD_JOURNAL_VIEW_H

#include "core/proto/proto.h"
#include "daemon/srqd/jobs/job.h"

struct journal_entry {
    int64_t seq;
    double time;
    const char *event;
    cJSON *params; /* as in the event's notification: job, seq, time and the data; valid during the call */
};

/* Return false to stop. */
typedef bool (*journal_visit)(const struct journal_entry *e, void *ctx);

struct journal_view; /* an open journal and a place in it */

/* -SRQ_ENOENT when there is none yet. */
int journal_open(const struct job *j, struct journal_view **out, struct srq_error *err);
void journal_close(struct journal_view *v);

/* Whether the file is shorter than what was read: its worker cut it. */
bool journal_shrunk(const struct journal_view *v);

/* Reads on from where it is, at most `budget` bytes (0: to the end). Entries with seq <= since, or of other events than
 * `events` (names with '|' between them; NULL: all), are left out without the cost of a full check. True at the end of
 * what is whole; a later call goes on with what was written since, from the beginning of a line that was unfinished. */
bool journal_read(struct journal_view *v, int64_t since, const char *events, size_t budget, journal_visit visit,
                  void *ctx);

/* Opens, reads to the end, closes. No journal: nothing is visited. */
void journal_scan(const struct job *j, int64_t since, const char *events, journal_visit visit, void *ctx);

#endif
