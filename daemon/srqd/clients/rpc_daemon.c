/* Methods about the daemon and its plugins. */
#include "daemon/srqd/clients/handlers.h"

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "daemon/srqd/base/capture.h"
#include "daemon/srqd/clients/errand.h"
#include "daemon/srqd/clients/summary.h"
#include "daemon/srqd/jobs/queue.h"
#include "daemon/srqd/workers/answer.h"
#include "daemon/srqd/workers/supervise.h"

#include <string.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define DESCRIBE_MAX ((size_t)8 << 20)

static double or_none(int64_t limit)
{
    return limit > 0 ? (double)limit : -1;
}

static bool put_limits(cJSON *reply, const struct srqd_config *c)
{
    cJSON *o = cJSON_AddObjectToObject(reply, "limits");

    return put_number_or_null(o, "max_running", or_none(c->max_running)) &&
           put_number_or_null(o, "max_threads", or_none(c->max_threads)) &&
           put_number_or_null(o, "max_memory_bytes", or_none(c->max_memory)) &&
           put_number_or_null(o, "user_max_running", or_none(c->user_max_running)) &&
           put_number_or_null(o, "user_max_threads", or_none(c->user_max_threads)) &&
           put_number_or_null(o, "user_max_memory_bytes", or_none(c->user_max_memory)) &&
           put_number_or_null(o, "user_max_disk_bytes", or_none(c->user_max_disk)) &&
           put_number_or_null(o, "user_max_queued", or_none(c->user_max_queued));
}

static bool put_use(cJSON *reply, const struct srqd *d)
{
    struct usage u = queue_usage(d, (uid_t)-1);
    cJSON *o = cJSON_AddObjectToObject(reply, "in_use");

    return srq_put_number(o, "running", (double)u.running) && srq_put_number(o, "threads", (double)u.threads) &&
           srq_put_number(o, "memory_bytes", (double)u.memory) && srq_put_number(o, "disk_bytes", (double)u.disk);
}

static bool put_unremoved(cJSON *reply, const struct request *r)
{
    const char *const *paths;
    size_t n = removals_left(r->d->removals, &paths);
    cJSON *list = n > 0 && r->c->peer.admin ? cJSON_CreateStringArray(paths, (int)n) : NULL;

    if (n == 0 || !r->c->peer.admin)
        return true;
    return list != NULL && cJSON_AddItemToObject(reply, "unremoved", list);
}

/* Of the file system that jobs are kept on. Unknown is null. */
static bool put_disk(cJSON *reply, const char *dir)
{
    cJSON *o = cJSON_AddObjectToObject(reply, "disk");
    struct statvfs fs;
    bool known = statvfs(dir, &fs) == 0;

    return put_number_or_null(o, "free_bytes", known ? (double)fs.f_bavail * (double)fs.f_frsize : -1) &&
           put_number_or_null(o, "total_bytes", known ? (double)fs.f_blocks * (double)fs.f_frsize : -1);
}

static int info(const struct request *r, cJSON **result, struct srq_error *err)
{
    const struct clients *all = r->c->all;
    const struct srqd *d = r->d;
    cJSON *o = cJSON_CreateObject();

    *result = o;
    if (!srq_put_text(o, "version", PACKAGE_VERSION) || !srq_put_number(o, "pid", (double)getpid()) ||
        !srq_put_number(o, "uid", (double)geteuid()) ||
        !srq_put_text(o, "mode", d->places.system ? "system" : "user") ||
        !srq_put_text(o, "socket", d->places.socket) || !srq_put_text(o, "state_dir", d->places.state) ||
        !srq_put_text(o, "config", places_config(&d->places)) || !srq_put_text(o, "worker", d->places.worker) ||
        !srq_put_number(o, "started", all->started) || !srq_put_number(o, "uptime_s", srq_wall_s() - all->started) ||
        cJSON_AddBoolToObject(o, "draining", d->draining) == NULL ||
        !srq_put_text(o, "refusing", all->refusing[0] != '\0' ? all->refusing : NULL) ||
        !srq_put_number(o, "clients", all->shares.clients) || !summary_put_counts(o, "jobs", d) ||
        !put_limits(o, &d->config) || !put_use(o, d) || !put_unremoved(o, r) || !put_disk(o, d->places.state))
        return rpc_no_memory(err);
    return 0;
}

static int reload(const struct request *r, cJSON **result, struct srq_error *err)
{
    int rc = r->c->all->orders.reload(r->c->all->orders.ctx, err);

    if (rc != 0)
        return rc;
    *result = cJSON_CreateObject();
    return srq_put_text(*result, "config", places_config(&r->d->places)) ? 0 : rpc_no_memory(err);
}

static int drain(const struct request *r, cJSON **result, struct srq_error *err)
{
    r->d->draining = rpc_flag(r, "on", true);
    srq_log(SRQ_LOG_INFO, "%s by uid %lu", r->d->draining ? "drained" : "draining taken back",
            (unsigned long)r->c->peer.uid);
    queue_kick(r->d);
    *result = cJSON_CreateObject();
    return cJSON_AddBoolToObject(*result, "draining", r->d->draining) != NULL ? 0 : rpc_no_memory(err);
}

static int stop(const struct request *r, cJSON **result, struct srq_error *err)
{
    const struct process_orders *orders = &r->c->all->orders;
    bool jobs = rpc_flag(r, "jobs", false);
    int workers = 0;
    struct job *j;

    TAILQ_FOREACH(j, &r->d->jobs, entry)
    {
        if (!job_active(j))
            continue;
        workers++;
        if (jobs && j->wish != WISH_PAUSE && j->wish != WISH_CANCEL)
            supervise_wish(j, WISH_STOP);
    }
    *result = cJSON_CreateObject();
    if (!srq_put_number(*result, "workers", workers))
        return rpc_no_memory(err);
    srq_log(SRQ_LOG_INFO, "stop%s by uid %lu", jobs ? " with its jobs" : "", (unsigned long)r->c->peer.uid);
    (jobs ? orders->stop_with_jobs : orders->quit)(orders->ctx);
    return 0;
}

/* ---- plugins: what the worker program says ----------------------------------------------------------------------- */

struct description {
    struct errand errand; /* the first, so that this is found by it */
    struct later later;
    uid_t uid;
    gid_t gid;
    char *name; /* NULL: of all plugins */
};

static void description_free(struct description *p)
{
    srq_free(p->name);
    srq_free(p);
}

static void described(const struct captured *c, void *ctx)
{
    struct description *asked = ctx;
    const struct later *l = &asked->later;
    struct srq_error err = { 0 };
    bool one = strcmp(l->method->name, "plugin.info") == 0;
    cJSON *json = NULL, *list, *result = NULL;
    int rc = 0;

    if (c->failed != 0)
        rc = srq_fail_field(&err, c->failed, c->why.field, "%s", c->why.text);
    else if (!c->timed_out && !c->too_long)
        rc = srq_json_parse(c->out, c->out_len, SRQ_DEPTH_MAX, &json, &err);
    if (json != NULL)
        rc = srq_proto_refusal(json, &err);
    if ((json == NULL && c->failed == 0) || (rc == 0 && (!WIFEXITED(c->status) || WEXITSTATUS(c->status) != 0)))
        rc = srq_fail(&err, one && WIFEXITED(c->status) && WEXITSTATUS(c->status) == 1 ? -SRQ_ENOENT : -SRQ_EIO,
                      "%s --describe failed: %.500s", l->all->d->places.worker, c->timed_out ? "timed out" : c->err);
    list = cJSON_GetObjectItemCaseSensitive(json, "plugins");
    if (rc == 0 && !cJSON_IsArray(list))
        rc = srq_fail(&err, -SRQ_EFORMAT, "%s --describe names no plugins", l->all->d->places.worker);
    if (rc == 0 && one && cJSON_GetArraySize(list) != 1)
        rc = srq_fail_field(&err, -SRQ_ENOENT, "name", "there is no such plugin");
    if (rc == 0) {
        result = one ? cJSON_DetachItemFromArray(list, 0) : cJSON_CreateObject();
        if (!one) {
            cJSON *p;

            cJSON_ArrayForEach(p, list)
            {
                cJSON_DeleteItemFromObjectCaseSensitive(p, "options");
                cJSON_DeleteItemFromObjectCaseSensitive(p, "recipes");
            }
            cJSON_AddItemToObject(result, "plugins", cJSON_DetachItemViaPointer(json, list));
            if (cJSON_GetObjectItemCaseSensitive(json, "broken") != NULL)
                cJSON_AddItemToObject(result, "broken", cJSON_DetachItemFromObjectCaseSensitive(json, "broken"));
        }
    }
    cJSON_Delete(json);
    rpc_answer_later(l, rc, result, &err);
    errand_over(&asked->errand);
    description_free(asked);
}

static int start_describing(struct errand *e, struct srq_error *err)
{
    struct description *p = (struct description *)e;
    const struct srqd *d = e->all->d;
    const char *const argv[] = { d->places.worker, "--describe", p->name, NULL };
    const struct capture_wish w = { .argv = argv,
                                    .uid = p->uid,
                                    .gid = p->gid,
                                    .out_max = DESCRIBE_MAX,
                                    .timeout_s = (double)d->config.plan_timeout_s };

    return capture_start(d->base, d->children, &w, described, p, err);
}

static void on_dropped(struct errand *e, int rc, const struct srq_error *err)
{
    struct description *p = (struct description *)e;

    if (err != NULL)
        rpc_answer_later(&p->later, rc, NULL, err);
    description_free(p);
}

static int describe(const struct request *r, cJSON **result, struct srq_error *err)
{
    const char *name = rpc_text(r, "name");
    struct description *p;
    int rc;

    (void)result;
    if (name != NULL && name[0] == '-')
        return srq_fail_field(err, -SRQ_ENOENT, "name", "there is no plugin \"%.60s\"", name);
    p = srq_calloc(1, sizeof(*p));
    if (p == NULL || (name != NULL && (p->name = srq_strdup(name)) == NULL)) {
        srq_free(p);
        return rpc_no_memory(err);
    }
    p->errand.start = start_describing;
    p->errand.dropped = on_dropped;
    p->uid = r->c->peer.uid;
    p->gid = r->c->peer.gid;
    rpc_later(&p->later, r);
    rc = errand_queue(&p->errand, r->c->all, p->uid, err);
    if (rc == 0)
        return RPC_LATER;
    client_later_done(r->c);
    description_free(p);
    return rc;
}

const struct rpc_row rpc_daemon_rows[] = {
    { "daemon.info", info }, { "daemon.reload", reload }, { "daemon.drain", drain },
    { "daemon.stop", stop }, { "plugin.list", describe }, { "plugin.info", describe },
    { NULL, NULL },
};
