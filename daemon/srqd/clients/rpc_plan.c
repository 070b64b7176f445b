/* job.plan, job.heatmap and job.history: a job's plan.json beside what its journal says of each layer. They are hostile
 * input. */
#include "daemon/srqd/clients/handlers.h"

#include "daemon/srqd/jobs/jobdir.h"
#include "daemon/srqd/workers/layer_view.h"

#include <math.h>
#include <string.h>

struct plan {
    const struct job *job;
    cJSON *json;
    const cJSON *layers;
    const struct layer_view *view;
    int by; /* what a heatmap shows: enum srq_heat */
};

/* 0, RPC_LATER with the request kept for `handler`, or an error. */
static int plan_open(struct plan *p, const struct request *r, rpc_handler handler, struct srq_error *err)
{
    struct job *j = r->job;
    int rc = rpc_read_json(j, "plan.json", &p->json, err);
    struct kept *k;

    if (rc != 0)
        return rc;
    p->job = j;
    p->layers = cJSON_GetObjectItemCaseSensitive(p->json, "layers");
    if (!cJSON_IsNumber(cJSON_GetObjectItemCaseSensitive(p->json, "revision")) || !cJSON_IsArray(p->layers))
        rc = srq_fail_field(err, -SRQ_EFORMAT, "plan.json", "plan.json of job %s has no revision and layers", j->id);
    if (rc == 0)
        rc = layer_view_refresh(j, p->layers, &p->view, err);
    if (rc <= 0)
        return rc;
    k = rpc_keep(r, handler);
    if (k == NULL)
        return rpc_no_memory(err);
    rc = layer_view_wait(j, rpc_again, k, err);
    if (rc != 0)
        rpc_keep_drop(k);
    return rc == 0 ? RPC_LATER : rc;
}

static void plan_close(struct plan *p)
{
    cJSON_Delete(p->json);
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

static cJSON *make_row(const void *ctx, const cJSON *layer, size_t at)
{
    const struct plan *p = ctx;
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

static cJSON *make_cell(const void *ctx, const cJSON *layer, size_t at)
{
    const struct plan *p = ctx;
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
                    !srq_put_member(o, "pins", p.json) || !put_size(o, &p)))
        rc = rpc_no_memory(err);
    if (rc == 0)
        rc = rpc_page_array(r, o, &(struct rpc_array){ "layers", p.layers, make_row, &p }, err);
    plan_close(&p);
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
        rc = rpc_page_array(r, o, &(struct rpc_array){ "cells", p.layers, make_cell, &p }, err);
    plan_close(&p);
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

static cJSON *make_revision(const void *ctx, const cJSON *item, size_t at)
{
    cJSON *o, *list;
    const cJSON *row;
    int n = 0;

    (void)at;
    if (item->child == NULL) /* the place of revision 0 */
        return make_first(ctx);
    o = cJSON_CreateObject();
    list = cJSON_CreateArray();
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

/* The revisions that a job keeps, up to its plan's. A job that never changed has no file. */
static int read_revisions(const struct job *j, double revision, cJSON **out, struct srq_error *err)
{
    struct srq_error missing = { 0 };
    cJSON *json = NULL, *list;
    int rc = rpc_read_json(j, "history.json", &json, &missing);

    *out = NULL;
    if (rc != 0 && rc != -SRQ_ENOENT) {
        *err = missing;
        return rc;
    }
    list = cJSON_DetachItemFromObjectCaseSensitive(json, "revisions");
    cJSON_Delete(json);
    if (!cJSON_IsArray(list)) {
        cJSON_Delete(list);
        list = cJSON_CreateArray();
    }
    for (int n = cJSON_GetArraySize(list); n > 0; n--) {
        const cJSON *last = cJSON_GetObjectItemCaseSensitive(cJSON_GetArrayItem(list, n - 1), "revision");

        if (cJSON_IsNumber(last) && last->valuedouble <= revision)
            break;
        cJSON_DeleteItemFromArray(list, n - 1); /* one that never became the plan */
    }
    if (list == NULL || !cJSON_InsertItemInArray(list, 0, cJSON_CreateObject()))
        return rpc_no_memory(err);
    *out = list;
    return 0;
}

static int history(const struct request *r, cJSON **result, struct srq_error *err)
{
    cJSON *plan_json = NULL, *list = NULL;
    const cJSON *revision;
    int rc = rpc_read_json(r->job, "plan.json", &plan_json, err);

    revision = cJSON_GetObjectItemCaseSensitive(plan_json, "revision");
    if (rc == 0 && !cJSON_IsNumber(revision))
        rc = srq_fail_field(err, -SRQ_EFORMAT, "plan.json", "plan.json of job %s has no revision", r->job->id);
    if (rc == 0)
        rc = read_revisions(r->job, revision->valuedouble, &list, err);
    if (rc == 0 && (*result = cJSON_CreateObject()) == NULL)
        rc = rpc_no_memory(err);
    if (rc == 0)
        rc = srq_put_member(*result, "revision", plan_json)
                 ? rpc_page_array(r, *result, &(struct rpc_array){ "revisions", list, make_revision, r->job }, err)
                 : rpc_no_memory(err);
    cJSON_Delete(list);
    cJSON_Delete(plan_json);
    return rc;
}

const struct rpc_row rpc_plan_rows[] = {
    { "job.history", history },
    { "job.plan", plan },
    { "job.heatmap", heatmap },
    { NULL, NULL },
};
