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
};

extern struct srq_job_flags worker_flags; /* raised by signals and by the control socket */

int worker_describe(const char *name); /* NULL: all plugins */
int worker_machine(void);
int worker_plan(void); /* specification on standard input */
int worker_inspect(const char *model);
int worker_unpack(const char *model); /* an archive into the cache; says in which folder the model is */
int worker_evaluate(void);            /* request on standard input */
int worker_sample(void);              /* request on standard input */
int worker_job(const char *dir);      /* spec.json is there */
int worker_change(const char *dir);   /* request on standard input; no worker has the job */
int worker_standalone(const char *spec, const char *dir); /* dir NULL: beside the output */

/* Prints an answer, which is consumed, as one line on standard output. */
int worker_answer(cJSON *json);
/* Prints {"error": …} on standard output. */
int worker_refuse(const struct srq_error *err);
/* Reads all of standard input; srq_free. */
int worker_read_input(char **text, size_t *len, struct srq_error *err);

/* Progress for people, on standard error: a watch of the journal. */
void worker_show_event(void *ctx, int64_t seq, double time, const char *event, const cJSON *data);

#endif
