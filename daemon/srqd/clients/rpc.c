/* What handlers share. */
#include "daemon/srqd/clients/rpc.h"

#include "core/base/alloc.h"
#include "daemon/srqd/workers/layer_view.h"

#include <math.h>
#include <string.h>

#define PAGE_DEFAULT 500

/* ---- parameters and replies -------------------------------------------------------------------------------------- */

const cJSON *rpc_param(const struct request *r, const char *name)
{
    return srq_member(r->params, name);
}

bool rpc_flag(const struct request *r, const char *name, bool otherwise)
{
    const cJSON *v = rpc_param(r, name);

    return v != NULL ? cJSON_IsTrue(v) : otherwise;
}

double rpc_number(const struct request *r, const char *name, double otherwise)
{
    const cJSON *v = rpc_param(r, name);

    return v != NULL ? v->valuedouble : otherwise;
}

const char *rpc_text(const struct request *r, const char *name)
{
    const cJSON *v = rpc_param(r, name);

    return v != NULL ? v->valuestring : NULL;
}

bool put_number_or_null(cJSON *object, const char *name, double v)
{
    return srq_put_number(object, name, v >= 0 ? v : NAN);
}

int rpc_no_memory(struct srq_error *err)
{
    return srq_fail(err, -SRQ_ENOMEM, "the daemon is out of memory");
}

struct page rpc_page(const struct request *r, int64_t total)
{
    struct page p = { (int64_t)rpc_number(r, "offset", 0), (int64_t)rpc_number(r, "limit", PAGE_DEFAULT) };

    if (p.offset < 0)
        p.offset = total + p.offset > 0 ? total + p.offset : 0;
    if (p.offset > total)
        p.offset = total;
    return p;
}

bool rpc_put_page(cJSON *reply, int64_t offset, int64_t count, int64_t total)
{
    int64_t next = offset + count;

    return srq_put_number(reply, "total", (double)total) &&
           put_number_or_null(reply, "next_offset", next < total && count > 0 ? (double)next : -1);
}

int rpc_page_of(const struct request *r, cJSON *reply, const char *name, int64_t total, rpc_element make, void *ctx,
                struct srq_error *err)
{
    struct page p = rpc_page(r, total);
    cJSON *out = cJSON_AddArrayToObject(reply, name);
    int64_t count = 0;
    size_t bytes = 0;

    if (out == NULL)
        return rpc_no_memory(err);
    for (; p.offset + count < total && count < p.limit && bytes <= RPC_PAGE_BYTES; count++) {
        cJSON *item = NULL;
        int rc = make(ctx, p.offset + count, &item, err);

        if (rc != 0)
            return rc;
        if (!rpc_add_counted(out, item, &bytes))
            return rpc_no_memory(err);
    }
    return rpc_put_page(reply, p.offset, count, total) ? 0 : rpc_no_memory(err);
}

int rpc_page_array(const struct request *r, cJSON *reply, const char *name, const cJSON *items, struct srq_error *err)
{
    int64_t total = cJSON_GetArraySize(items), at = 0, count = 0;
    struct page p = rpc_page(r, total);
    cJSON *out = cJSON_AddArrayToObject(reply, name);
    const cJSON *item;
    size_t bytes = 0;

    if (out == NULL)
        return rpc_no_memory(err);
    cJSON_ArrayForEach(item, items)
    {
        int64_t here = at++;

        if (here < p.offset)
            continue;
        if (count >= p.limit || bytes > RPC_PAGE_BYTES)
            break;
        if (!rpc_add_counted(out, cJSON_Duplicate(item, true), &bytes))
            return rpc_no_memory(err);
        count++;
    }
    return rpc_put_page(reply, p.offset, count, total) ? 0 : rpc_no_memory(err);
}

bool rpc_add_counted(cJSON *array, cJSON *item, size_t *bytes)
{
    char *text = item != NULL ? cJSON_PrintUnformatted(item) : NULL;
    bool ok = text != NULL && cJSON_AddItemToArray(array, item);

    if (ok)
        *bytes += strlen(text) + 1;
    else
        cJSON_Delete(item);
    cJSON_free(text);
    return ok;
}

/* ---- answers that come later ------------------------------------------------------------------------------------- */

void rpc_later(struct later *l, const struct request *r)
{
    l->all = r->c->all;
    l->client = r->c->number;
    l->method = r->method;
    snprintf(l->id, sizeof(l->id), "%s", r->id);
    r->c->later++;
}

void rpc_answer_later(const struct later *l, int rc, cJSON *result, const struct srq_error *err)
{
    struct client *c = client_find(l->all, l->client);

    if (c == NULL) {
        cJSON_Delete(result);
        return;
    }
    client_answer(c, l->id, l->method, rc, result, err);
    client_later_done(c);
}

struct kept {
    struct later later;
    rpc_handler handler;
    cJSON *params;
    char job[JOB_ID_MAX];
};

struct kept *rpc_keep(const struct request *r, rpc_handler handler)
{
    struct kept *k = srq_calloc(1, sizeof(*k));

    if (k == NULL || (k->params = cJSON_Duplicate(r->params, true)) == NULL) {
        srq_free(k);
        return NULL;
    }
    k->handler = handler;
    memcpy(k->job, r->job->id, sizeof(k->job));
    rpc_later(&k->later, r);
    return k;
}

void rpc_keep_drop(struct kept *k)
{
    struct client *c = client_find(k->later.all, k->later.client);

    if (c != NULL)
        client_later_done(c);
    cJSON_Delete(k->params);
    srq_free(k);
}

int rpc_wait_for_layers(const struct request *r, rpc_handler handler, struct srq_error *err)
{
    struct kept *k = rpc_keep(r, handler);
    int rc = k != NULL ? layer_view_wait(r->job, rpc_again, k, err) : rpc_no_memory(err);

    if (rc != 0 && k != NULL)
        rpc_keep_drop(k);
    return rc == 0 ? RPC_LATER : rc;
}

void rpc_again(void *kept)
{
    struct kept *k = kept;
    struct srqd *d = k->later.all->d;
    struct request r = { .d = d,
                         .c = client_find(k->later.all, k->later.client),
                         .id = k->later.id,
                         .method = k->later.method,
                         .params = k->params,
                         .job = job_find(&d->jobs, k->job) };
    struct srq_error err = { 0 };
    cJSON *result = NULL;
    int rc;

    if (r.c != NULL) {
        rc = r.job != NULL ? k->handler(&r, &result, &err)
                           : srq_fail_field(&err, -SRQ_ENOENT, "job", "there is no job \"%s\" any more", k->job);
        if (rc < 0) {
            cJSON_Delete(result);
            result = NULL;
        }
        if (rc != RPC_LATER)
            client_answer(r.c, r.id, r.method, rc, result, &err);
    }
    rpc_keep_drop(k);
}
