/* The commands of srq-worker, one file each. They return the exit code. */
#ifndef SRQ_WORKER_COMMANDS_H
#define SRQ_WORKER_COMMANDS_H

#include "core/job/flags.h"

#include <srq/error.h>

#include <cjson/cJSON.h>
#include <stdint.h>

enum {
    WORKER_DONE = 0,
    WORKER_FAILED = 1, /* for a reason that another try will not change */
    WORKER_USAGE = 2,
    WORKER_TRY_AGAIN = 3,
    WORKER_PAUSED = 10,
    WORKER_CANCELED = 11,
    WORKER_LOCKED = 12,
    WORKER_REQUEUE = 75, /* EX_TEMPFAIL of sysexits(3): SIGUSR1 paused it, and the same command goes on */
};

extern struct srq_job_flags worker_flags; /* raised by signals and by the control socket */
extern atomic_bool worker_requeue;        /* SIGUSR1 came: a job that is paused ends with WORKER_REQUEUE */

/* A job that is run in a shell. */
struct worker_alone {
    const char *spec, *dir; /* a file; where the job is kept, NULL: beside the output */
    const char *const *set; /* [set_count] "KEY=VALUE", which win over the options of the file */
    int set_count;
};

int worker_describe(const char *name); /* NULL: all plugins */
int worker_machine(void);
int worker_plan(void); /* specification on standard input */
int worker_inspect(const char *model);
int worker_unpack(const char *model); /* an archive or a GGUF file into the cache; says in which folder the model is */
int worker_evaluate(void);            /* request on standard input */
int worker_sample(void);              /* request on standard input */
int worker_job(const char *dir);      /* spec.json is there */
int worker_change(const char *dir);   /* request on standard input; no worker has the job */
int worker_standalone(const struct worker_alone *a);

/* Prints an answer, which is consumed, as one line on standard output. */
int worker_answer(cJSON *json);
/* Prints {"error": …} on standard output. */
int worker_refuse(const struct srq_error *err);
/* Reads all of standard input; srq_free. */
int worker_read_input(char **text, size_t *len, struct srq_error *err);

/* Progress for people, on standard error: a watch of the journal. */
void worker_show_event(void *ctx, int64_t seq, double time, const char *event, const cJSON *data);

#endif
