/* Job specification: strict parsing key by key. */
#include "core/job/spec.h"

#include "core/base/alloc.h"
#include "core/base/ends.h"
#include "core/base/fs.h"
#include "core/base/nearest.h"
#include "core/proto/proto.h"
#include "core/tune/options.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#define SPEC_MAX_LIST 4096
#define TIME_LIMIT_MAX_S 31536000

struct parse {
    struct srq_spec *spec;
    unsigned flags;
    bool scheme_given;
    struct srq_error *err;
};

typedef int (*key_parser)(struct parse *p, const char *key, const cJSON *value);

static int wrong_type(struct parse *p, const char *key, const char *wanted)
{
    return srq_fail_field(p->err, -SRQ_EINVAL, key, "\"%s\" is not %s", key, wanted);
}

static int out_of_memory(struct parse *p)
{
    return srq_fail(p->err, -SRQ_ENOMEM, "out of memory reading the job");
}

static int take_string(struct parse *p, const char *key, const cJSON *value, char **out)
{
    if (!cJSON_IsString(value) || value->valuestring[0] == '\0')
        return wrong_type(p, key, "a non-empty string");
    srq_free(*out);
    *out = srq_strdup(value->valuestring);
    return *out != NULL ? 0 : out_of_memory(p);
}

static int take_bool(struct parse *p, const char *key, const cJSON *value, bool *out)
{
    if (!cJSON_IsBool(value))
        return wrong_type(p, key, "true or false");
    *out = cJSON_IsTrue(value);
    return 0;
}

static int take_path(struct parse *p, const char *key, const char *text, char **out)
{
    if (text[0] != '/' && (p->flags & SRQ_SPEC_RELATIVE) == 0)
        return srq_fail_field(p->err, -SRQ_EINVAL, key, "\"%s\" is \"%.300s\"; give an absolute path", key, text);
    srq_free(*out);
    *out = srq_path_absolute(text);
    if (*out == NULL)
        return out_of_memory(p);
    for (size_t n = strlen(*out); n > 1 && (*out)[n - 1] == '/'; n--)
        (*out)[n - 1] = '\0';
    return 0;
}

/* A list of strings, or one string; each given to `each`. */
static int take_list(struct parse *p, const char *key, const cJSON *value, char ***list, int *count,
                     int (*each)(struct parse *p, const char *key, const char *text, char **out))
{
    int n = cJSON_IsString(value) ? 1 : cJSON_GetArraySize(value), rc = 0;

    if (!cJSON_IsString(value) && !cJSON_IsArray(value))
        return wrong_type(p, key, "a list of strings");
    if (n > SPEC_MAX_LIST)
        return srq_fail_field(p->err, -SRQ_ELIMIT, key, "\"%s\" has %d entries, more than %d", key, n, SPEC_MAX_LIST);
    *list = srq_calloc((size_t)n + 1, sizeof(**list));
    if (*list == NULL)
        return out_of_memory(p);
    for (int i = 0; rc == 0 && i < n; i++) {
        const cJSON *item = cJSON_IsString(value) ? value : cJSON_GetArrayItem(value, i);

        if (!cJSON_IsString(item) || item->valuestring[0] == '\0')
            return wrong_type(p, key, "a list of non-empty strings");
        *count = i + 1;
        rc = each(p, key, item->valuestring, &(*list)[i]);
    }
    return rc;
}

static int take_file(struct parse *p, const char *key, const char *text, char **out)
{
    int rc = take_path(p, key, text, out);

    if (rc != 0 || (p->flags & (SRQ_SPEC_STORED | SRQ_SPEC_AGAIN)) != 0)
        return rc;
    if (access(*out, R_OK) != 0)
        return srq_fail_field(p->err, errno == EACCES ? -SRQ_EPERM : -SRQ_ENOENT, key, "%s file %.500s: %s",
                              strcmp(key, "eval") == 0 ? "evaluation" : "calibration", *out, strerror(errno));
    if (srq_file_is_lfs_pointer(*out))
        return srq_fail_field(p->err, -SRQ_EFORMAT, key, SRQ_LFS_SENTENCE, *out);
    return 0;
}

/* Which formats there are is known to those who write them; the plan asks them. */
static int take_format(struct parse *p, const char *key, const char *text, char **out)
{
    for (char **f = p->spec->formats; f != out; f++) {
        if (strcmp(*f, text) == 0)
            return srq_fail_field(p->err, -SRQ_EINVAL, key, "format %s is given twice", text);
    }
    *out = srq_strdup(text);
    return *out != NULL ? 0 : out_of_memory(p);
}

/* ---- keys -------------------------------------------------------------------------------------------------------- */

/* One folder has one name from here on, however it was spelled. */
static int take_folder(struct parse *p, const char *key, const char *text, char **out)
{
    char *canonical;
    int rc = take_path(p, key, text, out);

    if (rc != 0 || (p->flags & SRQ_SPEC_STORED) != 0)
        return rc;
    canonical = srq_path_canonical(*out);
    if (canonical == NULL)
        return out_of_memory(p);
    srq_free(*out);
    *out = canonical;
    return 0;
}

static int key_model(struct parse *p, const char *key, const cJSON *value)
{
    if (!cJSON_IsString(value) || value->valuestring[0] == '\0')
        return wrong_type(p, key, "the path of a model folder");
    return take_folder(p, key, value->valuestring, &p->spec->model);
}

static int key_output(struct parse *p, const char *key, const cJSON *value)
{
    if (!cJSON_IsString(value) || value->valuestring[0] == '\0')
        return wrong_type(p, key, "a path");
    return take_folder(p, key, value->valuestring, &p->spec->output);
}

/* Room for all of them was made with the list. */
static int add_plugin(struct parse *p, const char *key, const char *name, size_t len)
{
    struct srq_spec *s = p->spec;
    struct srq_spec_plugin *plugin = &s->plugins[s->plugin_count];
    int rc;

    if (len == 0)
        return srq_fail_field(p->err, -SRQ_EINVAL, key, "\"method\" has an empty name in it");
    plugin->name = srq_strndup(name, len);
    if (plugin->name == NULL)
        return out_of_memory(p);
    s->plugin_count++;
    for (int i = 0; i < s->plugin_count - 1; i++) {
        if (strcmp(s->plugins[i].name, plugin->name) == 0)
            return srq_fail_field(p->err, -SRQ_EINVAL, key, "method names %s twice", plugin->name);
    }
    rc = srq_plugin_load(plugin->name, &plugin->handle, p->err);
    if (rc == 0)
        rc = srq_options_create(plugin->handle.plugin, &plugin->options, p->err);
    if (rc != 0 && p->err != NULL)
        snprintf(p->err->field, sizeof(p->err->field), "%s", key);
    return rc;
}

static int key_method(struct parse *p, const char *key, const cJSON *value)
{
    const char *text = cJSON_GetStringValue(value);
    int rc = 0, n = 1;

    if (text == NULL || text[0] == '\0')
        return wrong_type(p, key, "plugin names with commas between them");
    for (const char *c = text; *c != '\0'; c++)
        n += *c == ',';
    if (n > 16)
        return srq_fail_field(p->err, -SRQ_ELIMIT, key, "\"method\" names %d plugins, more than 16", n);
    p->spec->plugins = srq_calloc((size_t)n + 2, sizeof(p->spec->plugins[0])); /* a budget adds two */
    if (p->spec->plugins == NULL)
        return out_of_memory(p);
    while (rc == 0) {
        size_t len = strcspn(text, ",");

        rc = add_plugin(p, key, text, len);
        if (text[len] == '\0')
            break;
        text += len + 1;
    }
    return rc;
}

/* ---- budget ---- */

static int take_candidates(struct parse *p, const char *key, const cJSON *list)
{
    struct srq_spec *s = p->spec;
    const cJSON *item;
    int rc = 0;

    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) < 1)
        return wrong_type(p, key, "a list of schemes");
    if (cJSON_GetArraySize(list) > SRQ_CANDIDATES_MAX)
        return srq_fail_field(p->err, -SRQ_ELIMIT, key, "\"%s\" has %d entries, more than %d", key,
                              cJSON_GetArraySize(list), SRQ_CANDIDATES_MAX);
    cJSON_ArrayForEach(item, list)
    {
        struct srq_scheme *c = &s->candidates[s->candidate_count];
        char text[32];

        rc = srq_scheme_from_json(item, key, c, p->err);
        if (rc != 0)
            return rc;
        for (int i = 0; i < s->candidate_count; i++) {
            if (srq_scheme_equal(&s->candidates[i], c))
                return srq_fail_field(p->err, -SRQ_EINVAL, key, "candidate %s is given twice",
                                      srq_scheme_text(c, text, sizeof(text)));
        }
        s->candidate_count++;
    }
    return 0;
}

static int take_default_candidates(struct parse *p)
{
    static const char *const names[] = { "w2g64", "w3g64", "w4g64", "w8g64" };
    int rc = 0;

    for (int i = 0; rc == 0 && i < 4; i++)
        rc = srq_scheme_parse(names[i], &p->spec->candidates[p->spec->candidate_count++], p->err);
    return rc;
}

/* The plugin that has this part; -1: none. */
static int find_part(const struct srq_spec *s, bool scorer)
{
    for (int i = 0; i < s->plugin_count; i++) {
        const struct srq_plugin *plugin = s->plugins[i].handle.plugin;

        if (scorer ? plugin->scorer != NULL : plugin->allocator != NULL)
            return i;
    }
    return -1;
}

/* Puts a plugin into the method at place `at`. */
static int insert_plugin(struct parse *p, const char *name, int at)
{
    struct srq_spec *s = p->spec;
    int rc = add_plugin(p, "method", name, strlen(name));
    struct srq_spec_plugin added;

    if (rc != 0)
        return rc;
    added = s->plugins[s->plugin_count - 1];
    memmove(&s->plugins[at + 1], &s->plugins[at], (size_t)(s->plugin_count - 1 - at) * sizeof(added));
    s->plugins[at] = added;
    return 0;
}

static bool is_quantizer(const struct srq_plugin *p)
{
    return p->oneshot != NULL || p->tunable != NULL;
}

/* What comes before the quantizer, where that is another. */
static bool comes_before(const struct srq_plugin *p)
{
    return p->transform != NULL || p->trainer != NULL;
}

/* The quantizer is the plugin that can quantize; where there are two, one of them is a transform or a trainer as well,
 * and is that. */
static int find_quantizer(struct parse *p)
{
    struct srq_spec *s = p->spec;

    s->quantizer = -1;
    for (int i = 0; i < s->plugin_count; i++) {
        const struct srq_plugin *plugin = s->plugins[i].handle.plugin;
        const struct srq_plugin *other = s->quantizer >= 0 ? s->plugins[s->quantizer].handle.plugin : NULL;

        if (!is_quantizer(plugin) || (other != NULL && comes_before(plugin) && !comes_before(other)))
            continue;
        if (other != NULL && !comes_before(other))
            return srq_fail_field(p->err, -SRQ_EUNSUPPORTED, "method",
                                  "%s and %s both quantize, and a method does so once", other->name, plugin->name);
        s->quantizer = i;
    }
    return 0;
}

/* A method ends with its quantizer, or is a transform alone: in that order things are done. */
static int check_quantizer(struct parse *p)
{
    const struct srq_spec *s = p->spec;
    const struct srq_plugin *last = s->plugins[s->plugin_count - 1].handle.plugin;
    int rc = find_quantizer(p);

    if (rc != 0 || s->quantizer == s->plugin_count - 1)
        return rc;
    if (last->transform != NULL && s->plugin_count == 1 && !srq_spec_has_budget(s))
        return 0;
    if (comes_before(last) && s->quantizer >= 0)
        return srq_fail_field(p->err, -SRQ_EUNSUPPORTED, "method",
                              "%s %s, which comes before the quantizer, and %s is before it: give %s,%s", last->name,
                              last->transform != NULL ? "is a transform" : "trains", s->plugins[s->quantizer].name,
                              last->name, s->plugins[s->quantizer].name);
    return srq_fail_field(p->err, -SRQ_EUNSUPPORTED, "method", "%s is not a quantizer, and a method ends with one",
                          last->name);
}

/* The transform is the plugin that can transform; the quantizer is that too where no other is. */
static int find_transform(struct parse *p)
{
    struct srq_spec *s = p->spec;

    for (int i = 0; i < s->plugin_count; i++) {
        if (s->plugins[i].handle.plugin->transform == NULL || i == s->quantizer)
            continue;
        if (s->transform >= 0)
            return srq_fail_field(p->err, -SRQ_EUNSUPPORTED, "method",
                                  "%s and %s are both transforms, and a method has at most one",
                                  s->plugins[s->transform].name, s->plugins[i].name);
        s->transform = i;
    }
    if (s->transform < 0 && s->quantizer >= 0 && s->plugins[s->quantizer].handle.plugin->transform != NULL)
        s->transform = s->quantizer;
    return 0;
}

/* The trainer is the plugin that can train. */
static int find_trainer(struct parse *p)
{
    struct srq_spec *s = p->spec;

    for (int i = 0; i < s->plugin_count; i++) {
        if (s->plugins[i].handle.plugin->trainer == NULL)
            continue;
        if (s->trainer >= 0)
            return srq_fail_field(p->err, -SRQ_EUNSUPPORTED, "method",
                                  "%s and %s both train, and a method does so once", s->plugins[s->trainer].name,
                                  s->plugins[i].name);
        s->trainer = i;
    }
    return 0;
}

/* Without a quantizer there are no codes to export. */
static int check_alone(struct parse *p)
{
    const struct srq_spec *s = p->spec;

    for (int i = 0; !srq_spec_quantizes(s) && i < s->format_count; i++) {
        if (strcmp(s->formats[i], "fake") != 0)
            return srq_fail_field(p->err, -SRQ_EUNSUPPORTED, "formats",
                                  "%s alone quantizes nothing, so its model can only be exported as \"fake\", not as "
                                  "\"%s\"; or put a quantizer behind it: %s,rtn",
                                  s->plugins[s->transform].name, s->formats[i], s->plugins[s->transform].name);
    }
    return 0;
}

static int key_budget(struct parse *p, const char *key, const cJSON *value)
{
    struct srq_spec *s = p->spec;
    const cJSON *item;
    int rc = 0;

    if (cJSON_IsNull(value))
        return 0;
    if (!cJSON_IsObject(value))
        return wrong_type(p, key, "{\"bits\", \"candidates\"} or null");
    cJSON_ArrayForEach(item, value)
    {
        if (strcmp(item->string, "bits") == 0 && cJSON_IsNumber(item) && item->valuedouble > 0 &&
            item->valuedouble <= 64)
            s->budget_bits = item->valuedouble;
        else if (strcmp(item->string, "bits") == 0)
            return srq_fail_field(p->err, -SRQ_EINVAL, "budget.bits",
                                  "\"budget.bits\" is not a number of bits above 0 and at most 64");
        else if (strcmp(item->string, "candidates") == 0)
            rc = take_candidates(p, "budget.candidates", item);
        else
            rc = srq_fail_field(p->err, -SRQ_EINVAL, key, "a budget has no key \"%.60s\"; it has bits and candidates",
                                item->string);
        if (rc != 0)
            return rc;
    }
    if (isnan(s->budget_bits))
        return srq_fail_field(p->err, -SRQ_EINVAL, "budget.bits", "the budget lacks its bits");
    if (s->candidate_count == 0)
        rc = take_default_candidates(p);
    if (rc == 0)
        rc = check_quantizer(p);
    if (rc != 0)
        return rc;
    if (find_part(s, true) < 0)
        rc = insert_plugin(p, "deltaloss", 0);
    if (rc == 0 && find_part(s, false) < 0)
        rc = insert_plugin(p, "knapsack", s->plugin_count - 1);
    s->scorer = find_part(s, true);
    s->allocator = find_part(s, false);
    return rc;
}

static int key_scheme(struct parse *p, const char *key, const cJSON *value)
{
    p->scheme_given = true;
    return srq_scheme_from_json(value, key, &p->spec->scheme, p->err);
}

static int key_embedding(struct parse *p, const char *key, const cJSON *value)
{
    return srq_scheme_from_json(value, key, &p->spec->embedding, p->err);
}

static int take_pin(struct parse *p, const char *key, const cJSON *row, struct srq_pin *pin)
{
    const cJSON *item;
    bool scheme = false;
    int rc = 0;

    if (!cJSON_IsObject(row))
        return wrong_type(p, key, "a list of {\"pattern\", \"scheme\"} objects");
    cJSON_ArrayForEach(item, row)
    {
        if (strcmp(item->string, "pattern") == 0) {
            rc = take_string(p, "layers.pattern", item, &pin->pattern);
        } else if (strcmp(item->string, "scheme") == 0) {
            rc = srq_scheme_from_json(item, "layers.scheme", &pin->scheme, p->err);
            scheme = true;
        } else if (strcmp(item->string, "untied") == 0) {
            rc = take_bool(p, "layers.untied", item, &pin->untied);
        } else {
            rc = srq_fail_field(p->err, -SRQ_EINVAL, key,
                                "a layer entry has no key \"%.60s\"; it has pattern, scheme, untied", item->string);
        }
        if (rc != 0)
            return rc;
    }
    if (pin->pattern == NULL || !scheme)
        return srq_fail_field(p->err, -SRQ_EINVAL, key, "an entry of \"layers\" lacks its %s",
                              pin->pattern == NULL ? "pattern" : "scheme");
    return 0;
}

static int key_layers(struct parse *p, const char *key, const cJSON *value)
{
    struct srq_spec *s = p->spec;
    const cJSON *row;
    int n = cJSON_GetArraySize(value), rc;

    if (!cJSON_IsArray(value))
        return wrong_type(p, key, "a list of {\"pattern\", \"scheme\"} objects");
    if (n > SPEC_MAX_LIST)
        return srq_fail_field(p->err, -SRQ_ELIMIT, key, "\"layers\" has %d entries, more than %d", n, SPEC_MAX_LIST);
    s->pins = srq_calloc((size_t)n + 1, sizeof(s->pins[0]));
    if (s->pins == NULL)
        return out_of_memory(p);
    cJSON_ArrayForEach(row, value)
    {
        rc = take_pin(p, key, row, &s->pins[s->pin_count++]);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int key_calib(struct parse *p, const char *key, const cJSON *value)
{
    return take_list(p, key, value, &p->spec->calib, &p->spec->calib_count, take_file);
}

static int key_eval(struct parse *p, const char *key, const cJSON *value)
{
    return take_list(p, key, value, &p->spec->eval, &p->spec->eval_count, take_file);
}

static int key_formats(struct parse *p, const char *key, const cJSON *value)
{
    return take_list(p, key, value, &p->spec->formats, &p->spec->format_count, take_format);
}

static int key_flag(struct parse *p, const char *key, const cJSON *value)
{
    struct srq_spec *s = p->spec;

    if (strcmp(key, "force") == 0)
        return take_bool(p, key, value, &s->force);
    if (strcmp(key, "quant_lm_head") == 0)
        return take_bool(p, key, value, &s->quant_lm_head);
    return take_bool(p, key, value, &s->accept_drift);
}

static int key_features(struct parse *p, const char *key, const cJSON *value)
{
    if (!cJSON_IsString(value) || value->valuestring[0] == '\0')
        return wrong_type(p, key, "a path");
    return take_path(p, key, value->valuestring, &p->spec->features);
}

static int key_text(struct parse *p, const char *key, const cJSON *value)
{
    if (cJSON_IsNull(value))
        return 0;
    return take_string(p, key, value, strcmp(key, "name") == 0 ? &p->spec->name : &p->spec->on_end);
}

static int key_priority(struct parse *p, const char *key, const cJSON *value)
{
    if (!cJSON_IsNumber(value) || value->valuedouble != floor(value->valuedouble) || fabs(value->valuedouble) > 1e6)
        return wrong_type(p, key, "a whole number from -1000000 to 1000000");
    p->spec->priority = (int64_t)value->valuedouble;
    return 0;
}

static int key_time_limit(struct parse *p, const char *key, const cJSON *value)
{
    if (cJSON_IsNull(value))
        return 0;
    if (!cJSON_IsNumber(value) || !(value->valuedouble >= 1 && value->valuedouble <= TIME_LIMIT_MAX_S))
        return wrong_type(p, key, "a number of seconds from 1 to a year");
    p->spec->time_limit_s = value->valuedouble;
    return 0;
}

static int key_incompatible(struct parse *p, const char *key, const cJSON *value)
{
    const char *text = cJSON_GetStringValue(value);

    if (text == NULL)
        return wrong_type(p, key, "\"keep\" or \"refuse\"");
    if (strcmp(text, "keep") != 0 && strcmp(text, "refuse") != 0)
        return srq_fail_field(p->err, -SRQ_EINVAL, key, "\"%s\" is \"%.100s\"; it can be \"keep\" or \"refuse\"", key,
                              text);
    p->spec->refuse_incompatible = text[0] == 'r';
    return 0;
}

static const char *option_text(const cJSON *value, char *buf, size_t cap)
{
    if (cJSON_IsString(value))
        return value->valuestring;
    if (cJSON_IsBool(value))
        return cJSON_IsTrue(value) ? "true" : "false";
    if (!cJSON_IsNumber(value))
        return NULL;
    snprintf(buf, cap, "%.17g", value->valuedouble);
    for (int digits = 15; digits < 17; digits++) { /* the shortest text that means the same number */
        char shorter[40];

        snprintf(shorter, sizeof(shorter), "%.*g", digits, value->valuedouble);
        if (strtod(shorter, NULL) == value->valuedouble) {
            snprintf(buf, cap, "%s", shorter);
            break;
        }
    }
    return buf;
}

static int set_plugin_option(struct parse *p, const char *key, const char *dot, const char *text)
{
    struct srq_spec *s = p->spec;
    int rc;

    for (int i = 0; i < s->plugin_count; i++) {
        size_t len = strlen(s->plugins[i].name);

        if (len != (size_t)(dot - key) || memcmp(s->plugins[i].name, key, len) != 0)
            continue;
        rc = srq_options_set(s->plugins[i].options, dot + 1, text, p->err);
        if (rc != 0 && p->err != NULL)
            snprintf(p->err->field, sizeof(p->err->field), "options.%.140s", key);
        return rc;
    }
    return 1;
}

static bool is_job_option(const char *name)
{
    int count;
    const struct srq_job_option *table = srq_job_option_table(&count);

    for (int i = 0; i < count; i++) {
        if (strcmp(table[i].name, name) == 0)
            return true;
    }
    return false;
}

/* PLUGIN.OPTION of a plugin that the job does not have. */
static int not_in_method(struct parse *p, const char *name, const char *dot)
{
    char field[160];

    snprintf(field, sizeof(field), "options.%.140s", name);
    return srq_fail_field(p->err, -SRQ_EINVAL, field,
                          "option \"%.100s\" is for plugin \"%.*s\", which the method does not name", name,
                          dot - name > 60 ? 60 : (int)(dot - name), name);
}

static int key_options(struct parse *p, const char *key, const cJSON *value)
{
    const cJSON *item;

    if (!cJSON_IsObject(value))
        return wrong_type(p, key, "an object");
    cJSON_ArrayForEach(item, value)
    {
        char buf[40];
        const char *text = option_text(item, buf, sizeof(buf)), *dot = strchr(item->string, '.');
        int rc = 1;

        if (cJSON_IsNull(item)) /* null: the default */
            continue;
        if (text == NULL)
            return srq_fail_field(p->err, -SRQ_EINVAL, "options", "option %.100s is not a number, a string or a bool",
                                  item->string);
        if (dot != NULL)
            rc = set_plugin_option(p, item->string, dot, text);
        if (rc == 1 && dot != NULL && dot > item->string && strncmp(item->string, "eval.", 5) != 0 &&
            !is_job_option(item->string))
            return not_in_method(p, item->string, dot);
        if (rc == 1)
            rc = srq_job_options_set(&p->spec->opt, item->string, text, true, p->err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* In the order in which keys are read: options need the plugins of the method, to which a budget may add. */
static const struct {
    const char *key;
    key_parser parse;
    bool required;
} keys[] = {
    { "model", key_model, true },
    { "method", key_method, true },
    { "budget", key_budget, false },
    { "scheme", key_scheme, true },
    { "output", key_output, true },
    { "layers", key_layers, false },
    { "embedding", key_embedding, false },
    { "calib", key_calib, false },
    { "eval", key_eval, false },
    { "formats", key_formats, false },
    { "force", key_flag, false },
    { "quant_lm_head", key_flag, false },
    { "accept_drift", key_flag, false },
    { "name", key_text, false },
    { "on_end", key_text, false },
    { "priority", key_priority, false },
    { "incompatible", key_incompatible, false },
    { "options", key_options, false },
    { "features", key_features, false },
    { "time_limit_s", key_time_limit, false },
};
#define KEYS ((int)(sizeof(keys) / sizeof(keys[0])))

static int check_keys(const cJSON *json, struct srq_error *err)
{
    const char *names[KEYS];
    const cJSON *item;

    for (int i = 0; i < KEYS; i++)
        names[i] = keys[i].key;
    cJSON_ArrayForEach(item, json)
    {
        const char *near;
        int i = 0;

        while (i < KEYS && strcmp(item->string, names[i]) != 0)
            i++;
        if (i < KEYS)
            continue;
        near = srq_nearest_word(item->string, names, KEYS);
        return srq_fail_field(err, -SRQ_EINVAL, item->string, "a job has no key \"%.100s\"%s%s%s", item->string,
                              near != NULL ? "; did you mean \"" : "", near != NULL ? near : "",
                              near != NULL ? "\"?" : "");
    }
    return 0;
}

static int recipe_row(void *ctx, const char *key, const char *value)
{
    struct parse *p = ctx;

    if (strncmp(key, "job.", 4) == 0)
        key += 4;
    return srq_job_options_set(&p->spec->opt, key, value, false, p->err);
}

/* A method is [scorer] [allocator] [transform] [trainer] quantizer, the first two with a budget. */
static int check_roles(struct parse *p)
{
    const struct srq_spec *s = p->spec;

    if (srq_spec_has_budget(s) && s->scorer > s->allocator)
        return srq_fail_field(p->err, -SRQ_EINVAL, "method", "%s scores what %s allocates by, so it comes first",
                              s->plugins[s->scorer].name, s->plugins[s->allocator].name);
    for (int i = 0; i < s->plugin_count; i++) {
        const struct srq_plugin *plugin = s->plugins[i].handle.plugin;

        if (i == s->scorer || i == s->allocator || i == s->transform || i == s->quantizer || i == s->trainer)
            continue;
        if (plugin->scorer != NULL || plugin->allocator != NULL)
            return srq_fail_field(p->err, -SRQ_EINVAL, "method",
                                  srq_spec_has_budget(s) ? "%s is one scorer or allocator too many"
                                                         : "%s chooses schemes under a budget, and the job has none: "
                                                           "give \"budget\" its bits",
                                  s->plugins[i].name);
        return srq_fail_field(
            p->err, -SRQ_EUNSUPPORTED, "method",
            "%s is not a transform, trainer, scorer or allocator, and only these may come before the quantizer",
            s->plugins[i].name);
    }
    return 0;
}

static double rough_bits(const struct srq_scheme *c)
{
    return (double)srq_scheme_bits(c, 1024, 1024) / (1024.0 * 1024.0);
}

/* Until schemes are chosen, and for layers that none of the candidates suits: the largest candidate inside the
 * budget. */
static void nearest_candidate(struct srq_spec *s)
{
    s->scheme = s->candidates[0];
    for (int i = 1; i < s->candidate_count; i++) {
        double bits = rough_bits(&s->candidates[i]), have = rough_bits(&s->scheme);

        if (have > s->budget_bits ? bits < have : bits <= s->budget_bits && bits > have)
            s->scheme = s->candidates[i];
    }
}

/* Scores are of weights: what rounded inputs cost is in none of them. */
static int check_candidates(struct parse *p)
{
    const struct srq_spec *s = p->spec;
    char text[48];

    for (int i = 0; i < s->candidate_count; i++) {
        if (srq_scheme_has_act(&s->candidates[i]))
            return srq_fail_field(p->err, -SRQ_EUNSUPPORTED, "budget.candidates",
                                  "candidate %s quantizes activations, which no scorer measures",
                                  srq_scheme_text(&s->candidates[i], text, sizeof(text)));
    }
    return 0;
}

static bool wants_k(const struct srq_spec *s)
{
    bool any = s->scheme.grid == SRQ_GRID_K;

    for (int i = 0; i < s->candidate_count; i++)
        any = any || s->candidates[i].grid == SRQ_GRID_K;
    return any;
}

/* What is written where nobody said: the layout that can hold the scheme, or that the model has. */
static const char *default_format(const struct srq_spec *s)
{
    return !srq_spec_quantizes(s) || s->trainer >= 0        ? "fake"
           : srq_scheme_has_act(&s->scheme)                 ? "compressed-tensors"
           : wants_k(s) || srq_ends_with(s->model, ".gguf") ? "gguf"
                                                            : "auto_round";
}

/* What only makes sense once all keys are known. */
static int finish(struct parse *p)
{
    struct srq_spec *s = p->spec;
    int rc;

    for (int i = 0; i < s->plugin_count; i++) {
        rc = srq_options_finish(s->plugins[i].options, recipe_row, p, p->err);
        if (rc != 0)
            return rc;
    }
    srq_job_options_finish(&s->opt);
    rc = check_quantizer(p);
    if (rc == 0)
        rc = find_transform(p);
    if (rc == 0)
        rc = find_trainer(p);
    if (rc == 0)
        rc = check_roles(p);
    if (rc != 0)
        return rc;
    if (srq_spec_has_budget(s) && !p->scheme_given)
        nearest_candidate(s);
    rc = check_candidates(p);
    if (rc != 0)
        return rc;
    if (srq_spec_has_budget(s) && s->calib_count == 0)
        return srq_fail_field(p->err, -SRQ_EINVAL, "calib", "%s needs calibration text: give \"calib\" a file",
                              srq_spec_scorer(s)->name);
    if (s->format_count == 0) {
        s->formats = s->formats != NULL ? s->formats : srq_calloc(2, sizeof(s->formats[0]));
        if (s->formats == NULL)
            return out_of_memory(p);
        rc = take_format(p, "formats", default_format(s), &s->formats[0]);
        if (rc != 0)
            return rc;
        s->format_count = 1;
        s->format_chosen = true;
    }
    return check_alone(p);
}

int srq_spec_parse(const cJSON *json, unsigned flags, struct srq_spec *out, struct srq_error *err)
{
    struct parse p = { .spec = out, .flags = flags, .err = err };
    int rc;

    memset(out, 0, sizeof(*out));
    out->scorer = out->allocator = out->quantizer = out->transform = out->trainer = -1;
    out->budget_bits = (double)NAN;
    srq_job_options_init(&out->opt);
    if (!cJSON_IsObject(json))
        return srq_fail(err, -SRQ_EINVAL, "a job is a JSON object");
    rc = check_keys(json, err);
    for (int i = 0; rc == 0 && i < KEYS; i++) {
        const cJSON *value = cJSON_GetObjectItemCaseSensitive(json, keys[i].key);

        if (value != NULL)
            rc = keys[i].parse(&p, keys[i].key, value);
        else if (keys[i].required && !(keys[i].parse == key_scheme && srq_spec_has_budget(out)))
            rc = srq_fail_field(err, -SRQ_EINVAL, keys[i].key, "the job lacks \"%s\"", keys[i].key);
    }
    if (rc == 0)
        rc = finish(&p);
    if (rc != 0)
        srq_spec_fini(out);
    return rc;
}

int srq_spec_parse_text(const char *text, size_t len, unsigned flags, struct srq_spec *out, struct srq_error *err)
{
    cJSON *json = NULL;
    int rc;

    memset(out, 0, sizeof(*out));
    rc = srq_json_parse(text, len, SRQ_DEPTH_MAX, &json, err);
    if (rc == 0)
        rc = srq_spec_parse(json, flags, out, err);
    cJSON_Delete(json);
    return rc;
}
