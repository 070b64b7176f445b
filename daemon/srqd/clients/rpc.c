/* Dispatch and what handlers share. */
#include "daemon/srqd/clients/rpc.h"

#include "core/base/alloc.h"
#include "daemon/srqd/clients/authority.h"
#include "daemon/srqd/clients/events.h"
#include "daemon/srqd/jobs/jobdir.h"
#include "daemon/srqd/jobs/lifecycle.h"

#include <string.h>
#include <unistd.h>

#define PAGE_DEFAULT 500
#define FILE_MAX ((size_t)32 << 20)

/* ---- parameters and replies ----------------------------------------------------------------------------------- */

const cJSON *rpc_param(const struct request *r, const char *name)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(r->params, name);

    return v == NULL || cJSON_IsNull(v) ? NULL : v;
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
    return (v >= 0 ? cJSON_AddNumberToObject(object, name, v) : cJSON_AddNullToObject(object, name)) != NULL;
}

bool put_text_or_null(cJSON *object, const char *name, const char *text)
{
    return (text != NULL ? cJSON_AddStringToObject(object, name, text) : cJSON_AddNullToObject(object, name)) != NULL;
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

    return cJSON_AddNumberToObject(reply, "total", (double)total) != NULL &&
           put_number_or_null(reply, "next_offset", next < total && count > 0 ? (double)next : -1);
}

int rpc_page_array(const struct request *r, cJSON *reply, const char *name, const cJSON *array, struct srq_error *err)
{
    int64_t total = cJSON_GetArraySize(array), at = 0, count = 0;
    struct page p = rpc_page(r, total);
    cJSON *out = cJSON_AddArrayToObject(reply, name);
    const cJSON *item;
    size_t bytes = 0;

    if (out == NULL)
        return rpc_no_memory(err);
    cJSON_ArrayForEach(item, array)
    {
        if (at++ < p.offset)
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

int rpc_read_json(const struct job *j, const char *name, cJSON **out, struct srq_error *err)
{
    char *text;
    size_t len;
    int rc = jobdir_read(j, name, FILE_MAX, &text, &len, err);

    *out = NULL;
    if (rc != 0)
        return rc;
    rc = srq_json_parse(text, len, SRQ_DEPTH_MAX, out, err);
    srq_free(text);
    if (rc == 0 && !cJSON_IsObject(*out)) {
        cJSON_Delete(*out);
        *out = NULL;
        rc = srq_fail_field(err, -SRQ_EFORMAT, name, "%s of job %s is no JSON object", name, j->id);
    }
    return rc;
}

/* ---- jobs by name --------------------------------------------------------------------------------------------- */

static struct job *last_of(const struct client *c)
{
    struct job *j;

    TAILQ_FOREACH_REVERSE(j, &c->d->jobs, job_list, entry)
    {
        if (j->uid == c->uid)
            return j;
    }
    return NULL;
}

/* The one job whose id begins so, of the caller's or of all; *many when there are several. */
static struct job *by_beginning(const struct client *c, const char *name, bool own, bool *many)
{
    struct job *j, *found = NULL;

    *many = false;
    TAILQ_FOREACH(j, &c->d->jobs, entry)
    {
        if ((own && j->uid != c->uid) || strncmp(j->id, name, strlen(name)) != 0)
            continue;
        if (strcmp(j->id, name) == 0) {
            *many = false;
            return j;
        }
        if (found != NULL)
            *many = true;
        found = j;
    }
    return found;
}

struct job *rpc_find_job(const struct client *c, const char *name, struct srq_error *err)
{
    bool many = false;
    struct job *j;

    if (strcmp(name, "@last") == 0) {
        j = last_of(c);
        if (j == NULL)
            srq_fail_field(err, -SRQ_ENOENT, "job", "you have no jobs here");
        return j;
    }
    j = by_beginning(c, name, true, &many);
    if (j == NULL)
        j = by_beginning(c, name, false, &many);
    if (j == NULL)
        srq_fail_field(err, -SRQ_ENOENT, "job", "there is no job \"%.100s\"", name);
    else if (many)
        srq_fail_field(err, -SRQ_EINVAL, "job", "several jobs begin with \"%.100s\"", name);
    return many ? NULL : j;
}

/* ---- answers that come later ---------------------------------------------------------------------------------- */

void rpc_later(struct later *l, const struct request *r)
{
    l->d = r->d;
    l->client = r->c->number;
    l->method = r->method;
    snprintf(l->id, sizeof(l->id), "%s", r->id);
    r->c->later++;
}

void rpc_answer_later(const struct later *l, int rc, cJSON *result, const struct srq_error *err)
{
    struct client *c = client_find(l->d, l->client);

    if (c == NULL) {
        cJSON_Delete(result);
        return;
    }
    c->later--;
    client_answer(c, l->id, l->method, rc, result, err);
}

/* ---- hello and subscriptions ---------------------------------------------------------------------------------- */

static int hello(const struct request *r, cJSON **result, struct srq_error *err)
{
    int major = (int)rpc_number(r, "major", -1);
    cJSON *reply;

    if (major != SRQ_PROTO_MAJOR)
        return srq_fail_field(err, -SRQ_EPROTO, "major",
                              "protocol %d is spoken here, the client speaks %d; use programs of one version",
                              SRQ_PROTO_MAJOR, major);
    reply = cJSON_CreateObject();
    *result = reply;
    if (reply == NULL || cJSON_AddNumberToObject(reply, "major", SRQ_PROTO_MAJOR) == NULL ||
        cJSON_AddNumberToObject(reply, "minor", SRQ_PROTO_MINOR) == NULL ||
        cJSON_AddStringToObject(reply, "server", "srqd") == NULL ||
        cJSON_AddStringToObject(reply, "version", PACKAGE_VERSION) == NULL ||
        cJSON_AddNumberToObject(reply, "pid", (double)getpid()) == NULL ||
        cJSON_AddStringToObject(reply, "mode", r->d->places.system ? "system" : "user") == NULL ||
        cJSON_AddNumberToObject(reply, "uid", (double)r->c->uid) == NULL ||
        cJSON_AddBoolToObject(reply, "admin", r->c->admin) == NULL)
        return rpc_no_memory(err);
    r->c->hello = true;
    return 0;
}

static int subscribe(const struct request *r, cJSON **result, struct srq_error *err)
{
    char id[32];
    int rc = events_subscribe(r->c, r->job, rpc_param(r, "events"), (int64_t)rpc_number(r, "since_seq", -1), id, err);

    if (rc != 0)
        return rc;
    *result = cJSON_CreateObject();
    return cJSON_AddStringToObject(*result, "subscription", id) != NULL ? 0 : rpc_no_memory(err);
}

static int unsubscribe(const struct request *r, cJSON **result, struct srq_error *err)
{
    int rc = events_unsubscribe(r->c, rpc_text(r, "subscription"), err);

    if (rc == 0 && (*result = cJSON_CreateObject()) == NULL)
        rc = rpc_no_memory(err);
    return rc;
}

/* After the answer: where the job stands, so that nobody waits for a change that was before; then the replay. */
static void after_subscribe(const struct request *r)
{
    if (r->job != NULL && !r->c->closing)
        events_tell_state(r->c, r->job);
    events_drained(r->c);
}

/* ---- dispatch ------------------------------------------------------------------------------------------------- */

static rpc_handler handler_of(const char *method)
{
    rpc_handler h = NULL;

    if (strcmp(method, "hello") == 0)
        return hello;
    if (strcmp(method, "events.subscribe") == 0)
        return subscribe;
    if (strcmp(method, "events.unsubscribe") == 0)
        return unsubscribe;
    if ((h = rpc_daemon_handler(method)) == NULL && (h = rpc_job_handler(method)) == NULL &&
        (h = rpc_submit_handler(method)) == NULL && (h = rpc_plan_handler(method)) == NULL)
        h = rpc_look_handler(method);
    return h;
}

static int prepare(struct request *r, struct srq_error *err)
{
    const char *name;
    int rc = srq_proto_check_params(r->method, r->params, err);

    if (rc != 0)
        return rc;
    name = rpc_text(r, "job");
    if (name != NULL && (r->job = rpc_find_job(r->c, name, err)) == NULL)
        return -err->code;
    return authority_check(r->c, r->method, r->job, err);
}

int rpc_dispatch(struct client *c, const struct srq_message *m, bool *fatal, struct srq_error *err)
{
    struct request r = { .d = c->d, .c = c, .id = m->id, .params = m->params };
    rpc_handler handler = NULL;
    cJSON *result = NULL;
    int rc;

    r.method = srq_proto_method(m->method);
    if (r.method != NULL && r.method->server == SRQ_SERVER_DAEMON)
        handler = handler_of(m->method);
    if (handler == NULL)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, "method", "there is no method \"%.64s\" here", m->method);
    if (!c->hello && strcmp(m->method, "hello") != 0)
        return srq_fail_field(err, -SRQ_EPROTO, "method", "the first call is hello, not %s", m->method);
    rc = prepare(&r, err);
    if (rc == 0)
        rc = handler(&r, &result, err);
    if (rc == RPC_LATER)
        return 0;
    if (rc != 0 && !c->hello) {
        cJSON_Delete(result);
        *fatal = true;
        return rc;
    }
    if (rc != 0) {
        cJSON_Delete(result);
        result = NULL;
    }
    client_answer(c, r.id, r.method, rc, result, err);
    if (rc == 0 && strcmp(m->method, "events.subscribe") == 0)
        after_subscribe(&r);
    return 0;
}
