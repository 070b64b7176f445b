/* job.plan and job.heatmap: a job's plan.json beside what its journal says of each layer. Both files are hostile input.
 */
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

static bool put_known(cJSON *o, const char *name, double v)
{
    return (isfinite(v) ? cJSON_AddNumberToObject(o, name, v) : cJSON_AddNullToObject(o, name)) != NULL;
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

static cJSON *make_row(const struct plan *p, const cJSON *layer, size_t at, const char *by)
{
    const char *scheme = text_of(layer, "scheme");
    cJSON *o = cJSON_CreateObject();

    (void)by;
    if (o != NULL && put_member(o, "name", layer) && put_member(o, "block", layer) && put_member(o, "module", layer) &&
        put_member(o, "out", layer) && put_member(o, "in", layer) && put_member(o, "scheme", layer) &&
        put_member(o, "source", layer) && put_member(o, "tie", layer) && put_member(o, "why", layer) &&
        put_member(o, "asked", layer) && put_member(o, "untied", layer) && put_member(o, "widths", layer) &&
        put_known(o, "bits", bits_of(scheme)) && cJSON_AddStringToObject(o, "state", state_of(p, at)) != NULL &&
        put_known(o, "score", layer_view_score(p->view, at, scheme)) &&
        cJSON_AddBoolToObject(o, "pin", pinned(layer)) != NULL)
        return o;
    cJSON_Delete(o);
    return NULL;
}

static double value_of(const struct plan *p, size_t at, const char *scheme, int by)
{
    struct layer_facts f = layer_view_facts(p->view, at);
    double score;

    switch (by) {
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

static cJSON *make_cell(const struct plan *p, const cJSON *layer, size_t at, const char *by)
{
    const char *scheme = text_of(layer, "scheme"), *module = text_of(layer, "module");
    cJSON *o = cJSON_CreateObject();

    if (o != NULL && put_copy(o, "layer", cJSON_GetObjectItemCaseSensitive(layer, "name")) &&
        put_member(o, "block", layer) &&
        cJSON_AddStringToObject(o, "module", module[0] != '\0' ? module : text_of(layer, "name")) != NULL &&
        put_known(o, "value", value_of(p, at, scheme, srq_word_place(srq_heat_words, by))) &&
        put_member(o, "scheme", layer) && cJSON_AddBoolToObject(o, "pin", pinned(layer)) != NULL &&
        cJSON_AddStringToObject(o, "state", state_of(p, at)) != NULL)
        return o;
    cJSON_Delete(o);
    return NULL;
}

/* The page's layers as `make` writes them, into reply[name]. */
static int put_layers(const struct request *r, const struct plan *p, cJSON *reply, const char *name,
                      cJSON *(*make)(const struct plan *, const cJSON *, size_t, const char *), const char *by,
                      struct srq_error *err)
{
    int64_t total = cJSON_GetArraySize(p->layers), at = 0, count = 0;
    struct page page = rpc_page(r, total);
    cJSON *out = cJSON_AddArrayToObject(reply, name);
    const cJSON *layer;
    size_t bytes = 0;

    if (out == NULL)
        return rpc_no_memory(err);
    cJSON_ArrayForEach(layer, p->layers)
    {
        int64_t here = at++;

        if (here < page.offset)
            continue;
        if (count >= page.limit || bytes > RPC_PAGE_BYTES)
            break;
        if (!rpc_add_counted(out, make(p, layer, (size_t)here, by), &bytes))
            return rpc_no_memory(err);
        count++;
    }
    return rpc_put_page(reply, page.offset, count, total) ? 0 : rpc_no_memory(err);
}

/* ---- the methods ------------------------------------------------------------------------------------------------- */

/* Of the last change; before any, as planned at submission. */
static bool put_size(cJSON *reply, const struct plan *p)
{
    const cJSON *size = layer_view_size(p->view);
    cJSON *o;

    if (size != NULL)
        return put_copy(reply, "size", size);
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
    if (rc == 0 && (!put_member(o, "revision", p.json) || !put_member(o, "budget", p.json) ||
                    !put_member(o, "pins", p.json) || !put_size(o, &p)))
        rc = rpc_no_memory(err);
    if (rc == 0)
        rc = put_layers(r, &p, o, "layers", make_row, NULL, err);
    plan_close(&p);
    return rc;
}

static int heatmap(const struct request *r, cJSON **result, struct srq_error *err)
{
    const char *by = rpc_text(r, "by");
    struct plan p = { 0 };
    int rc = plan_open(&p, r, heatmap, err);
    cJSON *o = rc == 0 ? cJSON_CreateObject() : NULL;

    *result = o;
    if (rc == 0 && (cJSON_AddStringToObject(o, "by", by) == NULL || !put_member(o, "revision", p.json)))
        rc = rpc_no_memory(err);
    if (rc == 0)
        rc = put_layers(r, &p, o, "cells", make_cell, by, err);
    plan_close(&p);
    return rc;
}

const struct rpc_row rpc_plan_rows[] = {
    { "job.plan", plan },
    { "job.heatmap", heatmap },
    { NULL, NULL },
};
