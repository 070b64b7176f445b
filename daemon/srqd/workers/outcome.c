/* Exit codes, signals and last words into a verdict. */
#include "daemon/srqd/workers/outcome.h"

#include "core/base/log.h"
#include "daemon/srqd/base/process.h"
#include "daemon/srqd/jobs/jobdir.h"
#include "daemon/srqd/workers/journal_view.h"
#include "daemon/srqd/workers/worker.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

/* Exit codes of srq-worker --job. */
enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_PAUSED = 10, EXIT_CANCELED = 11, EXIT_LOCKED = 12 };

/* The journal's last words about the job itself. */
struct testament {
    char state[16];
    char reason[512];
    char error[512]; /* last log line of level error */
};

static bool read_will(const struct journal_entry *e, void *ctx)
{
    struct testament *t = ctx;
    const cJSON *reason = cJSON_GetObjectItemCaseSensitive(e->params, "reason");

    if (strcmp(e->event, "job.state") == 0) {
        snprintf(t->state, sizeof(t->state), "%s", cJSON_GetObjectItemCaseSensitive(e->params, "state")->valuestring);
        srq_escape_control(cJSON_IsString(reason) ? reason->valuestring : "", t->reason, sizeof(t->reason));
        if (strcmp(t->state, "running") == 0)
            t->error[0] = '\0'; /* of an earlier life */
    } else if (strcmp(e->event, "log") == 0 &&
               strcmp(cJSON_GetObjectItemCaseSensitive(e->params, "level")->valuestring, "error") == 0) {
        srq_escape_control(cJSON_GetObjectItemCaseSensitive(e->params, "text")->valuestring, t->error,
                           sizeof(t->error));
    }
    return true;
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
    if (strcmp(t->state, "done") == 0) {
        o->kind = OUTCOME_DONE;
    } else if (strcmp(t->state, "paused") == 0) {
        o->kind = OUTCOME_PAUSED;
    } else if (strcmp(t->state, "canceled") == 0) {
        o->kind = OUTCOME_CANCELED;
    } else if (strcmp(t->state, "failed") == 0) {
        o->kind = OUTCOME_FAILED;
        explain_failure(j, t, EXIT_FAILED, o);
    } else {
        o->kind = j->wish == WISH_NONE || j->wish == WISH_FINISH ? OUTCOME_LOST : OUTCOME_CRASHED;
        snprintf(o->text, sizeof(o->text), "it ended while srqd was away");
    }
}

void outcome_decide(const struct job *j, bool known, int status, struct outcome *o)
{
    struct testament t = { 0 };

    o->text[0] = '\0';
    journal_scan(j, 0, NULL, read_will, &t);
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
