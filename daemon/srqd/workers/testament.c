/* One line at a time. */
#include "daemon/srqd/workers/testament.h"

#include "core/base/log.h"
#include "core/proto/members.h"

#include <stdio.h>
#include <string.h>

static const char *text_of(const struct journal_entry *e, const char *name)
{
    const char *text = srq_member_text(e->params, name);

    return text != NULL ? text : "";
}

void testament_take(struct testament *t, const struct journal_entry *e)
{
    t->seq = e->seq;
    if (strcmp(e->event, "job.state") == 0) {
        t->state = srq_word_place(srq_job_state_words, text_of(e, "state"));
        srq_escape_control(text_of(e, "reason"), t->reason, sizeof(t->reason));
        if (t->state == SRQ_JOB_RUNNING)
            t->error[0] = '\0'; /* of an earlier life */
    } else if (strcmp(e->event, "log") == 0 && strcmp(text_of(e, "level"), "error") == 0) {
        srq_escape_control(text_of(e, "text"), t->error, sizeof(t->error));
    }
}
