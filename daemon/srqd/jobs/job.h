/* A job as srqd holds it: what the store has, and what is known of its progress. */
#ifndef SRQD_JOB_H
#define SRQD_JOB_H

#include "core/base/buf.h"
#include "core/proto/words.h"

#include <srq/error.h>

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#define JOB_ID_MAX 16

/* What somebody asked of a job whose worker has not answered yet. Stored: a restarted daemon asks again. */
enum job_wish {
    WISH_NONE,
    WISH_PAUSE,
    WISH_CANCEL,
    WISH_FINISH,
    WISH_STOP,  /* daemon stop --jobs: pause, but stay in the queue */
    WISH_LIMIT, /* its time is over: pause, and fail */
};

struct srqd;
struct worker;

struct job {
    TAILQ_ENTRY(job) entry;
    struct srqd *d;

    /* Stored. */
    char id[JOB_ID_MAX];
    int64_t number; /* order of submission */
    uid_t uid;
    gid_t gid;
    char *owner, *name, *model, *method, *scheme, *output, *on_end; /* name and on_end may be NULL */
    char *archive;                                                  /* path of the packed output; NULL: none */
    char *reason;                                                   /* may be NULL */
    char *on_end_failure;                                           /* what became of on_end; NULL: nothing wrong */
    enum srq_job_state state;
    enum job_wish wish;
    int priority;
    double submitted, started, ended;               /* 0: not yet */
    int threads;                                    /* 0: unknown */
    int64_t memory_bytes, disk_bytes;               /* planned; of the disk its folder's; 0: unknown */
    double time_limit_s;                            /* at a stretch; 0: none of its own */
    double before_bytes, after_bytes, average_bits; /* negative: unknown */
    int restarts, deaths;
    int64_t progress_seq;       /* journal line of the last progress before the last death */
    int64_t last_seq;           /* last journal line heard */
    int exit_code, exit_signal; /* -1: unknown */
    pid_t pid;                  /* 0: no worker */
    int64_t pid_start;          /* its start time in clock ticks since boot, as /proc/PID/stat says */
    char stage[32], unit[32];   /* of a paused job: where it will go on */
    double done, total, eta_s;  /* negative: unknown */
    bool dirty;                 /* the store could not take the last change */

    /* Only in memory. */
    int64_t heard_progress_seq;
    int64_t told_seq;      /* last journal line that subscribers were told; 0: none since srqd started */
    int64_t told_memory;   /* the most that its worker says it planned or used; 0: not said */
    int64_t used_disk;     /* by its folder, as last measured; negative: not yet */
    bool disk_wished;      /* to be measured */
    double rate;           /* negative: unknown */
    bool disk_unknown;     /* of an earlier srqd, not measured since */
    int position;          /* among those that wait, from 1; queue.c keeps it, and: */
    int64_t share;         /* how many of its user's run or wait before it */
    bool changing;         /* srq-worker --change runs: no worker is started meanwhile */
    struct worker *worker; /* what those who run it keep with it */
};

TAILQ_HEAD(job_list, job);

bool job_ended(const struct job *j);     /* done, failed or canceled */
int64_t job_memory(const struct job *j); /* what counts while it runs: planned or used, whichever is more */
/* What of its user's disk it takes: while it runs what was planned or is there, whichever is more; else what is there,
 * as last measured. Bytes. */
int64_t job_disk(const struct job *j);
bool job_active(const struct job *j); /* has or is about to have a worker */

struct job *job_create(struct srqd *d); /* in no list; NULL when out of memory */
void job_free(struct job *j);
void job_set_reason(struct job *j, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void job_clear_reason(struct job *j);
void job_forget_progress(struct job *j);

/* By its whole id; NULL: there is none. */
struct job *job_find(const struct job_list *jobs, const char *id);
/* A new id: 6 letters and digits, none of them easily taken for another, unlike every id in `taken`. */
int job_new_id(const struct job_list *taken, char out[JOB_ID_MAX], struct srq_error *err);

#endif
