/* Reading a journal to its end in steps (base/turns.h), so that a long one keeps nobody waiting. */
#ifndef SRQD_READING_H
#define SRQD_READING_H

#include "daemon/srqd/base/turns.h"
#include "daemon/srqd/workers/journal_view.h"

struct reading;

struct reading_wish {
    struct turns *turns;
    uid_t uid;                    /* for whom */
    struct journal_view *journal; /* NULL: there is none to be read */
    bool close;                   /* with the reading; else the journal stays the caller's */
    struct journal_filter filter;
    journal_visit visit;
    void (*done)(void *ctx); /* once, at the end or when the visit stopped */
    void *ctx;
};

/* Takes the first step at once, and calls `done` before it returns where that was all. Else *holder has the reading
 * until `done` is called or it is stopped. Where there is no memory for steps, all is read at once. */
void reading_start(const struct reading_wish *w, struct reading **holder);
/* Ends it without `done`. NULL in *holder is fine. */
void reading_stop(struct reading **holder);

#endif
