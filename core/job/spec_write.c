/* The normalised job as JSON, and schemes in JSON. */
#include "core/job/spec.h"

#include "core/base/alloc.h"
#include "core/base/buf.h"
#include "core/job/plan_json.h"
#include "core/proto/members.h"
#include "core/tune/options.h"

#include <math.h>
#include <stdlib.h>
#include <strings.h>

/* ---- schemes ----------------------------------------------------------------------------------------------------- */

/* {"data_type": "mxfp4"}: the words of srq_scheme_parse, with bits and group_size only where they agree. */
static int word_object(const char *type, bool have_bits, double bits, bool have_group, double group, const char *field,
                       struct srq_scheme *out, struct srq_error *err)
{
    struct srq_scheme s;
    int rc;

    if (strcasecmp(type, "fp8") == 0 && have_group && group == 0)
        type = "fp8t";
    rc = srq_scheme_parse(type, &s, err);
    if (rc != 0)
        return rc;
    if (srq_scheme_is_integer(&s))
        return srq_fail_field(err, -SRQ_EINVAL, field,
                              "data_type \"%.60s\" is none; there are int, mxfp4, mxfp8, nvfp4, fp8 and q2_k to q6_k",
                              type);
    if ((have_bits && bits != s.bits) || (have_group && group != s.group))
        return srq_fail_field(err, -SRQ_EINVAL, field, "%.60s has %d bits and group_size %d", type, s.bits, s.group);
    *out = s;
    return 0;
}

static int scheme_object(const cJSON *item, const char *field, struct srq_scheme *out, struct srq_error *err)
{
    const cJSON *member;
    double bits = 0, group = -1, act = 0;
    bool sym = true, have_bits = false, have_group = false;
    const char *type = "int";
    char text[48], inputs[16] = "";

    cJSON_ArrayForEach(member, item)
    {
        if (strcmp(member->string, "bits") == 0 && cJSON_IsNumber(member)) {
            bits = member->valuedouble;
            have_bits = true;
        } else if (strcmp(member->string, "group_size") == 0 && cJSON_IsNumber(member)) {
            group = member->valuedouble;
            have_group = true;
        } else if (strcmp(member->string, "data_type") == 0 && cJSON_IsString(member)) {
            type = member->valuestring;
        } else if (strcmp(member->string, "sym") == 0 && cJSON_IsBool(member)) {
            sym = cJSON_IsTrue(member);
        } else if (strcmp(member->string, "act_bits") == 0 && cJSON_IsNumber(member)) {
            act = member->valuedouble;
        } else {
            return srq_fail_field(
                err, -SRQ_EINVAL, field,
                "a scheme object has bits, group_size, act_bits (numbers), sym (true or false) and data_type, not "
                "\"%.60s\"",
                member->string);
        }
    }
    if (act != 0 && (act != floor(act) || act < 2 || act > 8 || strcmp(type, "int") != 0 || bits == 16))
        return srq_fail_field(err, -SRQ_EINVAL, field,
                              "\"act_bits\" is 2 to 8, or 0 for activations as they are, beside integer weights");
    if (act > 0)
        snprintf(inputs, sizeof(inputs), "a%d", (int)act);
    if (strcmp(type, "int") != 0)
        return word_object(type, have_bits, bits, have_group, group, field, out, err);
    if (!have_bits || bits != floor(bits) || group != floor(group) || bits < 1 || bits > 16 || group < -1 ||
        group > 1 << 30)
        return srq_fail_field(err, -SRQ_EINVAL, field,
                              "a scheme object needs whole numbers: \"bits\" and \"group_size\"");
    if (bits == 16)
        return srq_scheme_parse("bf16", out, err);
    if (group == 0)
        snprintf(text, sizeof(text), "w%dgt%s%s", (int)bits, sym ? "" : "z", inputs);
    else if (group < 0)
        snprintf(text, sizeof(text), "w%d%s%s", (int)bits, sym ? "" : "z", inputs);
    else
        snprintf(text, sizeof(text), "w%dg%d%s%s", (int)bits, (int)group, sym ? "" : "z", inputs);
    return srq_scheme_parse(text, out, err);
}

int srq_scheme_from_json(const cJSON *item, const char *field, struct srq_scheme *out, struct srq_error *err)
{
    int rc;

    if (cJSON_IsString(item))
        rc = srq_scheme_parse(item->valuestring, out, err);
    else if (cJSON_IsObject(item))
        rc = scheme_object(item, field, out, err);
    else
        return srq_fail_field(err, -SRQ_EINVAL, field, "\"%s\" is neither a scheme's name nor a scheme object", field);
    if (rc != 0 && err != NULL)
        snprintf(err->field, sizeof(err->field), "%s", field);
    return rc;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

char *srq_spec_method(const struct srq_spec *s)
{
    struct srq_buf b;

    srq_buf_init(&b, 4096);
    for (int i = 0; i < s->plugin_count; i++)
        srq_buf_printf(&b, "%s%s", i > 0 ? "," : "", s->plugins[i].name);
    return srq_buf_take(&b);
}

static bool add_list(cJSON *root, const char *key, char **list, int count)
{
    cJSON *array = count > 0 ? cJSON_CreateStringArray((const char *const *)list, count) : cJSON_CreateArray();

    return array != NULL && cJSON_AddItemToObject(root, key, array);
}

static bool add_pins(cJSON *root, const struct srq_spec *s)
{
    cJSON *array = cJSON_AddArrayToObject(root, "layers");

    for (int i = 0; array != NULL && i < s->pin_count; i++) {
        cJSON *o = cJSON_CreateObject();

        if (!cJSON_AddItemToArray(array, o) || !srq_put_text(o, "pattern", s->pins[i].pattern) ||
            !srq_put_scheme(o, "scheme", &s->pins[i].scheme) ||
            (s->pins[i].untied && cJSON_AddTrueToObject(o, "untied") == NULL))
            return false;
    }
    return array != NULL;
}

static bool add_budget(cJSON *root, const struct srq_spec *s)
{
    cJSON *budget;

    if (!srq_spec_has_budget(s))
        return cJSON_AddNullToObject(root, "budget") != NULL;
    budget = cJSON_AddObjectToObject(root, "budget");
    return srq_put_number(budget, "bits", s->budget_bits) &&
           srq_put_schemes(budget, "candidates", s->candidates, s->candidate_count);
}

static cJSON *option_json(const struct srq_option *row, const char *text)
{
    char *end;
    double d;

    if (row->type == SRQ_OPT_BOOL)
        return cJSON_CreateBool(strcmp(text, "true") == 0);
    if (row->type == SRQ_OPT_INT || row->type == SRQ_OPT_FLOAT) {
        d = strtod(text, &end);
        if (end != text && *end == '\0')
            return cJSON_CreateNumber(d);
    }
    return cJSON_CreateString(text);
}

static bool add_plugin_options(cJSON *options, const struct srq_spec_plugin *p)
{
    const struct srq_plugin *plugin = p->handle.plugin;

    for (uint32_t i = 0; i < plugin->option_count; i++) {
        const struct srq_option *row = &plugin->options[i];
        char *text = srq_options_text(p->options, row->name), *key;
        bool ok;

        if (text == NULL)
            continue;
        key = srq_asprintf("%s.%s", p->name, row->name);
        ok = key != NULL && cJSON_AddItemToObject(options, key, option_json(row, text));
        srq_free(key);
        srq_free(text);
        if (!ok)
            return false;
    }
    return true;
}

cJSON *srq_spec_json(const struct srq_spec *s)
{
    char *method = srq_spec_method(s);
    cJSON *root = cJSON_CreateObject(), *options;
    bool ok = root != NULL && method != NULL && srq_put_text(root, "model", s->model) &&
              srq_put_text(root, "method", method) && srq_put_scheme(root, "scheme", &s->scheme) &&
              add_budget(root, s) && add_pins(root, s) && add_list(root, "calib", s->calib, s->calib_count) &&
              add_list(root, "eval", s->eval, s->eval_count) &&
              add_list(root, "formats", s->formats, s->format_count) && srq_put_text(root, "output", s->output) &&
              cJSON_AddBoolToObject(root, "force", s->force) != NULL && srq_put_text(root, "name", s->name) &&
              srq_put_number(root, "priority", (double)s->priority) && srq_put_text(root, "on_end", s->on_end) &&
              (s->time_limit_s <= 0 || srq_put_number(root, "time_limit_s", s->time_limit_s)) &&
              (s->embedding.grid == SRQ_GRID_NONE || srq_put_scheme(root, "embedding", &s->embedding)) &&
              (s->features == NULL || srq_put_text(root, "features", s->features)) &&
              srq_put_text(root, "incompatible", s->refuse_incompatible ? "refuse" : "keep") &&
              cJSON_AddBoolToObject(root, "quant_lm_head", s->quant_lm_head) != NULL &&
              cJSON_AddBoolToObject(root, "accept_drift", s->accept_drift) != NULL;

    srq_free(method);
    options = ok ? cJSON_AddObjectToObject(root, "options") : NULL;
    ok = options != NULL && srq_job_options_json(&s->opt, options);
    for (int i = 0; ok && i < s->plugin_count; i++)
        ok = add_plugin_options(options, &s->plugins[i]);
    if (ok)
        return root;
    cJSON_Delete(root);
    return NULL;
}
