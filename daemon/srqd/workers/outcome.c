/* Exit codes, signals and last words into a verdict. */
#include "daemon/srqd/workers/outcome.h"

#include "daemon/srqd/base/process.h"
#include "daemon/srqd/jobs/jobdir.h"
#include "daemon/srqd/workers/journal_view.h"
#include "daemon/srqd/workers/worker.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

/* Exit codes of srq-worker --job. */
enum {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_PAUSED = 10,
    EXIT_CANCELED = 11,
    EXIT_LOCKED = 12,
    EXIT_REQUEUE = 75 /* paused by a SIGUSR1 that srqd did not send */
};

static bool take(const struct journal_entry *e, void *ctx)
{
    testament_take(ctx, e);
    return true;
}

/* What is known, and the first that the journal has got since. Those who decide have read it to its end by then, and
 * do not wait for what somebody else goes on writing. */
static void complete(const struct job *j, struct testament *t)
{
    struct journal_filter filter = { .events = TESTAMENT_EVENTS };
    struct journal_view *v;

    *t = j->worker != NULL ? j->worker->testament : (struct testament){ 0 };
    filter.since = t->seq;
    if (journal_open(j, &v, NULL) != 0)
        return;
    journal_seek(v, t->seq);
    (void)journal_read(v, &filter, JOURNAL_STEP, take, t);
    journal_close(v);
}

static void explain_failure(const struct job *j, const struct testament *t, int code, struct outcome *o)
{
    char words[512];

    if (t->reason[0] != '\0') {
        snprintf(o->text, sizeof(o->text), "%s", t->reason);
    } else if (t->error[0] != '\0') {
        snprintf(o->text, sizeof(o->text), "%s", t->error);
    } else {
        jobdir_last_words(j, words, sizeof(words));
        snprintf(o->text, sizeof(o->text), "its worker gave up with exit code %d%s%s", code,
                 words[0] != '\0' ? ": " : "", words);
    }
}

static void explain_crash(const struct job *j, int status, struct outcome *o)
{
    char how[64], words[512];
    const struct worker *w = j->worker;
    bool oom = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && w != NULL && !w->killed && w->oom_kills >= 0 &&
               process_oom_kills() > w->oom_kills;

    process_status_text(status, how, sizeof(how));
    jobdir_last_words(j, words, sizeof(words));
    snprintf(o->text, sizeof(o->text), "%s%s%s%s", how, oom ? ", out of memory" : "",
             words[0] != '\0' ? "; its last words: " : "", words);
}

/* An adopted worker's own entry in the journal is all there is. */
static void decide_unseen(const struct job *j, const struct testament *t, struct outcome *o)
{
    switch (t->state) {
    case SRQ_JOB_DONE:
        o->kind = OUTCOME_DONE;
        break;
    case SRQ_JOB_PAUSED:
        o->kind = OUTCOME_PAUSED;
        break;
    case SRQ_JOB_CANCELED:
        o->kind = OUTCOME_CANCELED;
        break;
    case SRQ_JOB_FAILED:
        o->kind = OUTCOME_FAILED;
        explain_failure(j, t, EXIT_FAILED, o);
        break;
    default:
        o->kind = j->wish == WISH_NONE || j->wish == WISH_FINISH ? OUTCOME_LOST : OUTCOME_CRASHED;
        snprintf(o->text, sizeof(o->text), "it ended while srqd was away");
    }
}

void outcome_decide(const struct job *j, bool known, int status, struct outcome *o)
{
    struct testament t;

    o->text[0] = '\0';
    complete(j, &t);
    if (!known) {
        decide_unseen(j, &t, o);
        return;
    }
    if (!WIFEXITED(status)) {
        o->kind = OUTCOME_CRASHED;
        explain_crash(j, status, o);
        return;
    }
    switch (WEXITSTATUS(status)) {
    case EXIT_DONE:
        o->kind = OUTCOME_DONE;
        break;
    case EXIT_PAUSED:
    case EXIT_REQUEUE:
        o->kind = OUTCOME_PAUSED;
        break;
    case EXIT_CANCELED:
        o->kind = OUTCOME_CANCELED;
        break;
    case EXIT_FAILED:
    case EXIT_USAGE:
        o->kind = OUTCOME_FAILED;
        explain_failure(j, &t, WEXITSTATUS(status), o);
        break;
    case EXIT_LOCKED:
        o->kind = OUTCOME_LOCKED;
        snprintf(o->text, sizeof(o->text), "waits for another worker that holds the job directory");
        break;
    default:
        o->kind = OUTCOME_CRASHED;
        explain_crash(j, status, o);
    }
}
