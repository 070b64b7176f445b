/* Methods that only look: lists, details, curves, logs, reports. What lies in job directories is read as
 * hostile input, with caps. */
#include "daemon/srqd/clients/handlers.h"

#include "core/base/alloc.h"
#include "core/base/log.h"
#include "daemon/srqd/clients/summary.h"
#include "daemon/srqd/jobs/jobdir.h"
#include "daemon/srqd/workers/layer_view.h"
#include "daemon/srqd/workers/link.h"
#include "daemon/srqd/workers/reading.h"

#include <string.h>

#define WORKER_LOG_MAX ((size_t)2 << 20) /* its end; what is longer is not read in one turn of the loop */
#define TEXT_MAX 4000                    /* bytes of one log line */

/* ---- lists ------------------------------------------------------------------------------------------------------- */

static bool listed(const struct request *r, const struct job *j, const cJSON *states, bool all)
{
    const cJSON *item;

    if (j->uid != r->c->peer.uid && !(all && may_look(&r->c->peer, j)))
        return false;
    if (states == NULL)
        return true;
    cJSON_ArrayForEach(item, states)
    {
        if (strcmp(item->valuestring, srq_job_state_words[j->state]) == 0)
            return true;
    }
    return false;
}

static int list(const struct request *r, cJSON **result, struct srq_error *err)
{
    const cJSON *states = rpc_param(r, "states");
    bool all = rpc_flag(r, "all", false);
    int64_t total = 0, at = 0, count = 0;
    size_t bytes = 0;
    const struct job *j;
    struct page p;
    cJSON *jobs;

    TAILQ_FOREACH(j, &r->d->jobs, entry) total += listed(r, j, states, all);
    p = rpc_page(r, total);
    *result = cJSON_CreateObject();
    jobs = cJSON_AddArrayToObject(*result, "jobs");
    if (jobs == NULL)
        return rpc_no_memory(err);
    TAILQ_FOREACH_REVERSE(j, &r->d->jobs, job_list, entry)
    {
        cJSON *o;

        if (!listed(r, j, states, all) || at++ < p.offset)
            continue;
        if (count >= p.limit || bytes > RPC_PAGE_BYTES)
            break;
        o = cJSON_CreateObject();
        if (o != NULL && !summary_put(o, j)) {
            cJSON_Delete(o);
            o = NULL;
        }
        if (!rpc_add_counted(jobs, o, &bytes))
            return rpc_no_memory(err);
        count++;
    }
    return rpc_put_page(*result, p.offset, count, total) && summary_put_counts(*result, "counts", r->d)
               ? 0
               : rpc_no_memory(err);
}

static int get(const struct request *r, cJSON **result, struct srq_error *err)
{
    const struct job *j = r->job;
    char *spec_text, *planned_text, *dir = jobdir_path(j);
    cJSON *o = cJSON_CreateObject(), *spec = NULL, *planned = NULL;
    int rc = store_texts(r->d->store, j->id, &spec_text, &planned_text, err);
    bool ok;

    *result = o;
    if (rc == 0)
        rc = srq_json_parse(spec_text, strlen(spec_text), SRQ_DEPTH_MAX, &spec, err);
    if (rc == 0)
        rc = srq_json_parse(planned_text, strlen(planned_text), SRQ_DEPTH_MAX, &planned, err);
    if (rc == 0) {
        ok = dir != NULL && summary_put(o, j) && cJSON_AddItemToObject(o, "spec", spec);
        spec = ok ? NULL : spec;
        ok = ok && srq_put_text(o, "directory", dir) && summary_put_planned(o, planned, false) &&
             srq_put_text(o, "on_end_failure", j->on_end_failure) && put_number_or_null(o, "exit_code", j->exit_code) &&
             put_number_or_null(o, "signal", j->exit_signal) &&
             cJSON_AddBoolToObject(o, "attached", worker_link_attached(j)) != NULL &&
             put_number_or_null(o, "last_seq", j->told_seq > 0 ? (double)j->told_seq : -1);
        rc = ok ? 0 : rpc_no_memory(err);
    }
    cJSON_Delete(spec);
    cJSON_Delete(planned);
    srq_free(spec_text);
    srq_free(planned_text);
    srq_free(dir);
    return rc;
}

/* ---- files that are read in steps -------------------------------------------------------------------------------- */

/* One that is being read. */
struct look {
    TAILQ_ENTRY(look) entry;
    struct client *client;
    struct later later;
    struct turn turn;
    struct layer_file *file;
    cJSON *params, *reply; /* for its page; what the answer begins with */
    rpc_file_reply make;
};

static void look_free(struct look *l)
{
    TAILQ_REMOVE(&l->client->looks, l, entry);
    turn_drop(&l->turn);
    layer_file_close(l->file);
    cJSON_Delete(l->params);
    cJSON_Delete(l->reply);
    srq_free(l);
}

static bool read_file(void *ctx)
{
    struct look *l = ctx;
    const struct request r = { .params = l->params };
    struct srq_error err = { 0 };
    int rc = layer_file_step(l->file, NULL, NULL, &err);
    cJSON *reply = l->reply;

    if (rc == 1)
        return true;
    if (rc == 0)
        rc = l->make(&r, l->file, reply, &err);
    if (rc == 0)
        l->reply = NULL;
    rpc_answer_later(&l->later, rc, rc == 0 ? reply : NULL, &err);
    look_free(l);
    return false;
}

int rpc_read_file(const struct request *r, struct layer_file *file, rpc_file_reply make, cJSON *reply,
                  struct srq_error *err)
{
    struct look *l = reply != NULL ? srq_calloc(1, sizeof(*l)) : NULL;

    if (l == NULL || (l->params = cJSON_Duplicate(r->params, true)) == NULL) {
        srq_free(l);
        cJSON_Delete(reply);
        layer_file_close(file);
        return rpc_no_memory(err);
    }
    l->client = r->c;
    l->file = file;
    l->reply = reply;
    l->make = make;
    rpc_later(&l->later, r);
    turn_init(&l->turn, r->d->turns, r->c->peer.uid, read_file, l);
    TAILQ_INSERT_TAIL(&r->c->looks, l, entry);
    turn_wish(&l->turn);
    return RPC_LATER;
}

/* ---- reports ----------------------------------------------------------------------------------------------------- */

static int report_layer(void *file, int64_t at, cJSON **item, struct srq_error *err)
{
    return layer_file_layer(file, (size_t)at, item, err);
}

static int report_reply(const struct request *r, struct layer_file *file, cJSON *o, struct srq_error *err)
{
    cJSON *report = cJSON_Duplicate(layer_file_object(file), true);

    cJSON_DeleteItemFromObjectCaseSensitive(report, "layers");
    if (report == NULL || !cJSON_AddItemToObject(o, "report", report)) {
        cJSON_Delete(report);
        return rpc_no_memory(err);
    }
    return rpc_page_of(r, o, "layers", (int64_t)layer_file_count(file), report_layer, file, err);
}

static int report(const struct request *r, cJSON **result, struct srq_error *err)
{
    struct layer_file *file;
    int rc;

    (void)result;
    if (r->job->state != SRQ_JOB_DONE)
        return srq_fail_field(err, -SRQ_ESTATE, "job", "job %s is %s; its report comes when it is done", r->job->id,
                              srq_job_state_words[r->job->state]);
    rc = layer_file_open(r->job, &layer_array_report, &file, err);
    return rc == 0 ? rpc_read_file(r, file, report_reply, cJSON_CreateObject(), err) : rc;
}

/* ---- the journal ------------------------------------------------------------------------------------------------- */

/* Elements found so far; only those of the page are kept, but all are counted. A page from the end needs the count
 * first, so the journal is then read twice. */
struct gather {
    TAILQ_ENTRY(gather) entry;
    struct client *client;
    struct later later;
    struct journal_view *journal;
    struct reading *reading;
    journal_visit visit;
    const char *event, *value, *layer; /* the layer is in `params` */
    double block;                      /* negative: any */
    cJSON *params, *reply;
    struct page page;
    bool count_only;
    int64_t total, kept;
    size_t bytes;
    double *iters; /* of all points so far, which never fall */
    size_t iters_cap;
    cJSON *out;
    bool failed;
};

static bool wanted(struct gather *g)
{
    int64_t at = g->total++;

    return !g->count_only && at >= g->page.offset && at == g->page.offset + g->kept && g->kept < g->page.limit &&
           g->bytes <= RPC_PAGE_BYTES;
}

static void keep(struct gather *g, cJSON *item)
{
    if (!rpc_add_counted(g->out, item, &g->bytes))
        g->failed = true;
    else
        g->kept++;
}

/* A block that begins again, or goes on from a checkpoint, has its points anew from there on: those of the run before
 * are no part of the curve. */
static bool follow_curve(struct gather *g, double iter)
{
    if (g->total > 0 && iter < g->iters[g->total - 1])
        while (g->total > 0 && !(g->iters[g->total - 1] < iter))
            g->total--;
    for (; g->kept > 0 && g->page.offset + g->kept > g->total; g->kept--)
        cJSON_DeleteItemFromArray(g->out, (int)g->kept - 1);
    if ((size_t)g->total == g->iters_cap) {
        size_t cap = g->iters_cap > 0 ? 2 * g->iters_cap : 256;
        double *more = srq_reallocarray(g->iters, cap, sizeof(*more));

        if (more == NULL)
            return false;
        g->iters = more;
        g->iters_cap = cap;
    }
    g->iters[g->total] = iter;
    return true;
}

static bool gather_point(const struct journal_entry *e, void *ctx)
{
    struct gather *g = ctx;
    const cJSON *layer = cJSON_GetObjectItemCaseSensitive(e->params, "layer");
    cJSON *o;

    if (g->block >= 0 && srq_member_number(e->params, "block") != g->block)
        return true;
    if (g->layer != NULL && (!cJSON_IsString(layer) || strcmp(layer->valuestring, g->layer) != 0))
        return true;
    if (!follow_curve(g, srq_member_number(e->params, "iter"))) {
        g->failed = true;
        return false;
    }
    if (!wanted(g))
        return true;
    o = cJSON_CreateObject();
    if (!srq_put_number(o, "iter", srq_member_number(e->params, "iter")) ||
        !srq_put_copy(o, "value", cJSON_GetObjectItemCaseSensitive(e->params, g->value)) ||
        !srq_put_member(o, "lr", e->params) || !srq_put_number(o, "time", e->time)) {
        cJSON_Delete(o);
        o = NULL;
    }
    keep(g, o);
    return !g->failed;
}

static bool gather_log(const struct journal_entry *e, void *ctx)
{
    struct gather *g = ctx;
    cJSON *o;

    if (!wanted(g))
        return true;
    o = cJSON_CreateObject();
    if (!srq_put_number(o, "seq", (double)e->seq) || !srq_put_number(o, "time", e->time) ||
        !srq_put_member(o, "level", e->params) || !srq_put_member(o, "text", e->params)) {
        cJSON_Delete(o);
        o = NULL;
    }
    keep(g, o);
    return !g->failed;
}

static void gather_free(struct gather *g)
{
    TAILQ_REMOVE(&g->client->gathers, g, entry);
    reading_stop(&g->reading);
    journal_close(g->journal);
    cJSON_Delete(g->params);
    cJSON_Delete(g->reply);
    srq_free(g->iters);
    srq_free(g);
}

static void on_gathered(void *ctx);

static void gather_on(struct gather *g)
{
    const struct reading_wish wish = { .turns = g->later.all->d->turns,
                                       .uid = g->client->peer.uid,
                                       .journal = g->journal,
                                       .visit = g->visit,
                                       .filter = { .events = g->event },
                                       .done = on_gathered,
                                       .ctx = g };

    if (g->journal != NULL)
        journal_seek(g->journal, 0);
    reading_start(&wish, &g->reading);
}

static void on_gathered(void *ctx)
{
    struct gather *g = ctx;
    const struct request r = { .params = g->params };
    struct srq_error err = { 0 };
    cJSON *reply = NULL;
    int rc = 0;

    if (g->count_only) {
        g->count_only = false;
        g->page = rpc_page(&r, g->total);
        g->total = 0;
        gather_on(g);
        return;
    }
    if (g->failed || !rpc_put_page(g->reply, g->page.offset, g->kept, g->total))
        rc = rpc_no_memory(&err);
    if (rc == 0) {
        reply = g->reply;
        g->reply = NULL;
    }
    rpc_answer_later(&g->later, rc, reply, &err);
    gather_free(g);
}

/* Reads the job's journal for g->visit into reply[name], and answers when that is done. `reply` is consumed. */
static int gather_page(const struct request *r, const struct gather *wish, cJSON *reply, const char *name,
                       struct srq_error *err)
{
    struct gather *g = srq_malloc(sizeof(*g));

    if (g == NULL) {
        cJSON_Delete(reply);
        return rpc_no_memory(err);
    }
    *g = *wish;
    g->client = r->c;
    TAILQ_INSERT_TAIL(&r->c->gathers, g, entry);
    g->reply = reply;
    g->out = cJSON_AddArrayToObject(reply, name);
    g->params = cJSON_Duplicate(r->params, true);
    if (g->out == NULL || g->params == NULL) {
        gather_free(g);
        return rpc_no_memory(err);
    }
    g->layer = srq_member_text(g->params, "layer");
    g->count_only = rpc_number(r, "offset", 0) < 0;
    g->page = rpc_page(r, INT64_MAX / 2);
    (void)journal_open(r->job, &g->journal, NULL); /* none yet: an empty page */
    rpc_later(&g->later, r);
    gather_on(g);
    return RPC_LATER;
}

void rpc_look_drop_client(struct client *c)
{
    while (!TAILQ_EMPTY(&c->gathers))
        gather_free(TAILQ_FIRST(&c->gathers));
    while (!TAILQ_EMPTY(&c->looks))
        look_free(TAILQ_FIRST(&c->looks));
}

static int series(const struct request *r, cJSON **result, struct srq_error *err);

/* A curve of what the model does not have is a mistake, not an empty curve. RPC_LATER: the plan is long. */
static int check_place(const struct request *r, const char *layer, double block, struct srq_error *err)
{
    const struct layer_view *v;
    int rc = layer_view_plan(r->job, &v, NULL);
    size_t n;

    if (rc > 0)
        return rpc_wait_for_layers(r, series, err);
    if (rc < 0)
        return 0; /* the journal may be read all the same */
    n = layer_view_count(v);
    if (layer != NULL && !layer_view_has(v, layer))
        return srq_fail_field(err, -SRQ_EINVAL, "layer", "job %s has no layer \"%.300s\"; it has %.150s to %.150s",
                              r->job->id, layer, n > 0 ? layer_view_name(v, 0) : "none",
                              n > 0 ? layer_view_name(v, n - 1) : "none");
    /* what is outside the blocks comes behind them */
    if (layer == NULL && block >= (double)layer_view_blocks(v) + layer_view_outside(v))
        return srq_fail_field(err, -SRQ_EINVAL, "block", "job %s has no block %.0f; it has 0 to %.0f", r->job->id,
                              block, (double)layer_view_blocks(v) - 1);
    return 0;
}

static int series(const struct request *r, cJSON **result, struct srq_error *err)
{
    static const char *const events[] = { [SRQ_SERIES_LOSS] = "tune.point",
                                          [SRQ_SERIES_PROBE] = "tune.probe",
                                          [SRQ_SERIES_ERROR] = "layer.error",
                                          [SRQ_SERIES_TRANSFORM] = "transform.point",
                                          [SRQ_SERIES_TRANSFORM_PROBE] = "transform.probe" };
    const char *layer = rpc_text(r, "layer");
    bool block = rpc_param(r, "block") != NULL;
    int kind = srq_word_place(srq_series_words, rpc_text(r, "kind"));
    bool transform = kind >= SRQ_SERIES_TRANSFORM;
    struct gather g = { .visit = gather_point, .block = rpc_number(r, "block", -1) };
    cJSON *reply;
    int rc;

    if (transform && (block || layer != NULL))
        return srq_fail_field(err, -SRQ_EINVAL, "block",
                              "a transform is of the whole model: give no block and no layer");
    if (!transform && block == (layer != NULL))
        return srq_fail_field(err, -SRQ_EINVAL, "block", "give either a block or a layer");
    if (kind < 0)
        kind = layer != NULL ? SRQ_SERIES_ERROR : SRQ_SERIES_LOSS;
    if (!transform && (layer != NULL) != (kind == SRQ_SERIES_ERROR))
        return srq_fail_field(err, -SRQ_EINVAL, "kind", "loss and probe are a block's, error is a layer's");
    rc = transform ? 0 : check_place(r, layer, rpc_number(r, "block", -1), err);
    if (rc != 0)
        return rc;
    g.event = events[kind];
    g.value = layer != NULL ? "error" : "loss";
    (void)result;
    reply = cJSON_CreateObject();
    if (!srq_put_text(reply, "kind", srq_series_words[kind])) {
        cJSON_Delete(reply);
        return rpc_no_memory(err);
    }
    return gather_page(r, &g, reply, "points", err);
}

/* ---- logs -------------------------------------------------------------------------------------------------------- */

static cJSON *worker_line(const char *line, size_t len)
{
    char raw[TEXT_MAX + 1], clean[4 * TEXT_MAX + 1];
    cJSON *o = cJSON_CreateObject();

    len = len < TEXT_MAX ? len : TEXT_MAX;
    memcpy(raw, line, len);
    raw[len] = '\0';
    srq_escape_control(raw, clean, sizeof(clean));
    if (cJSON_AddNullToObject(o, "seq") != NULL && cJSON_AddNullToObject(o, "time") != NULL &&
        cJSON_AddNullToObject(o, "level") != NULL && srq_put_text(o, "text", clean))
        return o;
    cJSON_Delete(o);
    return NULL;
}

static int worker_log(const struct request *r, cJSON *reply, struct srq_error *err)
{
    cJSON *lines = cJSON_AddArrayToObject(reply, "lines");
    int64_t total = 0, at = 0, kept = 0;
    size_t len = 0, bytes = 0;
    char *text = NULL;
    struct page p;
    int rc = jobdir_read_tail(r->job, "worker.log", WORKER_LOG_MAX, &text, &len, err);

    if (rc != 0 && rc != -SRQ_ENOENT)
        return rc;
    for (size_t i = 0; i < len; i++)
        total += text[i] == '\n' || i + 1 == len;
    p = rpc_page(r, total);
    rc = lines != NULL ? 0 : rpc_no_memory(err);
    for (size_t i = 0; rc == 0 && i < len && kept < p.limit && bytes <= RPC_PAGE_BYTES;) {
        const char *nl = memchr(text + i, '\n', len - i);
        size_t n = nl != NULL ? (size_t)(nl - text) - i : len - i;

        if (at++ >= p.offset) {
            if (!rpc_add_counted(lines, worker_line(text + i, n), &bytes))
                rc = rpc_no_memory(err);
            kept++;
        }
        i += n + 1;
    }
    srq_free(text);
    if (rc == 0 && !rpc_put_page(reply, p.offset, kept, total))
        rc = rpc_no_memory(err);
    return rc;
}

static int job_log(const struct request *r, cJSON **result, struct srq_error *err)
{
    const char *source = rpc_text(r, "source");
    const struct gather g = { .visit = gather_log, .event = "log", .block = -1 };

    if (source == NULL || strcmp(source, "worker") != 0)
        return gather_page(r, &g, cJSON_CreateObject(), "lines", err);
    *result = cJSON_CreateObject();
    return *result != NULL ? worker_log(r, *result, err) : rpc_no_memory(err);
}

const struct rpc_row rpc_look_rows[] = {
    { "job.list", list },   { "job.get", get },       { "job.series", series },
    { "job.log", job_log }, { "job.report", report }, { NULL, NULL },
};
