/* job.plan, job.heatmap and job.history: a job's plan.json beside what its journal says of each layer. They are hostile
 * input. */
#include "daemon/srqd/clients/handlers.h"

#include "core/proto/members.h"
#include "daemon/srqd/workers/layer_file.h"
#include "daemon/srqd/workers/layer_view.h"

#include <math.h>
#include <string.h>

struct plan {
    const struct job *job;
    const cJSON *json; /* plan.json without its layers */
    const struct layer_view *view;
    int by; /* what a heatmap shows: enum srq_heat */
};

/* 0, RPC_LATER with the request kept for `handler`, or an error. */
static int plan_open(struct plan *p, const struct request *r, rpc_handler handler, struct srq_error *err)
{
    int rc = layer_view_refresh(r->job, &p->view, err);

    p->job = r->job;
    if (rc > 0)
        return rpc_wait_for_layers(r, handler, err);
    if (rc == 0)
        p->json = layer_file_object(layer_view_file(p->view));
    return rc;
}

static const char *text_of(const cJSON *o, const char *name)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, name);

    return cJSON_IsString(v) ? v->valuestring : "";
}

static double bits_of(const char *scheme)
{
    int bits = srq_scheme_look(scheme).bits;

    return bits > 0 ? bits : NAN;
}

static bool pinned(const cJSON *layer)
{
    return strcmp(text_of(layer, "source"), "pin") == 0;
}

/* Of a job that is done nothing is left to do, though journals of old do not say so. */
static const char *state_of(const struct plan *p, size_t at)
{
    return srq_work_state_words[p->job->state == SRQ_JOB_DONE ? SRQ_WORK_FINISHED : layer_view_state(p->view, at)];
}

/* ---- rows and cells ---------------------------------------------------------------------------------------------- */

static cJSON *make_row(const struct plan *p, const cJSON *layer, size_t at)
{
    const char *scheme = text_of(layer, "scheme");
    cJSON *o = cJSON_CreateObject();

    if (o != NULL && srq_put_member(o, "name", layer) && srq_put_member(o, "block", layer) &&
        srq_put_member(o, "module", layer) && srq_put_member(o, "out", layer) && srq_put_member(o, "in", layer) &&
        srq_put_member(o, "scheme", layer) && srq_put_member(o, "source", layer) && srq_put_member(o, "tie", layer) &&
        srq_put_member(o, "why", layer) && srq_put_member(o, "asked", layer) && srq_put_member(o, "untied", layer) &&
        srq_put_member(o, "widths", layer) && srq_put_number(o, "bits", bits_of(scheme)) &&
        srq_put_text(o, "state", state_of(p, at)) &&
        srq_put_number(o, "score", layer_view_score(p->view, at, scheme)) &&
        cJSON_AddBoolToObject(o, "pin", pinned(layer)) != NULL)
        return o;
    cJSON_Delete(o);
    return NULL;
}

static double value_of(const struct plan *p, size_t at, const char *scheme)
{
    struct layer_facts f = layer_view_facts(p->view, at);
    double score;

    switch (p->by) {
    case SRQ_HEAT_BITS:
        return bits_of(scheme);
    case SRQ_HEAT_LOSS:
        return f.error_last;
    case SRQ_HEAT_SATURATION:
        return f.saturation;
    case SRQ_HEAT_GAIN:
        return f.error_first > 0 ? 1 - f.error_best / f.error_first : NAN;
    default:
        break;
    }
    score = layer_view_score(p->view, at, scheme);
    return isnan(score) ? layer_view_score(p->view, at, NULL) : score;
}

static cJSON *make_cell(const struct plan *p, const cJSON *layer, size_t at)
{
    const char *scheme = text_of(layer, "scheme"), *module = text_of(layer, "module");
    cJSON *o = cJSON_CreateObject();

    if (o != NULL && srq_put_copy(o, "layer", cJSON_GetObjectItemCaseSensitive(layer, "name")) &&
        srq_put_member(o, "block", layer) &&
        srq_put_text(o, "module", module[0] != '\0' ? module : text_of(layer, "name")) &&
        srq_put_number(o, "value", value_of(p, at, scheme)) && srq_put_member(o, "scheme", layer) &&
        cJSON_AddBoolToObject(o, "pin", pinned(layer)) != NULL && srq_put_text(o, "state", state_of(p, at)))
        return o;
    cJSON_Delete(o);
    return NULL;
}

/* ---- pages ------------------------------------------------------------------------------------------------------- */

struct shown {
    const struct plan *plan;
    cJSON *(*make)(const struct plan *p, const cJSON *layer, size_t at); /* NULL: out of memory */
};

static int shown_layer(void *ctx, int64_t at, cJSON **item, struct srq_error *err)
{
    const struct shown *s = ctx;
    cJSON *layer;
    int rc = layer_file_layer(layer_view_file(s->plan->view), (size_t)at, &layer, err);

    *item = rc == 0 ? s->make(s->plan, layer, (size_t)at) : NULL;
    cJSON_Delete(layer);
    return rc;
}

/* The page's layers as `make` makes them. Only they are parsed. */
static int put_layers(const struct request *r, cJSON *reply, const char *name, struct shown s, struct srq_error *err)
{
    int64_t total = (int64_t)layer_file_count(layer_view_file(s.plan->view));

    return rpc_page_of(r, reply, name, total, shown_layer, &s, err);
}

/* ---- the methods ------------------------------------------------------------------------------------------------- */

/* Of the last change; before any, as planned at submission. */
static bool put_size(cJSON *reply, const struct plan *p)
{
    const cJSON *size = layer_view_size(p->view);
    cJSON *o;

    if (size != NULL)
        return srq_put_copy(reply, "size", size);
    o = cJSON_AddObjectToObject(reply, "size");
    return put_number_or_null(o, "before_bytes", p->job->before_bytes) &&
           put_number_or_null(o, "after_bytes", p->job->after_bytes) &&
           put_number_or_null(o, "average_bits", p->job->average_bits);
}

static int plan(const struct request *r, cJSON **result, struct srq_error *err)
{
    struct plan p = { 0 };
    int rc = plan_open(&p, r, plan, err);
    cJSON *o = rc == 0 ? cJSON_CreateObject() : NULL;

    *result = o;
    if (rc == 0 && (!srq_put_member(o, "revision", p.json) || !srq_put_member(o, "budget", p.json) ||
                    !srq_put_member(o, "pins", p.json) || !srq_put_member(o, "options", p.json) || !put_size(o, &p)))
        rc = rpc_no_memory(err);
    if (rc == 0)
        rc = put_layers(r, o, "layers", (struct shown){ &p, make_row }, err);
    return rc;
}

static int heatmap(const struct request *r, cJSON **result, struct srq_error *err)
{
    const char *by = rpc_text(r, "by");
    struct plan p = { .by = srq_word_place(srq_heat_words, by) };
    int rc = plan_open(&p, r, heatmap, err);
    cJSON *o = rc == 0 ? cJSON_CreateObject() : NULL;

    *result = o;
    if (rc == 0 && (!srq_put_text(o, "by", by) || !srq_put_member(o, "revision", p.json)))
        rc = rpc_no_memory(err);
    if (rc == 0)
        rc = put_layers(r, o, "cells", (struct shown){ &p, make_cell }, err);
    return rc;
}

/* ---- revisions --------------------------------------------------------------------------------------------------- */

#define ROWS_SHOWN 20 /* layers of one revision */

/* Revision 0: what was submitted. */
static cJSON *make_first(const struct job *j)
{
    cJSON *o = cJSON_CreateObject();

    if (srq_put_number(o, "revision", 0) && srq_put_number(o, "time", j->submitted) &&
        srq_put_text(o, "by", j->owner) && srq_put_text(o, "op", NULL) && srq_put_text(o, "what", NULL) &&
        srq_put_number(o, "changed", NAN) && cJSON_AddArrayToObject(o, "changes") != NULL)
        return o;
    cJSON_Delete(o);
    return NULL;
}

static cJSON *make_revision(const cJSON *item)
{
    cJSON *o = cJSON_CreateObject(), *list = cJSON_CreateArray();
    const cJSON *row;
    int n = 0;

    cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(item, "layers"))
    {
        cJSON *copy;

        if (strcmp(text_of(row, "old"), text_of(row, "new")) == 0 || n++ >= ROWS_SHOWN)
            continue;
        copy = cJSON_CreateObject();
        if (!cJSON_AddItemToArray(list, copy) || !srq_put_member(copy, "layer", row) ||
            !srq_put_member(copy, "old", row) || !srq_put_member(copy, "new", row))
            break;
    }
    if (o != NULL && list != NULL && row == NULL && srq_put_member(o, "revision", item) &&
        srq_put_member(o, "time", item) && srq_put_member(o, "by", item) && srq_put_member(o, "op", item) &&
        srq_put_member(o, "what", item) && srq_put_member(o, "changed", item) &&
        cJSON_AddItemToObject(o, "changes", list))
        return o;
    cJSON_Delete(list);
    cJSON_Delete(o);
    return NULL;
}

/* How many of a file's revisions became the plan; the last of them may not have. */
static int settled(const struct layer_file *file, double revision, int64_t *count, struct srq_error *err)
{
    int rc = 0;

    for (*count = (int64_t)layer_file_count(file); rc == 0 && *count > 0; (*count)--) {
        cJSON *last = NULL;
        double n;

        rc = layer_file_layer(file, (size_t)*count - 1, &last, err);
        n = rc == 0 ? srq_member_number(last, "revision") : (double)NAN;
        cJSON_Delete(last);
        if (n <= revision)
            break;
    }
    return rc;
}

struct revisions {
    const struct layer_file *file;
    cJSON *first; /* the row of revision 0 */
};

static int revision_at(void *ctx, int64_t at, cJSON **item, struct srq_error *err)
{
    const struct revisions *v = ctx;
    cJSON *entry;
    int rc;

    if (at == 0) {
        *item = cJSON_Duplicate(v->first, true);
        return 0;
    }
    rc = layer_file_layer(v->file, (size_t)at - 1, &entry, err);
    *item = rc == 0 ? make_revision(entry) : NULL;
    cJSON_Delete(entry);
    return rc;
}

/* Revision 0, which the reply brings as "first", and those of the file (NULL: there are none), a page of them. */
static int put_revisions(const struct request *r, struct layer_file *file, cJSON *o, struct srq_error *err)
{
    struct revisions v = { file, cJSON_DetachItemFromObjectCaseSensitive(o, "first") };
    int64_t count = 0;
    int rc = file != NULL ? settled(file, srq_member_number(o, "revision"), &count, err) : 0;

    if (rc == 0)
        rc = rpc_page_of(r, o, "revisions", count + 1, revision_at, &v, err);
    cJSON_Delete(v.first);
    return rc;
}

/* A job that never changed has no file. */
static int history(const struct request *r, cJSON **result, struct srq_error *err)
{
    struct srq_error missing = { 0 };
    struct layer_file *file = NULL;
    struct plan p = { 0 };
    cJSON *o, *first;
    int rc = plan_open(&p, r, history, err);

    if (rc != 0)
        return rc;
    o = cJSON_CreateObject();
    first = make_first(r->job);
    if (o == NULL || !srq_put_member(o, "revision", p.json) || !cJSON_AddItemToObject(o, "first", first)) {
        cJSON_Delete(first);
        cJSON_Delete(o);
        return rpc_no_memory(err);
    }
    rc = layer_file_open(r->job, &layer_array_history, &file, &missing);
    if (rc == 0)
        return rpc_read_file(r, file, put_revisions, o, err);
    *result = o;
    if (rc == -SRQ_ENOENT)
        return put_revisions(r, NULL, o, err);
    *err = missing;
    return rc;
}

const struct rpc_row rpc_plan_rows[] = {
    { "job.history", history },
    { "job.plan", plan },
    { "job.heatmap", heatmap },
    { NULL, NULL },
};
