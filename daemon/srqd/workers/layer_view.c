/* The journal, digested by layer. Its lines come from the job's owner: names that are not in the plan are passed over,
 * numbers of blocks and of scores are bounded. */
#include "daemon/srqd/workers/layer_view.h"

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/base/hash.h"
#include "core/proto/members.h"
#include "daemon/srqd/jobs/jobs.h"
#include "daemon/srqd/workers/reading.h"
#include "daemon/srqd/workers/worker.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BLOCKS_MAX 100000
#define SCORES_MAX 64 /* candidates of one layer */
#define VIEWS_MAX 16  /* jobs that have one at a time */
#define WANTED "block.begin|block.end|layer.error|layer.done|layer.scored|plan.changed"

struct score {
    char *scheme;
    double value;
};

struct layer {
    char *name;
    double block;
    struct layer_facts facts;
    bool began; /* its block began again: the next error is the first */
    struct score *scores;
    int score_count;
};

/* Who wants to know when the view is up to date. */
struct waiter {
    TAILQ_ENTRY(waiter) entry;
    void (*ready)(void *ctx);
    void *ctx;
};
TAILQ_HEAD(waiter_list, waiter);

struct layer_view {
    struct journal_view *journal;
    struct reading *reading;
    struct waiter_list waiters; /* for the reading */
    int64_t seq;                /* last line taken */
    double used;                /* monotonic */
    bool backwards;             /* the numbers of the lines do not rise: the journal was cut and goes on */
    bool second;                /* made because that was so with the one before */
    struct layer *layers;
    size_t count;
    uint32_t *slots; /* open addressing, layer + 1; 0: free */
    size_t slot_count;
    enum srq_work_state *blocks; /* layers outside the blocks are tuned after them, as one more */
    size_t block_count;
    cJSON *size;
};

/* ---- names ------------------------------------------------------------------------------------------------------- */

static struct layer *find(const struct layer_view *v, const char *name)
{
    size_t at = (size_t)srq_hash64(name, strlen(name)) & (v->slot_count - 1);

    while (v->slots[at] != 0) {
        struct layer *l = &v->layers[v->slots[at] - 1];

        if (strcmp(l->name, name) == 0)
            return l;
        at = (at + 1) & (v->slot_count - 1);
    }
    return NULL;
}

static void put_name(struct layer_view *v, size_t layer)
{
    const char *name = v->layers[layer].name;
    size_t at = (size_t)srq_hash64(name, strlen(name)) & (v->slot_count - 1);

    while (v->slots[at] != 0)
        at = (at + 1) & (v->slot_count - 1);
    v->slots[at] = (uint32_t)layer + 1;
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

/* What the event says of a block; without a word, as in journals of old, it stays as it was. */
static void set_state(struct layer_view *v, double block, const cJSON *word)
{
    int state = srq_word_place(srq_work_state_words, cJSON_GetStringValue(word));

    if (state >= 0 && block >= 0 && block < (double)v->block_count)
        v->blocks[(size_t)block] = (enum srq_work_state)state;
}

static struct layer *layer_of(const struct layer_view *v, const cJSON *params)
{
    return find(v, cJSON_GetObjectItemCaseSensitive(params, "layer")->valuestring);
}

static void on_begin(struct layer_view *v, const cJSON *params)
{
    double number = srq_member_number(params, "block");

    set_state(v, number, cJSON_GetObjectItemCaseSensitive(params, "state"));
    for (size_t i = 0; i < v->count; i++)
        v->layers[i].began = v->layers[i].began || v->layers[i].block == number;
}

static void on_end(struct layer_view *v, const cJSON *params)
{
    set_state(v, srq_member_number(params, "block"), cJSON_GetObjectItemCaseSensitive(params, "state"));
}

static void on_error(struct layer_view *v, const cJSON *params)
{
    struct layer *l = layer_of(v, params);
    double error = srq_member_number(params, "error");

    if (l == NULL || isnan(error))
        return;
    if (l->began || isnan(l->facts.error_first))
        l->facts.error_first = l->facts.error_best = error;
    l->began = false;
    l->facts.error_last = error;
    l->facts.error_best = fmin(l->facts.error_best, error);
}

static void on_done(struct layer_view *v, const cJSON *params)
{
    struct layer *l = layer_of(v, params);
    double best = srq_member_number(params, "error_best");

    if (l == NULL)
        return;
    l->facts = (struct layer_facts){ .error_first = srq_member_number(params, "error_first"),
                                     .error_best = best,
                                     .error_last = isnan(best) ? l->facts.error_last : best,
                                     .saturation = srq_member_number(params, "saturation") };
    l->began = false;
}

static void on_scored(struct layer_view *v, const cJSON *params)
{
    const char *scheme = cJSON_GetObjectItemCaseSensitive(params, "scheme")->valuestring;
    struct layer *l = layer_of(v, params);
    struct score *more;

    if (l == NULL)
        return;
    for (int i = 0; i < l->score_count; i++) {
        if (strcmp(l->scores[i].scheme, scheme) == 0) {
            l->scores[i].value = srq_member_number(params, "score");
            return;
        }
    }
    if (l->score_count >= SCORES_MAX)
        return;
    more = srq_realloc(l->scores, (size_t)(l->score_count + 1) * sizeof(*more));
    if (more == NULL)
        return;
    l->scores = more;
    more[l->score_count].scheme = srq_strdup(scheme);
    more[l->score_count].value = srq_member_number(params, "score");
    if (more[l->score_count].scheme != NULL)
        l->score_count++;
}

static void on_change(struct layer_view *v, const cJSON *params)
{
    const cJSON *size = cJSON_GetObjectItemCaseSensitive(params, "size"), *word;
    int block = 0;

    cJSON_ArrayForEach(word, cJSON_GetObjectItemCaseSensitive(params, "states")) set_state(v, block++, word);
    if (!cJSON_IsObject(size))
        return;
    cJSON_Delete(v->size);
    v->size = cJSON_Duplicate(size, true);
}

static bool take(const struct journal_entry *e, void *ctx)
{
    static const struct {
        const char *event;
        void (*take)(struct layer_view *v, const cJSON *params);
    } rows[] = {
        { "block.begin", on_begin }, { "block.end", on_end },       { "layer.error", on_error },
        { "layer.done", on_done },   { "layer.scored", on_scored }, { "plan.changed", on_change },
    };
    struct layer_view *v = ctx;

    if (e->seq <= v->seq) {
        v->backwards = true;
        return false;
    }
    v->seq = e->seq;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcmp(rows[i].event, e->event) == 0)
            rows[i].take(v, e->params);
    }
    return true;
}

/* ---- making and keeping ------------------------------------------------------------------------------------------ */

static void tell_waiters(void *ctx)
{
    struct layer_view *v = ctx;
    struct waiter_list told = TAILQ_HEAD_INITIALIZER(told);
    struct waiter *w;

    TAILQ_CONCAT(&told, &v->waiters, entry); /* who is told may free the view */
    while ((w = TAILQ_FIRST(&told)) != NULL) {
        TAILQ_REMOVE(&told, w, entry);
        w->ready(w->ctx);
        srq_free(w);
    }
}

static void free_view(struct layer_view *v)
{
    if (v == NULL)
        return;
    reading_stop(&v->reading);
    journal_close(v->journal);
    for (size_t i = 0; i < v->count; i++) {
        for (int k = 0; k < v->layers[i].score_count; k++)
            srq_free(v->layers[i].scores[k].scheme);
        srq_free(v->layers[i].scores);
        srq_free(v->layers[i].name);
    }
    srq_free(v->layers);
    srq_free(v->slots);
    srq_free(v->blocks);
    cJSON_Delete(v->size);
    srq_free(v);
}

static const char *name_of(const cJSON *layer)
{
    const cJSON *name = cJSON_GetObjectItemCaseSensitive(layer, "name");

    return cJSON_IsString(name) ? name->valuestring : "";
}

static struct layer_view *make(const cJSON *layers)
{
    struct layer_view *v = srq_calloc(1, sizeof(*v));
    size_t n = (size_t)cJSON_GetArraySize(layers), slots = 16;
    const cJSON *item;

    while (slots < 2 * n)
        slots *= 2;
    if (v != NULL)
        TAILQ_INIT(&v->waiters);
    if (v == NULL || (v->layers = srq_calloc(n + 1, sizeof(*v->layers))) == NULL ||
        (v->slots = srq_calloc(slots, sizeof(*v->slots))) == NULL) {
        free_view(v);
        return NULL;
    }
    v->slot_count = slots;
    cJSON_ArrayForEach(item, layers)
    {
        struct layer *l = &v->layers[v->count];
        double block = srq_member_number(item, "block");

        *l = (struct layer){ .name = srq_strdup(name_of(item)), .block = block, .facts = { NAN, NAN, NAN, NAN } };
        if (l->name == NULL) {
            free_view(v);
            return NULL;
        }
        if (block >= 0 && block < BLOCKS_MAX && (size_t)block >= v->block_count)
            v->block_count = (size_t)block + 1;
        put_name(v, v->count++);
    }
    v->block_count++;
    for (size_t i = 0; i < v->count; i++) {
        if (isnan(v->layers[i].block))
            v->layers[i].block = (double)v->block_count - 1;
    }
    v->blocks = srq_calloc(v->block_count, sizeof(*v->blocks));
    if (v->blocks == NULL) {
        free_view(v);
        return NULL;
    }
    return v;
}

static bool fits(const struct layer_view *v, const cJSON *layers)
{
    const cJSON *item;
    size_t i = 0;

    cJSON_ArrayForEach(item, layers)
    {
        if (i >= v->count || strcmp(v->layers[i].name, name_of(item)) != 0)
            return false;
        i++;
    }
    return i == v->count;
}

/* Its waiters look again, and find that it has gone. */
static void drop(struct job *j)
{
    struct layer_view *v = j->worker->view;

    j->worker->view = NULL;
    if (v != NULL)
        tell_waiters(v);
    free_view(v);
}

void layer_view_drop(struct job *j)
{
    if (j->worker != NULL)
        drop(j);
}

/* Many jobs may be looked at in turn; each open journal is a descriptor. */
static void make_room(struct srqd *d)
{
    struct job *j, *oldest = NULL;
    int n = 0;

    TAILQ_FOREACH(j, &d->jobs, entry)
    {
        if (j->worker == NULL || j->worker->view == NULL)
            continue;
        n++;
        if (j->worker->view->reading == NULL && (oldest == NULL || j->worker->view->used < oldest->worker->view->used))
            oldest = j;
    }
    if (n >= VIEWS_MAX && oldest != NULL)
        drop(oldest);
}

/* 0: as far as the journal goes. LATER: it is being read. GONE: the journal is not the one that was read. */
enum { LATER = 1, GONE };

static int read_on(struct job *j, struct layer_view *v)
{
    struct reading_wish wish = { .turns = j->d->turns,
                                 .uid = j->uid,
                                 .filter = { .events = WANTED },
                                 .visit = take,
                                 .done = tell_waiters,
                                 .ctx = v };

    if (v->reading != NULL)
        return LATER;
    if (v->journal == NULL && journal_open(j, &v->journal, NULL) != 0)
        return 0; /* none yet */
    if (v->backwards || journal_shrunk(v->journal))
        return GONE;
    wish.journal = v->journal;
    reading_start(&wish, &v->reading);
    return v->reading != NULL ? LATER : v->backwards ? GONE : 0;
}

int layer_view_refresh(struct job *j, const cJSON *layers, const struct layer_view **out, struct srq_error *err)
{
    struct worker *w = worker_of(j);
    bool second = false;

    for (;;) {
        int rc;

        if (w != NULL && w->view != NULL && !fits(w->view, layers))
            drop(j);
        if (w != NULL && w->view == NULL) {
            make_room(j->d);
            w->view = make(layers);
            if (w->view != NULL)
                w->view->second = second;
        }
        if (w == NULL || w->view == NULL)
            return srq_fail(err, -SRQ_ENOMEM, "the daemon is out of memory");
        w->view->used = srq_clock_s();
        *out = w->view;
        rc = read_on(j, w->view);
        if (rc != GONE)
            return rc;
        second = w->view->second;
        drop(j);
        if (second)
            return srq_fail_field(err, -SRQ_EFORMAT, "journal.ndjson", "the lines of job %s's journal are not in order",
                                  j->id);
        second = true;
    }
}

int layer_view_wait(struct job *j, void (*ready)(void *ctx), void *ctx, struct srq_error *err)
{
    struct waiter *w = srq_calloc(1, sizeof(*w));

    if (w == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "the daemon is out of memory");
    w->ready = ready;
    w->ctx = ctx;
    TAILQ_INSERT_TAIL(&j->worker->view->waiters, w, entry);
    return 0;
}

/* ---- looking ----------------------------------------------------------------------------------------------------- */

struct layer_facts layer_view_facts(const struct layer_view *v, size_t layer)
{
    return v->layers[layer].facts;
}

double layer_view_score(const struct layer_view *v, size_t layer, const char *scheme)
{
    const struct layer *l = &v->layers[layer];
    double lowest = INFINITY, value = NAN;

    for (int i = 0; i < l->score_count; i++) {
        int bits = srq_scheme_look(l->scores[i].scheme).bits;

        if (scheme != NULL && strcmp(l->scores[i].scheme, scheme) == 0)
            return l->scores[i].value;
        if (scheme == NULL && bits > 0 && bits < lowest) {
            lowest = bits;
            value = l->scores[i].value;
        }
    }
    return value;
}

enum srq_work_state layer_view_state(const struct layer_view *v, size_t layer)
{
    double block = v->layers[layer].block;

    return block >= 0 && block < (double)v->block_count ? v->blocks[(size_t)block] : SRQ_WORK_PENDING;
}

const cJSON *layer_view_size(const struct layer_view *v)
{
    return v->size;
}
