/* Events and lists become the model. Plans are in feed_plan.c. */
#include "tui/srqtop/feed.h"

#include "core/base/alloc.h"
#include "core/base/log.h"
#include "tui/srqtop/feed_value.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- values ------------------------------------------------------------------------------------------------------ */

struct metric feed_metric(const cJSON *o, const char *name)
{
    return top_known(srq_member_number(o, name));
}

int64_t feed_int(const cJSON *o, const char *name, int64_t low, int64_t high, int64_t other)
{
    double v = srq_member_number(o, name);

    return v >= (double)low && v <= (double)high ? (int64_t)v : other;
}

int feed_word(const cJSON *o, const char *name, const char *const *words, int other)
{
    int place = srq_word_place(words, srq_member_text(o, name));

    return place >= 0 ? place : other;
}

static bool same_text(const char *a, const char *b)
{
    return (a == NULL) == (b == NULL) && (a == NULL || strcmp(a, b) == 0);
}

/* ---- who answers, and the list of jobs --------------------------------------------------------------------------- */

void top_feed_hello(struct top_model *m, const cJSON *reply)
{
    const char *server = srq_member_text(reply, "server"), *version = srq_member_text(reply, "version"),
               *mode = srq_member_text(reply, "mode");
    char text[300];

    m->uid = feed_int(reply, "uid", 0, INT64_C(0xffffffff), -1);
    m->admin = srq_member_true(reply, "admin");
    snprintf(text, sizeof(text), "%.100s %.60s, pid %.0f, %s", server != NULL ? server : "srqd",
             version != NULL ? version : "?", srq_member_number(reply, "pid"),
             mode != NULL && strcmp(mode, "system") == 0 ? "system service" : "per user");
    top_set_text(&m->server, text);
    m->changed = true;
}

static void take_progress(struct top_job *j, const cJSON *o)
{
    top_set_text(&j->stage, srq_member_text(o, "stage"));
    top_set_text(&j->unit, srq_member_text(o, "unit"));
    j->done = feed_metric(o, "done");
    j->total = feed_metric(o, "total");
    j->rate = feed_metric(o, "rate");
    j->eta_s = feed_metric(o, "left_s"); /* events have both, summaries the job's */
    if (!j->eta_s.known)
        j->eta_s = feed_metric(o, "eta_s");
}

static void take_summary(struct top_model *m, struct top_job *j, const cJSON *o)
{
    const struct {
        char **to;
        const char *name;
    } texts[] = { { &j->name, "name" },     { &j->owner, "owner" },   { &j->model, "model" },  { &j->method, "method" },
                  { &j->scheme, "scheme" }, { &j->output, "output" }, { &j->reason, "reason" } };
    int64_t uid = feed_int(o, "uid", 0, INT64_C(0xffffffff), -1);
    int wish;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        top_set_text(texts[i].to, srq_member_text(o, texts[i].name));
    j->state = (enum srq_job_state)feed_word(o, "state", srq_job_state_words, (int)j->state);
    wish = feed_word(o, "wish", srq_wish_words, -1);
    j->wish = wish >= 0 ? srq_wish_words[wish] : NULL;
    j->own = m->uid == 0 || (uid >= 0 && uid == m->uid);
    j->priority = (int)feed_int(o, "priority", -1000000, 1000000, 0);
    j->restarts = (int)feed_int(o, "restarts", 0, 1000000000, 0);
    j->position = feed_metric(o, "position");
    j->submitted = feed_metric(o, "submitted");
    j->started = feed_metric(o, "started");
    j->ended = feed_metric(o, "ended");
    j->before_bytes = feed_metric(o, "before_bytes");
    j->after_bytes = feed_metric(o, "after_bytes");
    j->average_bits = feed_metric(o, "average_bits");
    j->memory_bytes = feed_metric(o, "memory_bytes");
    j->threads = feed_metric(o, "threads");
    take_progress(j, o);
}

/* A job of the user's that was seen before it ended. */
static void note_end(struct top_model *m, const struct top_job *j, int before)
{
    char text[300];

    if (!j->own || j->state < SRQ_JOB_DONE || before >= SRQ_JOB_DONE)
        return;
    snprintf(text, sizeof(text), "%.120s%s%.100s %s", m->ended != NULL ? m->ended : "", m->ended != NULL ? ", " : "",
             j->name != NULL && j->name[0] != '\0' ? j->name : j->id, srq_job_state_words[j->state]);
    top_set_text(&m->ended, text);
}

void top_feed_list(struct top_model *m, const cJSON *reply)
{
    const cJSON *rows = cJSON_GetObjectItemCaseSensitive(reply, "jobs"), *row;
    int n = cJSON_GetArraySize(rows), count = 0;
    struct top_job *jobs = srq_calloc((size_t)n + 1, sizeof(*jobs)), *old;

    if (jobs == NULL)
        return;
    cJSON_ArrayForEach(row, rows)
    {
        const char *id = srq_member_text(row, "job");
        struct top_job *j = &jobs[count];
        int before;

        if (id == NULL || id[0] == '\0')
            continue;
        old = top_model_job(m, id);
        if (old != NULL) {
            *j = *old;
            *old = (struct top_job){ .id = srq_strdup("") }; /* what is left of it is freed below */
        } else {
            top_set_text(&j->id, id);
        }
        if (j->id == NULL) {
            top_job_fini(j);
            *j = (struct top_job){ 0 };
            continue;
        }
        before = old != NULL ? (int)j->state : SRQ_JOB_STATES;
        take_summary(m, j, row);
        note_end(m, j, before);
        count++;
    }
    for (int i = 0; i < m->job_count; i++)
        top_job_fini(&m->jobs[i]);
    srq_free(m->jobs);
    m->jobs = jobs;
    m->job_count = count;
    m->list_stale = false;
    m->changed = true;
}

struct top_job *top_feed_job(struct top_model *m, const cJSON *reply)
{
    const char *id = srq_member_text(reply, "job");
    struct top_job *j = top_model_job(m, id), *jobs;

    if (id == NULL || id[0] == '\0')
        return NULL;
    if (j == NULL) {
        jobs = srq_reallocarray(m->jobs, (size_t)m->job_count + 1, sizeof(*jobs));
        if (jobs == NULL)
            return NULL;
        m->jobs = jobs;
        j = &jobs[m->job_count];
        *j = (struct top_job){ 0 };
        top_set_text(&j->id, id);
        if (j->id == NULL)
            return NULL;
        m->job_count++;
        m->list_stale = true; /* the list knows its place */
    }
    take_summary(m, j, reply);
    m->changed = true;
    return j;
}

/* ---- blocks ------------------------------------------------------------------------------------------------------ */

/* A word that is none, as journals of old have, leaves things as they are. */
static void set_state(struct top_job *j, struct top_block *b, const char *word)
{
    int state = srq_word_place(srq_work_state_words, word);

    if (state < 0)
        return;
    b->state = (enum srq_work_state)state;
    for (int i = 0; i < b->count && b->first + i < j->layer_count; i++)
        j->layers[b->first + i].state = b->state;
}

/* Layers outside the blocks are told of as one block more, behind the last. */
static void adopt_layers(struct top_job *j, struct top_block *b, const cJSON *names)
{
    const cJSON *item;
    int at = -1, n = 0;

    if (b->count > 0)
        return;
    cJSON_ArrayForEach(item, names)
    {
        struct top_layer *l = cJSON_IsString(item) ? top_job_layer(j, item->valuestring) : NULL;
        int i = l != NULL ? (int)(l - j->layers) : -1;

        if (l == NULL || l->block >= 0 || (n > 0 && i != at + n))
            return;
        if (n++ == 0)
            at = i;
    }
    if (n == 0)
        return;
    b->first = at;
    b->count = n;
    for (int i = 0; i < n; i++)
        j->layers[at + i].block = b->index;
}

static struct top_block *block_of(struct top_job *j, const cJSON *e)
{
    return top_job_block(j, feed_int(e, "block", 0, TOP_BLOCKS - 1, -1));
}

/* The layer that an event is about: looked for in its block first. */
static struct top_layer *layer_of(struct top_job *j, const cJSON *e)
{
    int64_t block = feed_int(e, "block", 0, TOP_BLOCKS - 1, -1);
    const char *name = srq_member_text(e, "layer");
    const struct top_block *b = block >= 0 && block < j->block_count ? &j->blocks[block] : NULL;

    for (int i = 0; name != NULL && b != NULL && i < b->count && b->first + i < j->layer_count; i++)
        if (strcmp(j->layers[b->first + i].name, name) == 0)
            return &j->layers[b->first + i];
    return top_job_layer(j, name);
}

static void block_begin(struct top_job *j, const cJSON *e)
{
    struct top_block *b = block_of(j, e);

    if (b == NULL)
        return;
    if (b->name == NULL)
        top_set_text(&b->name, srq_member_text(e, "name"));
    adopt_layers(j, b, cJSON_GetObjectItemCaseSensitive(e, "layers"));
    b->iters = feed_int(e, "iters", 0, INT64_C(1000000000), 0);
    b->again = srq_member_true(e, "again");
    b->begun_seq = feed_int(e, "seq", 0, INT64_MAX / 2, 0);
    b->iter = (struct metric){ 0 };
    top_series_begin(&b->loss);
    top_series_begin(&b->probe);
    for (int i = 0; i < b->count && b->first + i < j->layer_count; i++)
        top_series_begin(&j->layers[b->first + i].errors);
    set_state(j, b, srq_member_text(e, "state"));
}

/* A sample that was held back for us while its block began anew is of the run before. */
static bool is_late(const struct top_block *b, const cJSON *e)
{
    return srq_member_number(e, "seq") < (double)b->begun_seq;
}

static void tune_point(struct top_job *j, const cJSON *e)
{
    struct top_block *b = block_of(j, e);

    if (b == NULL || is_late(b, e))
        return;
    b->iter = feed_metric(e, "iter");
    top_series_add(&b->loss, srq_member_number(e, "iter"), srq_member_number(e, "loss"));
}

static void tune_probe(struct top_job *j, const cJSON *e)
{
    struct top_block *b = block_of(j, e);
    struct metric loss = feed_metric(e, "loss");

    if (b == NULL || is_late(b, e))
        return;
    top_series_add(&b->probe, srq_member_number(e, "iter"), srq_member_number(e, "loss"));
    b->loss_last = loss;
    b->loss_best = feed_metric(e, "best");
    if (b->probe.count == 1) {
        b->loss_first = loss;
        b->best_iter = (struct metric){ 0 };
    }
    if (loss.known && b->loss_best.known && loss.v <= b->loss_best.v)
        b->best_iter = feed_metric(e, "iter");
}

static void transform_point(struct top_job *j, const cJSON *e)
{
    j->transform.iter = feed_metric(e, "iter");
    top_series_add(&j->transform.loss, srq_member_number(e, "iter"), srq_member_number(e, "loss"));
    feed_loss_parts(j, e);
}

static void transform_probe(struct top_job *j, const cJSON *e)
{
    struct top_transform *t = &j->transform;
    double iter = srq_member_number(e, "iter");
    const cJSON *pair;

    if (t->probe.count > 0 && !(iter >= (double)t->probe.points[t->probe.count - 1].iter))
        return; /* a replay, or steps that a killed worker had done */
    top_series_add(&t->probe, iter, srq_member_number(e, "loss"));
    t->loss_last = feed_metric(e, "loss");
    t->loss_best = feed_metric(e, "best");
    if (t->probe.count == 1)
        t->loss_first = t->loss_last;
    cJSON_ArrayForEach(pair, cJSON_GetObjectItemCaseSensitive(e, "pairs"))
    {
        const char *kind = srq_member_text(pair, "kind");

        if (kind != NULL && kind[0] >= 'A' && kind[0] < 'A' + TOP_PAIR_KINDS)
            t->spread[kind[0] - 'A'] = feed_metric(pair, "spread_mean");
    }
}

static void layer_error(struct top_job *j, const cJSON *e)
{
    struct top_layer *l = layer_of(j, e);
    struct metric error = feed_metric(e, "error");

    if (l == NULL || (l->block >= 0 && l->block < j->block_count && is_late(&j->blocks[l->block], e)))
        return;
    top_series_add(&l->errors, srq_member_number(e, "iter"), srq_member_number(e, "error"));
    l->error_last = error;
    if (l->errors.count <= 1) {
        l->error_first = error;
        l->error_best = error;
    } else if (error.known && (!l->error_best.known || error.v < l->error_best.v)) {
        l->error_best = error;
    }
}

static void layer_done(struct top_job *j, const cJSON *e)
{
    struct top_layer *l = layer_of(j, e);

    if (l == NULL)
        return;
    l->saturation = feed_metric(e, "saturation");
    l->error_first = feed_metric(e, "error_first");
    l->error_best = l->error_last = feed_metric(e, "error_best");
}

static void keep_score(struct top_layer *l, const char *scheme, struct metric score)
{
    struct top_score *grown;
    int at = 0;

    while (at < l->scored_count && strcmp(l->scored[at].scheme, scheme) != 0)
        at++;
    if (at == TOP_SCORES || strlen(scheme) >= sizeof(l->scored->scheme))
        return;
    if (at == l->scored_count) {
        grown = srq_reallocarray(l->scored, (size_t)at + 1, sizeof(*grown));
        if (grown == NULL)
            return;
        l->scored = grown;
        l->scored_count++;
        snprintf(grown[at].scheme, sizeof(grown[at].scheme), "%s", scheme);
    }
    l->scored[at].score = score;
}

static void layer_scored(struct top_job *j, const cJSON *e)
{
    struct top_layer *l = layer_of(j, e);
    const char *scheme = srq_member_text(e, "scheme");

    if (l != NULL && scheme != NULL)
        keep_score(l, scheme, feed_metric(e, "score"));
    if (l != NULL && scheme != NULL && strcmp(scheme, l->scheme) == 0)
        l->score = feed_metric(e, "score");
    else
        j->plan_stale = true; /* the plan knows which score counts */
}

static void block_end(struct top_job *j, const cJSON *e)
{
    struct top_block *b = block_of(j, e);

    if (b == NULL)
        return;
    if (b->name == NULL)
        top_set_text(&b->name, srq_member_text(e, "name"));
    b->loss_first = feed_metric(e, "loss_first");
    b->loss_best = feed_metric(e, "loss_best");
    b->best_iter = feed_metric(e, "best_iteration");
    b->elapsed_s = feed_metric(e, "elapsed_s");
    b->iter = (struct metric){ 0 };
    set_state(j, b, srq_member_text(e, "state"));
}

/* ---- the plan ---------------------------------------------------------------------------------------------------- */

static void put_change(char *out, size_t cap, const cJSON *change, double count, int number)
{
    size_t n = strlen(out);
    const char *layer = srq_member_text(change, "layer"), *old = srq_member_text(change, "old"),
               *new = srq_member_text(change, "new");

    if (n + 1 < cap)
        snprintf(out + n, cap - n, "%s%.200s %.32s → %.32s%s", number > 0 ? ", " : "", layer != NULL ? layer : "?",
                 old != NULL ? old : "?", new != NULL ? new : "?", number == 2 && count > 3 ? ", …" : "");
}

/* "2 layers: model.layers.3.mlp.up_proj w4g128 → w8, …" */
static void change_words(const cJSON *e, char *out, size_t cap)
{
    const cJSON *changes = cJSON_GetObjectItemCaseSensitive(e, "changes"), *c;
    double count = srq_member_number(e, "changed");
    const char *op = srq_member_text(e, "op");
    int i = 0;

    if (isnan(count))
        count = cJSON_GetArraySize(changes);
    if (count == 0) {
        snprintf(out, cap, "%.40s, no layer changed", op != NULL ? op : "a change");
        return;
    }
    snprintf(out, cap, "%.0f %s: ", count, count == 1 ? "layer" : "layers");
    cJSON_ArrayForEach(c, changes)
    {
        if (i < 3)
            put_change(out, cap, c, count, i);
        i++;
    }
}

static void take_changes(struct top_job *j, const cJSON *changes)
{
    const cJSON *c;

    cJSON_ArrayForEach(c, changes)
    {
        struct top_layer *l = top_job_layer(j, srq_member_text(c, "layer"));

        if (l != NULL)
            feed_scheme(l, srq_member_text(c, "new"), srq_member_text(c, "source"));
    }
}

static void take_states(struct top_job *j, const cJSON *states)
{
    const cJSON *word;
    int b = 0;

    cJSON_ArrayForEach(word, states)
    {
        if (b < j->block_count)
            set_state(j, &j->blocks[b], cJSON_GetStringValue(word));
        b++;
    }
}

static void plan_changed(struct top_job *j, const cJSON *e)
{
    int64_t revision = feed_int(e, "revision", 0, INT64_MAX / 2, -1);
    const cJSON *size = cJSON_GetObjectItemCaseSensitive(e, "size");
    const char *by = srq_member_text(e, "by");
    char words[900], line[1200];

    take_states(j, cJSON_GetObjectItemCaseSensitive(e, "states"));
    change_words(e, words, sizeof(words));
    snprintf(line, sizeof(line), "plan revision %.0f%s%.100s: %.900s", srq_member_number(e, "revision"),
             by != NULL ? " by " : "", by != NULL ? by : "", words);
    top_job_log(j, srq_member_number(e, "time"), 2, line);
    top_set_text(&j->changed_by, by);
    top_set_text(&j->change, words);
    if (revision <= j->revision)
        return; /* the plan that we have knows of it */
    j->revision = revision;
    j->plan_stale = true; /* scores and pins come with the whole plan */
    take_changes(j, cJSON_GetObjectItemCaseSensitive(e, "changes"));
    if (cJSON_IsObject(size)) {
        j->before_bytes = feed_metric(size, "before_bytes");
        j->after_bytes = feed_metric(size, "after_bytes");
        j->average_bits = feed_metric(size, "average_bits");
    }
}

static void plan_allocated(struct top_job *j, const cJSON *e)
{
    const cJSON *front = cJSON_GetObjectItemCaseSensitive(e, "front"), *p;
    int n = cJSON_GetArraySize(front), count = 0;
    struct top_front_point *points = n > 0 && n <= 10000 ? srq_calloc((size_t)n, sizeof(*points)) : NULL;

    cJSON_ArrayForEach(p, front)
    {
        struct metric bits = feed_metric(p, "average_bits"), loss = feed_metric(p, "loss");

        if (points != NULL && bits.known && loss.known)
            points[count++] = (struct top_front_point){ bits.v, loss.v };
    }
    srq_free(j->front);
    j->front = points;
    j->front_count = points != NULL ? count : 0;
    feed_candidates(j, cJSON_GetObjectItemCaseSensitive(e, "candidates"));
    if (feed_metric(e, "target_bits").known)
        j->budget_bits = feed_metric(e, "target_bits");
    j->plan_stale = true;
}

/* ---- the rest ---------------------------------------------------------------------------------------------------- */

static void eval_result(struct top_job *j, const cJSON *e)
{
    struct top_eval *const of[] = { &j->before, &j->rtn, &j->after };
    int which = feed_word(e, "which", srq_measured_words, -1);

    if (which >= 0)
        *of[which] = (struct top_eval){ feed_metric(e, "perplexity"), feed_metric(e, "kl"), feed_metric(e, "top1") };
}

static void log_line(struct top_job *j, const cJSON *e)
{
    const char *text = srq_member_text(e, "text");

    if (text != NULL)
        top_job_log(j, srq_member_number(e, "time"), feed_word(e, "level", srq_log_level_words, SRQ_LOG_INFO), text);
}

static void job_state(struct top_model *m, struct top_job *j, const cJSON *e)
{
    int before = (int)j->state, state = feed_word(e, "state", srq_job_state_words, -1);
    const char *reason = srq_member_text(e, "reason");

    /* Lines of the journal tell what the worker thought; the daemon's own have no number. */
    if (feed_metric(e, "seq").known)
        return;
    if (state < 0)
        return;
    j->state = (enum srq_job_state)state;
    note_end(m, j, before);
    if (before != state)
        j->wish = NULL;
    if (before != state || !same_text(reason, j->reason))
        m->list_stale = true; /* places in the queue, times */
    top_set_text(&j->reason, reason);
}

static void stage_progress(struct top_job *j, const cJSON *e)
{
    double time = srq_member_number(e, "time");

    /* What a replay tells of old times comes between what is new. */
    if (time < j->progress_at)
        return;
    j->progress_at = time;
    take_progress(j, e);
}

void top_feed_event(struct top_model *m, const char *event, const cJSON *params)
{
    static const struct {
        const char *name;
        void (*take)(struct top_job *j, const cJSON *e);
    } rows[] = {
        { "tune.point", tune_point },
        { "layer.error", layer_error },
        { "tune.probe", tune_probe },
        { "transform.point", transform_point },
        { "transform.probe", transform_probe },
        { "layer.done", layer_done },
        { "layer.scored", layer_scored },
        { "block.begin", block_begin },
        { "block.end", block_end },
        { "plan.changed", plan_changed },
        { "plan.allocated", plan_allocated },
        { "eval.result", eval_result },
        { "sample.pictures", feed_sample_pictures },
        { "sample.result", feed_sample_result },
        { "log", log_line },
    };
    const char *id = srq_member_text(params, "job");
    struct top_job *j = top_model_job(m, id);
    int64_t seq = feed_int(params, "seq", 1, INT64_MAX / 2, 0);

    if (j == NULL) {
        m->list_stale = m->list_stale || id != NULL;
        return;
    }
    m->changed = true;
    if (strcmp(event, "job.state") == 0) {
        job_state(m, j, params);
        return;
    }
    if (strcmp(event, "stage.progress") == 0) {
        stage_progress(j, params);
        return;
    }
    if (!j->opened)
        return;
    j->skipped += feed_int(params, "skipped", 0, INT64_C(1000000000000), 0);
    if (seq > j->last_seq)
        j->last_seq = seq;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (strcmp(rows[i].name, event) == 0) {
            rows[i].take(j, params);
            return;
        }
}

/* A job that is scored by deltaloss adds up one number a batch of its samples. */
void top_feed_spec(struct top_job *j, const cJSON *reply)
{
    const cJSON *options = srq_member(srq_member(reply, "spec"), "options");
    double samples = srq_member_number(options, "deltaloss.nsamples"),
           batch = srq_member_number(options, "deltaloss.batch");

    if (samples > 0 && batch > 0)
        j->score_batches = top_known(samples < batch ? 1 : floor(samples / batch));
}

void top_feed_info(struct top_model *m, const cJSON *reply)
{
    const cJSON *use = srq_member(reply, "in_use"), *limits = srq_member(reply, "limits"),
                *disk = srq_member(reply, "disk"), *jobs = srq_member(reply, "jobs");
    struct metric queued = feed_metric(jobs, "queued");

    m->meter = (struct top_meter){ .known = true,
                                   .running = feed_metric(use, "running"),
                                   .waiting = queued,
                                   .most_running = feed_metric(limits, "max_running"),
                                   .threads = feed_metric(use, "threads"),
                                   .most_threads = feed_metric(limits, "max_threads"),
                                   .memory_bytes = feed_metric(use, "memory_bytes"),
                                   .most_memory_bytes = feed_metric(limits, "max_memory_bytes"),
                                   .disk_free_bytes = feed_metric(disk, "free_bytes"),
                                   .disk_total_bytes = feed_metric(disk, "total_bytes") };
    m->changed = true;
}
