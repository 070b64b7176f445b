/* From a spec to an accepted job. Accepted means durable: directory and row are on disk before the reply. */
#include "daemon/srqd/clients/submission.h"

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/base/digits.h"
#include "core/base/fs.h"
#include "core/base/log.h"
#include "core/proto/members.h"
#include "daemon/srqd/base/capture.h"
#include "daemon/srqd/base/launch.h"
#include "daemon/srqd/clients/errand.h"
#include "daemon/srqd/clients/summary.h"
#include "daemon/srqd/jobs/jobdir.h"
#include "daemon/srqd/jobs/lifecycle.h"
#include "daemon/srqd/jobs/queue.h"
#include "daemon/srqd/jobs/record.h"
#include "daemon/srqd/workers/answer.h"

#include <string.h>
#include <sys/stat.h>

#define ANSWER_MAX ((size_t)32 << 20)
#define PLANS_KEPT_MAX 4 /* answers of job.plan_spec that are kept for one user */

struct submission {
    struct errand errand; /* the first, so that this is found by it */
    struct later later;
    uid_t uid;
    gid_t gid;
    bool admin;
    bool paused;
    char *spec;    /* as sent */
    cJSON *params; /* of job.plan_spec, for its page; else NULL */
};

static void submission_free(struct submission *s)
{
    srq_free(s->spec);
    cJSON_Delete(s->params);
    srq_free(s);
}

int submission_allowed(struct clients *all, struct srq_error *err)
{
    char *refusing = all->refusing;
    const size_t cap = sizeof(all->refusing);
    const struct srqd *d = all->d;
    struct srq_error why;
    uint64_t free_bytes;
    char have[32], least[32];

    refusing[0] = '\0';
    if (d->stopping)
        snprintf(refusing, cap, "the daemon is stopping");
    else if (srq_disk_free(d->places.state, &free_bytes, &why) != 0)
        snprintf(refusing, cap, "%.200s", why.text);
    else if (free_bytes < (uint64_t)d->config.min_free)
        snprintf(refusing, cap, "the disk of %.100s has %s free, less than min_free = %s", d->places.state,
                 srq_bytes_text((double)free_bytes, have, sizeof(have)),
                 srq_bytes_text((double)d->config.min_free, least, sizeof(least)));
    if (refusing[0] == '\0')
        return 0;
    return srq_fail(err, d->stopping ? -SRQ_ESTATE : -SRQ_ENOSPC, "no jobs are taken: %s", refusing);
}

static int64_t unfinished_of(const struct srqd *d, uid_t uid)
{
    const struct job *j;
    int64_t n = 0;

    TAILQ_FOREACH(j, &d->jobs, entry)
    {
        if (j->uid == uid && !job_ended(j))
            n++;
    }
    return n;
}

static int check_user_limit(const struct srqd *d, uid_t uid, struct srq_error *err)
{
    int64_t limit = d->config.user_max_queued;

    if (limit <= 0 || unfinished_of(d, uid) < limit)
        return 0;
    return srq_fail_field(err, -SRQ_ELIMIT, "user_max_queued", "you have %lld unfinished jobs, the most allowed",
                          (long long)limit);
}

/* ---- accepting --------------------------------------------------------------------------------------------------- */

static int take_text(const cJSON *spec, const char *name, bool required, char **out, struct srq_error *err)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(spec, name);

    *out = NULL;
    if (!required && (v == NULL || cJSON_IsNull(v)))
        return 0;
    if (!cJSON_IsString(v))
        return srq_fail_field(err, -SRQ_EFORMAT, name, "the planned spec has no text \"%s\"", name);
    *out = srq_strdup(v->valuestring);
    return *out != NULL ? 0 : rpc_no_memory(err);
}

static double number_in(const cJSON *o, const char *a, const char *b)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, a);

    if (b != NULL)
        v = cJSON_GetObjectItemCaseSensitive(v, b);
    return cJSON_IsNumber(v) && v->valuedouble >= 0 ? v->valuedouble : -1;
}

int submission_take_scheme(const cJSON *spec, double bits, char **out, struct srq_error *err)
{
    if (!(bits > 0))
        return take_text(spec, "scheme", true, out, err);
    *out = srq_asprintf("within %.6g bits", bits);
    return *out != NULL ? 0 : rpc_no_memory(err);
}

/* Of its folder: what is planned for the output is elsewhere. */
static int64_t folder_bytes(const cJSON *answer)
{
    const cJSON *rows = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(answer, "disk"), "rows"),
                *row;
    double sum = 0;

    cJSON_ArrayForEach(row, rows)
    {
        const char *stage = srq_member_text(row, "stage");
        double bytes = number_in(row, "bytes", NULL);

        sum += bytes > 0 && (stage == NULL || strcmp(stage, "output") != 0) ? bytes : 0;
    }
    return sum < 1e18 ? (int64_t)sum : 0;
}

void submission_take_needs(struct job *j, const cJSON *answer)
{
    double memory = number_in(answer, "memory", "planned_bytes");

    j->memory_bytes = memory > 0 && memory < 1e18 ? (int64_t)memory : 0;
    j->disk_bytes = folder_bytes(answer);
    j->before_bytes = number_in(answer, "size", "before_bytes");
    j->after_bytes = number_in(answer, "size", "after_bytes");
    j->average_bits = number_in(answer, "size", "average_bits");
}

/* The suffix of an archive is its kind, as the option spells it. */
static int take_archive(const cJSON *spec, struct job *j, struct srq_error *err)
{
    const char *kind = srq_member_text(cJSON_GetObjectItemCaseSensitive(spec, "options"), "archive");

    if (kind == NULL || strcmp(kind, "none") == 0)
        return 0;
    j->archive = srq_asprintf("%s.%s", j->output, kind);
    return j->archive != NULL ? 0 : rpc_no_memory(err);
}

static int fill_job(struct job *j, const struct submission *s, const cJSON *answer, struct srq_error *err)
{
    const cJSON *spec = cJSON_GetObjectItemCaseSensitive(answer, "spec");
    const cJSON *priority = cJSON_GetObjectItemCaseSensitive(spec, "priority");
    double threads = number_in(answer, "threads", NULL);
    double limit = number_in(spec, "time_limit_s", NULL);
    char owner[256];
    int rc;

    user_name_of(s->uid, owner, sizeof(owner));
    j->uid = s->uid;
    j->gid = s->gid;
    j->owner = srq_strdup(owner);
    j->submitted = srq_wall_s();
    j->threads = threads > 0 && threads < 1e6 ? (int)threads : 0;
    submission_take_needs(j, answer);
    j->time_limit_s = limit > 0 && limit < 1e9 ? limit : 0;
    if (cJSON_IsNumber(priority) && priority->valuedouble >= -1000 && priority->valuedouble <= 1000)
        j->priority = (int)priority->valuedouble;
    rc = j->owner == NULL ? rpc_no_memory(err) : take_text(spec, "model", true, &j->model, err);
    if (rc == 0)
        rc = take_text(spec, "method", true, &j->method, err);
    if (rc == 0)
        rc = submission_take_scheme(spec, number_in(spec, "budget", "bits"), &j->scheme, err);
    if (rc == 0)
        rc = take_text(spec, "output", true, &j->output, err);
    if (rc == 0)
        rc = take_archive(spec, j, err);
    if (rc == 0)
        rc = take_text(spec, "name", false, &j->name, err);
    if (rc == 0)
        rc = take_text(spec, "on_end", false, &j->on_end, err);
    return rc;
}

/* The same folder under two mounts has two canonical names. */
static bool same_folder(const char *a, const char *b)
{
    const char *name = strrchr(a, '/');
    size_t n = name != NULL ? (size_t)(name - a) : 0, m = strrchr(b, '/') != NULL ? (size_t)(strrchr(b, '/') - b) : 0;
    struct stat x, y;
    char *above, *other;
    bool same;

    if (strcmp(a, b) == 0)
        return true;
    if (name == NULL || strcmp(name, b + m) != 0)
        return false;
    above = srq_strndup(a, n + 1);
    other = srq_strndup(b, m + 1);
    same = above != NULL && other != NULL && stat(above, &x) == 0 && stat(other, &y) == 0 && x.st_dev == y.st_dev &&
           x.st_ino == y.st_ino;
    srq_free(above);
    srq_free(other);
    return same;
}

static bool overlap(const char *a, const char *b)
{
    return srq_path_within(a, b) || srq_path_within(b, a) || same_folder(a, b);
}

/* What both jobs would write, folder or archive, as the other one's is called; NULL: nothing. */
static const char *common_output(const struct job *j, const struct job *other)
{
    const char *const theirs[] = { other->output, other->archive }, *const ours[] = { j->output, j->archive };

    for (int i = 0; i < 2; i++)
        for (int k = 0; k < 2; k++)
            if (theirs[i] != NULL && ours[k] != NULL && overlap(theirs[i], ours[k]))
                return theirs[i];
    return NULL;
}

/* Two jobs must not write one output, nor one into the other's, nor one over what the other reads. Names are canonical
 * as the planner, who may look at them as their user, made them. */
static int check_output(const struct job *j, struct srq_error *err)
{
    const struct job *o;
    const char *both;

    if (overlap(j->output, j->d->places.state))
        return srq_fail_field(err, -SRQ_EINVAL, "output", "output %s is where srqd keeps its jobs", j->output);
    TAILQ_FOREACH(o, &j->d->jobs, entry)
    {
        if (job_ended(o))
            continue;
        both = common_output(j, o);
        if (both != NULL)
            return srq_fail_field(err, -SRQ_EEXIST, "output", "job %s is going to write %s already", o->id, both);
        if (srq_path_within(j->model, o->output))
            return srq_fail_field(err, -SRQ_EEXIST, "model", "job %s is going to replace %s, where model %s is", o->id,
                                  o->output, j->model);
        if (srq_path_within(o->model, j->output))
            return srq_fail_field(err, -SRQ_EEXIST, "output", "job %s reads its model from %s", o->id, o->model);
    }
    return 0;
}

static int check_job(const struct job *j, const struct submission *s, struct srq_error *err)
{
    int rc = submission_allowed(s->later.all, err);

    if (rc == 0)
        rc = check_user_limit(j->d, j->uid, err);
    if (rc == 0 && j->priority > 0 && !s->admin)
        rc = srq_fail_field(err, -SRQ_EPERM, "priority", "a priority above 0 needs root or group %s",
                            j->d->config.admin_group);
    if (rc == 0)
        rc = check_output(j, err);
    return rc == 0 ? queue_could_start(j, err) : rc;
}

/* Directory, row, name, in this order: a crash after any of them leaves either no job or all of it. */
static int make_durable(struct job *j, const cJSON *answer, struct srq_error *err)
{
    const cJSON *plan = cJSON_GetObjectItemCaseSensitive(answer, "plan");
    char *spec_text = cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(answer, "spec"));
    char *plan_text = cJSON_IsObject(plan) ? cJSON_PrintUnformatted(plan) : NULL, *planned_text = NULL;
    cJSON *planned = cJSON_CreateObject();
    int rc = 0;

    if (plan != NULL && !cJSON_IsObject(plan))
        rc = srq_fail(err, -SRQ_EFORMAT, "the planner gave no plan");
    else if (planned == NULL || !summary_put_planned(planned, answer, true) ||
             (planned_text = cJSON_PrintUnformatted(planned)) == NULL || spec_text == NULL || plan_text == NULL)
        rc = rpc_no_memory(err);
    if (rc == 0)
        rc = job_new_id(&j->d->jobs, j->id, err);
    if (rc == 0)
        rc = jobdir_prepare(j, spec_text, plan_text, err);
    if (rc == 0) {
        rc = store_add(j->d->store, j, spec_text, planned_text, err);
        if (rc != 0)
            jobdir_abandon(j);
    }
    if (rc == 0 && (rc = jobdir_commit(j, err)) != 0) {
        (void)store_delete(j->d->store, j->id, NULL);
        jobdir_abandon(j);
    }
    cJSON_free(spec_text);
    cJSON_free(plan_text);
    cJSON_free(planned_text);
    cJSON_Delete(planned);
    return rc;
}

static int accept_reply(const struct job *j, const cJSON *answer, cJSON **result, struct srq_error *err)
{
    char *dir = jobdir_path(j);
    cJSON *o = cJSON_CreateObject();
    bool ok = dir != NULL && srq_put_text(o, "job", j->id) && srq_put_text(o, "state", srq_job_state_words[j->state]) &&
              srq_put_text(o, "reason", j->reason) && srq_put_text(o, "directory", dir) &&
              summary_put_planned(o, answer, true);

    srq_free(dir);
    *result = o;
    return ok ? 0 : rpc_no_memory(err);
}

static int accept_job(struct submission *s, const cJSON *answer, cJSON **result, struct srq_error *err)
{
    const struct srq_method *m = srq_proto_method("job.submit");
    struct srqd *d = s->later.all->d;
    const char *refused = srq_member_text(answer, "refused"); /* what can be planned but not run */
    struct job *j = job_create(d);
    int rc = j != NULL ? fill_job(j, s, answer, err) : rpc_no_memory(err);

    if (rc == 0 && refused != NULL)
        rc = srq_fail_field(err, -SRQ_EUNSUPPORTED, "model", "%s", refused);
    if (rc == 0)
        rc = check_job(j, s, err);
    if (rc == 0) {
        j->state = s->paused ? SRQ_JOB_PAUSED : SRQ_JOB_QUEUED;
        if (s->paused)
            job_set_reason(j, "submitted paused");
        /* The reply is held to the table before anything is stored: a planner that talks nonsense accepts nothing. */
        memcpy(j->id, "xxxxxx", 7);
        rc = accept_reply(j, answer, result, err);
        if (rc == 0)
            rc = srq_proto_check_reply(m, *result, err);
        cJSON_Delete(*result);
        *result = NULL;
    }
    if (rc == 0)
        rc = make_durable(j, answer, err);
    if (rc != 0) {
        job_free(j);
        return rc;
    }
    TAILQ_INSERT_TAIL(&d->jobs, j, entry);
    srq_log(SRQ_LOG_INFO, "job %s of %s: %s, %s -> %s", j->id, j->owner, j->method, j->model, j->output);
    rc = accept_reply(j, answer, result, err);
    queue_kick(d);
    return rc;
}

/* ---- planning ---------------------------------------------------------------------------------------------------- */

int submission_plan_reply(const struct request *r, const cJSON *answer, cJSON **result, struct srq_error *err)
{
    const cJSON *plan = cJSON_GetObjectItemCaseSensitive(answer, "plan");
    const cJSON *layers = cJSON_GetObjectItemCaseSensitive(plan, "layers");
    const cJSON *spec = cJSON_GetObjectItemCaseSensitive(answer, "spec");
    cJSON *o = cJSON_CreateObject(), *copy = spec != NULL ? cJSON_Duplicate(spec, true) : NULL;

    *result = o;
    if (copy == NULL || !cJSON_AddItemToObject(o, "spec", copy) ||
        !srq_put_number(o, "revision", number_in(plan, "revision", NULL)) || !summary_put_planned(o, answer, true))
        return spec == NULL ? srq_fail(err, -SRQ_EFORMAT, "the planner gave no spec") : rpc_no_memory(err);
    return rpc_page_array(r, o, "layers", layers, err);
}

static void forget_plan(struct client *c)
{
    c->share->plans_kept -= c->plan != NULL;
    cJSON_Delete(c->plan);
    srq_free(c->plan_key);
    c->plan = NULL;
    c->plan_key = NULL;
}

void submission_drop_client(struct client *c)
{
    forget_plan(c);
}

/* Of the user's clients the one that connected first. */
static struct client *first_with_plan(const struct client *of)
{
    struct client *c;

    TAILQ_FOREACH(c, &of->all->list, entry)
    {
        if (c->share == of->share && c->plan != NULL)
            break;
    }
    return c;
}

/* Keeps the answer with the client for the further pages. One that is forgotten is planned again. */
static int answer_plan(struct submission *s, cJSON **answer, cJSON **result, struct srq_error *err)
{
    struct client *c = client_find(s->later.all, s->later.client);
    struct request r = {
        .d = s->later.all->d, .c = c, .id = s->later.id, .method = s->later.method, .params = s->params
    };
    int rc = submission_plan_reply(&r, *answer, result, err);

    if (rc == 0 && c != NULL) {
        forget_plan(c);
        while (c->share->plans_kept >= PLANS_KEPT_MAX)
            forget_plan(first_with_plan(c));
        c->plan = *answer;
        c->plan_key = s->spec;
        c->share->plans_kept++;
        *answer = NULL;
        s->spec = NULL;
    }
    return rc;
}

static void planned(const struct captured *captured, void *ctx)
{
    struct submission *s = ctx;
    struct clients *all = s->later.all;
    struct srq_error err = { 0 };
    cJSON *answer = NULL, *result = NULL;
    int rc;

    rc = worker_answer_read(all->d, captured, "--plan", ANSWER_MAX, &answer, &err);
    if (rc == 0)
        rc = s->params != NULL ? answer_plan(s, &answer, &result, &err) : accept_job(s, answer, &result, &err);
    if (rc != 0) {
        cJSON_Delete(result);
        result = NULL;
    }
    rpc_answer_later(&s->later, rc, result, &err);
    cJSON_Delete(answer);
    errand_over(&s->errand);
    submission_free(s);
}

static int start_planner(struct errand *e, struct srq_error *err)
{
    struct submission *s = (struct submission *)e;
    const struct srqd *d = e->all->d;
    const char *const argv[] = { d->places.worker, "--plan", NULL };
    const struct capture_wish w = { .argv = argv,
                                    .uid = s->uid,
                                    .gid = s->gid,
                                    .input = s->spec,
                                    .input_len = strlen(s->spec),
                                    .out_max = ANSWER_MAX,
                                    .timeout_s = (double)d->config.plan_timeout_s };

    return capture_start(d->base, d->children, &w, planned, s, err);
}

static void on_dropped(struct errand *e, int rc, const struct srq_error *err)
{
    struct submission *s = (struct submission *)e;

    if (err != NULL)
        rpc_answer_later(&s->later, rc, NULL, err);
    submission_free(s);
}

int submission_begin(const struct request *r, struct srq_error *err)
{
    bool dry = strcmp(r->method->name, "job.plan_spec") == 0;
    struct clients *all = r->c->all;
    struct submission *s;
    int rc = dry ? 0 : submission_allowed(all, err);

    if (rc == 0 && !dry)
        rc = check_user_limit(r->d, r->c->peer.uid, err);
    if (rc != 0)
        return rc;
    s = srq_calloc(1, sizeof(*s));
    if (s == NULL)
        return rpc_no_memory(err);
    s->uid = r->c->peer.uid;
    s->gid = r->c->peer.gid;
    s->admin = r->c->peer.admin;
    s->paused = rpc_flag(r, "paused", false);
    s->spec = cJSON_PrintUnformatted(rpc_param(r, "spec"));
    s->params = dry ? cJSON_Duplicate(r->params, true) : NULL;
    if (s->spec == NULL || (dry && s->params == NULL)) {
        submission_free(s);
        return rpc_no_memory(err);
    }
    s->errand.start = start_planner;
    s->errand.dropped = on_dropped;
    rpc_later(&s->later, r);
    rc = errand_queue(&s->errand, all, s->uid, err);
    if (rc == 0)
        return RPC_LATER;
    client_later_done(r->c);
    submission_free(s);
    return rc;
}
