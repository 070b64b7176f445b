/* Events of progress without a job. */
#include "daemon/srq-worker/ticker.h"

#include "core/base/clock.h"
#include "daemon/srq-worker/commands.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>

#define EVERY_S 0.2

/* False: whoever started this has gone. */
static bool say(const struct worker_ticker *t, int64_t total)
{
    double elapsed = t->last - t->began, rate = elapsed > 0 ? (double)t->done / elapsed : 0;
    char pace[96] = "\"rate\":null,\"eta_s\":null";

    if (rate > 0)
        snprintf(pace, sizeof(pace), "\"rate\":%.6g,\"eta_s\":%.6g", rate, (double)(total - t->done) / rate);
    return fprintf(stderr,
                   "{\"event\":\"stage.progress\",\"data\":{\"stage\":\"%s\",\"done\":%lld,\"total\":%lld,"
                   "\"unit\":\"%s\",\"elapsed_s\":%.6g,%s}}\n",
                   t->stage, (long long)t->done, (long long)total, t->unit, elapsed, pace) >= 0 ||
           errno != EPIPE;
}

void worker_ticker_begin(struct worker_ticker *t, const char *stage, const char *unit, int64_t total)
{
    double now = srq_clock_s();

    *t = (struct worker_ticker){ stage, unit, now, now, 0 };
    (void)say(t, total);
}

int worker_tick(void *ctx, int64_t done, int64_t total)
{
    struct worker_ticker *t = ctx;
    double now = srq_clock_s();
    bool heard = true;

    if (done < t->done)
        t->began = t->last;
    t->done = done;
    if (now - t->last >= EVERY_S || done >= total) {
        t->last = now;
        heard = say(t, total);
    }
    return atomic_load(&worker_flags.pause) || !heard ? -SRQ_ECANCELED : 0;
}
