/* A request for a change, read strictly. */
#include "core/budget/live.h"

#include "core/base/alloc.h"

#include <math.h>

#define LIST_MAX 10000

/* Which members an op takes, beside op, by, dry_run and revision. */
static const struct {
    const char *name;
    bool pins, patterns, bits, running;
} ops[] = {
    [SRQ_CHANGE_PIN] = { "pin", true, false, false, true },
    [SRQ_CHANGE_UNPIN] = { "unpin", false, true, false, true },
    [SRQ_CHANGE_BUDGET] = { "budget", false, false, true, true },
    [SRQ_CHANGE_RETUNE] = { "retune", false, true, false, false },
};

static const cJSON *member(const cJSON *o, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(o, key);

    return cJSON_IsNull(item) && strcmp(key, "bits") != 0 ? NULL : item;
}

static int wrong(const char *key, const char *what, struct srq_error *err)
{
    return srq_fail_field(err, -SRQ_EINVAL, key, "\"%s\" %s", key, what);
}

static int take_bool(const cJSON *o, const char *key, bool *out, struct srq_error *err)
{
    const cJSON *item = member(o, key);

    if (item != NULL && !cJSON_IsBool(item))
        return wrong(key, "is true or false", err);
    *out = cJSON_IsTrue(item);
    return 0;
}

static int take_op(const cJSON *params, struct srq_change *out, struct srq_error *err)
{
    const char *op = cJSON_GetStringValue(member(params, "op"));

    for (size_t i = 0; op != NULL && i < sizeof(ops) / sizeof(ops[0]); i++) {
        if (strcmp(op, ops[i].name) == 0) {
            out->op = (enum srq_change_op)i;
            return 0;
        }
    }
    return wrong("op", "is one of pin, unpin, budget, retune", err);
}

/* A list of the right kind where the op takes one, none where it does not. */
static int take_list(const cJSON *params, const char *key, bool wanted, const cJSON **list, struct srq_error *err)
{
    *list = member(params, key);
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
        const char *pattern = cJSON_GetStringValue(member(item, "pattern"));
        const char *scheme = cJSON_GetStringValue(member(item, "scheme"));
        struct srq_pin *p = &out->pins[out->pin_count];
        int rc;

        if (pattern == NULL || scheme == NULL)
            return wrong("pins", "has elements {\"pattern\", \"scheme\"}", err);
        rc = srq_scheme_parse(scheme, &p->scheme, err);
        if (rc == 0)
            rc = take_bool(item, "untied", &p->untied, err);
        if (rc != 0) {
            if (err != NULL)
                snprintf(err->field, sizeof(err->field), "pins");
            return rc;
        }
        p->pattern = srq_strdup(pattern);
        if (p->pattern == NULL)
            return srq_fail(err, -SRQ_ENOMEM, "out of memory reading a change");
        out->pin_count++;
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
    const cJSON *bits = member(params, "bits");

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

static int take_running(const cJSON *params, struct srq_change *out, struct srq_error *err)
{
    const cJSON *item = member(params, "running");
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

static int take_rest(const cJSON *params, struct srq_change *out, struct srq_error *err)
{
    const char *by = cJSON_GetStringValue(member(params, "by"));
    const cJSON *revision = member(params, "revision");
    int rc = take_bool(params, "release", &out->release, err);

    if (rc == 0 && out->release && out->op != SRQ_CHANGE_BUDGET)
        rc = wrong("release", "does not belong to this change", err);
    if (rc == 0)
        rc = take_bool(params, "propagate", &out->propagate, err);
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
    return rc == 0 ? take_rest(params, out, err) : rc;
}

void srq_change_fini(struct srq_change *c)
{
    for (int i = 0; i < c->pin_count; i++)
        srq_free(c->pins[i].pattern);
    for (int i = 0; i < c->pattern_count; i++)
        srq_free(c->patterns[i]);
    srq_free(c->pins);
    srq_free(c->patterns);
    memset(c, 0, sizeof(*c));
}
