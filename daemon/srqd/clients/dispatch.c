/* Requests on their way to handlers. */
#include "daemon/srqd/clients/dispatch.h"

#include "daemon/srqd/clients/events.h"
#include "daemon/srqd/clients/handlers.h"

#include <string.h>
#include <unistd.h>

#define IDS_SHOWN 8

/* ---- jobs by name ------------------------------------------------------------------------------------------------ */

static struct job *last_of(const struct client *c)
{
    struct job *j;

    TAILQ_FOREACH_REVERSE(j, &c->all->d->jobs, job_list, entry)
    {
        if (j->uid == c->peer.uid)
            return j;
    }
    return NULL;
}

/* How jobs are looked for: by the beginning of an id, or by a name. */
typedef bool (*job_test)(const struct job *j, const char *text);

static bool begins(const struct job *j, const char *text)
{
    return strncmp(j->id, text, strlen(text)) == 0;
}

static bool is_named(const struct job *j, const char *text)
{
    return j->name != NULL && strcmp(j->name, text) == 0;
}

/* The jobs, of the caller's or of all, that the test lets through: how many, the first of them in *found, and their ids
 * in `ids` as far as there is room. One whose id is `text` is meant, whatever others there are. */
static int look_for(const struct client *c, const char *text, bool own, job_test test, struct job **found,
                    struct srq_buf *ids)
{
    struct job *j;
    int n = 0;

    srq_buf_clear(ids);
    TAILQ_FOREACH(j, &c->all->d->jobs, entry)
    {
        if ((own && j->uid != c->peer.uid) || !test(j, text))
            continue;
        if (n == 0 || strcmp(j->id, text) == 0)
            *found = j;
        if (strcmp(j->id, text) == 0)
            return 1;
        if (n < IDS_SHOWN)
            srq_buf_printf(ids, "%s%s", n > 0 ? ", " : "", j->id);
        n++;
    }
    if (n > IDS_SHOWN)
        srq_buf_printf(ids, " and %d more", n - IDS_SHOWN);
    return n;
}

/* By the beginning of its id, then by its name; each of the caller's own jobs first. */
static struct job *by_words(const struct client *c, const char *text, struct srq_error *err)
{
    static const struct {
        job_test test;
        bool own;
    } ways[] = { { begins, true }, { begins, false }, { is_named, true }, { is_named, false } };
    struct job *found = NULL;
    struct srq_buf ids, first;
    int many = -1;

    srq_buf_init(&ids, 4096);
    srq_buf_init(&first, 4096);
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        int n = look_for(c, text, ways[i].own, ways[i].test, &found, &ids);

        if (n == 1)
            break;
        found = NULL;
        if (n > 1 && many < 0) {
            many = (int)i;
            srq_buf_puts(&first, ids.data);
        }
    }
    if (found == NULL && many >= 0)
        srq_fail_field(err, -SRQ_EINVAL, "job", "several jobs %s \"%.100s\": %s",
                       ways[many].test == begins ? "begin with" : "are named", text, first.data);
    else if (found == NULL)
        srq_fail_field(err, -SRQ_ENOENT, "job", "there is no job \"%.100s\"", text);
    srq_buf_fini(&ids);
    srq_buf_fini(&first);
    return found;
}

static struct job *find_job(const struct client *c, const char *name, struct srq_error *err)
{
    struct job *j;

    if (strcmp(name, "@last") != 0)
        return by_words(c, name, err);
    j = last_of(c);
    if (j == NULL)
        srq_fail_field(err, -SRQ_ENOENT, "job", "you have no jobs here");
    return j;
}

/* ---- hello and subscriptions ------------------------------------------------------------------------------------- */

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
    if (reply == NULL || !srq_put_number(reply, "major", SRQ_PROTO_MAJOR) ||
        !srq_put_number(reply, "minor", SRQ_PROTO_MINOR) || !srq_put_text(reply, "server", "srqd") ||
        !srq_put_text(reply, "version", PACKAGE_VERSION) || !srq_put_number(reply, "pid", (double)getpid()) ||
        !srq_put_text(reply, "mode", r->d->places.system ? "system" : "user") ||
        !srq_put_number(reply, "uid", (double)r->c->peer.uid) ||
        cJSON_AddBoolToObject(reply, "admin", r->c->peer.admin) == NULL)
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
    return srq_put_text(*result, "subscription", id) ? 0 : rpc_no_memory(err);
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

/* ---- dispatch ---------------------------------------------------------------------------------------------------- */

static const struct rpc_row own_rows[] = {
    { "hello", hello },
    { "events.subscribe", subscribe },
    { "events.unsubscribe", unsubscribe },
    { NULL, NULL },
};

static rpc_handler handler_of(const char *method)
{
    static const struct rpc_row *const parts[] = { own_rows,      rpc_daemon_rows, rpc_job_rows,
                                                   rpc_look_rows, rpc_plan_rows,   rpc_submit_rows };

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        for (const struct rpc_row *row = parts[i]; row->method != NULL; row++) {
            if (strcmp(row->method, method) == 0)
                return row->handler;
        }
    }
    return NULL;
}

static int prepare(struct request *r, struct srq_error *err)
{
    const char *name;
    int rc = srq_proto_check_params(r->method, r->params, err);

    if (rc != 0)
        return rc;
    name = rpc_text(r, "job");
    if (name != NULL && (r->job = find_job(r->c, name, err)) == NULL)
        return -err->code;
    return authority_check(r->d, &r->c->peer, r->method, r->job, err);
}

int rpc_dispatch(struct client *c, const struct srq_message *m, bool *fatal, struct srq_error *err)
{
    struct request r = { .d = c->all->d, .c = c, .id = m->id, .params = m->params };
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
