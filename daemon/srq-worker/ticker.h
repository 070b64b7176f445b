/* How far a command is, for whoever started it: lines of JSON on standard error, as events of a job. */
#ifndef SRQ_WORKER_TICKER_H
#define SRQ_WORKER_TICKER_H

#include <stdint.h>

struct worker_ticker {
    const char *stage, *unit; /* words without anything that JSON would escape */
    double began, last;       /* monotonic seconds */
    int64_t done;
};

/* Begins to count, and says that nothing is done yet of `total`. */
void worker_ticker_begin(struct worker_ticker *t, const char *stage, const char *unit, int64_t total);
/* A tick of core (ctx: the ticker): says how far it is, at most five times a second. Less than before is a new count.
 * -SRQ_ECANCELED when a signal asked for the end, or when nobody reads what is said any more. */
int worker_tick(void *ctx, int64_t done, int64_t total);

#endif
