/* Proposals for the selected layers, and the questions before edits are lost or sent unseen. */
#include "core/base/alloc.h"
#include "tui/srqtop/edits.h"
#include "tui/srqtop/figures.h"
#include "tui/srqtop/view_parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void view_say(struct top_view *v, bool bad, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(v->message, sizeof(v->message), fmt, ap);
    va_end(ap);
    v->message_bad = bad;
}

/* ---- proposals */

bool view_may_edit(const struct top_model *m, struct top_view *v)
{
    const struct top_job *j = view_job(m, v);

    if (v->readonly || m->readonly)
        view_say(v, true, "read-only: nothing can be changed");
    else if (j == NULL)
        view_say(v, true, "no job is open");
    else if (!j->own)
        view_say(v, true, "this job belongs to %.64s, who alone may change it",
                 j->owner != NULL ? j->owner : "someone else");
    else if (j->state == SRQ_JOB_DONE || j->state == SRQ_JOB_FAILED || j->state == SRQ_JOB_CANCELED)
        view_say(v, true, "this job is %s: its plan is fixed", srq_job_state_words[j->state]);
    else
        return true;
    return false;
}

static bool propose_one(struct top_job *j, struct top_layer *l, struct view_proposal p)
{
    if (p.scheme != NULL)
        return top_edit_scheme(j, l, p.scheme);
    return p.step != 0 ? top_edit_step(j, l, p.step) : top_edit_bits(j, l, p.bits);
}

/* Whether a layer changes together with one that the filter hides. */
static bool tied_to_hidden(const struct top_job *j, const struct top_view *v, const struct top_layer *l)
{
    for (int i = 0; l->tie != NULL && i < j->layer_count; i++) {
        const struct top_layer *t = &j->layers[i];

        if (t->block == l->block && t->tie != NULL && strcmp(t->tie, l->tie) == 0 && view_hides(v, j, i))
            return true;
    }
    return false;
}

static int hidden_tags(const struct top_job *j, const struct top_view *v)
{
    int n = 0;

    for (int i = 0; i < j->layer_count; i++)
        n += j->layers[i].tagged && view_hides(v, j, i);
    return n;
}

/* What became of a proposal for `n` layers. */
static void say_proposed(const struct top_job *j, struct top_view *v, int n, int failed, int tied, int same)
{
    int tags = hidden_tags(j, v);

    if (tied > 0)
        view_say(v, true, "%d layer%s left alone: runtimes fuse %s with what the filter hides; Esc shows all", tied,
                 tied == 1 ? " is" : "s are", tied == 1 ? "it" : "them");
    else if (n == 0 && tags > 0)
        view_say(v, true, "the filter hides all %d tagged layers; nothing is proposed", tags);
    else if (n == 0)
        view_say(v, true, "no layer is selected");
    else if (failed > 0)
        view_say(v, true, "%d layer%s cannot take that", failed, failed == 1 ? "" : "s");
    else if (same == n)
        view_say(v, true, "%s that already", n == 1 ? "the layer has" : "the layers have");
    else if (tags > 0)
        view_say(v, true, "%d tagged layer%s that the filter hides %s left alone", tags, tags == 1 ? "" : "s",
                 tags == 1 ? "is" : "are");
}

enum top_action view_propose(struct top_model *m, struct top_view *v, struct view_proposal p)
{
    struct top_job *j = view_job(m, v);
    int n = view_selected(m, v, NULL, 0), failed = 0, tied = 0, same = 0;
    int *at = srq_calloc((size_t)n + 1, sizeof(*at));
    char(*old)[sizeof(j->layers->edit)] = srq_calloc((size_t)n + 1, sizeof(*old));

    if (at != NULL && old != NULL) {
        n = view_selected(m, v, at, n);
        for (int i = 0; i < n; i++)
            memcpy(old[i], j->layers[at[i]].edit, sizeof(*old));
        for (int i = 0; i < n; i++) {
            struct top_layer *l = &j->layers[at[i]];

            /* One that followed a tied layer before it has had its step. */
            if (tied_to_hidden(j, v, l))
                tied++;
            else if (strcmp(l->edit, old[i]) == 0)
                failed += !propose_one(j, l, p);
        }
        for (int i = 0; i < n; i++)
            same += old[i][0] == '\0' && j->layers[at[i]].edit[0] == '\0';
    }
    srq_free(at);
    srq_free(old);
    v->edits = top_edits_count(j);
    say_proposed(j, v, n, failed, tied, same);
    return v->edits > 0 ? TOP_DO_EDIT : TOP_DO_DROP;
}

static enum top_action drop(struct top_model *m, struct top_view *v)
{
    struct top_job *j = view_job(m, v);

    if (j != NULL)
        top_edits_drop(j);
    v->edits = 0;
    return TOP_DO_DROP;
}

/* ---- questions */

const char *view_count_edits(int n, char out[40])
{
    snprintf(out, 40, "%d edit%s", n, n == 1 ? "" : "s");
    return out;
}

enum top_action view_leave(const struct top_model *m, struct top_view *v)
{
    char edits[40];
    int n = 0;

    for (int i = 0; i < m->job_count; i++)
        n += top_edits_count(&m->jobs[i]);
    if (n == 0)
        return TOP_DO_QUIT;
    v->question = TOP_ASK_QUIT;
    view_say(v, true, "%s not committed: leave without %s? (y/n)", view_count_edits(n, edits), n == 1 ? "it" : "them");
    return TOP_DO_NOTHING;
}

enum top_action view_commit(struct top_model *m, struct top_view *v)
{
    const struct top_job *j = view_job(m, v);
    char edits[40];
    int hidden = 0;

    for (int i = 0; j != NULL && i < j->layer_count; i++)
        hidden += j->layers[i].edit[0] != '\0' && view_hides(v, j, i);
    if (hidden == 0)
        return TOP_DO_COMMIT;
    v->question = TOP_ASK_COMMIT;
    view_say(v, true, "the filter hides %d of %s: commit all the same? (y/n)", hidden,
             view_count_edits(v->edits, edits));
    return TOP_DO_NOTHING;
}

/* Only y does it. */
enum top_action view_answer(struct top_model *m, struct top_view *v, int code)
{
    enum top_question question = v->question;

    v->question = TOP_ASK_NOTHING;
    if (code == 'y' || code == 'Y') {
        if (question == TOP_ASK_DROP)
            return drop(m, v);
        return question == TOP_ASK_QUIT ? TOP_DO_QUIT : TOP_DO_COMMIT;
    }
    view_say(v, false, question == TOP_ASK_COMMIT ? "nothing is committed" : "the edits stay");
    return TOP_DO_NOTHING;
}
