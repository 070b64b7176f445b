/* Reading a job's journal for clients. The file is hostile input: sizes are capped, lines that are no event of the
 * table are left out, a torn tail ends it. So does the 1001st line that is no journal's at all: a worker that died left
 * one of them at most. */
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

/* Goes near the first entry with seq > since, not behind it; 0: to the beginning. Numbers rise, so a few looks find it
 * in a journal of any length. */
void journal_seek(struct journal_view *v, int64_t since);

/* What is visited; the rest is left out without the cost of a full check. Events are names with '|' between them. */
struct journal_filter {
    int64_t since;
    const char *events; /* of entries after `since`; NULL: all */
    const char *older;  /* of those up to it; NULL: none */
};

#define JOURNAL_STEP ((size_t)128 << 10) /* what one turn of the loop has time for */

enum journal_stop {
    JOURNAL_MORE,    /* the budget is spent */
    JOURNAL_STOPPED, /* by the visit */
    JOURNAL_END      /* of what is whole; a later call goes on with what was written since, from the beginning of a line
                      * that was unfinished */
};

/* Reads on from where it is, about `budget` bytes (0: to the end). */
enum journal_stop journal_read(struct journal_view *v, const struct journal_filter *f, size_t budget,
                               journal_visit visit, void *ctx);

#endif
