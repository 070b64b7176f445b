/* Requests read strictly, answers and events printed. */
#include "core/job/change_json.h"

#include "core/base/alloc.h"
#include "core/job/plan_json.h"
#include "core/proto/members.h"
#include "core/proto/proto.h"

#include <math.h>

#define LIST_MAX 10000

_Static_assert((int)SRQ_UNIT_PENDING == SRQ_WORK_PENDING && (int)SRQ_UNIT_RUNNING == SRQ_WORK_RUNNING &&
                   (int)SRQ_UNIT_FINISHED == SRQ_WORK_FINISHED && (int)SRQ_UNIT_STALE == SRQ_WORK_STALE,
               "states have the places of their words");
_Static_assert((int)SRQ_CHANGE_PIN == SRQ_ASK_PIN && (int)SRQ_CHANGE_UNPIN == SRQ_ASK_UNPIN &&
                   (int)SRQ_CHANGE_BUDGET == SRQ_ASK_BUDGET && (int)SRQ_CHANGE_RETUNE == SRQ_ASK_RETUNE &&
                   (int)SRQ_CHANGE_SET == SRQ_ASK_SET && (int)SRQ_CHANGE_REVERT == SRQ_ASK_REVERT &&
                   (int)SRQ_CHANGE_ALLOCATE == SRQ_ASK_ALLOCATE,
               "changes have the places of their words");

const char *srq_unit_state_word(enum srq_unit_state s)
{
    return srq_work_state_words[s];
}

/* ---- the request ------------------------------------------------------------------------------------------------- */

/* Which members an op takes, beside op, by, dry_run and revision. */
static const struct {
    bool pins, patterns, bits, running, options, to;
} ops[] = {
    [SRQ_CHANGE_PIN] = { .pins = true, .running = true },
    [SRQ_CHANGE_UNPIN] = { .patterns = true, .running = true },
    [SRQ_CHANGE_BUDGET] = { .bits = true, .running = true },
    [SRQ_CHANGE_RETUNE] = { .patterns = true },
    [SRQ_CHANGE_SET] = { .options = true },
    [SRQ_CHANGE_REVERT] = { .running = true, .to = true },
};

static int wrong(const char *key, const char *what, struct srq_error *err)
{
    return srq_fail_field(err, -SRQ_EINVAL, key, "\"%s\" %s", key, what);
}

static int take_bool(const cJSON *o, const char *key, bool *out, struct srq_error *err)
{
    const cJSON *item = srq_member(o, key);

    if (item != NULL && !cJSON_IsBool(item))
        return wrong(key, "is true or false", err);
    *out = cJSON_IsTrue(item);
    return 0;
}

static int take_op(const cJSON *params, struct srq_change *out, struct srq_error *err)
{
    int op = srq_word_place(srq_change_words, srq_member_text(params, "op"));

    if (op < 0 || op >= (int)(sizeof(ops) / sizeof(ops[0])))
        return wrong("op", "is one of pin, unpin, budget, retune, set, revert", err);
    out->op = (enum srq_change_op)op;
    return 0;
}

/* A list of the right kind where the op takes one, none where it does not. */
static int take_list(const cJSON *params, const char *key, bool wanted, const cJSON **list, struct srq_error *err)
{
    *list = srq_member(params, key);
    if (!wanted)
        return *list == NULL ? 0 : wrong(key, "does not belong to this change", err);
    if (!cJSON_IsArray(*list) || cJSON_GetArraySize(*list) < 1 || cJSON_GetArraySize(*list) > LIST_MAX)
        return wrong(key, "is a list of 1 to 10000 elements", err);
    return 0;
}

static int take_pins(const cJSON *list, struct srq_change *out, struct srq_error *err)
{
    const cJSON *item;

    out->pins = srq_calloc((size_t)cJSON_GetArraySize(list) + 1, sizeof(out->pins[0]));
    if (out->pins == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory reading a change");
    cJSON_ArrayForEach(item, list)
    {
        int rc = srq_read_pin(item, &out->pins[out->pin_count++], err);

        if (rc != 0)
            return rc;
    }
    return 0;
}

static int take_patterns(const cJSON *list, struct srq_change *out, struct srq_error *err)
{
    const cJSON *item;

    out->patterns = srq_calloc((size_t)cJSON_GetArraySize(list) + 1, sizeof(out->patterns[0]));
    if (out->patterns == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory reading a change");
    cJSON_ArrayForEach(item, list)
    {
        if (!cJSON_IsString(item))
            return wrong("patterns", "has texts as elements", err);
        out->patterns[out->pattern_count] = srq_strdup(item->valuestring);
        if (out->patterns[out->pattern_count] == NULL)
            return srq_fail(err, -SRQ_ENOMEM, "out of memory reading a change");
        out->pattern_count++;
    }
    return 0;
}

static int take_bits(const cJSON *params, bool wanted, struct srq_change *out, struct srq_error *err)
{
    const cJSON *bits = cJSON_GetObjectItemCaseSensitive(params, "bits");

    out->bits = (double)NAN;
    if (!wanted)
        return bits == NULL || cJSON_IsNull(bits) ? 0 : wrong("bits", "does not belong to this change", err);
    if (cJSON_IsNull(bits))
        return 0;
    if (!cJSON_IsNumber(bits) || !(bits->valuedouble > 0) || bits->valuedouble > 32)
        return wrong("bits", "is a number of bits above 0 and at most 32, or null for no budget", err);
    out->bits = bits->valuedouble;
    return 0;
}

/* Which option a name is of; SRQ_LIVE_OPTIONS: none. */
static int option_of(const char *name)
{
    int i = 0;

    while (i < SRQ_LIVE_OPTIONS && strcmp(name, srq_live_option_words[i]) != 0)
        i++;
    return i;
}

static int take_options(const cJSON *params, struct srq_change *out, struct srq_error *err)
{
    const cJSON *object = srq_member(params, "options"), *item;

    for (int i = 0; i < SRQ_LIVE_OPTIONS; i++)
        out->option[i] = (double)NAN;
    if (!ops[out->op].options)
        return object == NULL ? 0 : wrong("options", "does not belong to this change", err);
    if (!cJSON_IsObject(object) || object->child == NULL)
        return wrong("options", "is an object of at least one option", err);
    cJSON_ArrayForEach(item, object)
    {
        int i = option_of(item->string);
        double v = cJSON_IsNumber(item) ? item->valuedouble : (double)NAN;

        if (i == SRQ_LIVE_OPTIONS)
            return srq_fail_field(err, -SRQ_EINVAL, item->string,
                                  "\"%.60s\" cannot be changed while a job runs: lr, hp_first and hp_last can",
                                  item->string);
        if (!cJSON_IsNull(item) && (!(v >= 0) || (i == SRQ_LIVE_LR ? v > 1 : v > 1e6 || v != floor(v))))
            return wrong(item->string,
                         i == SRQ_LIVE_LR ? "is a number from 0 to 1, or null for what was submitted"
                                          : "is a number of steps, or null for what was submitted",
                         err);
        out->sets[i] = true;
        out->option[i] = v;
    }
    return 0;
}

static int take_running(const cJSON *params, struct srq_change *out, struct srq_error *err)
{
    const cJSON *item = srq_member(params, "running");
    const char *text = cJSON_GetStringValue(item);

    if (item == NULL)
        return 0;
    if (!ops[out->op].running)
        return wrong("running", "does not belong to this change", err);
    if (text == NULL || (strcmp(text, "restart") != 0 && strcmp(text, "after") != 0))
        return wrong("running", "is \"restart\" or \"after\"", err);
    out->after = strcmp(text, "after") == 0;
    return 0;
}

static int take_to(const cJSON *params, bool wanted, struct srq_change *out, struct srq_error *err)
{
    const cJSON *to = srq_member(params, "to");

    if (!wanted)
        return to == NULL ? 0 : wrong("to", "does not belong to this change", err);
    if (!cJSON_IsNumber(to) || to->valuedouble < 0 || to->valuedouble > 9e15 ||
        to->valuedouble != floor(to->valuedouble))
        return wrong("to", "is a revision of the plan", err);
    out->to = (int64_t)to->valuedouble;
    return 0;
}

static int take_rest(const cJSON *params, struct srq_change *out, struct srq_error *err)
{
    const char *by = srq_member_text(params, "by");
    const cJSON *revision = srq_member(params, "revision");
    int rc = take_bool(params, "release", &out->release, err);

    if (rc == 0 && out->release && out->op != SRQ_CHANGE_BUDGET)
        rc = wrong("release", "does not belong to this change", err);
    if (rc == 0)
        rc = take_bool(params, "propagate", &out->propagate, err);
    if (rc == 0 && out->propagate && out->op == SRQ_CHANGE_SET)
        rc = wrong("propagate", "does not belong to this change", err);
    if (rc == 0)
        rc = take_bool(params, "dry_run", &out->dry_run, err);
    if (rc == 0)
        rc = take_running(params, out, err);
    if (rc == 0 && revision != NULL &&
        (!cJSON_IsNumber(revision) || revision->valuedouble < 0 || revision->valuedouble > 9e15))
        rc = wrong("revision", "is a revision of the plan", err);
    out->revision = revision != NULL && rc == 0 ? (int64_t)revision->valuedouble : -1;
    snprintf(out->by, sizeof(out->by), "%s", by != NULL ? by : "");
    return rc;
}

int srq_change_parse(const cJSON *params, struct srq_change *out, struct srq_error *err)
{
    const cJSON *pins, *patterns;
    int rc;

    memset(out, 0, sizeof(*out));
    out->revision = -1;
    out->bits = (double)NAN;
    if (!cJSON_IsObject(params))
        return srq_fail(err, -SRQ_EINVAL, "a change is an object");
    rc = take_op(params, out, err);
    if (rc == 0)
        rc = take_list(params, "pins", ops[out->op].pins, &pins, err);
    if (rc == 0 && pins != NULL)
        rc = take_pins(pins, out, err);
    if (rc == 0)
        rc = take_list(params, "patterns", ops[out->op].patterns, &patterns, err);
    if (rc == 0 && patterns != NULL)
        rc = take_patterns(patterns, out, err);
    if (rc == 0)
        rc = take_bits(params, ops[out->op].bits, out, err);
    if (rc == 0)
        rc = take_options(params, out, err);
    if (rc == 0)
        rc = take_to(params, ops[out->op].to, out, err);
    return rc == 0 ? take_rest(params, out, err) : rc;
}

/* ---- answer and event -------------------------------------------------------------------------------------------- */

struct telling {
    const struct srq_change_context *ctx;
    const struct srq_change_result *r;
    struct srq_live_state then; /* where the job is once the change is made */
};

static struct telling telling_of(const struct srq_change_context *ctx, const struct srq_change_result *r)
{
    struct telling t = { ctx, r, *ctx->state };

    if (r->leave)
        t.then.running = -1;
    return t;
}

static const char *state_word(const struct telling *t, int unit)
{
    return srq_unit_state_word(srq_live_unit(&t->r->next, &t->then, unit));
}

/* The size of a plan; null where the allocator has yet to choose. */
static bool put_size(cJSON *o, const char *key, const struct srq_plan_size *s, const struct srq_live_plan *of)
{
    cJSON *size = cJSON_AddObjectToObject(o, key);
    bool known = !srq_live_plan_open(of);

    return srq_put_number(size, "before_bytes", (double)s->before_bytes) &&
           srq_put_number(size, "after_bytes", known ? (double)s->after_bytes : (double)NAN) &&
           srq_put_number(size, "average_bits", known ? s->average_bits : (double)NAN);
}

/* "changed" and the first of the "changes". */
static bool put_changes(cJSON *o, const struct telling *t, int *moved)
{
    const struct srq_plan *old = &t->ctx->now->plan, *new = &t->r->next.plan;
    cJSON *list = cJSON_CreateArray();
    int changed = 0;
    bool ok = list != NULL;

    *moved = 0;
    for (int i = 0; ok && i < new->count; i++) {
        const struct srq_plan_layer *l = &new->layers[i];
        cJSON *row;

        if (srq_scheme_equal(&l->scheme, &old->layers[i].scheme))
            continue;
        *moved += l->source == SRQ_SOURCE_ALLOCATOR;
        if (++changed > SRQ_CHANGES_MAX)
            continue;
        row = cJSON_CreateObject();
        ok = cJSON_AddItemToArray(list, row) && srq_put_text(row, "layer", l->info->name) &&
             srq_put_scheme(row, "old", &old->layers[i].scheme) && srq_put_scheme(row, "new", &l->scheme) &&
             srq_put_text(row, "source", srq_decider_words[l->source]) &&
             srq_put_text(row, "state", state_word(t, srq_layer_unit(&t->r->next, i)));
    }
    ok = ok && srq_put_number(o, "changed", changed) && cJSON_AddItemToObject(o, "changes", list);
    if (!ok)
        cJSON_Delete(list);
    return ok;
}

/* "retunes" and "restarts". */
static bool put_units(cJSON *o, const struct telling *t)
{
    int running = t->ctx->state->running;
    bool restarts = t->r->restart || (t->r->leave && t->ctx->state->unit[running].generation == 0);
    cJSON *list = cJSON_AddArrayToObject(o, "retunes");

    for (int u = 0; list != NULL && u < t->r->next.units; u++) {
        if (t->r->retunes[u] && !cJSON_AddItemToArray(list, cJSON_CreateNumber(u)))
            return false;
    }
    return list != NULL && srq_put_number(o, "restarts", restarts ? running : NAN);
}

static bool put_states(cJSON *o, const struct telling *t)
{
    cJSON *list = cJSON_AddArrayToObject(o, "states");

    for (int u = 0; list != NULL && u < t->r->next.units; u++) {
        if (!cJSON_AddItemToArray(list, cJSON_CreateString(state_word(t, u))))
            return false;
    }
    return list != NULL;
}

bool srq_put_live_options(cJSON *o, const double *option)
{
    cJSON *options = cJSON_AddObjectToObject(o, "options");

    for (int i = 0; options != NULL && i < SRQ_LIVE_OPTIONS; i++)
        if (!srq_put_number(options, srq_live_option_words[i], option[i]))
            return false;
    return options != NULL;
}

void srq_read_live_options(const cJSON *o, double *option)
{
    const cJSON *options = cJSON_GetObjectItemCaseSensitive(o, "options");

    for (int i = 0; i < SRQ_LIVE_OPTIONS; i++)
        option[i] = srq_member_number(options, srq_live_option_words[i]);
}

static bool put_place(cJSON *o, const struct srq_live_state *st)
{
    cJSON *at = cJSON_AddObjectToObject(o, "at");

    return srq_put_number(at, "block", st->running >= 0 ? st->running : NAN) &&
           srq_put_number(at, "iter", st->running >= 0 && st->iter >= 0 ? (double)st->iter : NAN);
}

cJSON *srq_change_event(const struct srq_change_context *ctx, const struct srq_change *change,
                        const struct srq_change_result *r)
{
    const struct telling t = telling_of(ctx, r);
    cJSON *o = cJSON_CreateObject();
    int moved;

    if (srq_put_number(o, "revision", (double)r->next.plan.revision) &&
        srq_put_text(o, "op", srq_change_words[change->op]) &&
        srq_put_text(o, "by", change->by[0] != '\0' ? change->by : NULL) && put_units(o, &t) && put_states(o, &t) &&
        put_size(o, "size", &r->size, &r->next) && srq_put_live_options(o, r->next.option) &&
        put_place(o, ctx->state) && put_changes(o, &t, &moved))
        return o;
    cJSON_Delete(o);
    return NULL;
}

/* "forecast" and, where it is null though layers were scored, "forecast_missing": why. */
static bool put_forecast(cJSON *o, const struct srq_change_result *r)
{
    cJSON *f;

    if (!isfinite(r->forecast_now) || !isfinite(r->forecast))
        return srq_put_number(o, "forecast", NAN) &&
               srq_put_text(o, "forecast_missing", r->forecast_missing[0] != '\0' ? r->forecast_missing : NULL);
    f = cJSON_AddObjectToObject(o, "forecast");
    return srq_put_number(f, "now", r->forecast_now) && srq_put_number(f, "then", r->forecast) &&
           srq_put_text(o, "forecast_missing", NULL);
}

cJSON *srq_change_reply(const struct srq_change_context *ctx, const struct srq_change *change,
                        const struct srq_change_result *r)
{
    const struct telling t = telling_of(ctx, r);
    const struct srq_plan *is = change->dry_run ? &ctx->now->plan : &r->next.plan;
    bool applied = !change->dry_run && !r->idle;
    cJSON *o = cJSON_CreateObject();
    int moved;

    if (srq_put_number(o, "revision", (double)is->revision) && cJSON_AddBoolToObject(o, "applied", applied) != NULL &&
        cJSON_AddBoolToObject(o, "effect", !r->idle) != NULL && srq_put_number(o, "matched", r->matched) &&
        put_changes(o, &t, &moved) && srq_put_live_options(o, r->next.option) &&
        put_size(o, "size", &r->size, &r->next) && put_size(o, "size_now", &r->size_now, ctx->now) &&
        put_forecast(o, r) && srq_put_number(o, "moved", moved) && put_units(o, &t) &&
        srq_put_number(o, "cost_s", r->cost_s) &&
        srq_put_number(o, "budget_bits", isnan(r->next.bits) ? 0 : r->next.bits) &&
        srq_put_copy(o, "warnings", r->warnings))
        return o;
    cJSON_Delete(o);
    return NULL;
}
