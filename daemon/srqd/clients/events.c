/* Subscriptions: filtering, replay from the journal, and coalescing for clients that read slowly.
 *
 * While more than CLIENT_SOFT_OUTPUT waits for a client, samples (progress, loss points, errors) are held back, only
 * the newest of each series, with the number left out. Everything else is queued, up to the hard limit. */
#include "daemon/srqd/clients/events.h"

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/base/hash.h"
#include "core/proto/members.h"
#include "daemon/srqd/workers/journal_view.h"

#include <stdio.h>
#include <string.h>

#define SUBSCRIPTIONS_MAX 64
#define HELD_MAX 4096
#define HELD_BYTES 1024 /* of one, beside its name */

struct subscription {
    TAILQ_ENTRY(subscription) entry;
    char id[32];
    char job[JOB_ID_MAX]; /* empty: all */
    cJSON *names;         /* NULL: all */
    struct journal_view *replay;
    int64_t seen; /* last journal line sent, of subscriptions with a replay */
};

struct held_sample {
    TAILQ_ENTRY(held_sample) entry;
    char *key;
    uint64_t hash;     /* of the key */
    size_t bytes;      /* about what it takes */
    const char *event; /* in the table */
    cJSON *params;
    int64_t skipped;
};

/* Parameters of job.state, srqd's own event: it has no number in the journal. */
static cJSON *state_params(const struct job *j)
{
    cJSON *params = cJSON_CreateObject();

    if (params == NULL || !srq_put_text(params, "job", j->id) || cJSON_AddNullToObject(params, "seq") == NULL ||
        !srq_put_number(params, "time", srq_wall_s()) ||
        !srq_put_text(params, "state", srq_job_state_words[j->state]) ||
        (j->reason != NULL ? cJSON_AddStringToObject(params, "reason", j->reason)
                           : cJSON_AddNullToObject(params, "reason")) == NULL) {
        cJSON_Delete(params);
        return NULL;
    }
    return params;
}

/* Samples of one series share a key. */
static char *series_key(const char *event, const cJSON *params)
{
    const cJSON *job = cJSON_GetObjectItemCaseSensitive(params, "job");
    const cJSON *block = cJSON_GetObjectItemCaseSensitive(params, "block");
    const cJSON *layer = cJSON_GetObjectItemCaseSensitive(params, "layer");

    return srq_asprintf("%s/%s/%.0f/%s", event, job != NULL ? job->valuestring : "",
                        cJSON_IsNumber(block) ? block->valuedouble : -1.0,
                        cJSON_IsString(layer) ? layer->valuestring : "");
}

static void held_free(struct client *c, struct held_sample *h)
{
    TAILQ_REMOVE(&c->held, h, entry);
    c->held_count--;
    c->held_bytes -= h->bytes;
    if (c->counted)
        c->share->output -= h->bytes;
    srq_free(h->key);
    cJSON_Delete(h->params);
    srq_free(h);
}

static void send_held(struct client *c, struct held_sample *h)
{
    char *line;

    if (h->skipped > 0) {
        cJSON_DeleteItemFromObjectCaseSensitive(h->params, "skipped");
        cJSON_AddNumberToObject(h->params, "skipped", (double)h->skipped);
    }
    line = srq_proto_event_line(h->event, h->params);
    held_free(c, h);
    client_send(c, line);
}

static struct held_sample *find_held(struct client *c, const char *key)
{
    uint64_t hash = srq_hash64(key, strlen(key));
    struct held_sample *h;

    TAILQ_FOREACH(h, &c->held, entry)
    {
        if (h->hash == hash && strcmp(h->key, key) == 0)
            return h;
    }
    return NULL;
}

/* Keeps the sample as the newest of its series. Out of memory loses a sample, nothing else. */
static void hold_sample(struct client *c, const char *event, const cJSON *params)
{
    char *key = series_key(event, params);
    struct held_sample *h = key != NULL ? find_held(c, key) : NULL;
    cJSON *copy = key != NULL ? cJSON_Duplicate(params, true) : NULL;

    if (copy == NULL) {
        srq_free(key);
        return;
    }
    if (h != NULL) {
        cJSON_Delete(h->params);
        h->params = copy;
        h->skipped++;
        srq_free(key);
        return;
    }
    /* Too many series: the oldest goes out after all, so that nothing is left out unsaid; the hard limit bounds it. */
    if (c->held_count >= HELD_MAX)
        send_held(c, TAILQ_FIRST(&c->held));
    h = srq_calloc(1, sizeof(*h));
    if (h == NULL) {
        srq_free(key);
        cJSON_Delete(copy);
        return;
    }
    h->key = key;
    h->hash = srq_hash64(key, strlen(key));
    h->event = event;
    h->params = copy;
    h->bytes = strlen(key) + HELD_BYTES; /* the name of a layer, the only long member of a sample, is in the key */
    TAILQ_INSERT_TAIL(&c->held, h, entry);
    c->held_count++;
    c->held_bytes += h->bytes;
    c->share->output += h->bytes;
    client_bound(c);
}

static bool wants_event(const struct subscription *s, const char *event)
{
    const cJSON *item;

    if (s->names == NULL)
        return true;
    cJSON_ArrayForEach(item, s->names)
    {
        if (strcmp(item->valuestring, event) == 0)
            return true;
    }
    return false;
}

/* Whether a live event with this journal number (0: none) goes out by this subscription. One that is still replaying
 * will find the line in the journal; one that has replayed may have sent it already. */
static bool wants(struct subscription *s, const struct job *j, const char *event, int64_t seq)
{
    if ((s->job[0] != '\0' && strcmp(s->job, j->id) != 0) || !wants_event(s, event))
        return false;
    if (seq == 0)
        return true;
    if (s->replay != NULL || (s->seen >= 0 && seq <= s->seen))
        return false;
    if (s->seen >= 0)
        s->seen = seq;
    return true;
}

static bool client_wants(struct client *c, const struct job *j, const char *event, int64_t seq)
{
    struct subscription *s;
    bool any = false;

    TAILQ_FOREACH(s, &c->subscriptions, entry)
    {
        if (wants(s, j, event, seq))
            any = true;
    }
    return any;
}

void events_publish(void *all, struct job *j, const char *event, const cJSON *params)
{
    const cJSON *seq = cJSON_GetObjectItemCaseSensitive(params, "seq");
    int64_t n = cJSON_IsNumber(seq) ? (int64_t)seq->valuedouble : 0;
    const struct srq_event *row = srq_proto_event(event);
    const struct client_list *list = &((struct clients *)all)->list;
    struct client *c, *next;
    char *line = NULL; /* written once for all who get it */
    size_t len = 0;

    for (c = TAILQ_FIRST(list); c != NULL && row != NULL; c = next) {
        next = TAILQ_NEXT(c, entry);
        if (c->closing || !client_wants(c, j, event, n) || !may_look(&c->peer, j))
            continue;
        if (srq_proto_is_sample(event) && (c->held_count > 0 || client_waiting(c) > CLIENT_SOFT_OUTPUT)) {
            hold_sample(c, row->name, params);
            continue;
        }
        if (line == NULL && (line = srq_proto_event_line(event, params)) != NULL)
            len = strlen(line);
        client_send_copy(c, line, len);
    }
    srq_free(line);
}

void events_announce_state(void *all, struct job *j)
{
    cJSON *params = state_params(j);

    if (params != NULL)
        events_publish(all, j, "job.state", params);
    cJSON_Delete(params);
}

void events_tell_state(struct client *c, const struct job *j)
{
    cJSON *params = state_params(j);

    if (params != NULL && client_wants(c, j, "job.state", 0))
        client_send(c, srq_proto_event_line("job.state", params));
    cJSON_Delete(params);
}

static void subscription_free(struct client *c, struct subscription *s)
{
    TAILQ_REMOVE(&c->subscriptions, s, entry);
    c->share->subscriptions--;
    journal_close(s->replay);
    cJSON_Delete(s->names);
    srq_free(s);
}

void events_forget_job(void *all, const struct job *j)
{
    const struct client_list *list = &((struct clients *)all)->list;
    struct client *c;
    struct subscription *s, *next;

    TAILQ_FOREACH(c, list, entry)
    {
        for (s = TAILQ_FIRST(&c->subscriptions); s != NULL; s = next) {
            next = TAILQ_NEXT(s, entry);
            if (strcmp(s->job, j->id) == 0)
                subscription_free(c, s);
        }
    }
}

struct replay {
    struct client *c;
    struct subscription *s;
};

static bool replay_entry(const struct journal_entry *e, void *ctx)
{
    struct replay *r = ctx;

    r->s->seen = e->seq;
    /* What srqd thinks of the job is the truth about its state, not what its worker wrote. */
    if (strcmp(e->event, "job.state") != 0 && wants_event(r->s, e->event))
        client_send(r->c, srq_proto_event_line(e->event, e->params));
    return !r->c->closing && client_waiting(r->c) <= CLIENT_SOFT_OUTPUT;
}

/* A step of one replay; the others of the client have theirs before it has the next. */
bool events_replay(struct client *c)
{
    struct subscription *s;
    struct journal_filter after = { 0 };
    struct replay r = { c, NULL };

    TAILQ_FOREACH(s, &c->subscriptions, entry)
    {
        if (s->replay != NULL)
            break;
    }
    if (s == NULL || c->closing || client_waiting(c) > CLIENT_SOFT_OUTPUT)
        return false;
    r.s = s;
    after.since = s->seen;
    if (journal_read(s->replay, &after, JOURNAL_STEP, replay_entry, &r) == JOURNAL_END) {
        journal_close(s->replay);
        s->replay = NULL;
    }
    TAILQ_REMOVE(&c->subscriptions, s, entry);
    TAILQ_INSERT_TAIL(&c->subscriptions, s, entry);
    return !c->closing;
}

void events_drained(struct client *c)
{
    struct held_sample *h;

    while ((h = TAILQ_FIRST(&c->held)) != NULL && !c->closing && client_waiting(c) <= CLIENT_SOFT_OUTPUT)
        send_held(c, h);
    turn_wish(&c->replays);
}

static int check_names(const cJSON *names, struct srq_error *err)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, names)
    {
        if (srq_proto_event(item->valuestring) == NULL)
            return srq_fail_field(err, -SRQ_EINVAL, "events", "there is no event \"%.60s\"", item->valuestring);
    }
    return 0;
}

int events_subscribe(struct client *c, struct job *j, const cJSON *names, int64_t since, char id[32],
                     struct srq_error *err)
{
    struct subscription *s;
    int n = 0, rc = check_names(names, err);

    if (rc != 0)
        return rc;
    TAILQ_FOREACH(s, &c->subscriptions, entry) n++;
    if (n >= SUBSCRIPTIONS_MAX)
        return srq_fail(err, -SRQ_ELIMIT, "more than %d subscriptions on one connection", SUBSCRIPTIONS_MAX);
    if (since >= 0 && j == NULL)
        return srq_fail_field(err, -SRQ_EINVAL, "since_seq", "since_seq needs a job: every job counts its own lines");
    if ((rc = share_subscribe(&c->all->shares, c->share, err)) != 0)
        return rc;
    s = srq_calloc(1, sizeof(*s));
    if (s == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory");
    s->seen = since;
    if (names != NULL && (s->names = cJSON_Duplicate(names, true)) == NULL) {
        srq_free(s);
        return srq_fail(err, -SRQ_ENOMEM, "out of memory");
    }
    if (j != NULL)
        memcpy(s->job, j->id, sizeof(s->job));
    if (since >= 0 && journal_open(j, &s->replay, NULL) == 0) /* none yet: nothing to replay */
        journal_seek(s->replay, since);
    snprintf(s->id, sizeof(s->id), "s%llu", (unsigned long long)++c->next_subscription);
    memcpy(id, s->id, sizeof(s->id));
    TAILQ_INSERT_TAIL(&c->subscriptions, s, entry);
    c->share->subscriptions++;
    return 0;
}

int events_unsubscribe(struct client *c, const char *id, struct srq_error *err)
{
    struct subscription *s;

    TAILQ_FOREACH(s, &c->subscriptions, entry)
    {
        if (strcmp(s->id, id) == 0) {
            subscription_free(c, s);
            return 0;
        }
    }
    return srq_fail_field(err, -SRQ_ENOENT, "subscription", "there is no subscription \"%.60s\"", id);
}

void events_drop_client(struct client *c)
{
    while (!TAILQ_EMPTY(&c->subscriptions))
        subscription_free(c, TAILQ_FIRST(&c->subscriptions));
    while (!TAILQ_EMPTY(&c->held))
        held_free(c, TAILQ_FIRST(&c->held));
    turn_drop(&c->replays);
}
