/* The journal, digested by layer. Its lines come from the job's owner: names that are not in the plan are passed over,
 * numbers of blocks and of scores are bounded. */
#include "daemon/srqd/workers/layer_view.h"

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/base/hash.h"
#include "core/proto/members.h"
#include "daemon/srqd/jobs/jobs.h"
#include "daemon/srqd/workers/layer_file.h"
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

struct layer_table {
    struct layer *layers;
    size_t count, room;
};

/* Who wants to know when the view is up to date. */
struct waiter {
    TAILQ_ENTRY(waiter) entry;
    void (*ready)(void *ctx);
    void *ctx;
};
TAILQ_HEAD(waiter_list, waiter);

struct layer_view {
    struct job *job;
    struct layer_file *plan;  /* as it was last read; NULL: it has not been */
    struct layer_file *fresh; /* being read, with the layers that it has */
    struct layer_table *made;
    struct turn turn; /* for its next step */
    int failed;       /* why plan.json could not be read */
    struct srq_error why;
    struct journal_view *journal;
    struct reading *reading;
    struct waiter_list waiters; /* for the reading */
    int64_t seq;                /* last line taken */
    double used;                /* monotonic */
    bool backwards;             /* the numbers of the lines do not rise: the journal was cut and goes on */
    bool second;                /* made because that was so with the one before */
    struct layer_table *table;  /* NULL: there is no plan yet */
    uint32_t *slots;            /* open addressing, layer + 1; 0: free */
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
        struct layer *l = &v->table->layers[v->slots[at] - 1];

        if (strcmp(l->name, name) == 0)
            return l;
        at = (at + 1) & (v->slot_count - 1);
    }
    return NULL;
}

static void put_name(struct layer_view *v, size_t layer)
{
    const char *name = v->table->layers[layer].name;
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
    for (size_t i = 0; i < v->table->count; i++)
        v->table->layers[i].began = v->table->layers[i].began || v->table->layers[i].block == number;
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
                                     .error_last = best,
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

static void table_free(struct layer_table *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->count; i++) {
        for (int k = 0; k < t->layers[i].score_count; k++)
            srq_free(t->layers[i].scores[k].scheme);
        srq_free(t->layers[i].scores);
        srq_free(t->layers[i].name);
    }
    srq_free(t->layers);
    srq_free(t);
}

/* All that was made of a plan's layers and of the journal. */
static void clear(struct layer_view *v)
{
    reading_stop(&v->reading);
    journal_close(v->journal);
    table_free(v->table);
    srq_free(v->slots);
    srq_free(v->blocks);
    cJSON_Delete(v->size);
    v->journal = NULL;
    v->table = NULL;
    v->slots = NULL;
    v->blocks = NULL;
    v->size = NULL;
    v->slot_count = v->block_count = 0;
    v->seq = 0;
    v->backwards = false;
}

static void drop_fresh(struct layer_view *v)
{
    layer_file_close(v->fresh);
    table_free(v->made);
    v->fresh = NULL;
    v->made = NULL;
}

static void free_view(struct layer_view *v)
{
    if (v == NULL)
        return;
    turn_drop(&v->turn);
    drop_fresh(v);
    clear(v);
    layer_file_close(v->plan);
    srq_free(v);
}

static const char *name_of(const cJSON *layer)
{
    const cJSON *name = cJSON_GetObjectItemCaseSensitive(layer, "name");

    return cJSON_IsString(name) ? name->valuestring : "";
}

/* A layer of the plan that is being read. */
static int add_layer(const cJSON *item, void *ctx, struct srq_error *err)
{
    struct layer_table *t = ((struct layer_view *)ctx)->made;
    struct layer l = { .name = srq_strdup(name_of(item)),
                       .block = srq_member_number(item, "block"),
                       .facts = { NAN, NAN, NAN, NAN } };

    if (l.name != NULL && t->count == t->room) {
        size_t room = t->room > 0 ? 2 * t->room : 64;
        void *more = srq_realloc(t->layers, room * sizeof(*t->layers));

        if (more != NULL) {
            t->layers = more;
            t->room = room;
        }
    }
    if (l.name == NULL || t->count == t->room) {
        srq_free(l.name);
        return srq_fail(err, -SRQ_ENOMEM, "the daemon is out of memory");
    }
    t->layers[t->count++] = l;
    return 0;
}

/* Names and blocks of the layers of v->table. */
static bool index_layers(struct layer_view *v)
{
    size_t slots = 16, n = v->table->count;

    while (slots < 2 * n)
        slots *= 2;
    v->slots = srq_calloc(slots, sizeof(*v->slots));
    if (v->slots == NULL)
        return false;
    v->slot_count = slots;
    for (size_t i = 0; i < n; i++) {
        double block = v->table->layers[i].block;

        if (block >= 0 && block < BLOCKS_MAX && (size_t)block >= v->block_count)
            v->block_count = (size_t)block + 1;
        put_name(v, i);
    }
    v->block_count++;
    for (size_t i = 0; i < n; i++) {
        if (isnan(v->table->layers[i].block))
            v->table->layers[i].block = (double)v->block_count - 1;
    }
    v->blocks = srq_calloc(v->block_count, sizeof(*v->blocks));
    return v->blocks != NULL;
}

static bool same_layers(const struct layer_table *a, const struct layer_table *b)
{
    if (a == NULL || a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        if (strcmp(a->layers[i].name, b->layers[i].name) != 0)
            return false;
    }
    return true;
}

/* The plan that was read takes the place of the one before. What is known of its layers stays where they are the same.
 */
static int adopt_plan(struct layer_view *v)
{
    cJSON *object = layer_file_object(v->fresh);

    if (!cJSON_IsNumber(cJSON_GetObjectItemCaseSensitive(object, "revision")) ||
        !cJSON_IsArray(cJSON_GetObjectItemCaseSensitive(object, "layers")))
        return srq_fail_field(&v->why, -SRQ_EFORMAT, "plan.json", "plan.json of job %s has no revision and layers",
                              v->job->id);
    if (!same_layers(v->table, v->made)) {
        clear(v);
        v->table = v->made;
        v->made = NULL;
        if (!index_layers(v)) {
            clear(v);
            return srq_fail(&v->why, -SRQ_ENOMEM, "the daemon is out of memory");
        }
    }
    layer_file_close(v->plan);
    v->plan = v->fresh;
    v->fresh = NULL;
    return 0;
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
        if (j->worker->view->reading == NULL && j->worker->view->fresh == NULL &&
            (oldest == NULL || j->worker->view->used < oldest->worker->view->used))
            oldest = j;
    }
    if (n >= VIEWS_MAX && oldest != NULL)
        drop(oldest);
}

/* 0: as far as the journal goes. LATER: it is being read. GONE: the journal is not the one that was read. */
enum { LATER = 1, GONE };

/* A step of the plan. False: it has been read, or cannot be. */
static bool read_plan(struct layer_view *v)
{
    int rc = layer_file_step(v->fresh, add_layer, v, &v->why);

    if (rc == 1)
        return true;
    v->failed = rc == 0 ? adopt_plan(v) : rc;
    if (v->failed != 0) { /* kept, so that the same file is not read again */
        layer_file_close(v->plan);
        v->plan = v->fresh;
        v->fresh = NULL;
        clear(v);
    }
    drop_fresh(v);
    return false;
}

static bool on_turn(void *ctx)
{
    struct layer_view *v = ctx;

    if (read_plan(v))
        return true;
    tell_waiters(v);
    return false;
}

static int refresh_plan(struct layer_view *v, struct srq_error *err)
{
    int rc;

    if (v->fresh != NULL)
        return LATER;
    if (v->plan == NULL || !layer_file_current(v->plan, v->job)) {
        rc = layer_file_open(v->job, &layer_array_plan, &v->fresh, err);
        if (rc != 0)
            return rc;
        v->made = srq_calloc(1, sizeof(*v->made));
        if (v->made == NULL) {
            drop_fresh(v);
            return srq_fail(err, -SRQ_ENOMEM, "the daemon is out of memory");
        }
        /* Most are over after two steps: what there is, and that there is no more. */
        if (read_plan(v) && read_plan(v)) {
            turn_wish(&v->turn);
            return LATER;
        }
    }
    if (v->failed != 0)
        return srq_fail_field(err, v->failed, v->why.field, "%s", v->why.text);
    return 0;
}

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

static struct layer_view *view_of(struct job *j)
{
    struct worker *w = worker_of(j);
    struct layer_view *v;

    if (w == NULL || w->view != NULL)
        return w != NULL ? w->view : NULL;
    make_room(j->d);
    v = srq_calloc(1, sizeof(*v));
    if (v == NULL)
        return NULL;
    v->job = j;
    TAILQ_INIT(&v->waiters);
    turn_init(&v->turn, j->d->turns, j->uid, on_turn, v);
    w->view = v;
    return v;
}

int layer_view_plan(struct job *j, const struct layer_view **out, struct srq_error *err)
{
    struct layer_view *v = view_of(j);

    if (v == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "the daemon is out of memory");
    v->used = srq_clock_s();
    *out = v;
    return refresh_plan(v, err);
}

int layer_view_refresh(struct job *j, const struct layer_view **out, struct srq_error *err)
{
    bool second = false;

    for (;;) {
        int rc = layer_view_plan(j, out, err);

        if (rc != 0)
            return rc;
        rc = read_on(j, j->worker->view);
        if (rc != GONE)
            return rc;
        second = second || j->worker->view->second;
        drop(j);
        if (second)
            return srq_fail_field(err, -SRQ_EFORMAT, "journal.ndjson", "the lines of job %s's journal are not in order",
                                  j->id);
        second = true;
        if (view_of(j) != NULL)
            j->worker->view->second = true;
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

struct layer_file *layer_view_file(const struct layer_view *v)
{
    return v->plan;
}

bool layer_view_has(const struct layer_view *v, const char *layer)
{
    return find(v, layer) != NULL;
}

size_t layer_view_count(const struct layer_view *v)
{
    return v->table->count;
}

const char *layer_view_name(const struct layer_view *v, size_t layer)
{
    return v->table->layers[layer].name;
}

size_t layer_view_blocks(const struct layer_view *v)
{
    return v->block_count - 1;
}

bool layer_view_outside(const struct layer_view *v)
{
    for (size_t i = v->table->count; i > 0; i--)
        if (v->table->layers[i - 1].block == (double)v->block_count - 1)
            return true;
    return false;
}

struct layer_facts layer_view_facts(const struct layer_view *v, size_t layer)
{
    return v->table->layers[layer].facts;
}

double layer_view_score(const struct layer_view *v, size_t layer, const char *scheme)
{
    const struct layer *l = &v->table->layers[layer];
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
    double block = v->table->layers[layer].block;

    return block >= 0 && block < (double)v->block_count ? v->blocks[(size_t)block] : SRQ_WORK_PENDING;
}

const cJSON *layer_view_size(const struct layer_view *v)
{
    return v->size;
}
