/* A line of a job's journal: {"seq":N,"time":S,"event":"NAME","data":{…},"sum":"<16 hex digits>"}. seq is from 1 by
 * ones, time in seconds since the epoch, sum the 64-bit hash (XXH3) of the line up to and including data's closing
 * brace. */
#ifndef SRQ_PROTO_JOURNAL_LINE_H
#define SRQ_PROTO_JOURNAL_LINE_H

#include <srq/error.h>

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* With its newline, srq_free; NULL when out of memory. `data` is JSON. */
char *srq_journal_line_print(int64_t seq, double time, const char *event, const char *data);

/* At a glance, without a parser: the number that the line begins with, -1: none; where the event's name is and how
 * long, NULL: nowhere. */
int64_t srq_journal_line_seq(const char *line);
const char *srq_journal_line_event(const char *line, size_t *len);
/* Whether the line, without its newline, is whole and its sum right. */
bool srq_journal_line_holds(const char *line, size_t len);

/* A line taken apart. Strings and data belong to `json`. */
struct srq_journal_line {
    cJSON *json;
    int64_t seq;
    double time;
    const char *event;
    cJSON *data;
};
/* `line` without its newline; the sum is not looked at. -SRQ_EFORMAT when it is none. srq_journal_line_fini in any
 * case. */
int srq_journal_line_read(const char *line, size_t len, struct srq_journal_line *out, struct srq_error *err);
void srq_journal_line_fini(struct srq_journal_line *l);

#endif
