/* The verbs of the command line: one table for reading, completion, help and manual. */
#include "tui/srqtop/command.h"

#include "tui/srqtop/feed_value.h"

#include <fnmatch.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX 64

enum flag { F_UNTIED = 1, F_AFTER = 2, F_PROPAGATE = 4, F_RELEASE = 8, F_DRY_RUN = 16 };
static const struct {
    const char *name;
    enum flag flag;
} flags[] = { { "--untied", F_UNTIED },
              { "--after", F_AFTER },
              { "--propagate", F_PROPAGATE },
              { "--release", F_RELEASE },
              { "--dry-run", F_DRY_RUN } };

enum word_kind { W_NONE, W_JOB, W_LAYER, W_SCHEME };

struct words {
    int count;
    char *word[WORDS_MAX];
    unsigned flags;
    char text[TOP_LINE_MAX];
};

struct verb {
    const char *name, *args, *help;
    int min, max;
    enum word_kind first, rest; /* what its arguments are, for completion */
    unsigned flags;
    bool changes; /* not with --readonly */
    bool job;     /* needs a job: the one shown, or of the queue's cursor */
    enum top_command_kind kind;
    const char *method;
    enum top_panel panel;
    void (*read)(const struct top_model *m, const struct words *w, struct top_command *c);
};

static void refuse(struct top_command *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void refuse(struct top_command *c, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(c->text, sizeof(c->text), fmt, ap);
    va_end(ap);
    c->kind = TOP_CMD_REFUSED;
}

/* ---- verbs that need more than their row ------------------------------------------------------------------------- */

static void add_guards(const struct top_model *m, const struct words *w, struct top_command *c)
{
    const struct top_job *j = top_model_job(m, c->job);

    if (j != NULL && j->plan_known)
        cJSON_AddNumberToObject(c->params, "revision", (double)j->revision);
    if ((w->flags & F_AFTER) != 0)
        cJSON_AddStringToObject(c->params, "running", "after");
    if ((w->flags & F_PROPAGATE) != 0)
        cJSON_AddTrueToObject(c->params, "propagate");
    if ((w->flags & F_DRY_RUN) != 0)
        cJSON_AddTrueToObject(c->params, "dry_run");
    c->change = true;
}

static void read_pin(const struct top_model *m, const struct words *w, struct top_command *c)
{
    cJSON *pins = cJSON_AddArrayToObject(c->params, "pins"), *pin = cJSON_CreateObject();

    cJSON_AddStringToObject(pin, "pattern", w->word[1]);
    cJSON_AddStringToObject(pin, "scheme", w->word[2]);
    if ((w->flags & F_UNTIED) != 0)
        cJSON_AddTrueToObject(pin, "untied");
    cJSON_AddItemToArray(pins, pin);
    add_guards(m, w, c);
}

static void read_patterns(const struct top_model *m, const struct words *w, struct top_command *c)
{
    cJSON *patterns = cJSON_AddArrayToObject(c->params, "patterns");

    for (int i = 1; i < w->count; i++)
        cJSON_AddItemToArray(patterns, cJSON_CreateString(w->word[i]));
    add_guards(m, w, c);
}

static void read_budget(const struct top_model *m, const struct words *w, struct top_command *c)
{
    char *end;
    double bits = strtod(w->word[1], &end);

    if (strcmp(w->word[1], "none") == 0) {
        cJSON_AddNullToObject(c->params, "bits");
    } else if (end == w->word[1] || *end != '\0' || !isfinite(bits) || bits <= 0) {
        refuse(c, "budget \"%.60s\" is no number of bits above 0, and not \"none\"", w->word[1]);
        return;
    } else {
        cJSON_AddNumberToObject(c->params, "bits", bits);
    }
    if ((w->flags & F_RELEASE) != 0)
        cJSON_AddTrueToObject(c->params, "release");
    add_guards(m, w, c);
}

static void read_revert(const struct top_model *m, const struct words *w, struct top_command *c)
{
    char *end;
    double to = strtod(w->word[1], &end);

    if (end == w->word[1] || *end != '\0' || !(to >= 0 && to < 9e15) || to != floor(to)) {
        refuse(c, "revision \"%.60s\" is no whole number from 0 on", w->word[1]);
        return;
    }
    cJSON_AddNumberToObject(c->params, "to", to);
    add_guards(m, w, c);
}

static void set_job(struct top_command *c, const char *job)
{
    snprintf(c->job, sizeof(c->job), "%s", job);
    cJSON_DeleteItemFromObjectCaseSensitive(c->params, "job");
    cJSON_AddStringToObject(c->params, "job", c->job);
}

static void read_job(const struct top_model *m, const struct words *w, struct top_command *c)
{
    const struct top_job *j;

    if (w->count > 1)
        set_job(c, w->word[1]);
    c->confirm = strcmp(c->verb, "cancel") == 0 || strcmp(c->verb, "delete") == 0 || strcmp(c->verb, "finish") == 0;
    j = top_model_job(m, c->job);
    if (c->confirm)
        snprintf(c->text, sizeof(c->text), "%s job %s%s%.100s%s? %s (y/n)", c->verb, c->job,
                 j != NULL && j->name != NULL ? " \"" : "", j != NULL && j->name != NULL ? j->name : "",
                 j != NULL && j->name != NULL ? "\"" : "",
                 c->verb[0] == 'c'   ? "It ends for good."
                 : c->verb[0] == 'f' ? "What is not tuned yet is rounded plainly."
                                     : "Its journal and checkpoints go; its output stays.");
}

static void read_priority(const struct top_model *m, const struct words *w, struct top_command *c)
{
    const char *text = w->word[w->count - 1];
    char *end;
    long n = strtol(text, &end, 10);

    (void)m;
    if (end == text || *end != '\0' || n < -1000 || n > 1000) {
        refuse(c, "priority \"%.60s\" is no whole number between -1000 and 1000", text);
        return;
    }
    if (w->count > 2)
        set_job(c, w->word[1]);
    cJSON_AddNumberToObject(c->params, "priority", (double)n);
}

/* NAME=VALUE; "default" is what was submitted. */
static void read_options(const struct top_model *m, const struct words *w, struct top_command *c)
{
    cJSON *options = cJSON_AddObjectToObject(c->params, "options");

    (void)m;
    for (int i = 1; i < w->count; i++) {
        const char *eq = strchr(w->word[i], '=');
        char name[40], *end = NULL;
        double value = eq != NULL ? strtod(eq + 1, &end) : 0;
        bool submitted = eq != NULL && strcmp(eq + 1, "default") == 0;

        if (eq == NULL || eq == w->word[i] || eq - w->word[i] >= (ptrdiff_t)sizeof(name) || eq[1] == '\0' ||
            (*end != '\0' && !submitted)) {
            refuse(c, "\"%.60s\" is not NAME=VALUE with a number or default", w->word[i]);
            return;
        }
        snprintf(name, sizeof(name), "%.*s", (int)(eq - w->word[i]), w->word[i]);
        if (submitted)
            cJSON_AddNullToObject(options, name);
        else
            cJSON_AddNumberToObject(options, name, value);
    }
}

static void read_other(const struct top_model *m, const struct words *w, struct top_command *c)
{
    (void)m;
    snprintf(c->job, sizeof(c->job), "%s", w->count > 1 ? w->word[1] : "");
}

static void read_word(const struct top_model *m, const struct words *w, struct top_command *c)
{
    (void)m;
    snprintf(c->text, sizeof(c->text), "%s", w->word[1]);
}

/* clang-format off */
#define AGAIN (F_AFTER | F_PROPAGATE | F_DRY_RUN)
static const struct verb verbs[] = {
    { "pin", "PATTERN SCHEME", "give layers a scheme that no allocator changes", 2, 2, W_LAYER, W_SCHEME,
      AGAIN | F_UNTIED, true, true, TOP_CMD_REQUEST, "job.pin", 0, read_pin },
    { "unpin", "PATTERN…", "take that back", 1, WORDS_MAX, W_LAYER, W_LAYER, AGAIN, true, true, TOP_CMD_REQUEST,
      "job.unpin", 0, read_patterns },
    { "budget", "BITS|none", "set the average bits and choose schemes again", 1, 1, W_NONE, W_NONE, AGAIN | F_RELEASE,
      true, true, TOP_CMD_REQUEST, "job.budget", 0, read_budget },
    { "retune", "PATTERN…", "tune the blocks of layers again", 1, WORDS_MAX, W_LAYER, W_LAYER,
      F_PROPAGATE | F_DRY_RUN, true, true, TOP_CMD_REQUEST, "job.retune", 0, read_patterns },
    { "set", "NAME=VALUE…", "change lr, hp_first or hp_last while the job runs", 1, WORDS_MAX, W_NONE, W_NONE,
      F_DRY_RUN, true, true, TOP_CMD_REQUEST, "job.set", 0, read_options },
    { "revert", "REVISION", "decide again as at that revision", 1, 1, W_NONE, W_NONE, AGAIN, true, true,
      TOP_CMD_REQUEST, "job.revert", 0, read_revert },
    { "undo", "", "take your last change of the plan back", 0, 0, W_NONE, W_NONE, 0, true, true, TOP_CMD_UNDO, NULL, 0,
      NULL },
    { "commit", "", "send the edits", 0, 0, W_NONE, W_NONE, F_UNTIED | F_AFTER | F_PROPAGATE, true, true,
      TOP_CMD_COMMIT, NULL, 0, NULL },
    { "drop", "", "forget the edits", 0, 0, W_NONE, W_NONE, 0, false, true, TOP_CMD_DROP, NULL, 0, NULL },
    { "pause", "[JOB]", "checkpoint a job and free its memory", 0, 1, W_JOB, W_NONE, 0, true, true, TOP_CMD_REQUEST,
      "job.pause", 0, read_job },
    { "resume", "[JOB]", "put a paused or failed job back in the queue", 0, 1, W_JOB, W_NONE, 0, true, true,
      TOP_CMD_REQUEST, "job.resume", 0, read_job },
    { "finish", "[JOB]", "round what is left plainly and export now", 0, 1, W_JOB, W_NONE, 0, true, true,
      TOP_CMD_REQUEST, "job.finish", 0, read_job },
    { "cancel", "[JOB]", "end a job for good", 0, 1, W_JOB, W_NONE, 0, true, true, TOP_CMD_REQUEST, "job.cancel", 0,
      read_job },
    { "priority", "[JOB] N", "a job with a higher priority goes first", 1, 2, W_JOB, W_NONE, 0, true, true,
      TOP_CMD_REQUEST, "job.priority", 0, read_priority },
    { "delete", "[JOB]", "forget an ended job; its output stays", 0, 1, W_JOB, W_NONE, 0, true, true, TOP_CMD_REQUEST,
      "job.delete", 0, read_job },
    { "open", "JOB", "show a job: its id, a beginning of it, its name, or @last", 1, 1, W_JOB, W_NONE, 0, false, false,
      TOP_CMD_OPEN, NULL, 0, read_other },
    { "show", "JOB", "the same", 1, 1, W_JOB, W_NONE, 0, false, false, TOP_CMD_OPEN, NULL, 0, read_other },
    { "diff", "[JOB]", "show a job beside this one; without JOB no more", 0, 1, W_JOB, W_NONE, 0, false, true,
      TOP_CMD_DIFF, NULL, 0, read_other },
    { "queue", "", "show the queue", 0, 0, W_NONE, W_NONE, 0, false, false, TOP_CMD_PANEL, NULL, TOP_PANEL_QUEUE,
      NULL },
    { "list", "", "the same", 0, 0, W_NONE, W_NONE, 0, false, false, TOP_CMD_PANEL, NULL, TOP_PANEL_QUEUE, NULL },
    { "plan", "", "show the job's blocks and layers", 0, 0, W_NONE, W_NONE, 0, false, false, TOP_CMD_PANEL, NULL,
      TOP_PANEL_JOB, NULL },
    { "tree", "", "show the job's blocks and layers", 0, 0, W_NONE, W_NONE, 0, false, false, TOP_CMD_PANEL, NULL,
      TOP_PANEL_JOB, NULL },
    { "heatmap", "", "show the heatmap", 0, 0, W_NONE, W_NONE, 0, false, false, TOP_CMD_PANEL, NULL, TOP_PANEL_HEATMAP,
      NULL },
    { "log", "", "show the log", 0, 0, W_NONE, W_NONE, 0, false, false, TOP_CMD_PANEL, NULL, TOP_PANEL_LOG, NULL },
    { "pictures", "", "show a diffusion model's pictures", 0, 0, W_NONE, W_NONE, 0, false, false, TOP_CMD_PANEL, NULL,
      TOP_PANEL_DIFFUSION, NULL },
    { "help", "", "show all keys", 0, 0, W_NONE, W_NONE, 0, false, false, TOP_CMD_PANEL, NULL, TOP_PANEL_HELP, NULL },
    { "theme", "NAME", "other colours", 1, 1, W_NONE, W_NONE, 0, false, false, TOP_CMD_THEME, NULL, 0, read_word },
    { "quit", "", "leave; jobs go on", 0, 0, W_NONE, W_NONE, 0, false, false, TOP_CMD_QUIT, NULL, 0, NULL },
};
/* clang-format on */
#define VERBS ((int)(sizeof(verbs) / sizeof(verbs[0])))

bool top_command_row(int at, const char **name, const char **args, const char **help)
{
    if (at < 0 || at >= VERBS)
        return false;
    *name = verbs[at].name;
    *args = verbs[at].args;
    *help = verbs[at].help;
    return true;
}

/* ---- reading a line ---------------------------------------------------------------------------------------------- */

/* Words are separated by blanks; quotes keep blanks in a word. */
static bool split(const char *line, struct words *w, struct top_command *c)
{
    char *to = w->text, *end = w->text + sizeof(w->text) - 1;

    w->count = 0;
    w->flags = 0;
    while (*(line += strspn(line, " \t")) != '\0') {
        char quote = 0, *begin = to;

        for (; *line != '\0' && (quote != 0 || (*line != ' ' && *line != '\t')) && to < end; line++) {
            if (*line == quote)
                quote = 0;
            else if (quote == 0 && (*line == '\'' || *line == '"'))
                quote = *line;
            else
                *to++ = *line;
        }
        if (quote != 0 || to >= end || w->count >= WORDS_MAX) {
            refuse(c, quote != 0 ? "a quote is not closed" : "the line has too many words");
            return false;
        }
        *to++ = '\0';
        w->word[w->count++] = begin;
    }
    return true;
}

static const struct verb *find_verb(const char *word, struct top_command *c)
{
    const struct verb *found = NULL;
    size_t len = strlen(word);
    int n = 0;

    for (int i = 0; i < VERBS; i++) {
        if (strcmp(verbs[i].name, word) == 0)
            return &verbs[i];
        if (strncmp(verbs[i].name, word, len) == 0) {
            found = &verbs[i];
            n++;
        }
    }
    /* "q" and "qui" mean quit, as long as nothing else begins so; what cannot be taken back is written out. */
    if (n == 1 && strcmp(found->name, "cancel") != 0 && strcmp(found->name, "delete") != 0)
        return found;
    if (strcmp(word, "q") == 0)
        return &verbs[VERBS - 1];
    refuse(c, n > 1 ? "\"%.40s\" could be more than one verb; Tab shows them" : "no verb \"%.40s\"; Tab shows them all",
           word);
    return NULL;
}

static bool take_flags(const struct verb *v, struct words *w, struct top_command *c)
{
    int kept = 0;

    for (int i = 0; i < w->count; i++) {
        size_t k = 0;

        if (strncmp(w->word[i], "--", 2) != 0) {
            w->word[kept++] = w->word[i];
            continue;
        }
        while (k < sizeof(flags) / sizeof(flags[0]) && strcmp(flags[k].name, w->word[i]) != 0)
            k++;
        if (k == sizeof(flags) / sizeof(flags[0]) || (v->flags & flags[k].flag) == 0) {
            refuse(c, "%s takes no option %.60s", v->name, w->word[i]);
            return false;
        }
        w->flags |= flags[k].flag;
    }
    w->count = kept;
    return true;
}

/* The job that a verb without one is about. */
static const struct top_job *job_meant(const struct top_model *m, const struct top_view *v)
{
    if (v->panel != TOP_PANEL_QUEUE)
        return top_model_job(m, v->job);
    if (v->queue_id[0] != '\0')
        return top_model_job(m, v->queue_id);
    return m->job_count > 0 ? &m->jobs[0] : NULL;
}

static bool takes_job_word(const struct verb *row, int words)
{
    return row->first == W_JOB && words - 1 == row->max;
}

/* ---- layers that the filter hides -------------------------------------------------------------------------------- */

/* Whether a verb's patterns name a layer; "re:" is only known by the daemon, and counts as if it did. */
static bool names_layer(const struct words *w, int last, const char *name)
{
    for (int i = 1; i <= last && i < w->count; i++) {
        if (strncmp(w->word[i], "re:", 3) == 0 || fnmatch(w->word[i], name, 0) == 0)
            return true;
    }
    return false;
}

/* The layer itself, or one that runtimes fuse with it, is named. */
static bool reaches_layer(const struct top_job *j, const struct words *w, int last, int at)
{
    const struct top_layer *l = &j->layers[at];
    int begin = at, end = at;

    if (names_layer(w, last, l->name))
        return true;
    while (l->tie != NULL && begin > 0 && j->layers[begin - 1].block == l->block)
        begin--;
    while (l->tie != NULL && end + 1 < j->layer_count && j->layers[end + 1].block == l->block)
        end++;
    for (int i = begin; l->tie != NULL && (w->flags & F_UNTIED) == 0 && i <= end; i++) {
        const struct top_layer *t = &j->layers[i];

        if (t->tie != NULL && strcmp(t->tie, l->tie) == 0 && names_layer(w, last, t->name))
            return true;
    }
    return false;
}

/* A change that reaches what the user does not see is asked about first. */
static void guard_hidden(const struct top_model *m, const struct top_view *v, const struct words *w,
                         struct top_command *c)
{
    const struct top_job *j = view_job(m, v);
    bool commit = c->kind == TOP_CMD_COMMIT, all = strcmp(c->verb, "budget") == 0;
    int hidden = 0, last = strcmp(c->verb, "pin") == 0 ? 1 : w->count - 1;

    if (j == NULL || strcmp(c->job, j->id) != 0 || (!commit && !c->change) || (w->flags & F_DRY_RUN) != 0)
        return;
    for (int i = 0; i < j->layer_count; i++) {
        if (view_hides(v, j, i))
            hidden += commit ? j->layers[i].edit[0] != '\0' : all || reaches_layer(j, w, last, i);
    }
    if (hidden == 0)
        return;
    c->confirm = true;
    snprintf(c->text, sizeof(c->text), "%s also reaches %d layer%s that the filter hides: go on? (y/n)", c->verb,
             hidden, hidden == 1 ? "" : "s");
}

void top_command_read(const struct top_model *m, const struct top_view *v, const char *line, struct top_command *out)
{
    const struct top_job *j = job_meant(m, v);
    const struct verb *row;
    struct words w;
    int given;

    *out = (struct top_command){ .kind = TOP_CMD_NOTHING };
    if (!split(line, &w, out) || w.count == 0)
        return;
    row = find_verb(w.word[0], out);
    if (row == NULL || !take_flags(row, &w, out))
        return;
    given = w.count - 1;
    if (given < row->min || given > row->max) {
        refuse(out, "usage: %s%s%s", row->name, row->args[0] != '\0' ? " " : "", row->args);
        return;
    }
    if (row->changes && (m->readonly || v->readonly)) {
        refuse(out, "%s: nothing is changed with --readonly", row->name);
        return;
    }
    if (row->job && j == NULL && !takes_job_word(row, w.count)) {
        refuse(out, "%s: no job is shown; open one first", row->name);
        return;
    }
    out->kind = row->kind;
    out->verb = row->name;
    out->method = row->method;
    out->panel = row->panel;
    out->options = (struct top_edit_options){ .untied = (w.flags & F_UNTIED) != 0,
                                              .propagate = (w.flags & F_PROPAGATE) != 0,
                                              .after = (w.flags & F_AFTER) != 0 };
    out->params = cJSON_CreateObject();
    if (row->job && j != NULL)
        set_job(out, j->id);
    if (row->read != NULL)
        row->read(m, &w, out);
    if (out->kind != TOP_CMD_REFUSED && !out->confirm)
        guard_hidden(m, v, &w, out);
}

void top_command_fini(struct top_command *c)
{
    cJSON_Delete(c->params);
    c->params = NULL;
}

void top_command_answer(const struct top_command *c, const cJSON *result, char *out, size_t cap)
{
    const char *job = srq_member_text(result, "job"), *state = srq_member_text(result, "state");
    const char *wish = srq_member_text(result, "wish");

    if (c->change)
        top_change_text(result, out, cap);
    else if (strcmp(c->verb, "delete") == 0)
        snprintf(out, cap, "%.255s is deleted; its output stays", job != NULL ? job : c->job);
    else if (strcmp(c->verb, "priority") == 0)
        snprintf(out, cap, "%.255s has priority %.0f", job != NULL ? job : c->job,
                 srq_member_number(result, "priority"));
    else if (strcmp(c->verb, "finish") == 0)
        snprintf(out, cap, "%.255s rounds what is left and exports", job != NULL ? job : c->job);
    else
        snprintf(out, cap, "%.255s: %.40s", job != NULL ? job : c->job,
                 wish != NULL    ? wish
                 : state != NULL ? state
                                 : "done");
}

/* ---- completion -------------------------------------------------------------------------------------------------- */

struct candidates {
    const char *word; /* as typed so far */
    size_t len;
    int count;
    char common[TOP_LINE_MAX]; /* what all of them begin with */
    char *hint;
    size_t cap;
};

static void offer(struct candidates *k, const char *text)
{
    size_t n = 0, used = strlen(k->hint);

    if (text == NULL || strncmp(text, k->word, k->len) != 0 || strlen(text) >= sizeof(k->common))
        return;
    if (k->count++ == 0) {
        snprintf(k->common, sizeof(k->common), "%s", text);
    } else {
        while (k->common[n] != '\0' && k->common[n] == text[n])
            n++;
        k->common[n] = '\0';
    }
    if (used + strlen(text) + 3 < k->cap)
        snprintf(k->hint + used, k->cap - used, "%s%s", used > 0 ? "  " : "", text);
}

static void offer_schemes(struct candidates *k, const struct top_job *j)
{
    static const char *const usual[] = { "w2g64", "w3g64", "w4g128", "w4g128z", "w8",
                                         "mxfp4", "mxfp8", "nvfp4",  "fp8",     "bf16" };

    for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++)
        offer(k, usual[i]);
    for (int i = 0; j != NULL && i < j->layer_count; i++) {
        bool known = false;

        for (size_t u = 0; u < sizeof(usual) / sizeof(usual[0]); u++)
            known = known || strcmp(usual[u], j->layers[i].scheme) == 0;
        for (int before = 0; !known && before < i; before++)
            known = strcmp(j->layers[before].scheme, j->layers[i].scheme) == 0;
        if (!known)
            offer(k, j->layers[i].scheme);
    }
}

static void offer_words(struct candidates *k, const struct top_model *m, const struct top_view *v,
                        const struct verb *row, int at)
{
    const struct top_job *j = job_meant(m, v);
    enum word_kind kind = at == 1 ? row->first : row->rest;

    if (k->word[0] == '-') {
        for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
            if ((row->flags & flags[i].flag) != 0)
                offer(k, flags[i].name);
        return;
    }
    if (kind == W_JOB) {
        for (int i = 0; i < m->job_count; i++)
            offer(k, m->jobs[i].id);
    } else if (kind == W_LAYER) {
        for (int i = 0; j != NULL && i < j->layer_count; i++)
            offer(k, j->layers[i].name);
    } else if (kind == W_SCHEME) {
        offer_schemes(k, j);
    }
}

/* Puts `text` in place of the line's bytes [from, at). */
static bool replace(struct top_view *v, int from, const char *text, bool space)
{
    char line[TOP_LINE_MAX];
    int n = snprintf(line, sizeof(line), "%.*s%s%s%s", from, v->line, text, space ? " " : "", v->line + v->line_at);
    int at = from + (int)strlen(text) + (space ? 1 : 0);

    if (n < 0 || (size_t)n >= sizeof(line) || strcmp(line, v->line) == 0)
        return false;
    memcpy(v->line, line, (size_t)n + 1);
    v->line_at = at;
    return true;
}

bool top_command_complete(const struct top_model *m, struct top_view *v, char *hint, size_t cap)
{
    struct candidates k = { .hint = hint, .cap = cap };
    struct top_command unused = { 0 };
    char word[TOP_LINE_MAX];
    int len = (int)strlen(v->line), from, at = 0;
    const struct verb *row = NULL;
    struct words w;
    bool changed;

    hint[0] = '\0';
    if (v->line_at < 0 || v->line_at > len)
        v->line_at = len;
    from = v->line_at;
    while (from > 0 && v->line[from - 1] != ' ' && v->line[from - 1] != '\t')
        from--;
    snprintf(word, sizeof(word), "%.*s", from, v->line);
    if (!split(word, &w, &unused))
        return false;
    if (w.count > 0) {
        row = find_verb(w.word[0], &unused);
        if (row == NULL || !take_flags(row, &w, &unused))
            return false;
        at = w.count;
    }
    snprintf(word, sizeof(word), "%.*s", v->line_at - from, v->line + from);
    k.word = word;
    k.len = strlen(word);
    for (int i = 0; row == NULL && i < VERBS; i++)
        offer(&k, verbs[i].name);
    if (row != NULL)
        offer_words(&k, m, v, row, at);
    if (k.count == 0)
        return false;
    changed = replace(v, from, k.common, k.count == 1 && v->line[v->line_at] == '\0');
    if (k.count == 1)
        hint[0] = '\0';
    return changed;
}
